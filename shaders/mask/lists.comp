// SPDX-License-Identifier: MIT
// A node is a range of queries. This kernel makes, for each node, the list of keys that some of its queries sees, in
// ascending order. The candidates of a node are the list of its parent, a node of `fanout` times as many queries. The
// candidates of the topmost nodes are all keys.
// A list consists of a header of four words, and words at `offset` (in units of LIST_UNIT bytes).
//     tile lists   Header: offset; slots; full slots; shift. Slot s has the key (word[s >> shift] << shift | s & mask):
//                  words are keys (shift 0), or blocks of 32 keys if the keys do not fit. Full slots come first: every
//                  query of the node sees their keys.
//     union lists  Header: offset; number of keys, or LIST_OVERFLOW; the least key; the greatest key plus 1. Two words
//                  are a key and its range within the node: 16 bits for the first query that sees it, 16 for the end.
//                  So the nodes below read neighbouring words instead of gathering from begin and end.
//
// Workgroup (x, y): node x of plane y.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "../lib/lists.h"
#include "../lib/memory.glsl"

LISTS_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    LISTS_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

#include "../lib/scan.glsl"

const uint LANE_ITEMS = 4;
const uint CHUNK = WORKGROUP * LANE_ITEMS;
const uint BLOCK = 1u << LIST_BLOCK_SHIFT;

// How many pairs of an item and the node's queries are visible: none, some or all.
const uint NOTHING = 0, PARTLY = 1, FULLY = 2;

shared uint least_key, past_key;

int first_query, end_query;
uvec2 begin, end;

// The candidates: `count` keys from `first_key` on, or `count` keys of the parent's list.
bool listed;
uint count, first_key;
uvec2 candidates;
int parents_first_query;

uint node_count(uint node_queries)
{
    return (p.queries - 1) / node_queries + 1;
}

uvec2 header_of(uvec2 lists, uint nodes, uint plane, uint node)
{
    return advance(lists, plane * nodes + node, uvec2(16, 0));
}

// The offset of a node's list, in units of LIST_UNIT bytes.
uint offset_of(uint nodes, uint plane, uint node)
{
    uint headers = (nodes * p.planes + LIST_UNIT / 16 - 1) / (LIST_UNIT / 16);
    return headers + (plane * nodes + node) * (p.capacity * (FINAL != 0 ? 4 : 8) / LIST_UNIT);
}

// The visible range of a key: the queries from x to y - 1.
ivec2 visible_range(uint key)
{
    if (key >= p.keys)
        return ivec2(0);
    ivec2 range = ivec2(Words(begin).w[key], Words(end).w[key]);
    if (CAUSAL != 0)
        range.x = max(range.x, int(key) + int(p.queries) - int(p.keys));
    return range;
}

uint pack_range(ivec2 range)
{
    const ivec2 within = clamp(range, first_query, end_query) - first_query;
    return uint(within.x | within.y << 16);
}

ivec2 unpack_range(uint range)
{
    return parents_first_query + ivec2(range & 0xffffu, range >> 16);
}

uint see(ivec2 range)
{
    if (max(range.x, first_query) >= min(range.y, end_query))
        return NOTHING;
    return range.x <= first_query && end_query <= range.y ? FULLY : PARTLY;
}

uint see_block(uint block)
{
    uint most = NOTHING, least = FULLY;
    for (uint i = 0; i < BLOCK; i++) {
        uint seen = see(visible_range(block << LIST_BLOCK_SHIFT | i));
        most = max(most, seen);
        least = min(least, seen);
    }
    return least == FULLY ? FULLY : min(most, PARTLY);
}

// LANE_ITEMS neighbouring candidates; each is a key or a block of keys. They are read together, so that loads overlap.
struct items {
    uint value[LANE_ITEMS];
    uint range[LANE_ITEMS]; // of a candidate from a list
    uint seen[LANE_ITEMS];
};

