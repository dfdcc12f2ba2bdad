/* SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "fuzzed.h"

#include "attention/desc.h"
#include "attention/merge.h"
#include "backward/backward.h"

/* ---- descriptors --------------------------------------------------------------------------------------------- */

dmattn_score_shape any_score_shape(const dmattn_attention_desc *d, bool one_query)
{
    dmattn_score_shape s = {.batch = once_in(3) ? d->batch : below(2),
                            .heads = once_in(3) ? d->heads
                                     : flip()   ? d->kv_heads
                                                : below(2),
                            .queries = !one_query && flip() ? d->queries : below(2)};
    if (once_in(10))
        *(flip() ? &s.batch : flip() ? &s.heads : &s.queries) = wild_32();
    if (once_in(4)) {
        s.batch_stride = flip() ? wild_64() : 0;
        s.head_stride = flip() ? wild_64() : d->keys;
        s.query_stride = flip() ? wild_64() : d->keys;
    }
    return s;
}

static uint32_t kv_heads_of(const dmattn_attention_desc *d)
{
    return d->kv_heads ? d->kv_heads : d->heads;
}

static uint32_t value_dim_of(const dmattn_attention_desc *d)
{
    return d->value_dim ? d->value_dim : d->head_dim;
}

void draw_sizes(dmattn_attention_desc *d)
{
    d->type = (dmattn_type)value_of(3);
    d->batch = any_size();
    d->queries = any_size();
    d->keys = once_in(3) ? d->queries : any_size();
    d->kv_heads = size_kind == SIZES_LARGE && flip() ? 1u << below(8) : any_size();
    d->heads =
        size_kind == SIZES_WILD && flip() ? wild_32() : d->kv_heads * (1 + below(size_kind == SIZES_SMALL ? 4 : 16));
    if (once_in(5))
        d->kv_heads = 0;
    d->head_dim = dimension();
    d->value_dim = once_in(3) ? dimension() : 0;
    d->scale = once_in(6) ? wild_float() : 0;
    d->soft_cap = once_in(5) ? wild_float() : 0;
    d->lse = flip();
    d->q_strides = any_strides(d->queries, d->heads, d->head_dim);
    d->k_strides = any_strides(d->keys, kv_heads_of(d), d->head_dim);
    d->v_strides = any_strides(d->keys, kv_heads_of(d), value_dim_of(d));
    if (once_in(3))
        d->out_strides = any_strides(d->queries, d->heads, value_dim_of(d));
    if (once_in(4))
        d->level = (dmattn_level)value_of(4);
    if (once_in(6))
        d->max_level = (dmattn_level)value_of(4);
}

void draw_attention(dmattn_attention_desc *d)
{
    draw_sizes(d);
    d->causal = flip();
    d->mask = (dmattn_mask)value_of(5);
    const bool intervals = d->mask == DMATTN_MASK_INTERVALS;
    if (d->mask)
        d->mask_shape = any_score_shape(d, intervals);
    if (d->mask == DMATTN_MASK_SELECTED || once_in(60)) {
        d->selected_count = any_size();
        d->selected_queries = once_in(3) ? any_size() : 0;
        d->selected_block = flip() ? 0 : once_in(8) ? wild_32() : 1u << below(13);
    }
    d->bias = once_in(3);
    if (d->bias || d->mask == DMATTN_MASK_ADDITIVE) {
        d->bias_type = (dmattn_type)value_of(3);
        d->bias_shape = any_score_shape(d, intervals);
    }
    d->sink = once_in(4);
    d->q_f32 = once_in(4);
    d->out_f32 = once_in(4);
    d->k_format = once_in(3) ? (dmattn_format)value_of(8) : DMATTN_FORMAT_TYPE;
    d->v_format = once_in(3) ? (dmattn_format)value_of(8) : DMATTN_FORMAT_TYPE;
    d->counts = once_in(8);
    d->total_queries = d->counts && flip() ? any_size() : 0;
    d->total_keys = d->total_queries && flip() ? any_size() : 0;
    if (once_in(4)) {
        d->page_size = once_in(6) ? wild_32() : 1u << below(9);
        d->pages = any_size();
        d->page_bytes = once_in(3) ? wild_32() / 16 * (uint64_t)16 : 0;
    }
    d->slopes = once_in(4);
    d->lists = intervals && once_in(5);
    d->list_capacity = intervals && once_in(3) ? any_size() : 0;
}

static dmattn_attention_desc forward;
static dmattn_attention_backward_desc backward;

static dmattn_status plan_attention(dmattn_context *context, dmattn_plan **plan)
{
    forward = (dmattn_attention_desc){0};
    draw_attention(&forward);
    forward.lengths = flip();
    return dmattn_attention_plan(context, &forward, plan);
}

