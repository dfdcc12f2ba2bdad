/* SPDX-License-Identifier: MIT
 * Dynamic mask attention: a mask, then attention with this mask. */
#include "dma.h"

#include "../attention/pages.h"
#include "mask_stages.h"
#include "operators.h"
#include "unpacked.h"

#include <stdio.h>

static bool has_importance_in_pages(const dmattn_dma_desc *d)
{
    return d->importance_given && d->attention.page_size;
}

dmattn_status dmattn_dma_desc_resolve(const dmattn_dma_desc *desc, dma_descs *descs, const messenger *m)
{
    if (!desc)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the descriptor of dynamic mask attention is NULL");
    const dmattn_attention_desc *a = &desc->attention;
    const char *extra = a->mask     ? "mask"
                        : a->bias   ? "bias"
                        : a->slopes ? "slopes"
                        : a->lists  ? "lists"
                        : a->causal ? "causal"
                                    : NULL;
    if (extra || a->list_capacity)
        return dmattn_fail(
            m, DMATTN_ERROR_INVALID,
            "attention.%s is set, but this operator makes the mask and the bias itself, from `selection`",
            extra ? extra : "list_capacity");
    if (a->counts)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "attention.counts is set, but all items of dynamic mask attention have the same lengths");
    dmattn_attention_desc d;
    TRY(dmattn_attention_desc_resolve(a, &d, m)); /* for its sizes */
    descs->attention = *a;
    if (has_importance_in_pages(desc)) {
        const uint64_t least = dmattn_page_layout(&d).end;
        descs->attention.page_bytes = a->page_bytes ? a->page_bytes : least;
        if (descs->attention.page_bytes < least)
            return dmattn_fail(m, DMATTN_ERROR_INVALID,
                               "page_bytes is %llu, but with an importance in pages it must be at least %llu",
                               (unsigned long long)a->page_bytes, (unsigned long long)least);
    }
    descs->attention.mask = DMATTN_MASK_INTERVALS;
    descs->attention.mask_shape = (dmattn_score_shape){.batch = d.batch, .heads = d.kv_heads};
    descs->attention.bias = true;
    descs->attention.bias_type = DMATTN_TYPE_F32;
    descs->attention.bias_shape = descs->attention.mask_shape;
    descs->attention.lists = true;
    TRY(dmattn_attention_desc_resolve(&descs->attention, &descs->attention, m));

    descs->mask = (dmattn_mask_desc){
        .stages = DMATTN_STAGE_INTERVALS | DMATTN_STAGE_LISTS
                  | (desc->importance_given ? 0u : (uint32_t)DMATTN_STAGE_IMPORTANCE),
        .batch = d.batch,
        .queries = d.queries,
        .keys = d.keys,
        .kv_heads = d.kv_heads,
        .type = d.type,
        .value_dim = d.value_dim,
        .v_strides = dmattn_unpack_attention(&d).v_strides,
        .importance = desc->importance,
        .selection = desc->selection,
        .list_queries = 1, /* replaced when a tile is chosen */
        .list_capacity = desc->list_capacity,
    };
    if (desc->importance_given)
        descs->mask.importance = (dmattn_importance){0};
    dmattn_mask_desc checked;
    return dmattn_mask_desc_resolve(&descs->mask, &checked, m);
}

uint64_t dmattn_dma_tensor_bytes(const dma_descs *descs, tensor_id tensor)
{
    if (tensor == TENSOR_BIAS) /* the bias is the importance */
        return 0;
    if (tensor == TENSOR_V) /* the mask may read another one, which was unpacked */
        return dmattn_attention_tensor_bytes(&descs->attention, tensor);
    if (tensor == TENSOR_IMPORTANCE)
        return dmattn_attention_tensor_bytes(&descs->attention, TENSOR_BIAS);
    uint64_t bytes = dmattn_attention_tensor_bytes(&descs->attention, tensor);
    return bytes ? bytes : dmattn_mask_tensor_bytes(&descs->mask, tensor);
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

typedef struct dma_plan {
    dmattn_plan base;
    dmattn_dma_desc given; /* for runs of other lengths */
    unpack_stage unpack;
    mask_stages mask;
    attention_stage attention;
} dma_plan;

/* The maximum number of keys that a tile of queries sees. */
static double most_keys(const dmattn_mask_desc *m)
{
    const keys_bound bound = dmattn_selection_bound(&m->selection, m->keys);
    const double keys = bound.exact ? (double)bound.keys + m->list_queries : m->keys;
    return keys < m->keys ? keys : m->keys;
}

static void add_tensors(dma_plan *plan, const dma_descs *descs)
{
    const attention_stage *s = &plan->attention;
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        plan_tensor *tensor = &plan->base.tensor[t];
        const bool made =
            t == TENSOR_BEGIN || t == TENSOR_END || t == TENSOR_LISTS
            || (t == TENSOR_IMPORTANCE
                && (descs->mask.stages & DMATTN_STAGE_IMPORTANCE || has_importance_in_pages(&plan->given)));
        if (t != TENSOR_LISTS)
            tensor->bytes = dmattn_dma_tensor_bytes(descs, t);
        if (dmattn_attention_tensor_bytes(&s->desc, t) && tensor->alignment < dmattn_attention_alignment(s, t))
            tensor->alignment = dmattn_attention_alignment(s, t);
        if (made)
            dmattn_plan_reserve_tensor(&plan->base, t);
    }
    plan->base.tensor[TENSOR_IMPORTANCE].alignment = 4;
    dmattn_unpack_align(&plan->base, &descs->attention);
}

