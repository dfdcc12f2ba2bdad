/* SPDX-License-Identifier: MIT
 * The ratio of two sets of time samples, with its confidence interval. Pure functions. */
#ifndef DMATTN_BENCH_RATIO_H
#define DMATTN_BENCH_RATIO_H

#include <stdbool.h>
#include <stddef.h>

/* Ascending samples, all positive. */
typedef struct sample_set {
    const double *value;
    size_t count;
} sample_set;

typedef struct ratio {
    double estimate;  /* Hodges-Lehmann estimate: the median of all ratios of a sample of b and one of a */
    double low, high; /* confidence interval at 95 % or more; 0 and INFINITY if there are too few samples */
} ratio;

/* Neither set is empty. The confidence interval is that of the Mann-Whitney test: the K-th smallest and the K-th
 * largest of the same ratios, so the estimate is always within it. Valid for any distribution. */
ratio ratio_of(sample_set a, sample_set b);

/* K - 1, the number of ratios outside the interval at each end; negative if there is no interval. */
double ratio_outside(size_t a_count, size_t b_count);

#endif
