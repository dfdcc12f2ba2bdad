/* SPDX-License-Identifier: MIT */
#include "importance.h"

#include <string.h>

bool dmattn_importance_is_aligned(const dmattn_mask_desc *d)
{
    return dmattn_strides_aligned(&d->v_strides, d->batch, d->keys, d->kv_heads, dmattn_type_size(d->type));
}

void dmattn_importance_constants(const capabilities *caps, const dmattn_mask_desc *d,
                                 uint32_t c[IMPORTANCE_CONSTANT_COUNT])
{
    memset(c, 0, IMPORTANCE_CONSTANT_COUNT * sizeof *c);
    c[IMPORTANCE_WORKGROUP] = 128;
    /* eight pieces of 16 bytes are a cache line of v */
    c[IMPORTANCE_COLUMN_LANES] = dmattn_capabilities_subgroup_size(caps) < 8 ? 4 : 8;
    c[IMPORTANCE_LANE_KEYS] = 4;
    c[IMPORTANCE_LANE_HEADS] = d->kv_heads < 8 ? d->kv_heads : 8;
    c[IMPORTANCE_KV_HEADS] = d->kv_heads;
    c[IMPORTANCE_VALUE_DIM] = d->value_dim;
    c[IMPORTANCE_TYPE] = d->type;
    c[IMPORTANCE_PARAMETER_TYPE] = d->importance.parameter_type;
    c[IMPORTANCE_ACTIVATION] = d->importance.activation;
    c[IMPORTANCE_DT_BIAS] = d->importance.dt_bias;
    c[IMPORTANCE_ALIGNED] = dmattn_importance_is_aligned(d);
    c[IMPORTANCE_DERIVED_STRIDES] = dmattn_put_strides(c, IMPORTANCE_V_BATCH_LOW, &d->v_strides, d->batch, d->keys,
                                                       d->kv_heads, dmattn_type_size(d->type), 1);
}

grid dmattn_importance_grid(const dmattn_mask_desc *d, const uint32_t c[IMPORTANCE_CONSTANT_COUNT])
{
    const uint32_t tile = c[IMPORTANCE_WORKGROUP] / c[IMPORTANCE_COLUMN_LANES] * c[IMPORTANCE_LANE_KEYS];
    return (grid){dmattn_ceil_div(d->keys, tile), dmattn_ceil_div(d->kv_heads, c[IMPORTANCE_LANE_HEADS]), d->batch};
}

dmattn_status dmattn_importance_stage_plan(importance_stage *s, pipeline_set *set, const dmattn_mask_desc *d,
                                           bool given_strides)
{
    const dmattn_context *ctx = set->ctx;
    uint32_t constants[IMPORTANCE_CONSTANT_COUNT];
    const kernel_values values = {constants, IMPORTANCE_CONSTANT_COUNT, dmattn_capabilities_subgroup_size(&ctx->caps)};
    dmattn_importance_constants(&ctx->caps, d, constants);
    if (given_strides && constants[IMPORTANCE_DERIVED_STRIDES]) {
        dmattn_put_stride(constants, IMPORTANCE_V_BATCH_LOW, d->batch, d->v_strides.batch, dmattn_type_size(d->type));
        constants[IMPORTANCE_DERIVED_STRIDES] = 0;
    }
    s->keys = d->keys;
    s->grid = dmattn_importance_grid(d, constants);
    TRY(dmattn_check_grid(ctx, "the importance", s->grid));
    return dmattn_pipelines_add(set, "importance", DMATTN_LEVEL_PORTABLE, &values, &s->pipeline);
}

void dmattn_importance_stage_shorten(importance_stage *s, const capabilities *caps, const dmattn_mask_desc *run)
{
    uint32_t constants[IMPORTANCE_CONSTANT_COUNT];
    dmattn_importance_constants(caps, run, constants);
    s->keys = run->keys;
    s->grid = dmattn_importance_grid(run, constants);
}

void dmattn_importance_stage_record(const importance_stage *s, recorder *r)
{
    const importance_params params = {
        .v = r->tensor[TENSOR_V],
        .dt_weight = r->tensor[TENSOR_DT_WEIGHT],
        .a = r->tensor[TENSOR_A],
        .dt_bias = r->tensor[TENSOR_DT_BIAS],
        .importance = r->tensor[TENSOR_IMPORTANCE],
        .keys = s->keys,
    };
    dmattn_recorder_dispatch(r, s->pipeline, &params, sizeof params, s->grid);
}
