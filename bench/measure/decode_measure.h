/* SPDX-License-Identifier: MIT
 * A step of decoding with a cache: filled from prompts, checked against the CPU, timed, filled and checked again. */
#ifndef DMATTN_BENCH_DECODE_MEASURE_H
#define DMATTN_BENCH_DECODE_MEASURE_H

#include "measurement.h"
#include "timing/settings.h"

/* Of a case that has a cache: all of *m but its status, unless a result is wrong. *planned: it came to a plan. */
dmattn_status measure_decoding(const measure_settings *settings, const bench_case *c, const messenger *log,
                               measurement *m, bool *planned);

#endif
