/* SPDX-License-Identifier: MIT */
#include "backward_stages.h"

#include <stdio.h>

static bool needs_lists(const dmattn_attention_backward_desc *b)
{
    return b->attention.mask == DMATTN_MASK_INTERVALS && b->gradients & DMATTN_GRADIENT_Q;
}

static bool needs_key_order(const dmattn_attention_backward_desc *b)
{
    return b->attention.mask == DMATTN_MASK_INTERVALS && b->gradients & ~(uint32_t)DMATTN_GRADIENT_Q;
}

/* The intervals by which keys are sorted. If a mask differs between the heads of a group, the intervals of the first
 * head are used. */
static key_order_desc key_order_of(const dmattn_attention_desc *d)
{
    const dmattn_score_shape *s = &d->mask_shape;
    const uint32_t heads = s->heads == 1 ? 1 : d->kv_heads;
    return (key_order_desc){
        .batch = s->batch,
        .heads = heads,
        .queries = d->queries,
        .keys = d->keys,
        .batch_stride = 4 * s->batch_stride,
        .head_stride = 4 * s->head_stride * (s->heads / heads),
        .causal = d->causal,
    };
}

dmattn_status dmattn_backward_stages_plan(backward_stages *stages, dmattn_plan *plan,
                                          const dmattn_attention_backward_desc *b, keys_bound bound,
                                          const backward_tiles *tiles)
{
    const dmattn_context *ctx = plan->ctx;
    const dmattn_attention_desc *d = &b->attention;
    backward_stage *s = &stages->backward;
    TRY(dmattn_backward_stage_choose(s, ctx, b, tiles));
    if (needs_lists(b))
        TRY(dmattn_interval_lists_plan(&stages->lists, plan, d, dmattn_backward_list_queries(s), bound));
    if (d->mask == DMATTN_MASK_SELECTED)
        TRY(dmattn_selected_lists_plan(&stages->selected, plan, d, dmattn_backward_list_queries(s)));
    s->at.rows = dmattn_plan_reserve(plan, dmattn_backward_rows_bytes(s));
    s->at.query_tiles = dmattn_plan_reserve(plan, dmattn_mask_tiles_bytes(d, &s->tile.query));
    s->at.key_tiles = dmattn_plan_reserve(plan, dmattn_mask_tiles_bytes(d, &s->tile.key));
    s->at.work = dmattn_plan_reserve(plan, dmattn_backward_work_bytes(s));
    s->at.dbias = dmattn_plan_reserve(plan, dmattn_backward_partial_bytes(s));
    if (needs_key_order(b)) {
        const key_order_desc order = key_order_of(d);
        TRY(dmattn_key_order_plan(&s->order, &plan->pipelines, &order));
        s->order.scratch_at = dmattn_plan_reserve(plan, dmattn_key_order_scratch_bytes(&s->order));
    }
    if (dmattn_backward_has_key_lists(s)) {
        const key_lists_desc lists = dmattn_backward_key_lists(s);
        TRY(dmattn_key_lists_plan(&s->lists, &plan->pipelines, &lists));
        s->lists.at = dmattn_plan_reserve(plan, dmattn_key_lists_bytes(&lists));
    }
    if ((plan->workspace_size - s->at.rows) / 16 > UINT32_MAX)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED,
                           "the gradients need more than 64 GiB of workspace");
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        const uint64_t bytes = dmattn_attention_backward_tensor_bytes(b, t);
        if (bytes)
            plan->tensor[t] = (plan_tensor){.bytes = bytes, .alignment = dmattn_attention_backward_alignment(s, t)};
    }
    plan->flops = dmattn_backward_flops(b);
    plan->bytes = dmattn_backward_bytes(b);
    snprintf(plan->name, sizeof plan->name, "%s", s->name);
    return dmattn_backward_stage_build(s, &plan->pipelines);
}

void dmattn_backward_stages_record(const backward_stages *s, recorder *r)
{
    dmattn_interval_lists_record(&s->lists, r, false);
    dmattn_selected_lists_record(&s->selected, r, false);
    dmattn_backward_stage_record(&s->backward, r);
}

void dmattn_backward_stages_describe(const backward_stages *s, dmattn_plan_info *info)
{
    const backward_stage *b = &s->backward;
    info->level = b->tile.query.level;
    info->why_not_higher = b->why_not;
    info->list_queries = needs_lists(&b->desc) ? dmattn_backward_list_queries(b) : 0;
}
