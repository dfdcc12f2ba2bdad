// SPDX-License-Identifier: MIT
// For each tile of keys, finds the first and the last tile of queries that sees some of its keys. With selected keys,
// tiles are those of a list of queries.
//
// Workgroup (x, y, z): tile x of keys, kv head y, batch item z.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require

#define PARAMS BACKWARD_KEY_PARAMS
#define WALK WORKSPACE(p.walk_at)
#include "../lib/tile.glsl"

uint invocation;

#include "key_schedule.glsl"
#include "tile_keys.glsl"
#ifdef SELECTED_KEYS
#include "query_lists.glsl"
#endif

shared int range_begin, range_end; // of queries

void main()
{
    invocation = gl_LocalInvocationIndex;
    kv_head = WORKGROUP_ID.y;
    batch = WORKGROUP_ID.z;
    if (invocation == 0) {
        range_begin = int(p.queries);
        range_end = 0;
    }
    find_keys(WORKGROUP_ID.x);
    for (uint head_tile = 0; head_tile < GROUP_TILES; head_tile++) {
        find_heads(head_tile);
#ifdef SELECTED_KEYS
        if (invocation == 0) {
            range_begin = 0;
            range_end = max(range_end, int(query_list(WORKGROUP_ID.x).y));
        }
#else
        for (uint i = invocation; i < TILE_KEYS; i += WORKGROUP) {
            const ivec2 range = clamp(visible_range(tile_keys[i]), ivec2(0), ivec2(p.queries));
            if (range.x < range.y) {
                atomicMin(range_begin, range.x);
                atomicMax(range_end, range.y);
            }
        }
#endif
    }
    barrier();
    if (invocation == 0) {
        const uint begin = uint(range_begin) / TILE_QUERIES;
        const uint end = range_begin < range_end ? (uint(range_end) - 1) / TILE_QUERIES + 1 : begin;
        const uint tile = (batch * (HEADS / GROUP) + kv_head) * key_tiles() + WORKGROUP_ID.x;
        work_tile(tile).q[0] = uvec4(begin, end, 0, 0);
        if (tile == 0)
            work_header().q[DROPPED_ROWS] = uvec4(0); // backward_preprocess.comp sets it
    }
}
