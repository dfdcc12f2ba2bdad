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
    double estimate;  /* the median of all ratios of one of b's samples and one of a's: always within the interval */
    double low, high; /* the true ratio lies between them with a confidence of 95 % or more; 0 and INFINITY where there
                         are too few samples to say */
} ratio;

/* Both hold something. The interval is that of the Mann-Whitney test: of the same ratios, the K-th least and the K-th
 * greatest. The estimate that belongs to it is that of Hodges and Lehmann. Neither assumes a distribution. */
ratio ratio_of(sample_set a, sample_set b);

/* How many ratios at each end lie outside the interval; negative: there is none. */
double ratio_outside(size_t a_count, size_t b_count);

#endif
