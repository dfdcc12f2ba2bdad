/* SPDX-License-Identifier: MIT
 * A fixed kernel that is timed before, between and after the samples of each case. When it is slower than its best
 * time, the device is throttled: its clock is lower (power, heat), or another program uses it. */
#ifndef DMATTN_BENCH_CALIBRATION_H
#define DMATTN_BENCH_CALIBRATION_H

#include "timer.h"

#include <stdbool.h>

/* A case counts as throttled if its calibration was slower than the best one by more than this fraction. */
#define CALIBRATION_TOLERANCE 0.05

/* The device's speed around a case relative to its best, 0 to 1; 0 if either time is unknown (0). */
double calibration_clock(double best_seconds, double seconds);
bool calibration_throttled(double clock);

typedef struct calibration {
    recording kernel;
    double best, worst; /* seconds over all runs so far; 0 before the first */
} calibration;

/* *seconds: the minimum of three runs of some milliseconds each, so that an interrupted run does not count. */
dmattn_status calibration_run(calibration *c, double *seconds);

#endif
