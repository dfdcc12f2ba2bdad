/* SPDX-License-Identifier: MIT
 * A device of RADV, AMD's driver in Mesa, without a card: it compiles pipelines with AMD's real compiler and executes
 * nothing. What the compiler says of each pipeline is caught between the library and the driver, so that plans are made
 * through the public interface, as apps make them. */
#ifndef DMATTN_TESTS_NULL_DEVICE_H
#define DMATTN_TESTS_NULL_DEVICE_H

#include "kernel.h"

#include <dmattn/runtime.h>

/* What the driver tells of a pipeline. */
typedef enum statistic {
    STATISTIC_SGPRS, /* registers that a subgroup has in common, and those that each invocation has */
    STATISTIC_VGPRS,
    STATISTIC_SPILLED_SGPRS,
    STATISTIC_SPILLED_VGPRS,
    STATISTIC_SCRATCH,   /* bytes of a subgroup for what is spilled, and for arrays that no registers can hold */
    STATISTIC_LDS,       /* bytes of a workgroup's shared memory */
    STATISTIC_CODE,      /* bytes */
    STATISTIC_SUBGROUPS, /* that can be on a SIMD at once */
    STATISTIC_COUNT
} statistic;

typedef struct pipeline_statistics {
    const kernel *kernel;
    uint64_t constants; /* a hash of the values of its specialization constants */
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

/* Opens a device of a family that RADV knows by this name, "navi31" for example, with the driver that the ICD file
 * names; one at a time, as functions that Vulkan calls have no place for a user pointer. On failure, as where the
 * driver has no such device, the sentence has gone to `message` and there is nothing to close. */
dmattn_status null_device_open(null_device *device, const char *icd, const char *family, pipeline_fn pipeline,
                               void *pipeline_user, dmattn_message_fn message, void *message_user);

/* Closes a device whose plans are all destroyed. */
void null_device_close(null_device *device);

#endif
