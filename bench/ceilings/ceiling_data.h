/* SPDX-License-Identifier: MIT
 * Input data and expected results of the ceiling kernels. Pure functions, no device. */
#ifndef DMATTN_BENCH_CEILING_DATA_H
#define DMATTN_BENCH_CEILING_DATA_H

#include "capabilities.h"
#include "ceilings/shaders/ceiling.h"

/* ---- copies -------------------------------------------------------------------------------------------------- */

/* Fills words `first` to `first + count` - 1 of a buffer; all words differ. */
void ceiling_copy_fill(uint32_t *words, uint64_t first, uint64_t count);

/* ---- multiply-adds ------------------------------------------------------------------------------------------- */

#define CEILING_FMA_PAIRS 8
#define CEILING_FMA_TURNS 16

/* Input of ceiling_fma.comp: x, y and a for each pair of each window. */
#define CEILING_FMA_INPUTS (CEILING_FMA_WINDOWS * CEILING_FMA_PAIRS * 3)
void ceiling_fma_fill(float input[CEILING_FMA_INPUTS], uint64_t seed);

typedef struct ceiling_expected {
    double value;
    double tolerance; /* bound of the rounding errors, if all have the same sign */
} ceiling_expected;

/* The result of an invocation that reads this window. */
ceiling_expected ceiling_fma_expect(const float *input, uint32_t window, uint32_t repeats);

/* ---- matrices ------------------------------------------------------------------------------------------------ */

/* Input of ceiling_matrix.comp: each window holds `rows` matrices A and `columns` matrices B. */
typedef struct ceiling_matrices {
    matrix_shape shape;
    uint32_t rows, columns;
} ceiling_matrices;

uint32_t ceiling_matrix_window(const ceiling_matrices *m); /* elements per window */

/* Fills the elements of all windows, in units of 1/8; none is 0. */
void ceiling_matrix_fill(const ceiling_matrices *m, int8_t *eighths, uint64_t seed);

/* What one repeat adds to element (row, column) of a window's sum. The tolerance holds for one repeat and grows with
 * the square of the repeats, because each repeat rounds the whole sum again. */
ceiling_expected ceiling_matrix_expect(const ceiling_matrices *m, const int8_t *eighths, uint32_t window, uint32_t row,
                                       uint32_t column);

#endif
