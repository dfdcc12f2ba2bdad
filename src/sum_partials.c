/* SPDX-License-Identifier: MIT */
#include "sum_partials.h"

#define WORKGROUP 128

static grid grid_of(sum_shape s)
{
    return (grid){dmattn_ceil_div(s.inner, WORKGROUP), s.outer, 1};
}

dmattn_status dmattn_sum_partials_plan(sum_partials *s, pipeline_set *set, sum_shape largest)
{
    const uint32_t constants[] = {WORKGROUP};
    TRY(dmattn_check_grid(set->ctx, "the sum of partial results", grid_of(largest)));
    return dmattn_pipelines_add(set, "sum_partials", DMATTN_LEVEL_PORTABLE, &(kernel_values){constants, 1, 0},
                                &s->pipeline);
}

void dmattn_sum_partials_record(const sum_partials *s, recorder *r, VkDeviceAddress in, VkDeviceAddress out,
                                sum_shape shape)
{
    const sum_partials_params params = {.in_ = in, .out_ = out, .partials = shape.partials, .inner = shape.inner};
    dmattn_recorder_dispatch(r, s->pipeline, &params, sizeof params, grid_of(shape));
}
