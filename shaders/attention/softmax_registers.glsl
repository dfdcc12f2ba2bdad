// SPDX-License-Identifier: MIT
// The online softmax of a subgroup's rows, with scores and probabilities in registers. Each invocation keeps the values
// of those rows whose scores it holds (fragment_layout.glsl). A row's maximum and sum are computed in one of two ways:
//
//     FRAGMENTS  by shuffles among the invocations that share the row; each invocation converts its own probabilities
//                to elements of an operand
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

float exponent_unit; // a score times this is an exponent of 2

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
    exponent_unit = score_unit * LOG2_E;
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

// In the two loops below and later, a matrix of an array is copied, and the changed copy is stored back. If single
// elements are written to the array, some compilers keep the whole array in memory.

#ifdef FRAGMENTS
#include "visible_rows.glsl"

// Turns the products of a tile into scores.
void finish_scores(key_tile t, const bool partial, inout SCORES)
{
#ifdef ADDITIVE_ROWS
    SEEN_ELEMENTS;
    uint seeing[COLUMN_BLOCKS];
    if (BIAS == 0 && partial) {
        see_elements(t, seen);
        if (ROW_BLOCKS > 1) // otherwise, registers are better used below (docs/notes/experiments.md)
            [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
                seeing[n] = rows_of_elements(t, n * MATRIX_N + gl_SubgroupInvocationID % MATRIX_N, seen);
    }
#endif
    if (NONLINEAR != 0 || FULL_TERMS != 0 || partial)
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {
            COLUMN_ROWS rows = ALL_ROWS;
            if (partial) {
                const uint i = n * MATRIX_N + gl_SubgroupInvocationID % MATRIX_N;
#ifdef ADDITIVE_ROWS
                if (BIAS == 0)
                    rows = spread_rows(ROW_BLOCKS > 1 ? seeing[n] : rows_of_elements(t, i, seen));
                else
#endif
                rows = spread_rows(rows_that_see(tile_range(t, i), tile_key(t, i)));
            }
            [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++) {
                MATRIX_C x = score[m][n];
                [[unroll]] for (uint e = 0; e < ELEMENTS; e++) {
                    const uvec2 position = element_position(e);
                    x[e] = tile_score(t, partial, tile_row_of(m, position.x), n * MATRIX_N + position.y, x[e],
                                      row_sees_column(rows, m, e));
                }
                score[m][n] = x;
            }
        }
}

#else

// The loops are not unrolled, because the driver would compile the unrolled ones for minutes.
void finish_scores(key_tile t, const bool partial, inout SCORES)
{
    if (NONLINEAR != 0 || FULL_TERMS != 0 || partial)
        [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
            [[dont_unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {
                MATRIX_C x = score[m][n];
                [[dont_unroll]] for (uint e = 0; e < ELEMENTS; e++) {
                    const uvec2 position = element_position(e);
                    const uint row = tile_row_of(m, position.x), i = n * MATRIX_N + position.y;
                    x[e] = tile_score(t, partial, row, i, x[e], !partial || tile_shows(t, row, i));
                }
                score[m][n] = x;
            }
}

#endif

// For each row, the largest score among the invocation's own elements.
#define TILE_MAXIMA float tile_max[ROW_BLOCKS][ROW_VALUES]

void find_maxima(const SCORES, out TILE_MAXIMA)
{
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++) {
        [[unroll]] for (uint r = 0; r < ROW_VALUES; r++)
            tile_max[m][r] = MINUS_INFINITY;
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {
            const MATRIX_C x = score[m][n];
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                tile_max[m][ROW_VALUE(e)] = max(tile_max[m][ROW_VALUE(e)], x[e]);
        }
    }
}

// The exponent of 2 of a score relative to its row's maximum. With PAIR_TERMS, the maximum is kept as a score and is
// subtracted first: a bias may make scores so large that the rounding of their product with exponent_unit would matter.
// Otherwise, the maximum is kept as an exponent of 2, so that this is one instruction.
float exponent_of(float s, float row_maximum)
{
    return PAIR_TERMS != 0 ? (s - row_maximum) * exponent_unit : fma(s, exponent_unit, -row_maximum);
}

// Whether a score of the subgroup exceeds its row's maximum by more than 8 (as exponents of 2), so that the maxima must
// be raised. Until then, a row's maximum may be less than its largest score, and probabilities may be up to 2^8 instead
// of 1, which f16 can hold. Sums of P v are larger, too. That matters only for bf16 values near the limit of f32.
bool exceed(const TILE_MAXIMA, const ROW_MAXIMA)
{
    bool any = false;
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint r = 0; r < ROW_VALUES; r++)
            any = any || exponent_of(tile_max[m][r], row_max[m][r]) > 8;
    return subgroupAny(any);
}

// Raises each row's maximum to its largest score so far, and rescales the row's sums.
void raise_maxima(inout TILE_MAXIMA, inout ROW_MAXIMA, inout ROW_SUMS, inout OUTPUTS)
{
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++) {
        float shrink[ROW_VALUES];
        max_over_rows(tile_max[m]);
        [[unroll]] for (uint r = 0; r < ROW_VALUES; r++) {
            const float raised = max(row_max[m][r], PAIR_TERMS != 0 ? tile_max[m][r] : tile_max[m][r] * exponent_unit);
            shrink[r] = exp2((row_max[m][r] - raised) * (PAIR_TERMS != 0 ? exponent_unit : 1));
            row_max[m][r] = raised;
            row_sum[m][r] *= shrink[r];
        }
        [[unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++) {
            MATRIX_C x = o[m][d];
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                x[e] *= shrink[ROW_VALUE(e)];
            o[m][d] = x;
        }
    }
}

// Turns scores into probabilities relative to the maxima, and adds them to the sums.
void find_probabilities(const SCORES, const ROW_MAXIMA, out PROBABILITIES, inout ROW_SUMS)
{
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {
            MATRIX_C x = score[m][n];
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++) {
                x[e] = exp2(exponent_of(x[e], row_max[m][ROW_VALUE(e)]));
                row_sum[m][ROW_VALUE(e)] += x[e];
            }
#ifdef CONVERT_ACCUMULATORS
            probability[m][n] = MATRIX_A(x);
#else
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                probability[m][n][e] = OPERAND(x[e]);
#endif
        }
}

// The probabilities of a block of rows and keys as an operand.
#define WEIGHTS(x) MATRIX_A x[ROW_BLOCKS][HELD_BLOCKS]
#define WEIGHT(x, m, k) x[m][k]

// The largest score of a row, from its maximum.
float largest_score(float row_maximum)
{
    return PAIR_TERMS != 0 ? score_from_units(row_maximum) : row_maximum * LN_2;
}

// Adds the sinks to the rows of block m. `row_maximum` becomes their largest scores, and `inverse` the factors for
// their outputs.
void add_sinks(uint m, inout float row_maximum[ROW_VALUES], inout float sum[ROW_VALUES], out float inverse[ROW_VALUES])
{
    float sink[ROW_VALUES];
    [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
        sink[ROW_VALUE(e)] = load_sink(p.sink, row_head(tile_row_of(m, element_position(e).x)));
    [[unroll]] for (uint r = 0; r < ROW_VALUES; r++) {
        row_maximum[r] = largest_score(row_maximum[r]);
        const float shrink = add_sink(sink[r], row_maximum[r], sum[r]);
        inverse[r] = shrink * softmax_inverse(sum[r]);
    }
}

// Divides the output by the row sums and stores lse.
void finish_rows(ROW_MAXIMA, ROW_SUMS, inout OUTPUTS)
{
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++) {
        float inverse[ROW_VALUES];
        sum_over_rows(row_sum[m]);
        [[unroll]] for (uint r = 0; r < ROW_VALUES; r++)
            inverse[r] = softmax_inverse(row_sum[m][r]);
        if (SINK != 0)
            add_sinks(m, row_max[m], row_sum[m], inverse);
        [[unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++) {
            MATRIX_C x = o[m][d];
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                x[e] *= inverse[ROW_VALUE(e)];
            o[m][d] = x;
        }
        if (STORES_SOFTMAX)
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++) {
                const uvec2 position = element_position(e);
                const uint row = tile_row_of(m, position.x);
                const float largest = row_max[m][ROW_VALUE(e)];
                if (position.y == 0 && row_exists(row))
                    store_softmax(row, SINK != 0 ? largest : largest_score(largest), row_sum[m][ROW_VALUE(e)]);
            }
    }
}

#endif
