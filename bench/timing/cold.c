/* SPDX-License-Identifier: MIT */
#include "cold.h"

#include "interrupt.h"
#include "message.h"
#include "runtime/platform.h"
#include "statistics.h"

/* One half is copied to the other. Larger than today's caches, but at most an eighth of the memory. */
static uint64_t buffer_bytes(const dmattn_device_info *info)
{
    uint64_t bytes = UINT64_C(1) << (info->type == VK_PHYSICAL_DEVICE_TYPE_CPU ? 28 : 30);
    while (bytes > info->device_memory / 8 || bytes > info->max_allocation)
        bytes /= 2;
    return bytes;
}

dmattn_status cold_create(const measure_settings *s, const messenger *log, cold_cache *c)
{
    dmattn_device_handles handles;
    *c = (cold_cache){.device = s->device};
    if (!s->info->timestamps)
        return dmattn_fail(log, DMATTN_ERROR_UNSUPPORTED, "--cold needs timestamps, which the device does not have");
    dmattn_device_get_handles(s->device, &handles);
    const PFN_vkGetDeviceProcAddr device_function =
        (PFN_vkGetDeviceProcAddr)handles.get_instance_proc_addr(handles.instance, "vkGetDeviceProcAddr");
    c->copy = (PFN_vkCmdCopyBuffer)device_function(handles.device, "vkCmdCopyBuffer");
    return dmattn_buffer_create(s->device, buffer_bytes(s->info), &c->buffer);
}

void cold_destroy(cold_cache *c)
{
    dmattn_buffer_destroy(c->device, &c->buffer);
}

static dmattn_status time_one(const cold_cache *c, const recording *what, double *seconds)
{
    const uint64_t half = c->buffer.size / 2;
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(c->device, &commands));
    c->copy(commands, c->buffer.buffer, c->buffer.buffer, 1, &(VkBufferCopy){0, half, half});
    dmattn_commands_barrier(c->device);
    dmattn_commands_timestamp(c->device, 0);
    const dmattn_status status = what->record(what->user, commands);
    if (status) {
        dmattn_commands_cancel(c->device);
        return status;
    }
    dmattn_commands_timestamp(c->device, 1);
    TRY(dmattn_commands_submit(c->device));
    return dmattn_elapsed(c->device, 0, 1, seconds);
}

dmattn_status cold_time(const cold_cache *c, const recording *what, double limit, double *seconds)
{
    enum { LEAST = 5, MOST = 100 };
    const double start = dmattn_clock_seconds();
    double sorted[MOST];
    for (uint32_t i = 0; i < MOST; i++) {
        double one;
        TRY(time_one(c, what, &one));
        insert_sorted(sorted, i, one);
        *seconds = quantile(sorted, i + 1, 0.5);
        if (interrupted() || (i + 1 >= LEAST && dmattn_clock_seconds() - start > limit))
            break;
    }
    return DMATTN_SUCCESS;
}
