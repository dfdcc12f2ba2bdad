/* SPDX-License-Identifier: MIT
 * The gradients of attention with a mask that the app has. */
#include "../plan.h"

dmattn_status dmattn_attention_backward_plan(dmattn_context *ctx, const dmattn_attention_backward_desc *desc,
                                             dmattn_plan **out)
{
    return dmattn_attention_backward_plan_tiles(ctx, desc, NULL, out);
}

dmattn_status dmattn_attention_backward_plan_tiles(dmattn_context *ctx, const dmattn_attention_backward_desc *desc,
                                                   const backward_tiles *tiles, dmattn_plan **out)
{
    dmattn_attention_backward_desc resolved;
    dmattn_plan *plan;
    TRY(dmattn_plan_begin(ctx, out));
    TRY(dmattn_attention_backward_desc_resolve(desc, &resolved, &ctx->messenger));
    TRY(dmattn_plan_create(ctx, PLAN_ATTENTION_BACKWARD, &plan));
    const keys_bound bound = dmattn_selection_bound(&(dmattn_selection){0}, resolved.attention.keys);
    return dmattn_plan_finish(plan, dmattn_plan_add_backward(plan, &resolved, bound, tiles),
                              "attention's backward pass", out);
}

dmattn_status dmattn_attention_backward_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                               const dmattn_attention_backward_args *args)
{
    if (!plan)
        return DMATTN_ERROR_INVALID;
    if (!args)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "args is NULL");
    const dmattn_buffer *const buffers[TENSOR_COUNT] = {
        [TENSOR_Q] = &args->q,
        [TENSOR_K] = &args->k,
        [TENSOR_V] = &args->v,
        [TENSOR_OUT] = &args->out,
        [TENSOR_LSE] = &args->lse,
        [TENSOR_DOUT] = &args->dout,
        [TENSOR_MASK] = &args->mask,
        [TENSOR_BEGIN] = &args->begin,
        [TENSOR_END] = &args->end,
        [TENSOR_BIAS] = &args->bias,
        [TENSOR_DQ] = &args->dq,
        [TENSOR_DK] = &args->dk,
        [TENSOR_DV] = &args->dv,
        [TENSOR_DBIAS] = &args->dbias,
        [TENSOR_LISTS] = plan->lists.final ? NULL : &args->lists,
    };
    return dmattn_plan_record(plan, PLAN_ATTENTION_BACKWARD, commands, buffers, &args->workspace, 0);
}
