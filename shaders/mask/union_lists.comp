// SPDX-License-Identifier: MIT
// Makes the union list of each tile of queries: in ascending order, all keys (or blocks of keys) that its queries
// select, and for each of them which queries do (lists.h). A number may occur several times in a query's list, and one
// that is no key stands for nothing.
//
// Keys are found in segments. A first pass over the tile's numbers makes a bitmap of the segment. Its running count
// gives each key its entry. Further passes collect the members of words of the bitmap, which have up to SLOTS entries.
// Bits are set atomically in shared memory only, and their order does not matter.
//
// Workgroup (x, y): tile x of plane y.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "../lib/lists.h"
#include "../lib/memory.glsl"

UNION_LISTS_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    UNION_LISTS_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

#include "../lib/scan.glsl"

const uint LANE_WORDS = WORKGROUP < 256 ? 8 : 2048 / WORKGROUP;
const uint SEGMENT_WORDS = WORKGROUP * LANE_WORDS, SEGMENT = 16 * SEGMENT_WORDS; // up to 32768
const uint ENTRY_WORDS = 1 + MEMBER_WORDS;

// Bit i of word n, up to bit 15: a query selects number segment_begin + 16 n + i. From bit 16 on: the number of such
// bits in all words before. So one read of shared memory gives both.
shared uint bitmap[SEGMENT_WORDS + 1];
shared uint members[SLOTS * MEMBER_WORDS];

uint item_queries, item_keys; // of the batch item
uint first_query, tile_queries, numbers, segment_begin;
uvec2 rows; // the list of the tile's first query

// Numbers from here on are hidden from a query of the tile, or do not exist.
uint end_of_query(uint query)
{
    if (CAUSAL == 0)
        return numbers;
    const int position = int(first_query + query) + int(item_keys) - int(item_queries);
    return position < 0 ? 0 : min(numbers, (uint(position) >> p.shift) + 1);
}

// LANES neighbouring invocations read the list of a query together, and each has LOADS loads in flight. Loads are
// unconditional: with a branch around each, each would wait for the one before. At the end of a list, its last number
// is read again, which changes nothing. With `backwards` 1, lists are read from their ends on, which caches still hold
// after a pass from the begin on. The body of the loop gets each number from `begin` to `begin + most - 1`, relative to
// `begin`, and its query.
const uint LANES = WORKGROUP < 32 ? WORKGROUP : 32, LOADS = 8;

#define FOR_EACH_NUMBER(begin, most, backwards, number, query, body)                                                   \
    for (uint query = gl_LocalInvocationIndex / LANES; query < tile_queries; query += WORKGROUP / LANES) {             \
        const uvec2 row = advance(rows, query, p.query_stride);                                                        \
        const uint size = min(max(end_of_query(query), begin) - begin, most), last = p.count - 1;                      \
        for (uint item = gl_LocalInvocationIndex % LANES; item <= last; item += LANES * LOADS) {                       \
            uint found[LOADS];                                                                                         \
            [[unroll]] for (uint n = 0; n < LOADS; n++) {                                                              \
                const uint at = min(item + n * LANES, last);                                                           \
                found[n] = Words(row).w[backwards != 0 ? last - at : at];                                              \
            }                                                                                                          \
            [[unroll]] for (uint n = 0; n < LOADS; n++) {                                                              \
                const uint number = found[n] - begin;                                                                  \
                if (number < size)                                                                                     \
                    body                                                                                               \
            }                                                                                                          \
        }                                                                                                              \
    }

void make_bitmap()
{
    barrier(); // the bitmap of the segment before may still be read
    for (uint i = gl_LocalInvocationIndex; i < SEGMENT_WORDS; i += WORKGROUP)
        bitmap[i] = 0;
    barrier();
    FOR_EACH_NUMBER(segment_begin, SEGMENT, 0, number, query, { atomicOr(bitmap[number / 16], 1u << number % 16); })
    barrier();
}

