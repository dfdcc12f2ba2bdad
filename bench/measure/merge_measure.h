/* SPDX-License-Identifier: MIT
 * Measures a merge of two results of attention. */
#ifndef DMATTN_BENCH_MERGE_MEASURE_H
#define DMATTN_BENCH_MERGE_MEASURE_H

#include "measurement.h"
#include "timing/settings.h"

/* The descriptor of a case's merge. */
dmattn_merge_desc case_merge(const bench_case *c);

/* Checks sampled rows, times, and checks again. *planned: the plan was made. */
dmattn_status measure_merge(const measure_settings *settings, const bench_case *c, const messenger *log, measurement *m,
                            bool *planned);

#endif
