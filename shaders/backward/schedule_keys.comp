// SPDX-License-Identifier: MIT
// Makes the work items for the gradients of keys (key_schedule.glsl) from the ranges of query tiles that
// key_ranges.comp found.
//
// One workgroup.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#define PARAMS SCHEDULE_PARAMS
#include "../lib/attention.glsl"
#include "key_schedule.glsl"
#include "../lib/scan.glsl"

shared float sums[WORKGROUP];

// The maximum number of query tiles of a work item. The sum is a float because it may exceed 2^32. The factor 1.001
// allows for rounding errors.
uint item_size(uint invocation)
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
    return max(uint(sum / WORK_ITEMS * 1.001) + 1, MIN_ITEM_TILES);
}

void main()
{
    const uint invocation = ordered_invocation(), most = item_size(invocation);
    if (invocation == 0) {
        work_header().q[0] = uvec4(p.dk, p.dv);
        work_header().q[1] = uvec4(p.dbias, 0, 0);
    }
    uint items = 0, partials = 0;
    for (uint first = 0; first < all_key_tiles(); first += WORKGROUP) {
        const uint i = first + invocation;
        const uvec4 tile = i < all_key_tiles() ? work_tile(i).q[0] : uvec4(0);
        const uint size = tile.y - tile.x, cuts = i < all_key_tiles() ? max((size + most - 1) / most, 1) : 0;
        uint new_items, new_partials;
        const uint item = items + exclusive_scan(cuts, new_items);
        const uint partial_index = partials + exclusive_scan(cuts > 1 ? cuts : 0, new_partials);
        items += new_items;
        partials += new_partials;
        if (i >= all_key_tiles())
            continue; // in the last round
        work_tile(i).q[0] = uvec4(tile.xy, partial_index, cuts);
        for (uint c = 0; c < cuts; c++)
            work_item(item + c).q[0] = uvec4(i, tile.x + min(c * most, size), tile.x + min((c + 1) * most, size),
                                             cuts > 1 ? partial_index + c : NONE);
    }
    for (uint i = items + invocation; i < max_items(); i += WORKGROUP)
        work_item(i).q[0] = uvec4(NONE);
}
