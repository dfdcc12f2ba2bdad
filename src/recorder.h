/* SPDX-License-Identifier: MIT
 * Records a plan's dispatches. Each one waits for the writes of earlier ones. */
#ifndef DMATTN_RECORDER_H
#define DMATTN_RECORDER_H

#include "context.h"
#include "shape.h"
#include "tensor.h"

typedef struct recorder {
    const dmattn_context *ctx;
    VkCommandBuffer commands;
    bool begun; /* a dispatch was recorded, so the next one waits for it */
    /* addresses; 0 if the call has no such buffer */
    VkDeviceAddress tensor[TENSOR_COUNT];
    uint64_t bytes[TENSOR_COUNT]; /* bytes that may be accessed from this address on */
    VkDeviceAddress workspace;
} recorder;

/* Records a dispatch of a grid of workgroups. If the grid has more of them than the device allows in a dimension, it
 * becomes several dispatches, which do not wait for each other. `params`: the kernel's push constants. */
void dmattn_recorder_dispatch(recorder *r, VkPipeline pipeline, const void *params, uint32_t params_size, grid g);

/* The same in slices of at most `most` workgroups, which do not wait for each other: while a dispatch runs for seconds,
 * the desktop cannot be drawn, and some drivers reset the device after two seconds. */
void dmattn_recorder_dispatch_slices(recorder *r, VkPipeline pipeline, const void *params, uint32_t params_size, grid g,
                                     uint32_t most);

/* The next dispatch does not wait for the one before it: neither reads or writes what the other writes. */
void dmattn_recorder_beside(recorder *r);

/* Call this before each of several independent dispatches. If *first, the dispatch waits for earlier ones; the others
 * may run at the same time as it. */
void dmattn_recorder_one_of(recorder *r, bool *first);

#endif
