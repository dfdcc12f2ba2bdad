/* SPDX-License-Identifier: MIT
 * Samples of a recording's time. */
#ifndef DMATTN_BENCH_SAMPLING_H
#define DMATTN_BENCH_SAMPLING_H

#include "calibration.h"
#include "settings.h"
#include "statistics.h"

#define MOST_CALIBRATIONS 8

/* `samples` (may be NULL, in the order they were taken) and `sorted` (ascending) hold settings->max_samples each. */
typedef struct timing {
    uint32_t runs; /* per sample */
    uint32_t sample_count;
    double *samples, *sorted; /* seconds of one run */
    summary time;
    struct calibration *calibration; /* may be NULL */
    uint32_t calibration_count;
    double calibrated[MOST_CALIBRATIONS]; /* seconds of the calibration kernel around the samples, ascending */
} timing;

/* Samples a recording's time for at most `seconds`, until the median is known to +-PRECISION. Stops early when the
 * program is interrupted. */
dmattn_status take_samples(const measure_settings *settings, const recording *what, double seconds, timing *t);

/* The median time of the calibration kernel around the samples; 0 without calibration. */
double timing_calibrated(const timing *t);

#endif
