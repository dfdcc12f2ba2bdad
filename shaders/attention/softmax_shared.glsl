// SPDX-License-Identifier: MIT
// The online softmax of a subgroup's rows, with scores and probabilities in shared memory. For devices whose fragment
// layout is unknown. ROW_LANES neighbouring invocations share a row. ROW_BLOCKS is 1.
#ifndef LIB_SOFTMAX_GLSL
#define LIB_SOFTMAX_GLSL

#include "scores.glsl"

const uint ROW_LANES = SUBGROUP / MATRIX_M;
const uint LANE_KEYS = TILE_KEYS / ROW_LANES;
const uint SCORE_PITCH = TILE_KEYS / 4 + 1;

// For each subgroup, one after another in the same memory: scores, factors for the output's rows, probabilities.
shared uvec4 scores[SUBGROUPS * MATRIX_M * SCORE_PITCH];

const uint ROW_VALUES = 1, HELD_BLOCKS = 1; // no probabilities are held in registers

// A lane's row of a block, and its first column in that row.
#define LANE_ROW (gl_SubgroupInvocationID / ROW_LANES)
#define LANE_COLUMN (gl_SubgroupInvocationID % ROW_LANES * LANE_KEYS)
#define SUBGROUP_SCORES (gl_SubgroupID * MATRIX_M * SCORE_PITCH)
#define LANE_SCORES (SUBGROUP_SCORES + LANE_ROW * SCORE_PITCH)

void begin_rows(out ROW_MAXIMA, out ROW_SUMS)
{
    row_max[0][0] = LOWEST;
    row_sum[0][0] = 0;
}

void begin_scores(key_tile t, out SCORES)
{
    [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
        score[0][n] = MATRIX_C(0.0);
}

// Multiplies each row of the output by its factor.
void scale_rows(float factor, inout OUTPUTS)
{
    [[unroll]] for (uint i = gl_SubgroupInvocationID % ROW_LANES; i < MATRIX_N / 4; i += ROW_LANES)
        scores[LANE_SCORES + i] = uvec4(floatBitsToUint(factor));
    subgroup_sync();
    MATRIX_C factors;
    coopMatLoad(factors, scores, SUBGROUP_SCORES, SCORE_PITCH, BY_ROWS);
    [[unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++)
        [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
            o[0][d][e] *= factors[e];
    subgroup_sync();
}

void update_softmax(key_tile t, const bool partial, inout SCORES, out PROBABILITIES, inout ROW_MAXIMA, inout ROW_SUMS,
                    inout OUTPUTS)
{
    [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
        coopMatStore(score[0][n], scores, SUBGROUP_SCORES + n * MATRIX_N / 4, SCORE_PITCH, BY_ROWS);
    subgroup_sync();

    const float to_2 = score_unit * LOG2_E;
    if (NONLINEAR != 0 || BIAS_AT_END != 0 || partial) // in place; not unrolled, because the body is large
        [[dont_unroll]] for (uint i = 0; i < LANE_KEYS; i++) {
            const uint at = LANE_SCORES + (LANE_COLUMN + i) / 4, c = i % 4;
            scores[at][c] = floatBitsToUint(
                tile_score(t, partial, tile_row_of(0, LANE_ROW), LANE_COLUMN + i, uintBitsToFloat(scores[at][c])));
        }
    vec4 x[LANE_KEYS / 4];
    float tile_max = LOWEST;
    [[unroll]] for (uint i = 0; i < LANE_KEYS / 4; i++) {
        x[i] = uintBitsToFloat(scores[LANE_SCORES + LANE_COLUMN / 4 + i]);
        tile_max = max(tile_max, max(max(x[i].x, x[i].y), max(x[i].z, x[i].w)));
    }
    [[unroll]] for (uint lane = 1; lane < ROW_LANES; lane *= 2)
        tile_max = max(tile_max, subgroupShuffleXor(tile_max, lane));
    const float new_max = max(row_max[0][0], tile_max), shrink = exp2((row_max[0][0] - new_max) * to_2);
    row_max[0][0] = new_max;
    row_sum[0][0] *= shrink;
    subgroup_sync();
    scale_rows(shrink, o);

    [[unroll]] for (uint i = 0; i < LANE_KEYS / 8; i++) {
        const vec4 a = exp2((x[2 * i] - new_max) * to_2), b = exp2((x[2 * i + 1] - new_max) * to_2);
        row_sum[0][0] += a.x + a.y + a.z + a.w + (b.x + b.y + b.z + b.w);
        scores[LANE_SCORES + LANE_COLUMN / 8 + i] =
            uvec4(pack_halves(OPERAND_TYPE, a.xy), pack_halves(OPERAND_TYPE, a.zw), pack_halves(OPERAND_TYPE, b.xy),
                  pack_halves(OPERAND_TYPE, b.zw));
    }
    subgroup_sync();
}

MATRIX_A load_probability(uint k)
{
    MATRIX_A a;
    coopMatLoad(a, scores, SUBGROUP_SCORES + k * MATRIX_K / 8, SCORE_PITCH, BY_ROWS);
    return a;
}
#define WEIGHTS(x) MATRIX_A x[ROW_BLOCKS][HELD_BLOCKS]
#define WEIGHT(x, m, k) load_probability(k)

void finish_rows(ROW_MAXIMA, ROW_SUMS, inout OUTPUTS)
{
    [[unroll]] for (uint lane = 1; lane < ROW_LANES; lane *= 2)
        row_sum[0][0] += subgroupShuffleXor(row_sum[0][0], lane);
    scale_rows(softmax_inverse(row_sum[0][0]), o);
    const uint row = tile_row_of(0, LANE_ROW);
    if (STORES_SOFTMAX && LANE_COLUMN == 0 && row_exists(row))
        store_softmax(row, score_from_units(row_max[0][0]), row_sum[0][0]);
}

#endif
