/* SPDX-License-Identifier: MIT */
#include "ceiling_data.h"

#include "problem.h"

#include <math.h>

/* The relative error of one f32 rounding, in any rounding mode. */
#define ROUNDING 0x1p-23

/* ---- copies -------------------------------------------------------------------------------------------------- */

void ceiling_copy_fill(uint32_t *words, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) /* the factor is odd, so 2^32 words all differ */
        words[i] = (uint32_t)(first + i + 1) * UINT32_C(0x9e3779b1);
}

/* ---- multiply-adds ------------------------------------------------------------------------------------------- */

void ceiling_fma_fill(float input[CEILING_FMA_INPUTS], uint64_t seed)
{
    for (uint32_t i = 0; i < CEILING_FMA_INPUTS; i += 3) {
        input[i] = (float)(0.5 + random_uniform(&seed));
        input[i + 1] = (float)(-0.5 - random_uniform(&seed));
        input[i + 2] = (float)(0.1 + 0.4 * random_uniform(&seed));
    }
}

/* A linear map of pairs. */
typedef struct map {
    double xx, xy, yx, yy;
} map;

/* a after b. */
static map after(map a, map b)
{
    return (map){a.xx * b.xx + a.xy * b.yx, a.xx * b.xy + a.xy * b.yy, a.yx * b.xx + a.yy * b.yx,
                 a.yx * b.xy + a.yy * b.yy};
}

ceiling_expected ceiling_fma_expect(const float *input, uint32_t window, uint32_t repeats)
{
    const float *pair = input + window * CEILING_FMA_PAIRS * 3;
    const uint64_t turns = (uint64_t)CEILING_FMA_TURNS * repeats;
    ceiling_expected sum = {0};
    for (int i = 0; i < CEILING_FMA_PAIRS; i++, pair += 3) {
        const double x = pair[0], y = pair[1], a = pair[2];
        map all = {1, 0, 0, 1}, power = {1, a, -a, 1 - a * a};
        for (uint64_t t = turns; t; t /= 2) {
            if (t % 2)
                all = after(power, all);
            power = after(power, power);
        }
        sum.value += all.xx * x + all.xy * y + all.yx * x + all.yy * y;
        /* A turn rounds at most four times. For a <= 0.5 the ellipse's axes have a ratio of at most 1.3. */
        sum.tolerance += (4 * 1.3 * (double)turns + CEILING_FMA_PAIRS) * ROUNDING * 1.3 * hypot(x, y);
    }
    return sum;
}

/* ---- matrices ------------------------------------------------------------------------------------------------ */

static uint32_t a_elements(const ceiling_matrices *m)
{
    return m->shape.m * m->shape.k;
}

static uint32_t b_elements(const ceiling_matrices *m)
{
    return m->shape.k * m->shape.n;
}

uint32_t ceiling_matrix_window(const ceiling_matrices *m)
{
    return m->rows * a_elements(m) + m->columns * b_elements(m);
}

/* Up to 15 eighths: exact in f16 and bf16, and sums stay exact for some thousand repeats. */
void ceiling_matrix_fill(const ceiling_matrices *m, int8_t *eighths, uint64_t seed)
{
    for (uint32_t i = 0; i < CEILING_MATRIX_WINDOWS * ceiling_matrix_window(m); i++) {
        const int value = 1 + (int)(random_bits(&seed) % 15);
        eighths[i] = (int8_t)(random_bits(&seed) % 2 ? value : -value);
    }
}

ceiling_expected ceiling_matrix_expect(const ceiling_matrices *m, const int8_t *eighths, uint32_t window, uint32_t row,
                                       uint32_t column)
{
    const int8_t *first_a = eighths + window * ceiling_matrix_window(m), *first_b = first_a + m->rows * a_elements(m);
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
    /* Each repeat adds k products to the sum; at the end, the sums of all matrices are added. */
    const double roundings = m->shape.k + m->rows * m->columns;
    return (ceiling_expected){(double)sum / 64, roundings * ROUNDING * (double)size / 64};
}