// What count_items() found in the first chunks, 2 bits per item, so that the second pass need not look again.
const uint REMEMBERED_CHUNKS = 16 / LANE_ITEMS;
uint remembered;

uint remembered_shift(uint first, uint i)
{
    return 2 * (first / CHUNK * LANE_ITEMS + i);
}

items look(uint first, uint items_count, bool blocks, bool again)
{
    items x;
    [[unroll]] for (uint i = 0; i < LANE_ITEMS; i++) {
        x.value[i] = (blocks ? first_key >> LIST_BLOCK_SHIFT : first_key) + first + i;
        x.range[i] = 0;
    }
    if (listed && !blocks) {
        // Reads after the last key stay within the memory of the list.
        const uint at = min(first, items_count - 1 & ~(LANE_ITEMS - 1)) / 2;
        [[unroll]] for (uint i = 0; i < LANE_ITEMS; i += 2) {
            const uvec4 two = Quads(candidates).q[at + i / 2];
            x.value[i] = two.x;
            x.range[i] = two.y;
            x.value[i + 1] = two.z;
            x.range[i + 1] = two.w;
        }
    }
    if (again && first < REMEMBERED_CHUNKS * CHUNK) {
        [[unroll]] for (uint i = 0; i < LANE_ITEMS; i++)
            x.seen[i] = remembered >> remembered_shift(first, i) & 3u;
        return x;
    }
    [[unroll]] for (uint i = 0; i < LANE_ITEMS; i++)
        x.seen[i] = first + i >= items_count ? NOTHING
                    : blocks                ? see_block(x.value[i])
                                            : see(listed ? unpack_range(x.range[i]) : visible_range(x.value[i]));
    return x;
}

void choose_candidates(uint plane, uint node)
{
    listed = false;
    first_key = 0;
    count = CAUSAL != 0 ? min(p.keys, uint(max(end_query + int(p.keys) - int(p.queries), 0))) : p.keys;
    if (HAS_PARENTS == 0)
        return;
    const uint nodes = node_count(p.node_queries * p.fanout);
    const uvec4 header = Quads(header_of(p.parents, nodes, plane, node / p.fanout)).q[0];
    parents_first_query = int(node / p.fanout * (p.node_queries * p.fanout));
    if (header.y == LIST_OVERFLOW) {
        first_key = header.z;
        count = header.w - header.z;
    } else {
        listed = true;
        count = header.y;
        candidates = advance(p.parents, header.x, uvec2(LIST_UNIT, 0));
    }
}

// Makes a union list in one pass: the keys, if they fit, and their bounds.
void make_list(uvec2 list, uvec2 header, uint offset)
{
    if (ordered_invocation() == 0) {
        least_key = 0xffffffffu;
        past_key = 0;
    }
    uint kept = 0, least = 0xffffffffu, past = 0;
    for (uint chunk = 0; chunk < count; chunk += CHUNK) {
        const items x = look(chunk + ordered_invocation() * LANE_ITEMS, count, false, false);
        uint mine = 0, total;
        [[unroll]] for (uint i = 0; i < LANE_ITEMS; i++)
            mine += min(x.seen[i], 1);
        uint at = kept + exclusive_scan(mine, total);
        [[unroll]] for (uint i = 0; i < LANE_ITEMS; i++)
            if (x.seen[i] != NOTHING) {
                if (at < p.capacity) {
                    const ivec2 range = listed ? unpack_range(x.range[i]) : visible_range(x.value[i]);
                    Pairs(list).p[at] = uvec2(x.value[i], pack_range(range));
                }
                at++;
                least = min(least, x.value[i]);
                past = max(past, x.value[i] + 1);
            }
        kept += total;
    }
    barrier();
    atomicMin(least_key, least);
    atomicMax(past_key, past);
    barrier();
    if (ordered_invocation() == 0)
        Quads(header).q[0] =
            uvec4(offset, kept <= p.capacity ? kept : LIST_OVERFLOW, min(least_key, past_key), past_key);
}

