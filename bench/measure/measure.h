/* SPDX-License-Identifier: MIT
 * Measures one case on a device, one pass or both: plan, check against the CPU, time, check again. */
#ifndef DMATTN_BENCH_MEASURE_H
#define DMATTN_BENCH_MEASURE_H

#include "measurement.h"
#include "timing/settings.h"

/* Never fails: m->status and m->sentence say what happened. The caller destroys *m. */
void measure(const measure_settings *settings, const bench_case *c, measurement *m);

#endif
