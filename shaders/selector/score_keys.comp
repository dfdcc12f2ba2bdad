// SPDX-License-Identifier: MIT
// The scores of queries and numbers: for each head of a list, q k^T, rectified, times the query's weight, added up.
//
// Workgroup (x, y): numbers from x * TILE_KEYS on of tile y. An invocation has LANE_QUERIES x LANE_KEYS scores. Rows of
// q and k pass through shared memory, DEPTH columns at a time.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#include "score_tile.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

const uint DEPTH = 32, UNITS = DEPTH / 8;
const uint KEY_LANES = WORKGROUP / QUERY_LANES;
const uint LANE_QUERIES = TILE_QUERIES / QUERY_LANES, LANE_KEYS = TILE_KEYS / KEY_LANES;

// Four columns of a row are one element; the rows of the same columns are neighbours.
shared vec4 q_rows[DEPTH / 4 * TILE_QUERIES];
shared vec4 k_rows[DEPTH / 4 * TILE_KEYS];

void stage(uint head, uint first_unit)
{
    for (uint i = gl_LocalInvocationIndex; i < TILE_QUERIES * UNITS; i += WORKGROUP) {
        const uint unit = i % UNITS, row = i / UNITS, query = first_query + row;
        vec4 a = vec4(0), b = vec4(0);
        if (query < end_query && first_unit + unit < HEAD_DIM / 8)
            load_8(TYPE, ALIGNED != 0, q_row(query, head), first_unit + unit, a, b);
        q_rows[2 * unit * TILE_QUERIES + row] = a;
        q_rows[(2 * unit + 1) * TILE_QUERIES + row] = b;
    }
    for (uint i = gl_LocalInvocationIndex; i < TILE_KEYS * UNITS; i += WORKGROUP) {
        const uint unit = i % UNITS, row = i / UNITS, number = first_number + row;
        vec4 a = vec4(0), b = vec4(0);
        if (number < end_number && first_unit + unit < HEAD_DIM / 8)
            load_8(TYPE, ALIGNED != 0, k_row(number), first_unit + unit, a, b);
        k_rows[2 * unit * TILE_KEYS + row] = a;
        k_rows[(2 * unit + 1) * TILE_KEYS + row] = b;
    }
}

void main()
{
    const uint query_lane = gl_LocalInvocationIndex / KEY_LANES, key_lane = gl_LocalInvocationIndex % KEY_LANES;
    if (!begin_tile())
        return;
    float score[LANE_QUERIES][LANE_KEYS];
    [[unroll]] for (uint t = 0; t < LANE_QUERIES; t++)
        [[unroll]] for (uint j = 0; j < LANE_KEYS; j++)
            score[t][j] = 0;
    for (uint head = 0; head < LIST_HEADS; head++) {
        float x[LANE_QUERIES][LANE_KEYS];
        [[unroll]] for (uint t = 0; t < LANE_QUERIES; t++)
            [[unroll]] for (uint j = 0; j < LANE_KEYS; j++)
                x[t][j] = 0;
        for (uint unit = 0; unit < HEAD_DIM / 8; unit += UNITS) {
            barrier(); // the columns before are no longer read
            stage(head, unit);
            barrier();
            [[dont_unroll]] for (uint d = 0; d < DEPTH / 4; d++) { // unrolled, it needs more registers
                vec4 q[LANE_QUERIES], k[LANE_KEYS];
                [[unroll]] for (uint t = 0; t < LANE_QUERIES; t++)
                    q[t] = q_rows[d * TILE_QUERIES + t * QUERY_LANES + query_lane];
                [[unroll]] for (uint j = 0; j < LANE_KEYS; j++)
                    k[j] = k_rows[d * TILE_KEYS + j * KEY_LANES + key_lane];
                [[unroll]] for (uint t = 0; t < LANE_QUERIES; t++)
                    [[unroll]] for (uint j = 0; j < LANE_KEYS; j++)
                        [[unroll]] for (uint i = 0; i < 4; i++)
                            x[t][j] = fma(q[t][i], k[j][i], x[t][j]);
            }
        }
        [[unroll]] for (uint t = 0; t < LANE_QUERIES; t++) {
            const float weight = load_weight(min(first_query + t * QUERY_LANES + query_lane, end_query - 1), head);
            [[unroll]] for (uint j = 0; j < LANE_KEYS; j++)
                score[t][j] = fma(weight, rectified(x[t][j]), score[t][j]);
        }
    }
    [[unroll]] for (uint t = 0; t < LANE_QUERIES; t++)
        [[unroll]] for (uint j = 0; j < LANE_KEYS; j++)
            Words(score_row(t * QUERY_LANES + query_lane)).w[j * KEY_LANES + key_lane] = floatBitsToUint(score[t][j]);
}
