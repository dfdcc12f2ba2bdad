// SPDX-License-Identifier: MIT
// Sorts keys in blocks of TREE_BLOCK and makes the tree's lowest levels.
//
// Workgroup (x, y): block x of plane y.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#define PARAMS SORT_PARAMS
#include "merge.glsl"

void main()
{
    const uint block = WORKGROUP_ID.x, plane = WORKGROUP_ID.y;
    for (uint i = gl_LocalInvocationIndex; i < TREE_BLOCK; i += WORKGROUP) {
        const uint key = block * TREE_BLOCK + i;
        orders[i] = is_valid(plane / p.heads, key) ? order_of(load_importance(plane, key)) : NEVER_SEEN;
        indices[i] = key;
    }
    clear_bits();
    barrier();
    for (uint level = 0; level < TREE_BLOCK_LEVELS; level++) {
        merge_tile(1u << level, 1u << level, 0);
        store_level(plane, level, block);
    }
    store_keys(plane, block);
}
