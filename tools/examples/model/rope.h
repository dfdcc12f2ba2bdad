/* SPDX-License-Identifier: MIT
 * Cosines and sines of the rotary position embedding (Su et al. 2021, arXiv 2104.09864). */
#ifndef EXAMPLE_ROPE_H
#define EXAMPLE_ROPE_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* Returns [positions, dim]: dim / 2 cosines, then dim / 2 sines. The caller frees it. */
static inline float *rope_table(uint32_t positions, uint32_t dim, double theta)
{
    float *table = calloc((size_t)positions * dim, sizeof *table);
    for (uint32_t t = 0; table && t < positions; t++)
        for (uint32_t i = 0; i < dim / 2; i++) {
            const double angle = t * pow(theta, -2.0 * i / dim);
            table[(size_t)t * dim + i] = (float)cos(angle);
            table[(size_t)t * dim + dim / 2 + i] = (float)sin(angle);
        }
    return table;
}

#endif
