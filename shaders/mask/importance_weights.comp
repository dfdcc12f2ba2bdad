// SPDX-License-Identifier: MIT
// The gradient of the importance's weights, a small matrix product over all keys. One result for each chunk of keys:
//
//     ddt_weight[h,i] = sum over b and j of dz[b,h,j] v[b,j,i]
//
// Workgroup (x, y, z): 8 * COLUMN_LANES columns, BLOCK_HEADS heads, chunk z. An invocation has 8 columns of all these
// heads and every ROW_LANES-th key. At the end, the invocations' sums are added in order. sums is [chunk, Hk, Hk * Dv].
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

shared float dz[BLOCK_HEADS * TILE_KEYS];
shared vec4 lane_sums[WORKGROUP * 2];

void stage_dz(uint invocation, uint batch, uint first_head, uint first_key)
{
    for (uint i = invocation; i < BLOCK_HEADS * TILE_KEYS; i += WORKGROUP) {
        const uint head = first_head + i / TILE_KEYS, key = first_key + i % TILE_KEYS;
        const uvec2 plane = advance(p.terms, batch * KV_HEADS + head, uvec2(4 * p.keys, 0));
        dz[i] = head < KV_HEADS && key < p.keys ? uintBitsToFloat(Words(plane).w[key]) : 0;
    }
}

void main()
{
    const uint invocation = gl_LocalInvocationIndex, chunk = WORKGROUP_ID.z;
    const uint row_lane = invocation / COLUMN_LANES, column_lane = invocation % COLUMN_LANES;
    const uint first_piece = WORKGROUP_ID.x * COLUMN_LANES, first_head = WORKGROUP_ID.y * BLOCK_HEADS;
    const uint piece = min(first_piece + column_lane, PIECES - 1), column = piece % HEAD_PIECES;
    const uvec2 head_stride = uvec2(HEAD_LOW, HEAD_HIGH), sequence_stride = uvec2(SEQUENCE_LOW, SEQUENCE_HIGH);

    vec4 low[BLOCK_HEADS], high[BLOCK_HEADS];
    [[unroll]] for (uint h = 0; h < BLOCK_HEADS; h++)
        low[h] = high[h] = vec4(0);
    const uint first_tile = chunk * p.chunk_tiles, end_tile = min(first_tile + p.chunk_tiles, p.tiles);
    for (uint tile = first_tile; tile < end_tile; tile++) {
        const uint batch = tile / p.item_tiles, first_key = tile % p.item_tiles * TILE_KEYS;
        barrier();
        stage_dz(invocation, batch, first_head, first_key);
        barrier();
        const uvec2 head = head_base(p.rows, batch, p.keys, piece / HEAD_PIECES, DERIVED_STRIDES != 0,
                                     uvec2(BATCH_LOW, BATCH_HIGH), sequence_stride, head_stride);
        vec4 a[LANE_KEYS], b[LANE_KEYS];
        [[unroll]] for (uint r = 0; r < LANE_KEYS; r++) {
            const uint key = min(first_key + row_lane + r * ROW_LANES, p.keys - 1);
            load_8(TYPE, ALIGNED != 0, advance(head, key, sequence_stride), column, a[r], b[r]);
        }
        [[unroll]] for (uint r = 0; r < LANE_KEYS; r++) {
            float term[BLOCK_HEADS];
            bool any_term = false;
            [[unroll]] for (uint h = 0; h < BLOCK_HEADS; h++) {
                term[h] = dz[h * TILE_KEYS + row_lane + r * ROW_LANES];
                any_term = any_term || term[h] != 0;
            }
            // v of a key that no query sees may hold NaN, and 0 * NaN is NaN.
            a[r] = any_term ? a[r] : vec4(0);
            b[r] = any_term ? b[r] : vec4(0);
            [[unroll]] for (uint h = 0; h < BLOCK_HEADS; h++) {
                low[h] = fma(vec4(term[h]), a[r], low[h]);
                high[h] = fma(vec4(term[h]), b[r], high[h]);
            }
        }
    }

    [[unroll]] for (uint h = 0; h < BLOCK_HEADS; h++) {
        barrier();
        lane_sums[2 * invocation] = low[h];
        lane_sums[2 * invocation + 1] = high[h];
        barrier();
        const uint element = first_piece * 8 + invocation;
        if (invocation < COLUMN_LANES * 8 && element < PIECES * 8 && first_head + h < KV_HEADS) {
            float sum = 0;
            for (uint lane = 0; lane < ROW_LANES; lane++)
                sum += lane_sums[2 * lane * COLUMN_LANES + invocation / 4][invocation % 4];
            const uvec2 row = advance(p.sums, chunk * KV_HEADS + first_head + h, uvec2(4 * PIECES * 8, 0));
            Words(row).w[element] = floatBitsToUint(sum);
        }
    }
}
