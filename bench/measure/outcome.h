/* SPDX-License-Identifier: MIT
 * The results of all cases so far, and how they relate. Pure functions. */
#ifndef DMATTN_BENCH_OUTCOME_H
#define DMATTN_BENCH_OUTCOME_H

#include "measurement.h"

typedef struct outcome {
    bench_case c;
    measurement m;   /* owned */
    uint32_t index;  /* of the case in the case list */
    uint32_t repeat; /* from 0 */
} outcome;

typedef struct outcomes {
    outcome *item; /* owned */
    uint32_t count, room;
    double best_calibration, worst_calibration; /* seconds; 0: no calibration */
} outcomes;

/* Takes ownership of the measurement, also on failure. False if out of memory. */
bool outcomes_add(outcomes *o, const bench_case *c, measurement *m, uint32_t index, uint32_t repeat);
void outcomes_destroy(outcomes *o);

/* The device's speed around a case relative to its best, see calibration_clock(). */
double outcome_clock(const outcomes *o, const outcome *x);
bool outcome_throttled(const outcomes *o, const outcome *x);

/* Whether the median's confidence interval is within +-PRECISION. */
bool outcome_converged(const outcome *x);

/* "*" throttled, "~" not converged, "*~" both, "" neither; static storage. */
const char *outcome_marks(const outcomes *o, const outcome *x);

/* Dense attention of the same sizes, pass, level and repeat: causal, or in decoding over all keys. NULL if it did not
 * run, or if x is dense itself or has no dense counterpart. */
const outcome *outcome_dense(const outcomes *o, const outcome *x);

/* The speedup over outcome_dense(); 0 without it. */
double outcome_speedup(const outcomes *o, const outcome *x);

/* For a step of sequences of different lengths: the median time of the first sequence alone, plus that of all others
 * alone, in the same repeat; 0 if they did not run. */
double outcome_parts(const outcomes *o, const outcome *x);

/* The times of a case over its repeats. */
typedef struct case_times {
    uint32_t count; /* repeats that have a time */
    double median;  /* of the repeats' medians */
    double range;   /* of the repeats' medians, as a fraction of `median` */
    double cold;    /* median with cold caches */
} case_times;
case_times outcomes_of_case(const outcomes *o, uint32_t index);

#endif
