// SPDX-License-Identifier: MIT
// For each tile of keys, lists the queries that see some of its keys, in ascending order, from the lists of selected
// keys of the tiles of queries. The kernel runs twice: it counts, and then it stores.
//
//     headers  for each plane and tile of keys: the index of its first entry, its number of entries
//     entries  the query, and one bit for each key of the tile that it sees
//
// Workgroup (x, y): tile x of keys, plane y.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "../lib/lists.h"
#include "../lib/memory.glsl"
#include "key_lists.h"

KEY_LISTS_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    KEY_LISTS_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

#include "../lib/scan.glsl"

const uint LIST_ENTRY = 1 + MEMBER_WORDS;
const uint KEY_WORDS = TILE_KEYS > 32 ? 2 : 1, ENTRY = 1 + KEY_WORDS;

uint plane, first_key, past_key;

uvec2 low_bits(uint count)
{
    return uvec2(count >= 32 ? 0xffffffffu : (1u << count) - 1,
                 count >= 64 ? 0xffffffffu : count <= 32 ? 0 : (1u << count - 32) - 1);
}

// The keys of the tile that a query sees, as bits.
uvec2 seen_keys(uint query)
{
    const uint lists = (p.queries - 1) / p.list_queries + 1, member = query % p.list_queries;
    const uvec4 header = Quads(advance(p.lists, plane * lists + query / p.list_queries, uvec2(16, 0))).q[0];
    Words entries = Words(advance(p.lists, header.x, uvec2(LIST_UNIT, 0)));
    const uint shift = header.w, count = header.y >> shift;
    uint entry = 0, past = count; // the first entry that may have keys of the tile
    while (entry < past) {
        const uint middle = (entry + past) / 2;
        if (entries.w[middle * LIST_ENTRY] < first_key >> shift)
            entry = middle + 1;
        else
            past = middle;
    }
    uvec2 seen = uvec2(0);
    for (; entry < count; entry++) {
        const uint begin = entries.w[entry * LIST_ENTRY] << shift, end = min(begin + (1u << shift), past_key);
        if (begin >= past_key)
            break;
        if ((entries.w[entry * LIST_ENTRY + 1 + member / 32] >> member % 32 & 1u) != 0)
            seen |= low_bits(end - first_key) & ~low_bits(max(begin, first_key) - first_key);
    }
    if (CAUSAL != 0)
        seen &= low_bits(uint(max(int(query) + 1 + int(p.keys) - int(p.queries) - int(first_key), 0)));
    return seen;
}

uvec2 header_of(uint index)
{
    return advance(p.key_lists, index, uvec2(16, 0));
}

// The number of entries of all lists before list `index`.
uint entries_before(uint index)
{
    uint sum = 0, total;
    for (uint i = gl_LocalInvocationIndex; i < index; i += WORKGROUP)
        sum += Words(header_of(i)).w[1];
    exclusive_scan(sum, total);
    return total;
}

void main()
{
    const uint tiles = (p.keys - 1) / TILE_KEYS + 1, index = WORKGROUP_ID.y * tiles + WORKGROUP_ID.x;
    plane = WORKGROUP_ID.y;
    first_key = WORKGROUP_ID.x * TILE_KEYS;
    past_key = min(first_key + TILE_KEYS, p.keys);
    const uint before = FINAL != 0 ? entries_before(index) : 0;
    const uvec2 list = advance(header_of(p.planes * tiles), before, uvec2(4 * ENTRY, 0));
    uint count = 0;
    for (uint first = 0; first < p.queries; first += WORKGROUP) {
        const uint query = first + ordered_invocation();
        const uvec2 seen = query < p.queries ? seen_keys(query) : uvec2(0);
        const bool any = (seen.x | seen.y) != 0;
        uint total;
        const uint at = (count + exclusive_scan(any ? 1 : 0, total)) * ENTRY;
        if (FINAL != 0 && any) {
            Words(list).w[at] = query;
            Words(list).w[at + 1] = seen.x;
            if (KEY_WORDS > 1)
                Words(list).w[at + 2] = seen.y;
        }
        count += total;
    }
    if (gl_LocalInvocationIndex == 0)
        Words(header_of(index)).w[FINAL != 0 ? 0 : 1] = FINAL != 0 ? before : count;
}
