/* SPDX-License-Identifier: MIT
 * What samples of a time say. Pure functions. */
#ifndef DMATTN_BENCH_STATISTICS_H
#define DMATTN_BENCH_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

/* How sure an interval of confidence is. */
#define CONFIDENCE_LEVEL 0.95

typedef struct summary {
    double median, min;
    double spread;    /* half the range of the middle half, as a part of the median */
    double low, high; /* between which the median is with CONFIDENCE_LEVEL; both 0 where there are too few samples */
} summary;

/* Inserts into `count` ascending values, which have room for one more. */
void insert_sorted(double *sorted, uint32_t count, double value);

/* Between the two nearest ranks of `count` (at least 1) ascending values, linearly. */
double quantile(const double *sorted, uint32_t count, double part);

/* Of `count` (at least 1) ascending values. */
summary summarize(const double *sorted, uint32_t count);

/* By order statistics, whatever the distribution: the k-th smallest and the k-th largest of `count` independent samples
 * have the median between them with CONFIDENCE_LEVEL or more. The largest such k; 0 if there is none. */
uint32_t confidence_rank(uint32_t count);

/* Half the interval of confidence as a part of the median; infinite where there is none. */
double summary_uncertainty(const summary *s);

/* Runs to a sample, so that it lasts `least` seconds. */
uint32_t choose_runs(double seconds_of_one, double least);

#endif
