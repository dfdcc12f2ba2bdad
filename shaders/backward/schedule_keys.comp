// SPDX-License-Identifier: MIT
// The items of work of the gradients of keys: backward/key_schedule.glsl. One workgroup.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#define BACKWARD
#include "../lib/tile.glsl"
#include "key_schedule.glsl"
#include "../lib/scan.glsl"

shared float sums[WORKGROUP];

// How many tiles of queries an item has at most. The sum is of floats, as it may be beyond 2^32, and a little more than it.
uint find_share(uint invocation)
{
    float sum = 0;
    for (uint i = invocation; i < all_key_tiles(); i += WORKGROUP) {
        const uvec4 tile = work_tile(i).q[0];
        sum += float(tile.y - tile.x);
    }
    sums[invocation] = sum;
    barrier();
    sum = 0;
    for (uint i = 0; i < WORKGROUP; i++)
        sum += sums[i];
    return max(uint(sum / KEY_SHARES * 1.001) + 1, LEAST_KEY_SHARE);
}

void main()
{
    const uint invocation = ordered_invocation(), share = find_share(invocation);
    uint items = 0, parts = 0;
    for (uint first = 0; first < all_key_tiles(); first += WORKGROUP) {
        const uint i = first + invocation;
        const uvec4 tile = i < all_key_tiles() ? work_tile(i).q[0] : uvec4(0);
        const uint size = tile.y - tile.x, cuts = i < all_key_tiles() ? max((size + share - 1) / share, 1) : 0;
        uint new_items, new_parts;
        const uint item = items + exclusive_scan(cuts, new_items);
        const uint part = parts + exclusive_scan(cuts > 1 ? cuts : 0, new_parts);
        items += new_items;
        parts += new_parts;
        if (i >= all_key_tiles())
            continue; // in the last round
        work_tile(i).q[0] = uvec4(tile.xy, part, cuts);
        for (uint c = 0; c < cuts; c++)
            work_item(item + c).q[0] = uvec4(i, tile.x + min(c * share, size), tile.x + min((c + 1) * share, size),
                                             cuts > 1 ? part + c : NONE);
    }
    for (uint i = items + invocation; i < all_items(); i += WORKGROUP)
        work_item(i).q[0] = uvec4(NONE);
}