/* Most keys are hidden. */
static void set_slice(attention_stage *s, const dmattn_mask_desc *m)
{
    if (!s->tile.slice)
        s->slice = dmattn_grid_slice(s->attention_grid, dmattn_attention_flops(&s->desc) / s->desc.keys * most_keys(m));
}

static dmattn_status fill(dmattn_plan *base, const void *desc, const void *tile)
{
    dma_plan *plan = (dma_plan *)base;
    const dmattn_context *ctx = base->ctx;
    attention_stage *s = &plan->attention;
    dma_descs descs;
    TRY(dmattn_dma_desc_resolve(desc, &descs, &ctx->messenger));
    const dmattn_attention_desc unpacked = dmattn_unpack_attention(&descs.attention);
    TRY(dmattn_attention_stage_choose(s, ctx, &unpacked, tile));
    descs.mask.list_queries = dmattn_tile_list_queries(&s->tile);
    TRY(dmattn_mask_desc_resolve(&descs.mask, &descs.mask, &ctx->messenger));
    plan->given = *(const dmattn_dma_desc *)desc;
    const uint32_t given_strides = dmattn_attention_given_strides(&plan->given.attention);
    s->given_strides = given_strides & ~dmattn_unpack_bits(&descs.attention);
    TRY(dmattn_unpack_plan(&plan->unpack, base, &descs.attention, given_strides,
                           has_importance_in_pages(&plan->given)));
    const mask_lengths lengths = {.any = s->desc.lengths,
                                  .given_v_strides = s->desc.lengths && s->given_strides & DERIVED_V};
    TRY(dmattn_mask_stages_plan(&plan->mask, base, &descs.mask, lengths));
    s->at.partials = dmattn_plan_reserve(base, dmattn_attention_partial_bytes(s));
    set_slice(s, &descs.mask);
    add_tensors(plan, &descs);
    snprintf(base->name, sizeof base->name, "%s", s->name);
    dmattn_attention_desc d = descs.attention;
    d.causal = descs.mask.selection.causal;
    base->flops = dmattn_attention_flops(&d);
    base->bytes = dmattn_attention_bytes(&d);
    return dmattn_attention_stage_build(s, &base->pipelines);
}

static void record(const dmattn_plan *base, recorder *r, uint32_t reuse)
{
    const dma_plan *plan = (const dma_plan *)base;
    dmattn_unpack_stage_record(&plan->unpack, r);
    dmattn_mask_stages_record(&plan->mask, r, reuse);
    r->tensor[TENSOR_BIAS] = r->tensor[TENSOR_IMPORTANCE];
    dmattn_attention_stage_record(&plan->attention, r, reuse);
}

static void describe(const dmattn_plan *base, dmattn_plan_info *info)
{
    dmattn_attention_stage_describe(&((const dma_plan *)base)->attention, info);
}

