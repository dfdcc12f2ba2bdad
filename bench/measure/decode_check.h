/* SPDX-License-Identifier: MIT
 * Checks runs that use a filled cache against the CPU, and times them. */
#ifndef DMATTN_BENCH_DECODE_CHECK_H
#define DMATTN_BENCH_DECODE_CHECK_H

#include "decoding/decode_data.h"
#include "measurement.h"
#include "timing/timer.h"

/* Fills the cache, runs `what` once, compares sampled rows with the reference, times `what`, fills the cache and checks
 * again. `visible` says which tokens a query sees; it may differ from the descriptor of the cache, d->desc, only in
 * that. m->status becomes CASE_WRONG if a row is wrong. */
dmattn_status check_and_time(decoding *d, const recording *what, const dmattn_decode_desc *visible, measurement *m);

#endif
