/* SPDX-License-Identifier: MIT
 * What came of the cases so far, and what they say about each other. Pure functions. */
#ifndef DMATTN_BENCH_OUTCOME_H
#define DMATTN_BENCH_OUTCOME_H

#include "measurement.h"

typedef struct outcome {
    bench_case c;
    measurement m;   /* owned */
    uint32_t index;  /* of the case in the list of cases */
    uint32_t repeat; /* from 0 */
} outcome;

typedef struct outcomes {
    outcome *item; /* owned */
    uint32_t count, room;
    double best_calibration, worst_calibration; /* seconds; 0: none */
} outcomes;

/* Takes the measurement over, whatever comes of it. False without memory. */
bool outcomes_add(outcomes *o, const bench_case *c, measurement *m, uint32_t index, uint32_t repeat);
void outcomes_destroy(outcomes *o);

/* calibration_clock()'s, of the best of all. */
double outcome_clock(const outcomes *o, const outcome *x);
bool outcome_throttled(const outcomes *o, const outcome *x);

/* Whether its median is known to +-PRECISION. */
bool outcome_converged(const outcome *x);

/* "*" throttled, "~" not sure, both or none; static storage. */
const char *outcome_marks(const outcomes *o, const outcome *x);

/* Dense attention, causal or of a step of decoding, of the same sizes and pass, in the same repeat. NULL: there is none
 * that ran, or x is none that can be compared. */
const outcome *outcome_dense(const outcomes *o, const outcome *x);

/* How many times faster than that; 0 without it. */
double outcome_speedup(const outcomes *o, const outcome *x);

/* Of a case over its repeats. */
typedef struct case_times {
    uint32_t count; /* that have a time */
    double median;  /* of the medians */
    double range;   /* of them, as a part of that */
    double cold;    /* median, too */
} case_times;
case_times outcomes_of_case(const outcomes *o, uint32_t index);

#endif