static const operator_buffer buffers[] = {
    BUFFER(dmattn_dma_args, Q, q),
    BUFFER(dmattn_dma_args, K, k),
    BUFFER(dmattn_dma_args, V, v),
    BUFFER(dmattn_dma_args, OUT, out),
    BUFFER(dmattn_dma_args, LSE, lse),
    BUFFER(dmattn_dma_args, BEGIN, begin),
    BUFFER(dmattn_dma_args, END, end),
    BUFFER(dmattn_dma_args, SINK, sink),
    BUFFER(dmattn_dma_args, DT_WEIGHT, dt_weight),
    BUFFER(dmattn_dma_args, A, a),
    BUFFER(dmattn_dma_args, DT_BIAS, dt_bias),
    BUFFER(dmattn_dma_args, KEY_VALID, key_valid),
    BUFFER(dmattn_dma_args, QUERY_OFFSETS, query_offsets),
    BUFFER(dmattn_dma_args, KEY_OFFSETS, key_offsets),
    BUFFER(dmattn_dma_args, IMPORTANCE, importance),
    BUFFER(dmattn_dma_args, K_SCALES, k_scales),
    BUFFER(dmattn_dma_args, V_SCALES, v_scales),
    BUFFER(dmattn_dma_args, PAGES, pages),
    BUFFER(dmattn_dma_args, TABLE, table),
    END_OF_BUFFERS,
};
const operator_type dmattn_dma_operator = {
    .name = "dynamic mask attention",
    .size = sizeof(dma_plan),
    .buffers = buffers,
    .workspace = offsetof(dmattn_dma_args, workspace),
    .fill = fill,
    .record = record,
    .describe = describe,
};

dmattn_status dmattn_dma_plan(dmattn_context *ctx, const dmattn_dma_desc *desc, dmattn_plan **out)
{
    return dmattn_dma_plan_tile(ctx, desc, NULL, out);
}

dmattn_status dmattn_dma_plan_tile(dmattn_context *ctx, const dmattn_dma_desc *desc, const attention_tile *tile,
                                   dmattn_plan **out)
{
    return dmattn_plan_create(ctx, &dmattn_dma_operator, desc, tile, out);
}

dmattn_status dmattn_dma_check(const dmattn_context *ctx, const dmattn_dma_desc *desc, dmattn_support *support)
{
    return dmattn_plan_check(ctx, &dmattn_dma_operator, desc, support);
}

/* Makes a copy of a plan one for a shorter run. Its selection is that of the plan, even if the run has so few keys that
 * a simpler one would do. */
static dmattn_status shorten(dma_plan *copy, uint32_t queries, uint32_t keys)
{
    dmattn_plan *base = &copy->base;
    const messenger *m = &base->ctx->messenger;
    dmattn_dma_desc given = copy->given;
    dmattn_attention_desc a;
    dma_descs descs;
    TRY(dmattn_attention_desc_shorten(&given.attention, queries, keys, &a, m));
    given.attention.queries = a.queries;
    given.attention.keys = a.keys;
    TRY(dmattn_dma_desc_resolve(&given, &descs, m));
    dmattn_mask_desc mask = copy->mask.selection.desc;
    mask.queries = a.queries;
    mask.keys = a.keys;
    mask.v_strides = descs.mask.v_strides;
    mask.list_capacity = dmattn_list_capacity(dmattn_selection_bound(&mask.selection, mask.keys), mask.keys,
                                              mask.list_queries, given.list_capacity);
    dmattn_mask_stages_shorten(&copy->mask, &base->ctx->caps, &mask);
    const dmattn_attention_desc unpacked = dmattn_unpack_attention(&descs.attention);
    dmattn_unpack_stage_shorten(&copy->unpack, &descs.attention);
    dmattn_attention_stage_shorten(&copy->attention, &base->ctx->caps, &unpacked);
    set_slice(&copy->attention, &mask);
    for (int i = 0; i < TENSOR_COUNT; i++)
        if (i != TENSOR_TABLE) /* its rows have the length of the longest run */
            base->tensor[i].bytes = i == TENSOR_LISTS ? dmattn_lists_bytes(&copy->mask.lists.layout)
                                                      : dmattn_dma_tensor_bytes(&descs, (tensor_id)i);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_dma_record(const dmattn_plan *plan, VkCommandBuffer commands, const dmattn_dma_args *args)
{
    const uint32_t reuse = args && args->reuse_mask ? ALL_STAGES : 0;
    if (!plan || !args || !(args->queries || args->keys))
        return dmattn_plan_record(plan, &dmattn_dma_operator, commands, args, reuse);
    TRY(dmattn_plan_check_type(plan, &dmattn_dma_operator));
    dma_plan run = *(const dma_plan *)plan;
    TRY(shorten(&run, args->queries, args->keys));
    return dmattn_plan_record(&run.base, &dmattn_dma_operator, commands, args, reuse);
}
