/* SPDX-License-Identifier: MIT
 * Finding a device's ceilings, by kernels that do nothing else. */
#ifndef DMATTN_BENCH_CEILING_MEASURE_H
#define DMATTN_BENCH_CEILING_MEASURE_H

#include "measure/measure.h"

/* Measures one of them, the best of some ways, each a second at most. Its result is checked before it is timed, and
 * afterwards. False if it failed; that a device or this build cannot do it is no failure. */
bool peak_measure(const measure_settings *settings, peak_id id, peak *p);

#endif
