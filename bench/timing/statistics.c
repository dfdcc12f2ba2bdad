/* SPDX-License-Identifier: MIT */
#include "statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void sort_ascending(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
}

void insert_sorted(double *sorted, uint32_t count, double value)
{
    uint32_t at = count;
    while (at && sorted[at - 1] > value)
        at--;
    memmove(sorted + at + 1, sorted + at, (count - at) * sizeof *sorted);
    sorted[at] = value;
}

double quantile(const double *sorted, uint32_t count, double part)
{
    double rank = part * (count - 1);
    uint32_t low = (uint32_t)rank, high = low + 1 < count ? low + 1 : low;
    return sorted[low] + (rank - low) * (sorted[high] - sorted[low]);
}

summary summarize(const double *sorted, uint32_t count)
{
    summary s = {.median = quantile(sorted, count, 0.5), .min = sorted[0]};
    const uint32_t rank = confidence_rank(count);
    if (s.median > 0)
        s.spread = (quantile(sorted, count, 0.75) - quantile(sorted, count, 0.25)) / (2 * s.median);
    if (rank) {
        s.low = sorted[rank - 1];
        s.high = sorted[count - rank];
    }
    return s;
}

/* The number of samples below the median is binomial, like the heads of `count` fair coins. */
uint32_t confidence_rank(uint32_t count)
{
    const double tail = (1 - CONFIDENCE_LEVEL) / 2;
    if (count > 1000) /* 2^-count would underflow; use the normal approximation */
        return (uint32_t)floor(count / 2.0 - 0.98 * sqrt(count));
    double probability = ldexp(1, -(int)count), sum = probability; /* of 0 heads, then 1, 2, … */
    uint32_t rank = 0;
    while (rank < count && sum <= tail) {
        rank++;
        probability *= (double)(count - rank + 1) / rank;
        sum += probability;
    }
    return rank;
}

double summary_uncertainty(const summary *s)
{
    return s->high > 0 && s->median > 0 ? (s->high - s->low) / (2 * s->median) : INFINITY;
}

uint32_t choose_runs(double seconds_of_one, double least)
{
    const double most = 1000; /* also when the clock did not advance and seconds_of_one is 0 */
    double runs = seconds_of_one > 0 ? ceil(least / seconds_of_one) : most;
    return runs < 1 ? 1 : runs > most ? (uint32_t)most : (uint32_t)runs;
}
