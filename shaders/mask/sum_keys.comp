// SPDX-License-Identifier: MIT
// Sums over all keys, one result for each chunk of keys:
//
//     sums[h] = sum over b and j of terms[b,h,j]
//
// Workgroup (x, y): head x, chunk y. sums is [chunk, Hk].
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#include "importance_backward.h"
#include "../lib/memory.glsl"

IMPORTANCE_BACKWARD_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    IMPORTANCE_BACKWARD_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

const uint TILE_KEYS = WORKGROUP * LANE_KEYS;

shared float lane_sums[WORKGROUP];

void main()
{
    const uint invocation = gl_LocalInvocationIndex, head = WORKGROUP_ID.x, chunk = WORKGROUP_ID.y;
    float sum = 0;
    const uint first_tile = chunk * p.chunk_tiles, end_tile = min(first_tile + p.chunk_tiles, p.tiles);
    for (uint tile = first_tile; tile < end_tile; tile++) {
        const uint batch = tile / p.item_tiles, first_key = tile % p.item_tiles * TILE_KEYS + invocation;
        Words terms = Words(advance(p.terms, batch * KV_HEADS + head, uvec2(4 * p.keys, 0)));
        [[unroll]] for (uint r = 0; r < LANE_KEYS; r++) {
            const uint key = first_key + r * WORKGROUP;
            sum += key < p.keys ? uintBitsToFloat(terms.w[key]) : 0;
        }
    }
    lane_sums[invocation] = sum;
    for (uint lanes = WORKGROUP / 2; lanes > 0; lanes /= 2) {
        barrier();
        if (invocation < lanes)
            lane_sums[invocation] += lane_sums[invocation + lanes];
    }
    if (invocation == 0)
        Words(advance(p.sums, chunk, uvec2(4 * KV_HEADS, 0))).w[head] = floatBitsToUint(lane_sums[0]);
}
