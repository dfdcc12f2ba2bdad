/* SPDX-License-Identifier: MIT
 * A dynamic mask by itself. */
#include "../plan.h"

#include <stdio.h>

static dmattn_status fill_plan(dmattn_plan *plan, const dmattn_mask_desc *d)
{
    TRY(dmattn_plan_add_mask(plan, d));
    for (int t = 0; t < TENSOR_COUNT; t++)
        plan->bytes += (double)dmattn_mask_tensor_bytes(d, (tensor_id)t);
    if (d->stages & DMATTN_STAGE_IMPORTANCE)
        plan->flops = 2.0 * d->batch * d->keys * d->kv_heads * d->kv_heads * d->value_dim;
    snprintf(plan->name, sizeof plan->name, "portable%s%s%s", d->stages & DMATTN_STAGE_IMPORTANCE ? " importance" : "",
             d->stages & DMATTN_STAGE_INTERVALS ? " intervals" : "", d->stages & DMATTN_STAGE_LISTS ? " lists" : "");
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_mask_plan(dmattn_context *ctx, const dmattn_mask_desc *desc, dmattn_plan **out)
{
    dmattn_mask_desc resolved;
    dmattn_plan *plan;
    TRY(dmattn_plan_begin(ctx, out));
    TRY(dmattn_mask_desc_resolve(desc, &resolved, &ctx->messenger));
    TRY(dmattn_plan_create(ctx, PLAN_MASK, &plan));
    return dmattn_plan_finish(plan, fill_plan(plan, &resolved), "the mask", out);
}

dmattn_status dmattn_mask_record(const dmattn_plan *plan, VkCommandBuffer commands, const dmattn_mask_args *args)
{
    if (!plan)
        return DMATTN_ERROR_INVALID;
    if (!args)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "args is NULL");
    const dmattn_buffer *const buffers[TENSOR_COUNT] = {
        [TENSOR_V] = &args->v,
        [TENSOR_DT_WEIGHT] = &args->dt_weight,
        [TENSOR_A] = &args->a,
        [TENSOR_DT_BIAS] = &args->dt_bias,
        [TENSOR_KEY_VALID] = &args->key_valid,
        [TENSOR_QUERY_OFFSETS] = &args->query_offsets,
        [TENSOR_KEY_OFFSETS] = &args->key_offsets,
        [TENSOR_IMPORTANCE] = &args->importance,
        [TENSOR_BEGIN] = &args->begin,
        [TENSOR_END] = &args->end,
        [TENSOR_LISTS] = &args->lists,
    };
    return dmattn_plan_record(plan, PLAN_MASK, commands, buffers, &args->workspace, args->reuse);
}
