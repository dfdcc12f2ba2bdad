/* SPDX-License-Identifier: MIT
 * Settings of all measurements on one device. */
#ifndef DMATTN_BENCH_SETTINGS_H
#define DMATTN_BENCH_SETTINGS_H

#include <dmattn/runtime.h>

#include "complain.h"

struct calibration;
struct ceilings;
struct cold_cache;

typedef struct measure_settings {
    dmattn_device *device;
    const dmattn_device_info *info;
    error_log *log;      /* of the device's runtime */
    double seconds;      /* time limit of the samples of one case */
    double least_sample; /* a sample repeats its run until it lasts this many seconds */
    uint32_t max_samples;
    uint64_t seed;
    bool reuse_mask;
    uint32_t lengths; /* plans of forward passes are for all lengths up to this; 0: for those of the case */
    const struct ceilings *ceilings;             /* may be NULL */
    struct calibration *calibration;             /* run between samples; may be NULL */
    const struct cold_cache *cold;               /* if not NULL, cases are also timed with cold caches */
    void (*phase)(void *user, const char *name); /* progress callback; may be NULL */
    void *phase_user;
} measure_settings;

/* Calls settings->phase. */
void tell_phase(const measure_settings *settings, const char *phase);

#endif
