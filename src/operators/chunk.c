/* SPDX-License-Identifier: MIT */
#include "chunk.h"

#include "../attention/desc.h"
#include "../shape.h"

/* Where arrays of keys are (shaders/chunk/chunk_keys.comp), from the first one on. */
typedef struct results_layout {
    uint64_t v, importance, begin, end, valid, bytes;
} results_layout;

static results_layout layout_of(const dmattn_attention_desc *a, uint32_t keys)
{
    const uint64_t rows = dmattn_product(a->kv_heads, keys), size = dmattn_type_size(a->type);
    results_layout l;
    l.v = dmattn_product(rows, a->head_dim, size);
    l.importance = dmattn_add(l.v, dmattn_product(rows, a->value_dim, size));
    l.begin = dmattn_add(l.importance, dmattn_product(4, rows));
    l.end = dmattn_add(l.begin, dmattn_product(4, rows));
    l.valid = dmattn_add(l.end, dmattn_product(4, rows));
    l.bytes = dmattn_add(l.valid, (rows + 3) / 4 * 4);
    return l;
}

dmattn_attention_desc dmattn_chunk_attention(const dmattn_decode_desc *d)
{
    dmattn_attention_desc a = d->attention;
    a.batch = 1;
    a.queries = d->chunk_tokens;
    a.keys = (uint32_t)dmattn_cache_slots(d) + d->chunk_tokens;
    a.k_strides = a.v_strides = (dmattn_strides){0};
    a.k_format = a.v_format = DMATTN_FORMAT_TYPE;
    a.mask = DMATTN_MASK_INTERVALS;
    a.mask_shape = (dmattn_score_shape){.batch = 1, .heads = a.kv_heads};
    if (!d->no_importance) {
        a.bias = true;
        a.bias_type = DMATTN_TYPE_F32;
        a.bias_shape = a.mask_shape;
    }
    a.lists = true;
    a.lengths = true;
    return a;
}

/* The kv heads count as batch items, because each one has its own valid keys. */
static dmattn_mask_desc mask_of(const dmattn_attention_desc *a)
{
    return (dmattn_mask_desc){
        .stages = DMATTN_STAGE_INTERVALS | DMATTN_STAGE_LISTS,
        .batch = a->kv_heads,
        .queries = a->queries,
        .keys = a->keys,
        .kv_heads = 1,
    };
}

static dmattn_status plan_importance(chunk_stages *s, dmattn_plan *plan, const dmattn_decode_desc *d)
{
    const dmattn_attention_desc *a = &d->attention;
    s->of_importance = (dmattn_mask_desc){
        .stages = DMATTN_STAGE_IMPORTANCE,
        .batch = 1,
        .keys = d->chunk_tokens,
        .kv_heads = a->kv_heads,
        .type = a->type,
        .value_dim = a->value_dim,
        .v_strides = a->v_strides,
        .importance = d->importance,
    };
    if (d->importance_given || d->no_importance)
        return DMATTN_SUCCESS;
    TRY(dmattn_mask_desc_resolve(&s->of_importance, &s->of_importance, &plan->ctx->messenger));
    s->importance_at = dmattn_plan_reserve(plan, dmattn_product(4, a->kv_heads, d->chunk_tokens));
    return dmattn_importance_stage_plan(&s->importance, &plan->pipelines, &s->of_importance, true);
}

dmattn_status dmattn_chunk_plan(chunk_stages *s, dmattn_plan *plan, const decode_stage *decode,
                                const attention_tile *tile)
{
    const dmattn_decode_desc *d = &decode->desc;
    const messenger *m = &plan->ctx->messenger;
    if (!d->chunk_tokens)
        return DMATTN_SUCCESS;
    dmattn_attention_desc a;
    s->given = dmattn_chunk_attention(d);
    TRY(dmattn_attention_desc_resolve(&s->given, &a, m));
    s->v_is_aligned =
        dmattn_strides_aligned(&d->attention.v_strides, 1, d->chunk_tokens, a.kv_heads, dmattn_type_size(a.type));
    TRY(plan_importance(s, plan, d));
    TRY(dmattn_attention_stage_choose(&s->attention, plan->ctx, &a, tile));
    s->attention.given_strides = DERIVED_Q | DERIVED_OUT;
    s->attention.at.partials = dmattn_plan_reserve(plan, dmattn_attention_partial_bytes(&s->attention));
    s->results_at = dmattn_plan_reserve(plan, layout_of(&a, a.keys).bytes);
    dmattn_mask_desc mask = mask_of(&a);
    mask.list_queries = dmattn_tile_list_queries(&s->attention.tile);
    mask.selection = d->selection;
    TRY(dmattn_mask_desc_resolve(&mask, &mask, m));
    /* The resolved one is that of a sequence of a.keys tokens. Here it may be longer: positions have gaps. */
    mask.selection = d->selection;
    mask.selection.key_valid = true;
    TRY(dmattn_mask_stages_plan(&s->mask, plan, &mask, (mask_lengths){.any = true, .cached = true}));
    s->lists_bytes = plan->tensor[TENSOR_LISTS].bytes;
    s->lists_at = dmattn_plan_reserve(plan, s->lists_bytes);
    return dmattn_attention_stage_build(&s->attention, &plan->pipelines);
}

