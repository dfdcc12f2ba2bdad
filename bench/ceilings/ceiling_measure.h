/* SPDX-License-Identifier: MIT
 * Measures a device's ceilings with kernels that do nothing else. */
#ifndef DMATTN_BENCH_CEILING_MEASURE_H
#define DMATTN_BENCH_CEILING_MEASURE_H

#include "ceiling.h"
#include "timing/settings.h"

/* Measures one ceiling: the best of several variants, each timed for at most a second and checked before and after.
 * False on failure. A device or build that lacks the feature is not a failure: p->rate is 0 and p->why says why. */
bool ceiling_measure(const measure_settings *settings, ceiling_id id, ceiling *p);

#endif
