/* SPDX-License-Identifier: MIT
 * Measures attention of a chunk of a prompt to the pages of a cache: fill the cache from prompts that end with the
 * chunk, check the attention against the CPU, time it, fill and check again. Filling is not timed. */
#ifndef DMATTN_BENCH_PREFILL_MEASURE_H
#define DMATTN_BENCH_PREFILL_MEASURE_H

#include "measurement.h"
#include "timing/settings.h"

/* For a case of PASS_PREFILL; see measure_decoding(). */
dmattn_status measure_prefill(const measure_settings *settings, const bench_case *c, const messenger *log,
                              measurement *m, bool *planned);

/* Visible pairs of query and key, over all sequences and heads. */
uint64_t prefill_pairs(const bench_case *c);

#endif
