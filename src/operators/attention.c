/* SPDX-License-Identifier: MIT
 * Attention with a mask that the app has. */
#include "../plan.h"

#include <stdio.h>

static dmattn_status fill_plan(dmattn_plan *plan, const dmattn_attention_desc *desc, const attention_tile *tile)
{
    const dmattn_context *ctx = plan->ctx;
    attention_stage *s = &plan->attention;
    const dmattn_attention_desc *d = &s->desc;
    TRY(dmattn_attention_stage_choose(s, ctx, desc, tile));
    plan->tiles_offset = dmattn_plan_reserve(plan, dmattn_mask_tiles_bytes(d, &s->tile));
    plan->parts_offset = dmattn_plan_reserve(plan, dmattn_attention_part_bytes(s));
    if (d->mask == DMATTN_MASK_INTERVALS)
        TRY(dmattn_plan_add_interval_lists(plan, d, dmattn_tile_list_queries(&s->tile),
                                           dmattn_selection_bound(&(dmattn_selection){0}, d->keys)));
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (t != TENSOR_LISTS)
            plan->tensor[t] = (plan_tensor){.bytes = dmattn_attention_tensor_bytes(d, (tensor_id)t),
                                            .alignment = dmattn_attention_alignment(s, (tensor_id)t)};
    snprintf(plan->name, sizeof plan->name, "%s", s->name);
    plan->flops = dmattn_attention_flops(d);
    plan->bytes = dmattn_attention_bytes(d);
    return dmattn_attention_stage_build(s, ctx, plan->layout);
}

dmattn_status dmattn_attention_plan(dmattn_context *ctx, const dmattn_attention_desc *desc, dmattn_plan **out)
{
    return dmattn_attention_plan_tile(ctx, desc, NULL, out);
}

dmattn_status dmattn_attention_plan_tile(dmattn_context *ctx, const dmattn_attention_desc *desc,
                                         const attention_tile *tile, dmattn_plan **out)
{
    dmattn_attention_desc resolved;
    dmattn_plan *plan;
    TRY(dmattn_plan_begin(ctx, out));
    TRY(dmattn_attention_desc_resolve(desc, &resolved, &ctx->messenger));
    TRY(dmattn_plan_create(ctx, PLAN_ATTENTION, &plan));
    return dmattn_plan_finish(plan, fill_plan(plan, &resolved, tile), "attention", out);
}

dmattn_status dmattn_attention_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                      const dmattn_attention_args *args)
{
    if (!plan)
        return DMATTN_ERROR_INVALID;
    if (!args)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "args is NULL");
    const dmattn_buffer *const buffers[TENSOR_COUNT] = {
        [TENSOR_Q] = &args->q,         [TENSOR_K] = &args->k,
        [TENSOR_V] = &args->v,         [TENSOR_OUT] = &args->out,
        [TENSOR_LSE] = &args->lse,     [TENSOR_MASK] = &args->mask,
        [TENSOR_BEGIN] = &args->begin, [TENSOR_END] = &args->end,
        [TENSOR_BIAS] = &args->bias,   [TENSOR_LISTS] = plan->lists.final ? NULL : &args->lists,
    };
    return dmattn_plan_record(plan, PLAN_ATTENTION, commands, buffers, &args->workspace,
                              args->reuse_mask_tiles ? ALL_STAGES : 0);
}
