// SPDX-License-Identifier: MIT
// Makes the union list of each tile of queries: in ascending order, all keys (or blocks of keys) that its queries
// select, and for each of them which queries do (lists.h). A number may occur several times in a query's list, and one
// that is no key stands for nothing.
//
// Keys are found in segments. A first pass over the tile's numbers makes a bitmap of the segment. Its running count
// gives each key its entry. Further passes collect the members of SLOTS entries at a time. Bits are set atomically in
// shared memory only, and their order does not matter.
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

const uint LANE_WORDS = 4;
const uint SEGMENT_WORDS = WORKGROUP * LANE_WORDS, SEGMENT = 32 * SEGMENT_WORDS;
const uint ENTRY_WORDS = 1 + MEMBER_WORDS;

shared uint bitmap[SEGMENT_WORDS]; // bit i of word n: a query selects number segment_begin + 32 n + i
shared uint before[SEGMENT_WORDS]; // the number of bits before a word
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
// unconditional: with a branch around each, each would wait for the one before. The body of the loop gets each number
// of the segment, relative to its begin, and its query.
const uint LANES = WORKGROUP < 32 ? WORKGROUP : 32, LOADS = 8;

#define FOR_EACH_NUMBER(number, query, body)                                                                           \
    for (uint query = gl_LocalInvocationIndex / LANES; query < tile_queries; query += WORKGROUP / LANES) {             \
        const uvec2 row = advance(rows, query, p.query_stride);                                                        \
        const uint end_ = max(end_of_query(query), segment_begin) - segment_begin, size = min(end_, SEGMENT);          \
        for (uint item = gl_LocalInvocationIndex % LANES; item < p.count; item += LANES * LOADS) {                     \
            uint found[LOADS];                                                                                         \
            [[unroll]] for (uint n = 0; n < LOADS; n++)                                                                \
                found[n] = Words(row).w[min(item + n * LANES, p.count - 1)];                                           \
            [[unroll]] for (uint n = 0; n < LOADS; n++) {                                                              \
                const uint number = found[n] - segment_begin;                                                          \
                if (number < size && item + n * LANES < p.count)                                                       \
                    body                                                                                               \
            }                                                                                                          \
        }                                                                                                              \
    }

void make_bitmap()
{
    for (uint i = gl_LocalInvocationIndex; i < SEGMENT_WORDS; i += WORKGROUP)
        bitmap[i] = 0;
    barrier();
    FOR_EACH_NUMBER(number, query, { atomicOr(bitmap[number / 32], 1u << number % 32); })
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
        before[i] = at;
        for (uint bits = bitmap[i]; bits != 0; bits &= bits - 1)
            Words(list).w[(first + at++) * ENTRY_WORDS] = segment_begin + 32 * i + findLSB(bits);
    }
    barrier();
    return total;
}

// Stores the members of `count` entries, at most SLOTS, from entry `first` of the segment on.
void store_members(uvec2 list, uint segment_entry, uint first, uint count)
{
    for (uint i = gl_LocalInvocationIndex; i < count * MEMBER_WORDS; i += WORKGROUP)
        members[i] = 0;
    barrier();
    FOR_EACH_NUMBER(number, query, {
        const uint word = number / 32;
        const uint below = (1u << number % 32) - 1;
        const uint entry = before[word] + bitCount(bitmap[word] & below) - first;
        if (entry < count)
            atomicOr(members[entry * MEMBER_WORDS + query / 32], 1u << query % 32);
    })
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < count * MEMBER_WORDS; i += WORKGROUP)
        Words(list).w[(segment_entry + first + i / MEMBER_WORDS) * ENTRY_WORDS + 1 + i % MEMBER_WORDS] = members[i];
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
        for (uint first = 0; first < count; first += SLOTS)
            store_members(list, found, first, min(SLOTS, count - first));
        found += count;
    }
    if (gl_LocalInvocationIndex == 0)
        Quads(advance(p.lists, at, uvec2(16, 0))).q[0] = uvec4(offset, found << p.shift, 0, p.shift);
}
