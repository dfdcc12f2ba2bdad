/* SPDX-License-Identifier: MIT */
#include "device_memory.h"

#define GIB 0x1p30

uint64_t device_largest_buffer(const dmattn_device_info *info)
{
    return info->max_allocation < info->device_memory ? info->max_allocation : info->device_memory;
}

dmattn_status check_allocation(const measure_settings *s, const messenger *log, const char *name, double bytes)
{
    const double limit = (double)s->info->max_allocation;
    if (bytes <= limit)
        return DMATTN_SUCCESS;
    return dmattn_fail(log, DMATTN_ERROR_UNSUPPORTED, "%s needs %.1f GiB, but the device allocates at most %.1f", name,
                       bytes / GIB, limit / GIB);
}

dmattn_status check_memory(const measure_settings *s, const messenger *log, double bytes)
{
    const double limit = (double)s->info->device_memory;
    if (bytes <= limit)
        return DMATTN_SUCCESS;
    return dmattn_fail(log, DMATTN_ERROR_UNSUPPORTED, "the case needs %.1f GiB, but the device has %.1f", bytes / GIB,
                       limit / GIB);
}
