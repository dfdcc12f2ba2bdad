/* SPDX-License-Identifier: MIT
 * Sums of f32 parts that workgroups have left behind, as a part of a stage: sum_parts.comp. */
#ifndef DMATTN_SUM_PARTS_H
#define DMATTN_SUM_PARTS_H

#include "kernel.h"
#include "recorder.h"

#include "../shaders/sum_parts.h"

typedef struct sum_parts_params {
    SUM_PARTS_PARAMS
} sum_parts_params;

/* out[outer, inner] = sum over the parts of in[outer, parts, inner] */
typedef struct sum_shape {
    uint32_t outer, parts, inner;
} sum_shape;

typedef struct sum_parts {
    VkPipeline pipeline; /* NULL if it is not there */
} sum_parts;

dmattn_status dmattn_sum_parts_plan(sum_parts *sum, const dmattn_context *ctx, VkPipelineLayout layout,
                                    sum_shape largest);
void dmattn_sum_parts_destroy(sum_parts *sum, const dmattn_context *ctx);
void dmattn_sum_parts_record(const sum_parts *sum, recorder *r, VkDeviceAddress in, VkDeviceAddress out,
                             sum_shape shape);

#endif
