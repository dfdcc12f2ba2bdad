/* SPDX-License-Identifier: MIT */
#include "ratio.h"

#include <math.h>

double ratio_outside(size_t a_count, size_t b_count)
{
    /* Normal approximation of the number of pairs in which b is smaller, if a and b have the same distribution.
     * Rounding down keeps it conservative for few samples. */
    const double a = (double)a_count, b = (double)b_count, deviation = sqrt(a * b * (a + b + 1) / 12);
    return floor(a * b / 2 - 1.96 * deviation - 0.5);
}

/* The number of ratios b / a that are at most x. */
static double count_up_to(sample_set a, sample_set b, double x)
{
    double count = 0;
    size_t below = 0;
    for (size_t i = 0; i < a.count; i++) {
        while (below < b.count && b.value[below] <= x * a.value[i])
            below++;
        count += (double)below;
    }
    return count;
}

/* The rank-th smallest ratio, to a relative precision of about 1e-12. */
static double ratio_of_rank(sample_set a, sample_set b, double rank)
{
    double low = b.value[0] / a.value[a.count - 1] * (1 - 1e-12);
    double high = b.value[b.count - 1] / a.value[0] * (1 + 1e-12);
    while (high - low > 1e-12 * high) {
        const double middle = low + 0.5 * (high - low);
        if (middle <= low || middle >= high)
            break;
        if (count_up_to(a, b, middle) >= rank)
            high = middle;
        else
            low = middle;
    }
    return high;
}

ratio ratio_of(sample_set a, sample_set b)
{
    const double outside = ratio_outside(a.count, b.count), pairs = (double)a.count * (double)b.count;
    const double lower = ratio_of_rank(a, b, floor((pairs + 1) / 2)), upper = ratio_of_rank(a, b, floor(pairs / 2) + 1);
    ratio r = {lower + 0.5 * (upper - lower), 0, INFINITY};
    if (outside >= 0) {
        r.low = ratio_of_rank(a, b, outside + 1);
        r.high = ratio_of_rank(a, b, pairs - outside);
    }
    return r;
}
