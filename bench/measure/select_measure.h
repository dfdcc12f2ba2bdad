/* SPDX-License-Identifier: MIT
 * Measures a case of selecting keys. */
#ifndef DMATTN_BENCH_SELECT_MEASURE_H
#define DMATTN_BENCH_SELECT_MEASURE_H

#include "measurement.h"
#include "timing/settings.h"

/* The selector of a case: for a list of keys an indexer with weights, for a list of blocks their means. */
dmattn_selector_desc case_selector(const bench_case *c);

/* Plans, checks, times and checks again. *planned: the plan was made. */
dmattn_status measure_select(const measure_settings *s, const bench_case *c, const messenger *log, measurement *m,
                             bool *planned);

#endif
