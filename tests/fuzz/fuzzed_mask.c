/* SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "fuzzed.h"

#include "attention/desc.h"
#include "mask/desc.h"
#include "operators/dma.h"

#include "../../shaders/lib/lists.h"

dmattn_selection any_selection(uint32_t keys)
{
    return (dmattn_selection){.select = (dmattn_select)value_of(4),
                              .window = once_in(3) ? any_size() : 1 + below(keys < 100000 ? keys + 2 : 100000),
                              .tie_break = (dmattn_tie_break)(once_in(3) ? value_of(2) : 0),
                              .threshold = once_in(3) ? wild_float() : 0.5f,
                              .sinks = once_in(3) ? wild_32() : below(20),
                              .recent = once_in(3) ? wild_32() : below(20),
                              .sliding = once_in(3) ? wild_32() : below(50),
                              .causal = flip(),
                              .key_valid = once_in(3),
                              .documents = once_in(3) ? any_size() : 0};
}

dmattn_importance any_importance(void)
{
    return (dmattn_importance){
        .activation = (dmattn_activation)value_of(2), .parameter_type = (dmattn_type)value_of(3), .dt_bias = flip()};
}

static void draw_mask(dmattn_mask_desc *d)
{
    static const uint32_t stages[] = {0, 1, 2, 4, 3, 6, 7, 5, 8, 0xffffffffu};
    d->stages = stages[below(once_in(10) ? 10 : 7)];
    d->batch = any_size();
    d->queries = any_size();
    d->keys = any_size();
    d->kv_heads = any_size();
    d->type = (dmattn_type)value_of(3);
    d->value_dim = dimension();
    d->v_strides = any_strides(d->keys, d->kv_heads, d->value_dim);
    d->importance = any_importance();
    d->selection = any_selection(d->keys);
    d->list_queries = once_in(3) ? any_size() : 16u << below(4);
    d->list_capacity = once_in(3) ? any_size() : 0;
}

static void draw_dma(dmattn_dma_desc *d)
{
    if (once_in(30))
        draw_attention(&d->attention);
    else
        draw_sizes(&d->attention);
    d->importance = any_importance();
    d->importance_given = once_in(3);
    d->selection = any_selection(d->attention.keys);
    d->list_capacity = once_in(3) ? any_size() : 0;
}

static dmattn_mask_desc mask;
static dmattn_dma_desc dma; /* the last one, also if it is part of a descriptor of gradients */

static dmattn_status plan_mask(dmattn_context *context, dmattn_plan **plan)
{
    mask = (dmattn_mask_desc){0};
    draw_mask(&mask);
    return dmattn_mask_plan(context, &mask, plan);
}

static dmattn_status plan_dma(dmattn_context *context, dmattn_plan **plan)
{
    dma = (dmattn_dma_desc){0};
    draw_dma(&dma);
    dma.attention.lengths = flip();
    return dmattn_dma_plan(context, &dma, plan);
}

static dmattn_status plan_dma_backward(dmattn_context *context, dmattn_plan **plan)
{
    dmattn_dma_backward_desc b = {0};
    draw_dma(&b.dma);
    dma = b.dma;
    b.gradients = flip() ? 0 : once_in(6) ? wild_32() : below(256);
    draw_gradient_strides(&b.dma.attention, &b.dout_strides, &b.dq_strides, &b.dk_strides, &b.dv_strides);
    return dmattn_dma_backward_plan(context, &b, plan);
}

/* Without a causal mask, the work can be much more than info.flops. */
static double dma_work(double flops)
{
    dmattn_attention_desc counted = dma.attention;
    counted.causal = dma.selection.causal;
    return flops * dmattn_attention_pairs(&dma.attention) / dmattn_attention_pairs(&counted);
}

static wide mask_bytes(const dmattn_mask_desc *m, tensor_id t)
{
    const bool makes_importance = m->stages & DMATTN_STAGE_IMPORTANCE, intervals = m->stages & DMATTN_STAGE_INTERVALS,
               lists = m->stages & DMATTN_STAGE_LISTS;
    const wide plane = (wide)4 * m->batch * m->kv_heads * m->keys, heads = m->kv_heads;
    const wide parameter = m->importance.parameter_type == DMATTN_TYPE_F32 ? 4 : 2;
    switch (t) {
    case TENSOR_V:
        return makes_importance ? (m->type == DMATTN_TYPE_F32 ? 4 : 2)
                                      * span(&m->v_strides, m->batch, m->keys, m->kv_heads, m->value_dim)
                                : 0;
    case TENSOR_DT_WEIGHT: return makes_importance ? parameter * heads * heads * m->value_dim : 0;
    case TENSOR_A: return makes_importance ? parameter * heads : 0;
    case TENSOR_DT_BIAS: return makes_importance && m->importance.dt_bias ? parameter * heads : 0;
    case TENSOR_IMPORTANCE: return makes_importance || (intervals && m->selection.select) ? plane : 0;
    case TENSOR_KEY_VALID: return intervals && m->selection.key_valid ? (wide)m->batch * m->keys : 0;
    case TENSOR_QUERY_OFFSETS:
    case TENSOR_KEY_OFFSETS:
        return intervals && m->selection.documents ? (wide)4 * m->batch * ((wide)m->selection.documents + 1) : 0;
    case TENSOR_BEGIN:
    case TENSOR_END: return intervals || lists ? plane : 0;
    default: return 0;
    }
}

static void check_mask(const dmattn_plan *plan, const dmattn_plan_info *info)
{
    dmattn_mask_desc m;
    FUZZ_CHECK(!dmattn_mask_desc_resolve(&mask, &m, NULL));
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (t != TENSOR_LISTS)
            FUZZ_CHECK(plan->tensor[t].bytes == mask_bytes(&m, (tensor_id)t));
    if (dmattn_selection_sorts(&m.selection))
        FUZZ_CHECK(info->workspace_size >= (wide)16 * m.batch * m.kv_heads * m.keys);
    if (!(m.stages & DMATTN_STAGE_LISTS))
        return;
    const wide lists = (wide)m.batch * m.kv_heads * ((m.queries - 1) / m.list_queries + 1);
    const wide headers = (16 * lists + LIST_UNIT - 1) / LIST_UNIT * LIST_UNIT;
    FUZZ_CHECK(info->lists_size == headers + 4 * lists * m.list_capacity);
}

static void check_dma(const dmattn_plan *plan, const dmattn_plan_info *info)
{
    dma_descs descs;
    FUZZ_CHECK(!dmattn_dma_desc_resolve(&dma, &descs, NULL));
    const dmattn_attention_desc *a = &descs.attention;
    for (int t = TENSOR_Q; t <= TENSOR_LSE; t++)
        FUZZ_CHECK(plan->tensor[t].bytes == attention_bytes(a, (tensor_id)t));
    const wide plane = (wide)4 * a->batch * a->kv_heads * a->keys;
    FUZZ_CHECK(plan->tensor[TENSOR_BEGIN].bytes == plane && plan->tensor[TENSOR_END].bytes == plane);
    const wide lists = (wide)a->batch * a->kv_heads * ((a->queries - 1) / info->list_queries + 1);
    FUZZ_CHECK(info->workspace_size >= 16 * lists);
}

const fuzzed_operator fuzzed_mask = {plan_mask, check_mask, NULL, &dmattn_mask_operator};
const fuzzed_operator fuzzed_dma = {plan_dma, check_dma, dma_work, &dmattn_dma_operator};
const fuzzed_operator fuzzed_dma_backward = {plan_dma_backward, NULL, dma_work, &dmattn_dma_backward_operator};
