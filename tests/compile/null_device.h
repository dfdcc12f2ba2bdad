/* SPDX-License-Identifier: MIT
 * A device of RADV, AMD's driver in Mesa, without a card: it compiles pipelines with the real compiler and executes
 * nothing. The statistics of each pipeline are read between the library and the driver, so plans are made through the
 * public interface, as in apps. */
#ifndef DMATTN_TESTS_NULL_DEVICE_H
#define DMATTN_TESTS_NULL_DEVICE_H

#include "kernel.h"

#include <dmattn/runtime.h>

/* The statistics that a driver reports for a pipeline. */
typedef enum statistic {
    STATISTIC_SGPRS, /* registers of a subgroup; VGPRS: registers of an invocation */
    STATISTIC_VGPRS,
    STATISTIC_SPILLED_SGPRS,
    STATISTIC_SPILLED_VGPRS,
    STATISTIC_SCRATCH,   /* bytes per subgroup, for spilled registers and for arrays that do not fit in registers */
    STATISTIC_LDS,       /* bytes of shared memory per workgroup */
    STATISTIC_CODE,      /* bytes */
    STATISTIC_SUBGROUPS, /* that fit on a SIMD at once */
    STATISTIC_COUNT
} statistic;

typedef struct pipeline_statistics {
    const kernel *kernel;
    uint64_t constants; /* a hash of the specialization constants */
    uint32_t subgroup_size;
    bool known[STATISTIC_COUNT];
    uint64_t value[STATISTIC_COUNT];
} pipeline_statistics;

/* Called for each pipeline, from within the call of dmattn that makes it. */
typedef void (*pipeline_fn)(void *user, const pipeline_statistics *pipeline);

typedef struct null_device {
    dmattn_runtime *runtime;
    dmattn_device_info info;
    VkDevice device;
    dmattn_context *context;
} null_device;

/* Opens a device of a family of RADV, such as "navi31", with the driver of the ICD file. Only one may be open, because
 * functions that Vulkan calls have no user pointer. On failure, such as an unknown family, `message` receives the
 * reason, and nothing needs to be closed. */
dmattn_status null_device_open(null_device *device, const char *icd, const char *family, pipeline_fn pipeline,
                               void *pipeline_user, dmattn_message_fn message, void *message_user);

/* Closes a device. All its plans must have been destroyed. */
void null_device_close(null_device *device);

#endif