// The number of items that are fully visible, and of partly visible ones.
uvec2 count_items(uint items_count, bool blocks)
{
    uint full = 0, part = 0;
    remembered = 0;
    for (uint first = ordered_invocation() * LANE_ITEMS; first < items_count; first += CHUNK) {
        const items x = look(first, items_count, blocks, false);
        [[unroll]] for (uint i = 0; i < LANE_ITEMS; i++) {
            if (first < REMEMBERED_CHUNKS * CHUNK)
                remembered |= x.seen[i] << remembered_shift(first, i);
            full += x.seen[i] == FULLY ? 1 : 0;
            part += x.seen[i] == PARTLY ? 1 : 0;
        }
    }
    uvec2 totals;
    exclusive_scan(full, totals.x);
    exclusive_scan(part, totals.y);
    return totals;
}

// Makes a tile list in two passes, because full slots come first and their number must be known before.
void make_final_list(uvec2 list, uvec2 header, uint offset)
{
    uint items_count = count;
    uvec2 totals = count_items(items_count, false);
    const bool blocks = totals.x + totals.y > p.capacity;
    if (blocks) {
        if (listed) { // all keys from its first to its last one
            first_key = Pairs(candidates).p[0].x;
            count = Pairs(candidates).p[count - 1].x + 1 - first_key;
        }
        items_count = (first_key + count - 1 >> LIST_BLOCK_SHIFT) - (first_key >> LIST_BLOCK_SHIFT) + 1;
        totals = count_items(items_count, true);
        // Intervals of the app may exceed the bound of the selection. Then some blocks do not fit; the last ones are
        // left out.
        totals.x = min(totals.x, p.capacity);
        totals.y = min(totals.y, p.capacity - totals.x);
    }
    uint full_at = 0, part_at = totals.x;
    for (uint chunk = 0; chunk < items_count; chunk += CHUNK) {
        const items x = look(chunk + ordered_invocation() * LANE_ITEMS, items_count, blocks, true);
        uint mine = 0, total; // both counts in one number, because a chunk has fewer than 2^16 items
        [[unroll]] for (uint i = 0; i < LANE_ITEMS; i++)
            mine += x.seen[i] == FULLY ? 1 : x.seen[i] == PARTLY ? 0x10000 : 0;
        const uint before = exclusive_scan(mine, total);
        uint full = full_at + (before & 0xffffu), part = part_at + (before >> 16);
        [[unroll]] for (uint i = 0; i < LANE_ITEMS; i++) {
            if (x.seen[i] == FULLY && full < totals.x)
                Words(list).w[full++] = x.value[i];
            if (x.seen[i] == PARTLY && part < totals.x + totals.y)
                Words(list).w[part++] = x.value[i];
        }
        full_at += total & 0xffffu;
        part_at += total >> 16;
    }
    if (ordered_invocation() == 0) {
        const uint shift = blocks ? LIST_BLOCK_SHIFT : 0;
        Quads(header).q[0] = uvec4(offset, totals.x + totals.y << shift, totals.x << shift, shift);
    }
}

void main()
{
    const uint node = WORKGROUP_ID.x, plane = WORKGROUP_ID.y;
    const uint nodes = node_count(p.node_queries);
    first_query = int(node * p.node_queries);
    end_query = int(min(first_query + p.node_queries, p.queries));
    const uvec2 first = advance(advance(uvec2(0), plane / p.heads, p.batch_stride), plane % p.heads, p.head_stride);
    begin = advance(p.begin, 1, first);
    end = advance(p.end, 1, first);
    choose_candidates(plane, node);

    const uint offset = offset_of(nodes, plane, node);
    const uvec2 header = header_of(p.lists, nodes, plane, node);
    const uvec2 list = advance(p.lists, offset, uvec2(LIST_UNIT, 0));
    if (FINAL != 0)
        make_final_list(list, header, offset);
    else
        make_list(list, header, offset);
}
