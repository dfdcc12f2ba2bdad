/* SPDX-License-Identifier: MIT
 * Measures a decoding step with a cache: fill the cache from prompts, check a step against the CPU, time steps, fill
 * and check again. */
#ifndef DMATTN_BENCH_DECODE_MEASURE_H
#define DMATTN_BENCH_DECODE_MEASURE_H

#include "decode/stage.h"
#include "measurement.h"
#include "timing/settings.h"

/* For a case with a cache. `tile` may be NULL: the default tile. Fills *m; m->status only becomes CASE_WRONG. *planned:
 * whether a plan was created. */
dmattn_status measure_decoding(const measure_settings *settings, const bench_case *c, const decode_tile *tile,
                               const messenger *log, measurement *m, bool *planned);

/* Bytes that a step reads and writes, for a resolved descriptor: for each kv head `keys` visible rows of k and v in the
 * formats of the cache and `looked_at` bytes of what selects them, and the rows of the new tokens. */
double decoding_step_bytes(const dmattn_decode_desc *desc, double keys, double looked_at);

#endif
