/* SPDX-License-Identifier: MIT */
#include "timer.h"

#include "message.h"

dmattn_status time_runs(const recording *what, uint32_t runs, double *seconds)
{
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(what->device, &commands));
    dmattn_commands_timestamp(what->device, 0);
    for (uint32_t i = 0; i < runs; i++) {
        if (i)
            dmattn_commands_barrier(what->device);
        dmattn_status status = what->record(what->user, commands);
        if (status) {
            dmattn_commands_cancel(what->device);
            return status;
        }
    }
    dmattn_commands_timestamp(what->device, 1);
    TRY(dmattn_commands_submit(what->device));
    TRY(dmattn_elapsed(what->device, 0, 1, seconds));
    *seconds /= runs;
    return DMATTN_SUCCESS;
}