void draw_gradient_strides(const dmattn_attention_desc *a, dmattn_strides *dout, dmattn_strides *dq, dmattn_strides *dk,
                           dmattn_strides *dv)
{
    if (once_in(3))
        *dout = any_strides(a->queries, a->heads, value_dim_of(a));
    if (once_in(4))
        *dq = any_strides(a->queries, a->heads, a->head_dim);
    if (once_in(4))
        *dk = any_strides(a->keys, kv_heads_of(a), a->head_dim);
    if (once_in(4))
        *dv = any_strides(a->keys, kv_heads_of(a), value_dim_of(a));
}

static dmattn_status plan_attention_backward(dmattn_context *context, dmattn_plan **plan)
{
    dmattn_attention_backward_desc *b = &backward;
    backward = (dmattn_attention_backward_desc){0};
    draw_attention(&b->attention);
    b->gradients = flip() ? 0 : once_in(6) ? wild_32() : below(16) | (once_in(4) ? DMATTN_GRADIENT_SINK : 0);
    b->dlse = once_in(4);
    draw_gradient_strides(&b->attention, &b->dout_strides, &b->dq_strides, &b->dk_strides, &b->dv_strides);
    return dmattn_attention_backward_plan(context, b, plan);
}

/* ---- sizes in 128 bits ---------------------------------------------------------------------------------------- */

wide span(const dmattn_strides *s, wide batch, wide sequence, wide heads, wide dim)
{
    return (batch - 1) * s->batch + (sequence - 1) * s->sequence + (heads - 1) * s->head + dim;
}

static wide score_span(const dmattn_score_shape *s, wide keys)
{
    return keys + (wide)(s->batch - 1) * (s->batch > 1 ? s->batch_stride : 0)
           + (wide)(s->heads - 1) * (s->heads > 1 ? s->head_stride : 0)
           + (wide)(s->queries - 1) * (s->queries > 1 ? s->query_stride : 0);
}

static bool has_scales(dmattn_format format)
{
    return format == DMATTN_FORMAT_INT8 || format == DMATTN_FORMAT_E4M3;
}

static wide format_bytes(dmattn_format format, wide type_size, wide elements)
{
    switch (format) {
    case DMATTN_FORMAT_TYPE: return type_size * elements;
    case DMATTN_FORMAT_F32: return 4 * elements;
    case DMATTN_FORMAT_F16:
    case DMATTN_FORMAT_BF16: return 2 * elements;
    case DMATTN_FORMAT_Q8_0: return 34 * (elements / 32);
    case DMATTN_FORMAT_Q4_0: return 18 * (elements / 32);
    default: return elements;
    }
}

wide attention_bytes(const dmattn_attention_desc *a, tensor_id t)
{
    const wide element = a->type == DMATTN_TYPE_F32 ? 4 : 2, bias = a->bias_type == DMATTN_TYPE_F32 ? 4 : 2;
    const wide q_items = a->total_queries ? 1 : a->batch, queries = a->total_queries ? a->total_queries : a->queries;
    const wide k_items = a->total_keys ? 1 : a->batch, keys = a->total_keys ? a->total_keys : a->keys;
    switch (t) {
    case TENSOR_Q: return (a->q_f32 ? 4 : element) * span(&a->q_strides, q_items, queries, a->heads, a->head_dim);
    case TENSOR_K:
        return a->page_size
                   ? 0
                   : format_bytes(a->k_format, element, span(&a->k_strides, k_items, keys, a->kv_heads, a->head_dim));
    case TENSOR_V:
        return a->page_size
                   ? 0
                   : format_bytes(a->v_format, element, span(&a->v_strides, k_items, keys, a->kv_heads, a->value_dim));
    case TENSOR_COUNTS: return a->counts ? (wide)8 * a->batch : 0;
    case TENSOR_PAGES: return a->page_size ? (wide)a->pages * a->page_bytes : 0;
    case TENSOR_TABLE: return a->page_size ? (wide)4 * a->batch * ((a->keys - 1) / a->page_size + 1) : 0;
    case TENSOR_K_SCALES: return has_scales(a->k_format) && !a->page_size ? 4 * k_items * keys * a->kv_heads : 0;
    case TENSOR_V_SCALES: return has_scales(a->v_format) && !a->page_size ? 4 * k_items * keys * a->kv_heads : 0;
    case TENSOR_OUT:
        return (a->out_f32 ? 4 : element) * span(&a->out_strides, q_items, queries, a->heads, a->value_dim);
    case TENSOR_LSE: return a->lse ? 4 * q_items * a->heads * queries : 0;
    case TENSOR_MASK: return a->mask == DMATTN_MASK_DENSE ? score_span(&a->mask_shape, a->keys) : 0;
    case TENSOR_BEGIN:
    case TENSOR_END: return a->mask == DMATTN_MASK_INTERVALS ? 4 * score_span(&a->mask_shape, a->keys) : 0;
    case TENSOR_SELECTED:
        return a->mask == DMATTN_MASK_SELECTED ? 4 * score_span(&a->mask_shape, a->selected_count) : 0;
    case TENSOR_BIAS: return a->bias ? bias * score_span(&a->bias_shape, a->keys) : 0;
    case TENSOR_SINK: return a->sink ? (wide)4 * a->heads : 0;
    case TENSOR_SLOPES: return a->slopes ? (wide)4 * a->heads : 0;
    default: return 0;
    }
}