// Stores the numbers of the segment from entry `first` of the list on. Returns how many there are.
uint store_numbers(uvec2 list, uint first)
{
    const uint word = ordered_invocation() * LANE_WORDS;
    uint mine = 0, total;
    [[unroll]] for (uint i = 0; i < LANE_WORDS; i++)
        mine += bitCount(bitmap[word + i]);
    uint at = exclusive_scan(mine, total);
    for (uint i = word; i < word + LANE_WORDS; i++) {
        uint bits = bitmap[i];
        bitmap[i] |= at << 16;
        for (; bits != 0; bits &= bits - 1)
            Words(list).w[(first + at++) * ENTRY_WORDS] = segment_begin + 16 * i + findLSB(bits);
    }
    if (gl_LocalInvocationIndex == 0)
        bitmap[SEGMENT_WORDS] = total << 16;
    barrier();
    return total;
}

// The number of entries before a word.
uint entries_before(uint word)
{
    return bitmap[word] >> 16;
}

// The last word so that the entries from that of word `begin` to it are at most SLOTS.
uint last_word(uint begin)
{
    uint last = begin, end = SEGMENT_WORDS;
    while (end - last > 1) {
        const uint middle = (last + end) / 2;
        if (entries_before(middle + 1) - entries_before(begin) <= SLOTS)
            last = middle;
        else
            end = middle;
    }
    return last;
}

// Stores the members of the entries of words `word` to `end` - 1. `entry`: the first one of the segment.
void store_members(uvec2 list, uint entry, uint word, uint end, uint backwards)
{
    const uint first = entries_before(word), count = entries_before(end) - first;
    for (uint i = gl_LocalInvocationIndex; i < count * MEMBER_WORDS; i += WORKGROUP)
        members[i] = 0;
    barrier();
    const uint begin = segment_begin + 16 * word, most = 16 * (end - word);
    FOR_EACH_NUMBER(begin, most, backwards, number, query, {
        const uint bits = bitmap[word + number / 16];
        const uint below = (1u << number % 16) - 1;
        const uint slot = (bits >> 16) + bitCount(bits & below) - first;
        if (slot < count) // it is, unless the lists have changed since the first pass
            atomicOr(members[slot * MEMBER_WORDS + query / 32], 1u << query % 32);
    })
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < count * MEMBER_WORDS; i += WORKGROUP)
        Words(list).w[(entry + first + i / MEMBER_WORDS) * ENTRY_WORDS + 1 + i % MEMBER_WORDS] = members[i];
    barrier();
}

void find_item(uint item)
{
    item_queries = p.queries;
    item_keys = p.keys;
    if (COUNTS != 0) {
        const ivec2 counts = clamp(ivec2(Pairs(p.counts).p[item]), ivec2(0), ivec2(p.queries, p.keys));
        item_queries = counts.x;
        item_keys = counts.y;
    }
}

void main()
{
    const uint tile = WORKGROUP_ID.x, plane = WORKGROUP_ID.y;
    const uint tiles = (p.queries - 1) / p.list_queries + 1, at = plane * tiles + tile;
    first_query = tile * p.list_queries;
    find_item(plane / p.heads);
    tile_queries = min(p.list_queries, item_queries - min(first_query, item_queries));
    numbers = item_keys + (1u << p.shift) - 1 >> p.shift;
    rows = advance(advance(advance(p.selected, plane / p.heads, p.batch_stride), plane % p.heads, p.head_stride),
                   first_query, p.query_stride);
    const uint headers = (tiles * p.planes + LIST_UNIT / 16 - 1) / (LIST_UNIT / 16);
    const uint offset = headers + at * (p.capacity / (LIST_UNIT / 4) * ENTRY_WORDS);
    const uvec2 list = advance(p.lists, offset, uvec2(LIST_UNIT, 0));
    // of the last query; those of the others are not greater
    const uint end = tile_queries == 0 ? 0 : end_of_query(tile_queries - 1);

    uint found = 0;
    for (segment_begin = 0; segment_begin < end; segment_begin += SEGMENT) {
        make_bitmap();
        const uint count = store_numbers(list, found);
        uint backwards = 1;
        for (uint word = 0; entries_before(word) < count; backwards = 1 - backwards) {
            const uint end_ = last_word(word) + 1;
            store_members(list, found, word, end_, backwards);
            word = end_;
        }
        found += count;
    }
    if (gl_LocalInvocationIndex == 0)
        Quads(advance(p.lists, at, uvec2(16, 0))).q[0] = uvec4(offset, found << p.shift, 0, p.shift);
}
