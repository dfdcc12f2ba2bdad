/* SPDX-License-Identifier: MIT
 * Samples of how long a device takes. */
#ifndef DMATTN_BENCH_TIMING_H
#define DMATTN_BENCH_TIMING_H

#include <dmattn/runtime.h>

#include "ceilings/ceiling.h"
#include "complain.h"
#include "statistics.h"

/* Sampling ends when the median is this sure, as a part of it, with CONFIDENCE_LEVEL. */
#define PRECISION 0.01

struct calibration;
struct cold_cache;

typedef struct measure_settings {
    dmattn_device *device;
    const dmattn_device_info *info;
    error_log *log;      /* of the device's runtime */
    double seconds;      /* limit of the timing */
    double least_sample; /* seconds */
    uint32_t max_samples;
    uint64_t seed;
    bool reuse_mask;
    const peaks *peaks;                          /* the device's ceilings; may be NULL */
    struct calibration *calibration;             /* interleaved with what is timed; may be NULL */
    const struct cold_cache *cold;               /* cases are timed with cold caches, too; may be NULL */
    void (*phase)(void *user, const char *name); /* told what is going on; may be NULL */
    void *phase_user;
} measure_settings;

/* Tells settings->phase. */
void tell_phase(const measure_settings *settings, const char *phase);

/* Something that can be recorded, again and again. */
typedef struct recording {
    dmattn_device *device;
    dmattn_status (*record)(const void *user, VkCommandBuffer commands);
    const void *user;
} recording;

/* The seconds of one of `runs` in one submission. */
dmattn_status time_runs(const recording *what, uint32_t runs, double *seconds);

#define MOST_CALIBRATIONS 8

/* `samples` (may be NULL) in the order they were taken, `sorted` ascending, both of settings->max_samples. */
typedef struct timing {
    uint32_t runs; /* to a sample */
    uint32_t sample_count;
    double *samples, *sorted;
    summary time;
    struct calibration *calibration; /* may be NULL */
    uint32_t calibration_count;
    double calibrated[MOST_CALIBRATIONS]; /* its seconds before, between and after the samples, ascending */
} timing;

/* Samples of a recording's time, until the median is known to +-PRECISION or the limits are reached. A program that is
 * interrupted takes no more. */
dmattn_status take_samples(const measure_settings *settings, const recording *what, double seconds, timing *t);

/* The median seconds of the calibration around them; 0: none. */
double timing_calibrated(const timing *t);

#endif
