/* SPDX-License-Identifier: MIT
 * The data of the kernels that find a device's ceilings, and what must come out. Pure functions, no device. */
#ifndef DMATTN_BENCH_CEILING_DATA_H
#define DMATTN_BENCH_CEILING_DATA_H

#include "capabilities.h"
#include "ceilings/shaders/ceiling.h"

/* ---- copies -------------------------------------------------------------------------------------------------- */

/* Words `first` to `first + count` - 1 of a buffer, all different. */
void peak_copy_fill(uint32_t *words, uint64_t first, uint64_t count);

/* ---- multiply-adds ------------------------------------------------------------------------------------------- */

#define PEAK_FMA_PAIRS 8
#define PEAK_FMA_TURNS 16

/* Of ceiling_fma.comp: x, y and a of each pair of each window. */
#define PEAK_FMA_INPUTS (PEAK_FMA_WINDOWS * PEAK_FMA_PAIRS * 3)
void peak_fma_fill(float input[PEAK_FMA_INPUTS], uint64_t seed);

typedef struct peak_expected {
    double value;
    double tolerance; /* what rounding may make of it, everywhere in the same direction */
} peak_expected;

/* What an invocation with this window must arrive at. */
peak_expected peak_fma_expect(const float *input, uint32_t window, uint32_t repeats);

/* ---- matrices ------------------------------------------------------------------------------------------------ */

/* Of ceiling_matrix.comp: so many matrices A and B in each window. */
typedef struct peak_matrices {
    matrix_shape shape;
    uint32_t rows, columns;
} peak_matrices;

uint32_t peak_matrix_window(const peak_matrices *m); /* elements */

/* All windows' elements in eighths, none of which is 0. */
void peak_matrix_fill(const peak_matrices *m, int8_t *eighths, uint64_t seed);

/* What one repeat adds to element (row, column) of a window's sum. The tolerance is that of one repeat, and grows with
 * their square: each time, what is there is rounded again. */
peak_expected peak_matrix_expect(const peak_matrices *m, const int8_t *eighths, uint32_t window, uint32_t row,
                                 uint32_t column);

#endif
