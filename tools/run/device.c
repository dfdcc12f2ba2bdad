/* SPDX-License-Identifier: MIT */
#include "device.h"

#include <stdio.h>

int exit_status(dmattn_status status)
{
    return status == DMATTN_ERROR_INVALID || status == DMATTN_ERROR_UNSUPPORTED ? RUN_BAD_INPUT : RUN_FAILED;
}

int with_device(const run_options *o, char name[256],
                int (*run)(dmattn_device *device, const error_log *error, void *user), void *user)
{
    error_log error = {0};
    dmattn_runtime *runtime = NULL;
    dmattn_device *device = NULL;
    uint32_t index = 0;
    dmattn_status status =
        dmattn_runtime_create(&(dmattn_runtime_desc){.message = error_log_keep, .message_user = &error}, &runtime);
    int bad = RUN_FAILED;
    if (!status) {
        status = dmattn_runtime_find_device(runtime, o->device, &index);
        if (status == DMATTN_ERROR_INVALID && o->device && dmattn_runtime_device_count(runtime))
            bad = RUN_BAD_INPUT; /* the selector matches no device */
    }
    if (!status)
        status = dmattn_device_create(runtime, index, &device);
    dmattn_device_info info;
    if (!status && !dmattn_runtime_device_info(runtime, index, &info))
        snprintf(name, 256, "%s", info.name);
    bad = status ? complain(bad, "%s", error_log_sentence(&error, status)) : run(device, &error, user);
    dmattn_device_destroy(device);
    dmattn_runtime_destroy(runtime);
    return bad;
}
