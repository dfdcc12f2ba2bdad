/* SPDX-License-Identifier: MIT
 * Statistics of time samples. Pure functions. */
#ifndef DMATTN_BENCH_STATISTICS_H
#define DMATTN_BENCH_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The confidence level of every confidence interval. */
#define CONFIDENCE_LEVEL 0.95

/* Sampling ends when the confidence interval of the median is within +- this fraction of it. */
#define PRECISION 0.01

typedef struct summary {
    double median, min;
    double spread;    /* half the interquartile range, as a fraction of the median */
    double low, high; /* confidence interval of the median; both 0 if there are too few samples */
} summary;

/* Sorts values in ascending order. */
void sort_ascending(double *values, size_t count);

/* Inserts into `count` ascending values; the array must have room for one more. */
void insert_sorted(double *sorted, uint32_t count, double value);

/* The quantile of `count` (at least 1) ascending values, by linear interpolation between the two nearest ranks. */
double quantile(const double *sorted, uint32_t count, double part);

/* The statistics of `count` (at least 1) ascending values. */
summary summarize(const double *sorted, uint32_t count);

/* The largest k for which the k-th smallest and the k-th largest of `count` independent samples bound a confidence
 * interval of the median at CONFIDENCE_LEVEL or more. Order statistics, valid for any distribution. 0: no such k. */
uint32_t confidence_rank(uint32_t count);

/* Half the width of the confidence interval, as a fraction of the median; infinite without an interval. */
double summary_uncertainty(const summary *s);

/* The number of runs per sample that makes a sample last at least `least` seconds. */
uint32_t choose_runs(double seconds_of_one, double least);

#endif
