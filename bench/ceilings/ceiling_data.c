/* SPDX-License-Identifier: MIT */
#include "ceiling_data.h"

#include "problem.h"

#include <math.h>

/* One rounding of f32, to nearest or not. */
#define ROUNDING 0x1p-23

/* ---- copies -------------------------------------------------------------------------------------------------- */

void peak_copy_fill(uint32_t *words, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) /* an odd factor: no two of 2^32 words are equal */
        words[i] = (uint32_t)(first + i + 1) * UINT32_C(0x9e3779b1);
}

/* ---- multiply-adds ------------------------------------------------------------------------------------------- */

void peak_fma_fill(float input[PEAK_FMA_INPUTS], uint64_t seed)
{
    for (uint32_t i = 0; i < PEAK_FMA_INPUTS; i += 3) {
        input[i] = (float)(0.5 + random_uniform(&seed));
        input[i + 1] = (float)(-0.5 - random_uniform(&seed));
        input[i + 2] = (float)(0.1 + 0.4 * random_uniform(&seed));
    }
}

/* A linear map of pairs. */
typedef struct map {
    double xx, xy, yx, yy;
} map;

/* First b, then a. */
static map after(map a, map b)
{
    return (map){a.xx * b.xx + a.xy * b.yx, a.xx * b.xy + a.xy * b.yy, a.yx * b.xx + a.yy * b.yx,
                 a.yx * b.xy + a.yy * b.yy};
}

peak_expected peak_fma_expect(const float *input, uint32_t window, uint32_t repeats)
{
    const float *pair = input + window * PEAK_FMA_PAIRS * 3;
    const uint64_t turns = (uint64_t)PEAK_FMA_TURNS * repeats;
    peak_expected sum = {0};
    for (int i = 0; i < PEAK_FMA_PAIRS; i++, pair += 3) {
        const double x = pair[0], y = pair[1], a = pair[2];
        map all = {1, 0, 0, 1}, power = {1, a, -a, 1 - a * a};
        for (uint64_t t = turns; t; t /= 2) {
            if (t % 2)
                all = after(power, all);
            power = after(power, power);
        }
        sum.value += all.xx * x + all.xy * y + all.yx * x + all.yy * y;
        /* A turn rounds four times, at most. Ellipses of a up to 0.5 are 1.3 times as long as wide. */
        sum.tolerance += (4 * 1.3 * (double)turns + PEAK_FMA_PAIRS) * ROUNDING * 1.3 * hypot(x, y);
    }
    return sum;
}

/* ---- matrices ------------------------------------------------------------------------------------------------ */

static uint32_t a_elements(const peak_matrices *m)
{
    return m->shape.m * m->shape.k;
}

static uint32_t b_elements(const peak_matrices *m)
{
    return m->shape.k * m->shape.n;
}

uint32_t peak_matrix_window(const peak_matrices *m)
{
    return m->rows * a_elements(m) + m->columns * b_elements(m);
}

/* Up to 15 eighths: exact in either type, and so are the sums up to some thousand repeats. */
void peak_matrix_fill(const peak_matrices *m, int8_t *eighths, uint64_t seed)
{
    for (uint32_t i = 0; i < PEAK_MATRIX_WINDOWS * peak_matrix_window(m); i++) {
        const int value = 1 + (int)(random_bits(&seed) % 15);
        eighths[i] = (int8_t)(random_bits(&seed) % 2 ? value : -value);
    }
}

peak_expected peak_matrix_expect(const peak_matrices *m, const int8_t *eighths, uint32_t window, uint32_t row,
                                 uint32_t column)
{
    const int8_t *first_a = eighths + window * peak_matrix_window(m), *first_b = first_a + m->rows * a_elements(m);
    int64_t sum = 0, size = 0;
    for (uint32_t k = 0; k < m->shape.k; k++) {
        int64_t a = 0, b = 0, a_size = 0, b_size = 0;
        for (uint32_t i = 0; i < m->rows; i++) {
            const int value = first_a[i * a_elements(m) + row * m->shape.k + k];
            a += value;
            a_size += value < 0 ? -value : value;
        }
        for (uint32_t j = 0; j < m->columns; j++) {
            const int value = first_b[j * b_elements(m) + k * m->shape.n + column];
            b += value;
            b_size += value < 0 ? -value : value;
        }
        sum += a * b;
        size += a_size * b_size;
    }
    /* The sum is of k products and what was there; in the end, those of all matrices are added. */
    const double roundings = m->shape.k + m->rows * m->columns;
    return (peak_expected){(double)sum / 64, roundings * ROUNDING * (double)size / 64};
}