/* Makes a copy of the stages one for a shorter run. */
static dmattn_status shorten(chunk_stages *copy, const capabilities *caps, uint32_t queries, uint32_t keys,
                             const messenger *m)
{
    dmattn_attention_desc a;
    TRY(dmattn_attention_desc_shorten(&copy->given, queries, keys, &a, m));
    dmattn_mask_desc mask = copy->mask.selection.desc;
    mask.queries = queries;
    mask.keys = keys;
    mask.list_capacity =
        dmattn_list_capacity(dmattn_selection_bound(&mask.selection, keys), keys, mask.list_queries, 0);
    dmattn_mask_stages_shorten(&copy->mask, caps, &mask);
    dmattn_attention_stage_shorten(&copy->attention, caps, &a);
    copy->lists_bytes = dmattn_lists_bytes(&copy->mask.lists.layout);
    copy->of_importance.keys = queries;
    if (copy->importance.pipeline)
        dmattn_importance_stage_shorten(&copy->importance, caps, &copy->of_importance);
    return DMATTN_SUCCESS;
}

/* The addresses of the app's tensors. */
static dmattn_status resolve(const chunk_stages *s, const dmattn_plan *plan, recorder *r,
                             const dmattn_decode_chunk_args *args, const dmattn_attention_desc *strides)
{
    const dmattn_attention_desc *a = &s->attention.desc;
    const uint64_t size = dmattn_type_size(a->type);
    const struct {
        tensor_id tensor;
        const dmattn_buffer *buffer;
        uint64_t bytes, alignment;
    } tensors[] = {
        {TENSOR_Q, &args->q, dmattn_attention_tensor_bytes(a, TENSOR_Q),
         dmattn_attention_alignment(&s->attention, TENSOR_Q)},
        {TENSOR_K, &args->k, size * dmattn_strides_span(&strides->k_strides, 1, a->queries, a->kv_heads, a->head_dim),
         dmattn_strides_aligned(&strides->k_strides, 1, a->queries, a->kv_heads, (uint32_t)size) ? 16 : size},
        {TENSOR_V, &args->v, size * dmattn_strides_span(&strides->v_strides, 1, a->queries, a->kv_heads, a->value_dim),
         s->v_is_aligned ? 16 : size},
        {TENSOR_OUT, &args->out, dmattn_attention_tensor_bytes(a, TENSOR_OUT),
         dmattn_attention_alignment(&s->attention, TENSOR_OUT)},
        {TENSOR_LSE, &args->lse, dmattn_attention_tensor_bytes(a, TENSOR_LSE), 4},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (tensors[i].bytes)
            TRY(dmattn_plan_resolve_buffer(plan, dmattn_tensor_name(tensors[i].tensor), tensors[i].buffer,
                                           tensors[i].bytes, tensors[i].alignment, &r->tensor[tensors[i].tensor]));
    TRY(dmattn_plan_resolve_tensor(plan, r, TENSOR_DT_WEIGHT, &args->dt_weight));
    TRY(dmattn_plan_resolve_tensor(plan, r, TENSOR_A, &args->a));
    TRY(dmattn_plan_resolve_tensor(plan, r, TENSOR_DT_BIAS, &args->dt_bias));
    TRY(dmattn_plan_resolve_tensor(plan, r, TENSOR_SINK, &args->sink));
    TRY(dmattn_plan_resolve_tensor(plan, r, TENSOR_STATE, &args->state));
    if (plan->tensor[TENSOR_IMPORTANCE].bytes)
        return dmattn_plan_resolve_buffer(plan, "importance", &args->importance,
                                          dmattn_product(4, a->kv_heads, a->queries), 4, &r->tensor[TENSOR_IMPORTANCE]);
    r->tensor[TENSOR_IMPORTANCE] = r->workspace + s->importance_at;
    return DMATTN_SUCCESS;
}

static dmattn_status check_lengths(const messenger *m, const dmattn_decode_desc *d,
                                   const dmattn_decode_chunk_args *args)
{
    if (!d->chunk_tokens)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the plan has no chunks, because chunk_tokens is 0");
    if (!args->keys || args->keys > d->chunk_tokens)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "keys is %u, but must be from 1 to chunk_tokens (%u)", args->keys,
                           d->chunk_tokens);
    const uint64_t tokens = (uint64_t)args->first + args->keys;
    if (tokens >= UINT64_C(1) << 30)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "first (%u) plus keys (%u) is %llu, but must be below 2^30",
                           args->first, args->keys, (unsigned long long)tokens);
    return DMATTN_SUCCESS;
}

