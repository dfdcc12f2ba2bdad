/* SPDX-License-Identifier: MIT
 * What came of the cases so far, and what they say about each other. Pure functions. */
#ifndef DMATTN_BENCH_OUTCOME_H
#define DMATTN_BENCH_OUTCOME_H

#include "measure.h"

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
bool outcome_disturbed(const outcomes *o, const outcome *x);

/* Whether its median is known to +-PRECISION. */
bool outcome_sure(const outcome *x);

/* "*" disturbed, "~" not sure, both or none; static storage. */
const char *outcome_marks(const outcomes *o, const outcome *x);

/* How many times faster than dense attention, causal or of a step of decoding, of the same sizes and pass, in the same
 * repeat; 0: there is none that ran, or it is none that can be compared. */
double outcome_speedup(const outcomes *o, const outcome *x);

/* Over the repeats of a case: the median of the medians that there are, and their range as a part of it. How many there
 * are. */
uint32_t outcomes_of_case(const outcomes *o, uint32_t index, double *median, double *range);

#endif
