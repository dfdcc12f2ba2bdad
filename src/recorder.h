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
    /* where everything is; 0: it is not there */
    VkDeviceAddress tensor[TENSOR_COUNT];
    VkDeviceAddress tiles; /* the bitmap of a dense mask */
    VkDeviceAddress scratch;
} recorder;

/* `params`: the kernel's push constants. */
void dmattn_recorder_dispatch(recorder *r, VkPipeline pipeline, const void *params, uint32_t params_size, grid g);

#endif
