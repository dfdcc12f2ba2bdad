// SPDX-License-Identifier: MIT
// Adds the part of the gradient of the values that comes from the importance:
//
//     dv[j,i] += sum over h of dz[h,j] dt_weight[h,i]
//
// Workgroup (x, y, z): TILE_KEYS keys, 8 * COLUMN_LANES columns, batch item z. An invocation computes 8 columns of
// LANE_KEYS keys. The weights of BLOCK_HEADS heads are in shared memory.
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

const uint ROW_LANES = WORKGROUP / COLUMN_LANES;
const uint TILE_KEYS = ROW_LANES * LANE_KEYS;
const uint HEAD_PIECES = VALUE_DIM / 8;
const uint PIECES = KV_HEADS * HEAD_PIECES;

// [head][half of a piece][piece]
shared vec4 weights[BLOCK_HEADS * 2 * COLUMN_LANES];

void stage_weights(uint invocation, uint first_head, uint first_piece)
{
    for (uint i = invocation; i < BLOCK_HEADS * COLUMN_LANES * 8; i += WORKGROUP) {
        const uint h = i / (COLUMN_LANES * 8), element = i % (COLUMN_LANES * 8), piece = element / 8;
        const bool inside = first_head + h < KV_HEADS && first_piece + piece < PIECES;
        const uvec2 row = advance(p.dt_weight, first_head + h, uvec2(element_size(PARAMETER_TYPE) * PIECES * 8, 0));
        weights[(2 * h + element / 4 % 2) * COLUMN_LANES + piece][element % 4] =
            inside ? load_element(PARAMETER_TYPE, row, first_piece * 8 + element) : 0;
    }
}

void main()
{
    const uint invocation = gl_LocalInvocationIndex, batch = WORKGROUP_ID.z;
    const uint row_lane = invocation / COLUMN_LANES, column_lane = invocation % COLUMN_LANES;
    const uint first_key = WORKGROUP_ID.x * TILE_KEYS + row_lane, first_piece = WORKGROUP_ID.y * COLUMN_LANES;

    vec4 low[LANE_KEYS], high[LANE_KEYS];
    bool any_term[LANE_KEYS];
    [[unroll]] for (uint r = 0; r < LANE_KEYS; r++) {
        low[r] = high[r] = vec4(0);
        any_term[r] = false;
    }
    for (uint first_head = 0; first_head < KV_HEADS; first_head += BLOCK_HEADS) {
        barrier();
        stage_weights(invocation, first_head, first_piece);
        barrier();
        for (uint h = 0; h < min(BLOCK_HEADS, KV_HEADS - first_head); h++) {
            Words dz = Words(advance(p.terms, batch * KV_HEADS + first_head + h, uvec2(4 * p.keys, 0)));
            const vec4 a = weights[2 * h * COLUMN_LANES + column_lane];
            const vec4 b = weights[(2 * h + 1) * COLUMN_LANES + column_lane];
            [[unroll]] for (uint r = 0; r < LANE_KEYS; r++) {
                const float term = uintBitsToFloat(dz.w[min(first_key + r * ROW_LANES, p.keys - 1)]);
                low[r] = fma(vec4(term), a, low[r]);
                high[r] = fma(vec4(term), b, high[r]);
                any_term[r] = any_term[r] || term != 0;
            }
        }
    }

    const uint piece = first_piece + column_lane, column = piece % HEAD_PIECES;
    if (piece >= PIECES)
        return;
    const uvec2 head_stride = uvec2(HEAD_LOW, HEAD_HIGH), sequence_stride = uvec2(SEQUENCE_LOW, SEQUENCE_HIGH);
    const uvec2 head = head_base(p.rows, batch, p.keys, piece / HEAD_PIECES, DERIVED_STRIDES != 0,
                                 uvec2(BATCH_LOW, BATCH_HIGH), sequence_stride, head_stride);
    [[unroll]] for (uint r = 0; r < LANE_KEYS; r++) {
        const uint key = first_key + r * ROW_LANES;
        if (key >= p.keys || !any_term[r])
            continue;
        const uvec2 row = advance(head, key, sequence_stride);
        vec4 a, b;
        load_8(TYPE, ALIGNED != 0, row, column, a, b);
        store_4(TYPE, ALIGNED != 0, row, 2 * column, a + low[r]);
        store_4(TYPE, ALIGNED != 0, row, 2 * column + 1, b + high[r]);
    }
}
