/* SPDX-License-Identifier: MIT
 * Checks that a device's memory suffices for a case, so that large cases are unsupported instead of failing. */
#ifndef DMATTN_BENCH_DEVICE_MEMORY_H
#define DMATTN_BENCH_DEVICE_MEMORY_H

#include "message.h"
#include "settings.h"

/* Bytes of the largest buffer that the device can allocate. */
uint64_t device_largest_buffer(const dmattn_device_info *info);

/* UNSUPPORTED if one buffer, called `name`, is larger than the device can allocate. */
dmattn_status check_allocation(const measure_settings *s, const messenger *log, const char *name, double bytes);

/* UNSUPPORTED if the whole case is larger than the device's memory. */
dmattn_status check_memory(const measure_settings *s, const messenger *log, double bytes);

#endif