static void record_attention(const chunk_stages *run, recorder r, VkDeviceAddress results)
{
    const dmattn_attention_desc *a = &run->attention.desc;
    const results_layout l = layout_of(a, a->keys);
    r.tensor[TENSOR_K] = results;
    r.tensor[TENSOR_V] = results + l.v;
    r.tensor[TENSOR_IMPORTANCE] = r.tensor[TENSOR_BIAS] = results + l.importance;
    r.tensor[TENSOR_BEGIN] = results + l.begin;
    r.tensor[TENSOR_END] = results + l.end;
    r.tensor[TENSOR_KEY_VALID] = results + l.valid;
    r.tensor[TENSOR_LISTS] = r.workspace + run->lists_at;
    r.bytes[TENSOR_LISTS] = run->lists_bytes;
    dmattn_mask_stages_record(&run->mask, &r, 0);
    dmattn_attention_stage_record(&run->attention, &r, false);
}

dmattn_status dmattn_chunk_record(const chunk_stages *stages, const dmattn_plan *plan, const decode_stage *decode,
                                  recorder *r, const dmattn_decode_chunk_args *args)
{
    const dmattn_decode_desc *d = &decode->desc;
    const dmattn_attention_desc *a = &d->attention;
    const messenger *m = &plan->ctx->messenger;
    TRY(check_lengths(m, d, args));
    const uint32_t cached = args->first < decode->layout.slots ? args->first : decode->layout.slots;
    chunk_stages run = *stages;
    TRY(shorten(&run, &plan->ctx->caps, args->keys, cached + args->keys, m));
    TRY(dmattn_plan_resolve_buffer(plan, "workspace", &args->workspace, plan->workspace_size, 16, &r->workspace));
    TRY(resolve(&run, plan, r, args, a));
    const uint32_t size = dmattn_type_size(a->type);
    const bool k_is_aligned = dmattn_strides_aligned(&a->k_strides, 1, args->keys, a->kv_heads, size);
    fill_params fill = {
        .k = r->tensor[TENSOR_K],
        .v = r->tensor[TENSOR_V],
        .importance = r->tensor[TENSOR_IMPORTANCE],
        .k_sequence = a->k_strides.sequence * size,
        .k_head = a->k_strides.head * size,
        .v_sequence = a->v_strides.sequence * size,
        .v_head = a->v_strides.head * size,
        .sequence = args->sequence,
        .first = args->first,
        .keys = args->keys,
        .importance_stride = args->keys,
        .aligned = k_is_aligned && run.v_is_aligned,
    };
    const chunk_params keys = {
        .k = fill.k,
        .v = fill.v,
        .importance = fill.importance,
        .state = r->tensor[TENSOR_STATE],
        .results = r->workspace + run.results_at,
        .k_sequence = fill.k_sequence,
        .k_head = fill.k_head,
        .v_sequence = fill.v_sequence,
        .v_head = fill.v_head,
        .sequence = fill.sequence,
        .first = fill.first,
        .keys = fill.keys,
        .importance_stride = fill.importance_stride,
        .aligned = fill.aligned,
        .cached = cached,
    };
    const uint32_t out_size = dmattn_type_size(dmattn_attention_type(a, TENSOR_OUT));
    const chunk_broken_params broken = {
        .out_ = r->tensor[TENSOR_OUT],
        .lse = r->tensor[TENSOR_LSE],
        .state = r->tensor[TENSOR_STATE],
        .out_sequence = a->out_strides.sequence * out_size,
        .out_head = a->out_strides.head * out_size,
        .sequence = args->sequence,
        .keys = args->keys,
    };
    if (run.importance.pipeline)
        dmattn_importance_stage_record(&run.importance, r);
    dmattn_decode_stage_record_chunk_keys(decode, r, &keys);
    record_attention(&run, *r, keys.results);
    dmattn_decode_stage_record_fill(decode, r, &fill);
    dmattn_decode_stage_record_chunk_broken(decode, r, &broken);
    return DMATTN_SUCCESS;
}
