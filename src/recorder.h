/* SPDX-License-Identifier: MIT
 * Writing a plan's dispatches, each after the writes of those before it. */
#ifndef DMATTN_RECORDER_H
#define DMATTN_RECORDER_H

#include "context.h"
#include "shape.h"
#include "tensor.h"

typedef struct recorder {
    const dmattn_context *ctx;
    VkPipelineLayout layout;
    VkCommandBuffer commands;
    bool begun; /* there is a dispatch to wait for */
    /* addresses; 0 if the call has no such buffer */
    VkDeviceAddress tensor[TENSOR_COUNT];
    uint64_t bytes[TENSOR_COUNT]; /* that may be accessed from there on */
    VkDeviceAddress workspace;
} recorder;

/* `params`: the kernel's push constants. */
void dmattn_recorder_dispatch(recorder *r, VkPipeline pipeline, const void *params, uint32_t params_size, grid g);

/* The same in slices of at most `most` workgroups, which do not wait for each other: a dispatch that runs for seconds
 * keeps a desktop from its turn, and some drivers reset the device after two. */
void dmattn_recorder_dispatch_slices(recorder *r, VkPipeline pipeline, const void *params, uint32_t params_size, grid g,
                                     uint32_t most);

/* The next dispatch does not wait for the one before it: neither reads or writes what the other writes. */
void dmattn_recorder_beside(recorder *r);

/* Before each of several dispatches of that kind: the first, as *first says, waits for what was before, the others go
 * beside it. */
void dmattn_recorder_one_of(recorder *r, bool *first);

#endif
