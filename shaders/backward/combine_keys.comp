// SPDX-License-Identifier: MIT
// Some tiles of keys are split into several work items (key_schedule.glsl). This kernel adds up their partial results,
// in the order of the items.
//
// Workgroup (x, y): tile y * ITEM_ROW + x.
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

#include "key_results.glsl"
#include "tile_keys.glsl"

uvec4 tile;

// Sums the 4 floats from float `at` on over the tile's partial results.
vec4 combine(uint at)
{
    vec4 sum = vec4(0);
    for (uint i = 0; i < tile.w; i++)
        sum += uintBitsToFloat(Quads(partial_address(tile.z + i)).q[at / 4]);
    return sum;
}

void main()
{
    invocation = gl_LocalInvocationIndex;
    const uint index = WORKGROUP_ID.y * ITEM_ROW + WORKGROUP_ID.x;
    if (index >= all_key_tiles())
        return;
    tile = work_tile(index).q[0];
    if (tile.w < 2)
        return;
    find_keys(find_plane(index));
    find_outputs();
    if ((GRADIENTS & GRADIENT_K) != 0)
        for (uint i = invocation; i < TILE_KEYS * HEAD_DIM / 4; i += WORKGROUP) {
            const uint key = tile_keys[i / (HEAD_DIM / 4)];
            if (key < p.keys)
                store_4(TYPE, OUT_ALIGNED != 0, dk_row(key), i % (HEAD_DIM / 4), combine(4 * i));
        }
    if ((GRADIENTS & GRADIENT_V) != 0)
        for (uint i = invocation; i < TILE_KEYS * VALUE_DIM / 4; i += WORKGROUP) {
            const uint key = tile_keys[i / (VALUE_DIM / 4)];
            if (key < p.keys)
                store_4(TYPE, OUT_ALIGNED != 0, dv_row(key), i % (VALUE_DIM / 4), combine(PARTIAL_DV + 4 * i));
        }
    if ((GRADIENTS & GRADIENT_BIAS) != 0)
        for (uint i = invocation; i < TILE_KEYS * BIAS_PLANES / 4; i += WORKGROUP) {
            const uint head_tile = i / (TILE_KEYS / 4), first = i % (TILE_KEYS / 4) * 4;
            const vec4 sums = combine(PARTIAL_BIAS + 4 * i);
            for (uint k = 0; k < 4; k++)
                if (tile_keys[first + k] < p.keys)
                    Words(dbias_row(head_tile)).w[tile_keys[first + k]] = floatBitsToUint(sums[k]);
        }
}
