// SPDX-License-Identifier: MIT
// The online softmax of a subgroup's rows, with scores and probabilities in registers. Each invocation keeps the values
// of those rows whose scores it holds (fragment_layout.glsl). A row's maximum and sum are computed in one of two ways:
//
//     FRAGMENTS  by shuffles among the invocations that share the row; a probability becomes an operand where it is
//     otherwise  by GL_NV_cooperative_matrix2, which reduces rows and converts accumulators to operands
#ifndef LIB_SOFTMAX_GLSL
#define LIB_SOFTMAX_GLSL

#include "scores.glsl"

const uint OUTPUT_BLOCKS = VALUE_BLOCKS;
#include "../lib/fragment_layout.glsl"

const uint HELD_BLOCKS = COLUMN_BLOCKS;

#ifdef FRAGMENTS

void max_over_rows(inout float x[ROW_VALUES])
{
    [[unroll]] for (uint r = 0; r < ROW_VALUES; r++)
        [[unroll]] for (uint lane = 1; lane < ROW_INVOCATIONS; lane *= 2)
            x[r] = max(x[r], subgroupShuffleXor(x[r], lane));
}

void sum_over_rows(inout float x[ROW_VALUES])
{
    [[unroll]] for (uint r = 0; r < ROW_VALUES; r++)
        [[unroll]] for (uint lane = 1; lane < ROW_INVOCATIONS; lane *= 2)
            x[r] += subgroupShuffleXor(x[r], lane);
}

#else

float larger(const in float x, const in float y)
{
    return max(x, y);
}

float both(const in float x, const in float y)
{
    return x + y;
}

#define OVER_ROWS(name, operation)                                                     \
    void name(inout float x[ROW_VALUES])                                               \
    {                                                                                  \
        MATRIX_C values, reduced;                                                      \
        [[unroll]] for (uint e = 0; e < ELEMENTS; e++)                                 \
            values[e] = x[e];                                                          \
        coopMatReduceNV(reduced, values, gl_CooperativeMatrixReduceRowNV, operation);  \
        [[unroll]] for (uint e = 0; e < ELEMENTS; e++)                                 \
            x[e] = reduced[e];                                                         \
    }
OVER_ROWS(max_over_rows, larger)
OVER_ROWS(sum_over_rows, both)

#endif

void begin_rows(out ROW_MAXIMA, out ROW_SUMS)
{
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint r = 0; r < ROW_VALUES; r++) {
            row_max[m][r] = LOWEST;
            row_sum[m][r] = 0;
        }
#ifdef FRAGMENTS
    if (!layout_is_right())
        score_unit = NOT_A_NUMBER;
#else
    find_positions();
#endif
}

void begin_scores(key_tile t, out SCORES)
{
    [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {
        MATRIX_C start = MATRIX_C(0.0);
        if (BIAS_AT_START != 0)
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                start[e] = slot_bias[t.slots + n * MATRIX_N + element_position(e).y];
        [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
            score[m][n] = start;
    }
}

// Only a constant can index registers, so this loop is unrolled with FRAGMENTS, the fast form. In the other form, the
// driver would compile the unrolled loop for minutes.
#ifdef FRAGMENTS
#define FINISH_LOOP [[unroll]]
#else
#define FINISH_LOOP [[dont_unroll]]
#endif

// Turns scores into probabilities relative to the new maximum, and rescales the sums so far.
void update_softmax(key_tile t, const bool partial, inout SCORES, out PROBABILITIES, inout ROW_MAXIMA, inout ROW_SUMS,
                    inout OUTPUTS)
{
    const float to_2 = score_unit * LOG2_E;
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++) {
        if (NONLINEAR != 0 || BIAS_AT_END != 0 || partial)
            FINISH_LOOP for (uint n = 0; n < COLUMN_BLOCKS; n++)
                FINISH_LOOP for (uint e = 0; e < ELEMENTS; e++) {
                    const uvec2 position = element_position(e);
                    score[m][n][e] = tile_score(t, partial, tile_row_of(m, position.x), n * MATRIX_N + position.y,
                                                score[m][n][e]);
                }

        float tile_max[ROW_VALUES], new_max[ROW_VALUES], shrink[ROW_VALUES], base[ROW_VALUES];
        [[unroll]] for (uint r = 0; r < ROW_VALUES; r++)
            tile_max[r] = LOWEST;
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                tile_max[ROW_VALUE(e)] = max(tile_max[ROW_VALUE(e)], score[m][n][e]);
        max_over_rows(tile_max);

        bool grown = false;
        [[unroll]] for (uint r = 0; r < ROW_VALUES; r++) {
            new_max[r] = max(row_max[m][r], tile_max[r]);
            // Probabilities up to 2^8 fit in f16, so the maximum is not updated while it has grown by less than that.
            if (LAZY != 0 && (new_max[r] - row_max[m][r]) * to_2 <= 8)
                new_max[r] = row_max[m][r];
            grown = grown || new_max[r] != row_max[m][r];
            shrink[r] = exp2((row_max[m][r] - new_max[r]) * to_2);
            base[r] = max(new_max[r] * to_2, LOWEST);
        }
        if (LAZY == 0 || subgroupAny(grown)) {
            [[unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++)
                [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                    o[m][d][e] *= shrink[ROW_VALUE(e)];
            [[unroll]] for (uint r = 0; r < ROW_VALUES; r++)
                row_sum[m][r] *= shrink[r];
        }
        [[unroll]] for (uint r = 0; r < ROW_VALUES; r++)
            row_max[m][r] = new_max[r];

        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++) {
                // A bias may make scores so large that the rounding of `base` matters. Then subtract first.
                const float s = score[m][n][e];
                const float x = exp2(PAIR_TERMS != 0 ? (s - new_max[ROW_VALUE(e)]) * to_2
                                                     : fma(s, to_2, -base[ROW_VALUE(e)]));
                row_sum[m][ROW_VALUE(e)] += x;
#ifdef CONVERT_ACCUMULATORS
                score[m][n][e] = x;
#else
                probability[m][n][e] = OPERAND(x);
#endif
            }
#ifdef CONVERT_ACCUMULATORS
            probability[m][n] = MATRIX_A(score[m][n]);
#endif
        }
    }
}

// The probabilities of a block of rows and keys as an operand.
#define WEIGHTS(x) MATRIX_A x[ROW_BLOCKS][HELD_BLOCKS]
#define WEIGHT(x, m, k) x[m][k]

// Divides the output by the row sums and stores lse.
void finish_rows(ROW_MAXIMA, ROW_SUMS, inout OUTPUTS)
{
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++) {
        float inverse[ROW_VALUES];
        sum_over_rows(row_sum[m]);
        [[unroll]] for (uint r = 0; r < ROW_VALUES; r++)
            inverse[r] = softmax_inverse(row_sum[m][r]);
        [[unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++)
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                o[m][d][e] *= inverse[ROW_VALUE(e)];
        if (STORES_SOFTMAX)
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++) {
                const uvec2 position = element_position(e);
                const uint row = tile_row_of(m, position.x);
                if (position.y == 0 && row_exists(row))
                    store_softmax(row, score_from_units(row_max[m][ROW_VALUE(e)]), row_sum[m][ROW_VALUE(e)]);
            }
    }
}

#endif
