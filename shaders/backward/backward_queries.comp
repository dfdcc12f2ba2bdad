// SPDX-License-Identifier: MIT
// Gradients of queries, portable level. Like the forward kernel, a workgroup has a tile of queries (lib/tile.glsl) and
// visits the tiles of keys that its queries see. lse and D are from backward_preprocess.comp.
//
//     P  = exp(S - lse); 0 if the pair is hidden
//     dS = P o (dout v^T - D)
//     dq = scale dS k                     of the columns of a band
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#define PARAMS BACKWARD_QUERY_PARAMS
#define TILE_OUT p.dq
#include "../lib/tile.glsl"

#define PAIR_ROWS TILE_ROWS
#define PAIR_COLUMNS TILE_KEYS
#define SUMMAND_UNITS HEAD_UNITS
#define BEGIN_PART recall();
void recall();
#define ROWS_APART (BY_UNIT != 0)
#include "../lib/products.glsl"

#include "../attention/key_walk.glsl"

#define LANE_QUERIES LANE_ROWS
#define LANE_KEYS LANE_COLUMNS
#define QUERY_OF(r) (row_lane + (r) * ROW_LANES)
#define KEY_OF(k) key_at(column_lane + (k) * KEY_LANES)
#define PAIR(x, r, k) x[r][k]
#define RANGE_OF(key, k) RANGE_AT(key, column_lane + (k) * KEY_LANES)
#define SEES(key, row, k, range) row_sees(key, row, range)
#include "gradients.glsl"

// With BY_UNIT, what is the same for the whole workgroup is in shared memory, and is read again before each part of a
// product. So registers hold it only where it is used.
shared uvec4 kept[BY_UNIT != 0 ? 4 : 1];

void keep()
{
    if (BY_UNIT == 0)
        return;
    if (invocation == 0) {
        kept[0] = uvec4(q_item, k_base);
        kept[1] = uvec4(v_base, dout_item);
        kept[2] = uvec4(out_item, batch, kv_head);
        kept[3] = uvec4(first_query, end_query, first_head, end_head);
    }
    barrier();
}

void recall()
{
    if (BY_UNIT == 0)
        return;
    q_item = kept[0].xy;
    k_base = kept[0].zw;
    v_base = kept[1].xy;
    dout_item = kept[1].zw;
    out_item = kept[2].xy;
    batch = kept[2].z;
    kv_head = kept[2].w;
    first_query = kept[3].x;
    end_query = kept[3].y;
    first_head = kept[3].z;
    end_head = kept[3].w;
}

DEFINE_PRODUCT(multiply_qk, HEAD_DIM, q_row, row_exists, k_row_at, key_exists_at)
DEFINE_PRODUCT(multiply_dout_v, VALUE_DIM, dout_row, row_exists, v_row_at, key_exists_at)
DEFINE_SUM(add_ds_k, HEAD_COLUMNS, HEAD_UNITS, k_row_at, key_is_hidden_at)

void attend(inout SUMS(dq, HEAD_UNITS))
{
    PAIRS(probability);
    PAIRS(ds);
    PAIRS(slope);
    multiply_qk(probability);
    find_probabilities(partial, probability, slope);
    multiply_dout_v(ds);
    find_gradients(probability, ds);
    uncap(slope, ds);
    store_weights(ds);
    add_ds_k(dq);
}

void main()
{
    begin_lanes();
    begin_tile();
    find_dout();
    load_row_softmax();
    keep();
    SUMS(dq, HEAD_UNITS);
    EACH_ROW(i)
        [[unroll]] for (uint c = 0; c < HEAD_UNITS; c++)
            dq[i][c] = vec4(0);

    begin_walk();
    while (next_tile())
        attend(dq);

    recall();
    EACH_ROW(i) {
        const uint row = row_lane + i * ROW_LANES;
        [[unroll]] for (uint c = 0; c < HEAD_UNITS; c++) {
            const uint unit = column_lane + c * KEY_LANES;
            if (row_exists(row) && unit < HEAD_COLUMNS / 4)
                store_4(TYPE, OUT_ALIGNED != 0, out_row(row), FIRST_COLUMN / 4 + unit,
                        dq[i][c] * uintBitsToFloat(SCALE));
        }
    }
}
