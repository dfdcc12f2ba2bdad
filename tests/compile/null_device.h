/* SPDX-License-Identifier: MIT
 * A device of one of Mesa's drivers without a card (tools/shim): it compiles pipelines with the real compiler and
 * executes nothing. The statistics of each pipeline are read between the library and the driver, so plans are made
 * through the public interface, as in apps. */
#ifndef DMATTN_TESTS_NULL_DEVICE_H
#define DMATTN_TESTS_NULL_DEVICE_H

#include "kernel.h"

#include <dmattn/runtime.h>

/* What drivers report for a pipeline. No driver reports everything. */
typedef enum statistic {
    STATISTIC_REGISTERS, /* of an invocation; Intel: of a subgroup; Apple: of 16 bits */
    STATISTIC_SPILLS,    /* stores of values that do not fit in registers; AMD: registers */
    STATISTIC_FILLS,     /* loads of such values */
    STATISTIC_SCRATCH,   /* bytes of memory for such values, and for arrays */
    STATISTIC_SHARED,    /* bytes of shared memory of a workgroup */
    STATISTIC_INSTRUCTIONS,
    STATISTIC_CODE,     /* bytes */
    STATISTIC_CYCLES,   /* the compiler's estimate for a subgroup, or of its arithmetic (Apple) */
    STATISTIC_RESIDENT, /* subgroups that a core, or AMD's SIMD, can hold at once; Apple: invocations */
    STATISTIC_COUNT
} statistic;

typedef struct pipeline_statistics {
    const kernel *kernel;
    uint64_t constants; /* a hash of the specialization constants */
    uint32_t subgroup_size;
    double seconds; /* of CPU time to compile it */
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

/* Opens the first device. Only one may be open, because functions that Vulkan calls have no user pointer. On failure,
 * `message` receives the reason, and nothing needs to be closed. */
dmattn_status null_device_open(null_device *device, pipeline_fn pipeline, void *pipeline_user,
                               dmattn_message_fn message, void *message_user);

/* Closes a device. All its plans must have been destroyed. */
void null_device_close(null_device *device);

#endif
