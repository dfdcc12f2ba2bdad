/* SPDX-License-Identifier: MIT
 * Times single runs with cold caches. */
#ifndef DMATTN_BENCH_COLD_H
#define DMATTN_BENCH_COLD_H

#include "settings.h"
#include "timer.h"

/* A buffer larger than the caches, which is copied before each run. */
typedef struct cold_cache {
    dmattn_device *device;
    dmattn_buffer buffer;
    PFN_vkCmdCopyBuffer copy;
} cold_cache;

/* UNSUPPORTED without timestamps, because the host's clock would include the copy. On failure *c has no buffer. */
dmattn_status cold_create(const measure_settings *settings, const messenger *log, cold_cache *c);
void cold_destroy(cold_cache *c);

/* The median of at least 5 runs, within about `limit` seconds. */
dmattn_status cold_time(const cold_cache *c, const recording *what, double limit, double *seconds);

#endif
