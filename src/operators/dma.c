/* SPDX-License-Identifier: MIT
 * Dynamic mask attention: a mask, and attention with it. */
#include "dma.h"

#include "../plan.h"

#include <stdio.h>

dmattn_status dmattn_dma_desc_resolve(const dmattn_dma_desc *desc, dma_parts *parts, const messenger *m)
{
    if (!desc)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the descriptor of dynamic mask attention is NULL");
    const dmattn_attention_desc *a = &desc->attention;
    const char *extra = a->mask ? "mask" : a->bias ? "bias" : a->lists ? "lists" : a->causal ? "causal" : NULL;
    if (extra || a->list_capacity)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "attention.%s is set, but the mask and the bias are made here, as `selection` says",
                           extra ? extra : "list_capacity");
    dmattn_attention_desc d;
    TRY(dmattn_attention_desc_resolve(a, &d, m)); /* for its sizes */
    parts->attention = *a;
    parts->attention.mask = DMATTN_MASK_INTERVALS;
    parts->attention.mask_shape = (dmattn_score_shape){.batch = d.batch, .heads = d.kv_heads};
    parts->attention.bias = true;
    parts->attention.bias_type = DMATTN_TYPE_F32;
    parts->attention.bias_shape = parts->attention.mask_shape;
    parts->attention.lists = true;
    TRY(dmattn_attention_desc_resolve(&parts->attention, &parts->attention, m));

    parts->mask = (dmattn_mask_desc){
        .stages = DMATTN_STAGE_INTERVALS | DMATTN_STAGE_LISTS
                  | (desc->importance_given ? 0u : (uint32_t)DMATTN_STAGE_IMPORTANCE),
        .batch = d.batch,
        .queries = d.queries,
        .keys = d.keys,
        .kv_heads = d.kv_heads,
        .type = d.type,
        .value_dim = d.value_dim,
        .v_strides = d.v_strides,
        .importance = desc->importance,
        .selection = desc->selection,
        .list_queries = 1, /* until a tile is chosen */
        .list_capacity = desc->list_capacity,
    };
    dmattn_mask_desc checked;
    return dmattn_mask_desc_resolve(&parts->mask, &checked, m);
}

uint64_t dmattn_dma_tensor_bytes(const dma_parts *parts, tensor_id tensor)
{
    if (tensor == TENSOR_BIAS) /* that is the importance */
        return 0;
    if (tensor == TENSOR_IMPORTANCE)
        return dmattn_attention_tensor_bytes(&parts->attention, TENSOR_BIAS);
    uint64_t bytes = dmattn_attention_tensor_bytes(&parts->attention, tensor);
    return bytes ? bytes : dmattn_mask_tensor_bytes(&parts->mask, tensor);
}

/* That a tile of queries sees. */
static double most_keys(const dmattn_mask_desc *m)
{
    const keys_bound bound = dmattn_selection_bound(&m->selection, m->keys);
    const double keys = bound.exact ? (double)bound.keys + m->list_queries : m->keys;
    return keys < m->keys ? keys : m->keys;
}

static dmattn_status fill_plan(dmattn_plan *plan, dma_parts *parts, const attention_tile *tile)
{
    const dmattn_context *ctx = plan->ctx;
    attention_stage *s = &plan->attention;
    TRY(dmattn_attention_stage_choose(s, ctx, &parts->attention, tile));
    parts->mask.list_queries = dmattn_tile_list_queries(&s->tile);
    TRY(dmattn_mask_desc_resolve(&parts->mask, &parts->mask, &ctx->messenger));
    TRY(dmattn_plan_add_mask(plan, &parts->mask));
    plan->parts_offset = dmattn_plan_reserve(plan, dmattn_attention_part_bytes(s));
    if (!s->tile.slice) /* fewer keys are seen than there are */
        s->slice = dmattn_attention_slice(s->attention_grid,
                                          dmattn_attention_flops(&s->desc) / s->desc.keys * most_keys(&parts->mask));

    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        const bool product = t == TENSOR_BEGIN || t == TENSOR_END || t == TENSOR_LISTS
                             || (t == TENSOR_IMPORTANCE && plan->importance.pipeline);
        plan_tensor *tensor = &plan->tensor[t];
        if (t != TENSOR_LISTS)
            tensor->bytes = dmattn_dma_tensor_bytes(parts, t);
        if (dmattn_attention_tensor_bytes(&s->desc, t) && tensor->alignment < dmattn_attention_alignment(s, t))
            tensor->alignment = dmattn_attention_alignment(s, t);
        if (product) {
            tensor->in_workspace = true;
            tensor->offset = dmattn_plan_reserve(plan, tensor->bytes);
        }
    }
    plan->tensor[TENSOR_IMPORTANCE].alignment = 4;
    snprintf(plan->name, sizeof plan->name, "%s", s->name);
    dmattn_attention_desc d = s->desc;
    d.causal = parts->mask.selection.causal;
    plan->flops = dmattn_attention_flops(&d);
    plan->bytes = dmattn_attention_bytes(&d);
    return dmattn_attention_stage_build(s, ctx, plan->layout);
}

dmattn_status dmattn_dma_plan(dmattn_context *ctx, const dmattn_dma_desc *desc, dmattn_plan **out)
{
    return dmattn_dma_plan_tile(ctx, desc, NULL, out);
}

dmattn_status dmattn_dma_plan_tile(dmattn_context *ctx, const dmattn_dma_desc *desc, const attention_tile *tile,
                                   dmattn_plan **out)
{
    dma_parts parts;
    dmattn_plan *plan;
    TRY(dmattn_plan_begin(ctx, out));
    TRY(dmattn_dma_desc_resolve(desc, &parts, &ctx->messenger));
    TRY(dmattn_plan_create(ctx, PLAN_DMA, &plan));
    return dmattn_plan_finish(plan, fill_plan(plan, &parts, tile), "dynamic mask attention", out);
}

dmattn_status dmattn_dma_record(const dmattn_plan *plan, VkCommandBuffer commands, const dmattn_dma_args *args)
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
        [TENSOR_DT_WEIGHT] = &args->dt_weight,
        [TENSOR_A] = &args->a,
        [TENSOR_DT_BIAS] = &args->dt_bias,
        [TENSOR_KEY_VALID] = &args->key_valid,
        [TENSOR_QUERY_OFFSETS] = &args->query_offsets,
        [TENSOR_KEY_OFFSETS] = &args->key_offsets,
        [TENSOR_IMPORTANCE] = &args->importance,
        [TENSOR_BEGIN] = &args->begin,
        [TENSOR_END] = &args->end,
    };
    return dmattn_plan_record(plan, PLAN_DMA, commands, buffers, &args->workspace, args->reuse_mask ? ALL_STAGES : 0);
}
