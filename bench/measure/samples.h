/* SPDX-License-Identifier: MIT
 * The time samples of a case. */
#ifndef DMATTN_BENCH_SAMPLES_H
#define DMATTN_BENCH_SAMPLES_H

#include "measurement.h"
#include "timing/sampling.h"

/* Samples a case into *t and *m, and times it with cold caches if settings->cold is set. The caller frees t->sorted,
 * also on failure. */
dmattn_status keep_samples(const measure_settings *settings, const recording *what, const messenger *log,
                           measurement *m, timing *t);

#endif
