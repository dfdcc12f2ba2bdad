/* SPDX-License-Identifier: MIT
 * A kernel of bench/ceilings/shaders with its pipeline, buffers and launch size. */
#ifndef DMATTN_BENCH_CEILING_KERNEL_H
#define DMATTN_BENCH_CEILING_KERNEL_H

#include "ceiling_data.h"
#include "kernel.h"
#include "timing/settings.h"

#define WORKGROUP    128       /* invocations; every Vulkan device supports this many */
#define MOST_REPEATS (1 << 16) /* also where the clock does not advance during a run */

typedef struct ceiling_kernel {
    const measure_settings *settings;
    dmattn_context *ctx;
    const messenger *log;
    VkPipeline pipeline;
    dmattn_buffer from, to;
    VkDeviceAddress from_address, to_address;
    void *host; /* as large as `to` */
    uint32_t workgroups, repeats;
    /* A copy kernel copies one window of the buffers per run and moves on, so that a window is no longer in the caches
     * when it is used again. */
    uint64_t workgroup_bytes; /* 0: every run uses the same data */
    uint64_t *next;           /* offset of the next window */
    PFN_vkCmdCopyBuffer copy; /* if not NULL, the driver's copy replaces the kernel */
} ceiling_kernel;

/* NULL if this build lacks the kernel `name`. */
const kernel *find_bench_kernel(const char *name);

dmattn_status ceiling_kernel_create_buffers(ceiling_kernel *k, uint64_t from_bytes, uint64_t to_bytes);
dmattn_status ceiling_kernel_create_pipeline(ceiling_kernel *k, const char *name, const kernel_values *values);
void ceiling_kernel_destroy(ceiling_kernel *k);

/* The record function of a `recording` whose user is a ceiling_kernel. */
dmattn_status ceiling_kernel_record(const void *user, VkCommandBuffer commands);
dmattn_status ceiling_kernel_run(const ceiling_kernel *k, double *seconds);

/* Many workgroups for each processor of the device, so that all processors end at nearly the same time. */
uint32_t enough_workgroups(const measure_settings *s);

/* Raises *size (k->repeats or k->workgroups) until a run takes `least` seconds or *size is `most`. */
dmattn_status choose_size(const ceiling_kernel *k, uint32_t *size, uint32_t most, double least);

/* The kernel of f32 multiply-adds, ready to run; the caller sets k->repeats. */
dmattn_status ceiling_kernel_create_fma(ceiling_kernel *k, float input[CEILING_FMA_INPUTS]);
double ceiling_kernel_fma_flops(const ceiling_kernel *k);

#endif