static void check_tensors(const dmattn_plan *plan, const dmattn_attention_desc *resolved)
{
    for (int t = TENSOR_Q; t <= TENSOR_SLOPES; t++)
        FUZZ_CHECK(plan->tensor[t].bytes == attention_bytes(resolved, (tensor_id)t));
    const tensor_id stored[] = {TENSOR_K_SCALES, TENSOR_V_SCALES, TENSOR_PAGES, TENSOR_TABLE, TENSOR_COUNTS};
    for (int i = 0; i < 5; i++)
        FUZZ_CHECK(plan->tensor[stored[i]].bytes == attention_bytes(resolved, stored[i]));
}

static void check_attention(const dmattn_plan *plan, const dmattn_plan_info *info)
{
    dmattn_attention_desc a;
    (void)info;
    FUZZ_CHECK(!dmattn_attention_desc_resolve(&forward, &a, NULL));
    check_tensors(plan, &a);
}

static void check_backward(const dmattn_plan *plan, const dmattn_plan_info *info)
{
    (void)info;
    dmattn_attention_backward_desc b;
    FUZZ_CHECK(!dmattn_attention_backward_desc_resolve(&backward, &b, NULL));
    const dmattn_attention_desc *a = &b.attention;
    const wide element = a->type == DMATTN_TYPE_F32 ? 4 : 2;
    dmattn_attention_desc with_lse = *a;
    with_lse.lse = true;
    check_tensors(plan, &with_lse);
    const wide gradients[] = {span(&b.dq_strides, a->batch, a->queries, a->heads, a->head_dim),
                              span(&b.dk_strides, a->batch, a->keys, a->kv_heads, a->head_dim),
                              span(&b.dv_strides, a->batch, a->keys, a->kv_heads, a->value_dim)};
    FUZZ_CHECK(plan->tensor[TENSOR_DOUT].bytes
               == element * span(&b.dout_strides, a->batch, a->queries, a->heads, a->value_dim));
    FUZZ_CHECK(plan->tensor[TENSOR_DLSE].bytes == (b.dlse ? (wide)4 * a->batch * a->heads * a->queries : 0));
    FUZZ_CHECK(plan->tensor[TENSOR_DSINK].bytes == (b.gradients & DMATTN_GRADIENT_SINK ? (wide)4 * a->heads : 0));
    for (int i = 0; i < 3; i++)
        FUZZ_CHECK(plan->tensor[TENSOR_DQ + i].bytes == 0
                   || plan->tensor[TENSOR_DQ + i].bytes == element * gradients[i]);
}

/* ---- merging -------------------------------------------------------------------------------------------------- */

static dmattn_merge_desc merge;

static dmattn_status plan_merge(dmattn_context *context, dmattn_plan **plan)
{
    merge = (dmattn_merge_desc){.type = (dmattn_type)value_of(3),
                                .batch = any_size(),
                                .queries = any_size(),
                                .heads = any_size(),
                                .value_dim = dimension(),
                                .lse = flip()};
    merge.a_strides = any_strides(merge.queries, merge.heads, merge.value_dim);
    merge.b_strides = any_strides(merge.queries, merge.heads, merge.value_dim);
    if (once_in(3))
        merge.out_strides = any_strides(merge.queries, merge.heads, merge.value_dim);
    return dmattn_merge_plan(context, &merge, plan);
}

static void check_merge(const dmattn_plan *plan, const dmattn_plan_info *info)
{
    dmattn_merge_desc m;
    FUZZ_CHECK(!dmattn_merge_desc_resolve(&merge, &m, NULL) && !info->workspace_size);
    const wide element = m.type == DMATTN_TYPE_F32 ? 4 : 2, rows = (wide)4 * m.batch * m.heads * m.queries;
    const plan_tensor *t = plan->tensor;
    FUZZ_CHECK(t[TENSOR_OUT_A].bytes == element * span(&m.a_strides, m.batch, m.queries, m.heads, m.value_dim));
    FUZZ_CHECK(t[TENSOR_OUT_B].bytes == element * span(&m.b_strides, m.batch, m.queries, m.heads, m.value_dim));
    FUZZ_CHECK(t[TENSOR_OUT].bytes == element * span(&m.out_strides, m.batch, m.queries, m.heads, m.value_dim));
    FUZZ_CHECK(t[TENSOR_LSE_A].bytes == rows && t[TENSOR_LSE_B].bytes == rows);
    FUZZ_CHECK(t[TENSOR_LSE].bytes == (m.lse ? rows : 0));
}

const fuzzed_operator fuzzed_merge = {plan_merge, check_merge, NULL, &dmattn_merge_operator};
const fuzzed_operator fuzzed_attention = {plan_attention, check_attention, NULL, &dmattn_attention_operator};
const fuzzed_operator fuzzed_backward = {plan_attention_backward, check_backward, NULL,
                                         &dmattn_attention_backward_operator};
