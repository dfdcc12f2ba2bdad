// SPDX-License-Identifier: MIT
// Attention, forward, portable level: an online softmax over tiles of keys, all sums in f32, products by FMA.
//
//     for each tile of keys          neighbouring keys, or keys from the tile list
//         S = scale * q k^T                  q and k staged DEPTH elements of their rows at a time
//         S = cap(S) + bias; -inf if the pair is hidden
//         m' = max(m, max S);  P = exp(S - m');  l = l * exp(m - m') + sum P;  m = m'
//         O = O * exp(m - m') + P v          v staged VALUE_KEYS rows at a time
//     out = O / l;  lse = m + ln l
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#define PARAMS ATTENTION_PARAMS
#define TILE_OUT p.out_
#define TILE_LSE p.lse
#include "../lib/tile.glsl"

#define PAIR_ROWS TILE_ROWS
#define PAIR_COLUMNS TILE_KEYS
#define SUMMAND_UNITS VALUE_UNITS
#define ROW_TYPE Q_TYPE
#include "../lib/products.glsl"

#include "key_walk.glsl"

// Each invocation keeps the maximum of each of its rows, and the sum of the probabilities of its own keys.
#define MAXIMA float row_max[LANE_ROWS]
#define ROW_SUMS float row_sum[LANE_ROWS]

DEFINE_PRODUCT(multiply_qk, HEAD_DIM, q_row, row_exists, k_row_at, key_exists_at)
DEFINE_SUM(multiply_pv, VALUE_DIM, VALUE_UNITS, v_row_at, key_is_hidden_at)

// Turns products into scores.
void finish_scores(inout PAIRS(score))
{
    EACH_COLUMN(n) {
        const uint key = min(key_at(column_lane + n * KEY_LANES), p.keys - 1);
        const float key_bias = BIAS_BY_KEY != 0 ? load_bias_of_key(key) : 0;
        EACH_ROW(i) {
            const uint row = row_lane + i * ROW_LANES;
            const float bias = MASK != MASK_ADDITIVE || partial ? pair_bias(row, key, key_bias) : 0;
            score[i][n] = finish_score(score[i][n], bias, true);
        }
    }
    if (!partial)
        return;
    EACH_COLUMN(n) {
        const uint key = key_at(column_lane + n * KEY_LANES);
        const ivec2 range = RANGE_AT(key, column_lane + n * KEY_LANES);
        EACH_ROW(i)
            score[i][n] = row_sees(key, row_lane + i * ROW_LANES, range) ? score[i][n] : MINUS_INFINITY;
    }
}

// Turns scores into probabilities relative to the new maximum, and rescales the sums so far.
void update_softmax(inout PAIRS(score), inout MAXIMA, inout ROW_SUMS, inout SUMS(o, VALUE_UNITS))
{
    EACH_ROW(i) {
        float tile_max = LOWEST;
        EACH_COLUMN(n)
            tile_max = max(tile_max, score[i][n]);
        float new_max = max(row_max[i], max_over_row(tile_max));
        float shrink = exp2((row_max[i] - new_max) * LOG2_E);
        row_max[i] = new_max;
        row_sum[i] *= shrink;
        [[unroll]] for (uint c = 0; c < VALUE_UNITS; c++)
            o[i][c] *= shrink;
        EACH_COLUMN(n) {
            score[i][n] = exp2((score[i][n] - new_max) * LOG2_E);
            row_sum[i] += score[i][n];
        }
    }
}

// Attends to one tile of keys.
void attend(inout MAXIMA, inout ROW_SUMS, inout SUMS(o, VALUE_UNITS))
{
    PAIRS(score);
    multiply_qk(score);
    finish_scores(score);
    update_softmax(score, row_max, row_sum, o);
    store_weights(score);
    multiply_pv(o);
}

void store_rows(MAXIMA, ROW_SUMS, SUMS(o, VALUE_UNITS))
{
    // All lanes must take part in the shuffles, so this loop comes before the one in which lanes skip rows.
    EACH_ROW(i)
        row_sum[i] = sum_over_row(row_sum[i]);
    EACH_ROW(i) {
        float sum = row_sum[i], largest = row_max[i], shrink = 1;
        uint row = row_lane + i * ROW_LANES;
        if (!row_exists(row))
            continue;
        if (SINK != 0)
            shrink = add_sink(load_sink(p.sink, row_head(row)), largest, sum);
        float inverse = shrink * softmax_inverse(sum);
        uvec2 address = out_row(row);
        [[unroll]] for (uint c = 0; c < VALUE_UNITS; c++) {
            uint column = column_lane + c * KEY_LANES;
            if (column < VALUE_DIM / 4)
                store_4(OUT_TYPE, OUT_ALIGNED != 0, address, column, o[i][c] * inverse);
        }
        if (STORES_SOFTMAX && column_lane == 0)
            store_softmax(row, largest, sum);
    }
}

void main()
{
    begin_lanes();
    begin_tile();
#ifdef PACKED
    if (splits == 0)
        return;
#endif
#ifdef ADDITIVE_ROWS
    if (!row_is_ours())
        return;
#endif

    MAXIMA;
    ROW_SUMS;
    SUMS(o, VALUE_UNITS);
    EACH_ROW(i) {
        row_max[i] = LOWEST;
        row_sum[i] = 0;
        [[unroll]] for (uint c = 0; c < VALUE_UNITS; c++)
            o[i][c] = vec4(0);
    }

    begin_walk();
    while (next_tile())
        attend(row_max, row_sum, o);
    store_rows(row_max, row_sum, o);
}
