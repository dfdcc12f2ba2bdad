/* SPDX-License-Identifier: MIT
 * A dynamic mask without attention. */
#include "mask_stages.h"
#include "operators.h"

#include <stdio.h>

typedef struct mask_plan {
    dmattn_plan base;
    mask_stages stages;
} mask_plan;

static dmattn_status fill(dmattn_plan *base, const void *desc, const void *tiles)
{
    dmattn_mask_desc resolved;
    const dmattn_mask_desc *d = &resolved;
    (void)tiles;
    TRY(dmattn_mask_desc_resolve(desc, &resolved, &base->ctx->messenger));
    TRY(dmattn_mask_stages_plan(&((mask_plan *)base)->stages, base, d, (mask_lengths){0}));
    for (int t = 0; t < TENSOR_COUNT; t++)
        base->bytes += (double)dmattn_mask_tensor_bytes(d, (tensor_id)t);
    if (d->stages & DMATTN_STAGE_IMPORTANCE)
        base->flops = 2.0 * d->batch * d->keys * d->kv_heads * d->kv_heads * d->value_dim;
    snprintf(base->name, sizeof base->name, "portable%s%s%s", d->stages & DMATTN_STAGE_IMPORTANCE ? " importance" : "",
             d->stages & DMATTN_STAGE_INTERVALS ? " intervals" : "", d->stages & DMATTN_STAGE_LISTS ? " lists" : "");
    return DMATTN_SUCCESS;
}

static void record(const dmattn_plan *base, recorder *r, uint32_t reuse)
{
    dmattn_mask_stages_record(&((const mask_plan *)base)->stages, r, reuse);
}

static void describe(const dmattn_plan *base, dmattn_plan_info *info)
{
    info->list_queries = ((const mask_plan *)base)->stages.lists.desc.list_queries;
    info->lists_size = base->tensor[TENSOR_LISTS].bytes;
}

static const operator_buffer buffers[] = {
    BUFFER(dmattn_mask_args, V, v),
    BUFFER(dmattn_mask_args, DT_WEIGHT, dt_weight),
    BUFFER(dmattn_mask_args, A, a),
    BUFFER(dmattn_mask_args, DT_BIAS, dt_bias),
    BUFFER(dmattn_mask_args, KEY_VALID, key_valid),
    BUFFER(dmattn_mask_args, QUERY_OFFSETS, query_offsets),
    BUFFER(dmattn_mask_args, KEY_OFFSETS, key_offsets),
    BUFFER(dmattn_mask_args, IMPORTANCE, importance),
    BUFFER(dmattn_mask_args, BEGIN, begin),
    BUFFER(dmattn_mask_args, END, end),
    BUFFER(dmattn_mask_args, LISTS, lists),
    END_OF_BUFFERS,
};
const operator_type dmattn_mask_operator = {
    .name = "a mask",
    .size = sizeof(mask_plan),
    .buffers = buffers,
    .workspace = offsetof(dmattn_mask_args, workspace),
    .fill = fill,
    .record = record,
    .describe = describe,
};

dmattn_status dmattn_mask_plan(dmattn_context *ctx, const dmattn_mask_desc *desc, dmattn_plan **out)
{
    return dmattn_plan_create(ctx, &dmattn_mask_operator, desc, NULL, out);
}

dmattn_status dmattn_mask_check(const dmattn_context *ctx, const dmattn_mask_desc *desc, dmattn_support *support)
{
    return dmattn_plan_check(ctx, &dmattn_mask_operator, desc, support);
}

dmattn_status dmattn_mask_record(const dmattn_plan *plan, VkCommandBuffer commands, const dmattn_mask_args *args)
{
    return dmattn_plan_record(plan, &dmattn_mask_operator, commands, args, args ? args->reuse : 0);
}
