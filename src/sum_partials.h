/* SPDX-License-Identifier: MIT
 * Sums partial results in f32, for the stages of gradients: sum_partials.comp. */
#ifndef DMATTN_SUM_PARTIALS_H
#define DMATTN_SUM_PARTIALS_H

#include "kernel.h"
#include "recorder.h"

#include "../shaders/lib/sum_partials.h"

typedef struct sum_partials_params {
    SUM_PARTIALS_PARAMS
} sum_partials_params;

/* out[outer, inner] = sum over the partial results of in[outer, partials, inner] */
typedef struct sum_shape {
    uint32_t outer, partials, inner;
} sum_shape;

typedef struct sum_partials {
    VkPipeline pipeline; /* NULL if the plan does not need it */
} sum_partials;

dmattn_status dmattn_sum_partials_plan(sum_partials *sum, pipeline_set *set, sum_shape largest);
void dmattn_sum_partials_record(const sum_partials *sum, recorder *r, VkDeviceAddress in, VkDeviceAddress out,
                                sum_shape shape);

#endif
