/* SPDX-License-Identifier: MIT
 * Single runs whose data are in no cache. */
#ifndef DMATTN_BENCH_COLD_H
#define DMATTN_BENCH_COLD_H

#include "timing/settings.h"
#include "timing/timer.h"

/* Memory larger than the caches, that is read and written before each run. */
typedef struct cold_cache {
    dmattn_device *device;
    dmattn_buffer buffer;
    PFN_vkCmdCopyBuffer copy;
} cold_cache;

/* UNSUPPORTED without timestamps: the host's clock would see what flushes the caches, too. On failure *c is empty. */
dmattn_status cold_create(const measure_settings *settings, const messenger *log, cold_cache *c);
void cold_destroy(cold_cache *c);

/* The median of some runs, of which there are 5 at least. */
dmattn_status cold_time(const cold_cache *c, const recording *what, double limit, double *seconds);

#endif
