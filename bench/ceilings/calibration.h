/* SPDX-License-Identifier: MIT
 * A kernel that is always the same, run before, between and after the samples of each case: where it is slower than it
 * was at its best, so is the device. Clocks may be down to save power or for the heat, or something else is using it.
 */
#ifndef DMATTN_BENCH_CALIBRATION_H
#define DMATTN_BENCH_CALIBRATION_H

#include "timing/timing.h"

/* ---- pure functions ------------------------------------------------------------------------------------------ */

/* A case is disturbed where the calibration took longer than its best by more than this part. */
#define CALIBRATION_TOLERANCE 0.05

/* The speed around a case as a part of the best, 0 to 1; 0 where either is not known. */
double calibration_clock(double best_seconds, double seconds);
bool calibration_disturbed(double clock);

/* ---- on a device --------------------------------------------------------------------------------------------- */

typedef struct calibration calibration;

/* NULL: it failed, and the settings' log says why. The settings must outlive it. */
calibration *calibration_create(const measure_settings *settings);
void calibration_destroy(calibration *c);

/* The least of three runs, some milliseconds each: one that was interrupted says nothing about clocks. */
dmattn_status calibration_run(calibration *c, double *seconds);

/* Of all runs so far; 0 before the first. */
double calibration_best(const calibration *c);
double calibration_worst(const calibration *c);

#endif
