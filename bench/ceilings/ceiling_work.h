/* SPDX-License-Identifier: MIT
 * A kernel of bench/shaders, with what it runs on. */
#ifndef DMATTN_BENCH_CEILING_WORK_H
#define DMATTN_BENCH_CEILING_WORK_H

#include "ceiling_data.h"
#include "kernel.h"
#include "timing/timing.h"

#define WORKGROUP    128       /* what every device can do */
#define MOST_REPEATS (1 << 16) /* however fast, or where the clock does not tick at all */

typedef struct work {
    const measure_settings *settings;
    dmattn_context *ctx;
    const messenger *log;
    VkPipelineLayout layout;
    VkPipeline pipeline;
    dmattn_buffer from, to;
    VkDeviceAddress from_address, to_address;
    void *host; /* as large as `to` */
    uint32_t workgroups, repeats;
    /* Copying goes round the buffers, a part of them at a time, so that it comes back to one when the caches hold
     * others. */
    uint64_t workgroup_bytes; /* 0: every run is on the same data */
    uint64_t *next;           /* byte to be copied */
    PFN_vkCmdCopyBuffer copy; /* without a kernel */
} work;

/* NULL if this build has none of this name. */
const kernel *find_kernel(const char *name);

dmattn_status work_create_buffers(work *w, uint64_t from_bytes, uint64_t to_bytes);
dmattn_status work_create_pipeline(work *w, const char *name, const kernel_values *values);
void work_destroy(work *w);

/* A work as `user`. */
dmattn_status record_work(const void *user, VkCommandBuffer commands);
dmattn_status run_work(const work *w, double *seconds);

/* Enough for every processor of a device many times over, so that they end nearly together. */
uint32_t enough_workgroups(const measure_settings *s);

/* Raises *size, which is one of the work's, until a run takes `least` seconds or it is `most`. */
dmattn_status choose_size(const work *w, uint32_t *size, uint32_t most, double least);

/* Multiply-adds: all but the repeats. */
dmattn_status work_create_fma(work *w, float input[PEAK_FMA_INPUTS]);
double work_fma_flops(const work *w);

#endif
