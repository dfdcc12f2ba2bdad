/* SPDX-License-Identifier: MIT
 * How much slower one set of samples is than another, and how sure that is. Pure functions. */
#ifndef DMATTN_BENCH_RATIO_H
#define DMATTN_BENCH_RATIO_H

#include <stdbool.h>
#include <stddef.h>

/* Ascending samples, all above 0. */
typedef struct sample_set {
    const double *value;
    size_t count;
} sample_set;

typedef struct ratio {
    double estimate;  /* b's median to a's */
    double low, high; /* the true ratio lies between them with a confidence of 95 % or more; 0 and INFINITY where there
                         are too few samples to say */
} ratio;

/* Both hold something. The interval is that of the Mann-Whitney test: of all ratios of one of b's samples and one of
 * a's, the K-th least and the K-th greatest. It assumes no distribution. */
ratio ratio_of(sample_set a, sample_set b);

/* How many ratios at each end lie outside the interval; negative: there is none. */
double ratio_outside(size_t a_count, size_t b_count);

double median_of(sample_set s);

#endif
