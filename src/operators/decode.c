/* SPDX-License-Identifier: MIT
 * Decoding: dynamic mask attention of a few new tokens to a cache. */
#include "chunk.h"
#include "operators.h"
#include "selected_lists.h"

#include <stdio.h>

typedef struct decode_plan {
    dmattn_plan base;
    selected_lists selected;
    decode_stage decode;
    chunk_stages chunk;
} decode_plan;

static const decode_stage *stage_of(const dmattn_plan *base)
{
    return &((const decode_plan *)base)->decode;
}

static dmattn_status fill(dmattn_plan *base, const void *desc, const void *given)
{
    decode_plan *plan = (decode_plan *)base;
    decode_stage *s = &plan->decode;
    const decode_tiles tiles = given ? *(const decode_tiles *)given : (decode_tiles){0};
    dmattn_decode_desc resolved;
    TRY(dmattn_decode_desc_resolve(desc, &resolved, &base->ctx->messenger));
    TRY(dmattn_decode_stage_plan(s, &base->pipelines, &resolved, tiles.step));
    s->partials_at = dmattn_plan_reserve(base, dmattn_decode_partial_bytes(s));
    if (s->desc.attention.mask == DMATTN_MASK_SELECTED) {
        dmattn_attention_desc of_all = s->desc.attention;
        of_all.keys = s->desc.max_keys;
        TRY(dmattn_selected_lists_plan(&plan->selected, base, &of_all, of_all.queries));
    }
    TRY(dmattn_chunk_plan(&plan->chunk, base, s, tiles.chunk));
    for (int t = 0; t < TENSOR_COUNT; t++)
        base->tensor[t] = (plan_tensor){.bytes = dmattn_decode_tensor_bytes(&s->desc, (tensor_id)t),
                                        .alignment = dmattn_decode_alignment(s, (tensor_id)t)};
    snprintf(base->name, sizeof base->name, "%s", s->name);
    if (s->desc.chunk_tokens)
        snprintf(base->name, sizeof base->name, "%.64s, chunks %.54s", s->name, plan->chunk.attention.name);
    base->flops = dmattn_decode_flops(&s->desc);
    base->bytes = dmattn_decode_bytes(&s->desc);
    return DMATTN_SUCCESS;
}

static void record(const dmattn_plan *base, recorder *r, uint32_t reuse)
{
    (void)reuse;
    dmattn_selected_lists_record(&((const decode_plan *)base)->selected, r, false);
    dmattn_decode_stage_record(stage_of(base), r);
}

static void describe(const dmattn_plan *base, dmattn_plan_info *info)
{
    info->level = stage_of(base)->tile.level;
    info->why_not_higher = stage_of(base)->why_not;
}

static const operator_buffer buffers[] = {
    BUFFER(dmattn_decode_args, Q, q),
    BUFFER(dmattn_decode_args, K, k),
    BUFFER(dmattn_decode_args, V, v),
    BUFFER(dmattn_decode_args, OUT, out),
    BUFFER(dmattn_decode_args, LSE, lse),
    BUFFER(dmattn_decode_args, MASK, mask),
    BUFFER(dmattn_decode_args, SELECTED, selected),
    BUFFER(dmattn_decode_args, BIAS, bias),
    BUFFER(dmattn_decode_args, SINK, sink),
    BUFFER(dmattn_decode_args, SLOPES, slopes),
    BUFFER(dmattn_decode_args, DT_WEIGHT, dt_weight),
    BUFFER(dmattn_decode_args, A, a),
    BUFFER(dmattn_decode_args, DT_BIAS, dt_bias),
    BUFFER(dmattn_decode_args, IMPORTANCE, importance),
    OPTIONAL_BUFFER(dmattn_decode_args, COUNTS, counts),
    OPTIONAL_BUFFER(dmattn_decode_args, KEEP, keep),
    BUFFER(dmattn_decode_args, STATE, state),
    BUFFER(dmattn_decode_args, PAGES, pages),
    BUFFER(dmattn_decode_args, TABLE, table),
    END_OF_BUFFERS,
};
const operator_type dmattn_decode_operator = {
    .name = "decoding",
    .size = sizeof(decode_plan),
    .buffers = buffers,
    .workspace = offsetof(dmattn_decode_args, workspace),
    .fill = fill,
    .record = record,
    .describe = describe,
};

dmattn_status dmattn_decode_plan(dmattn_context *ctx, const dmattn_decode_desc *desc, dmattn_plan **out)
{
    return dmattn_decode_plan_tiles(ctx, desc, NULL, out);
}

dmattn_status dmattn_decode_plan_tiles(dmattn_context *ctx, const dmattn_decode_desc *desc, const decode_tiles *tiles,
                                       dmattn_plan **out)
{
    return dmattn_plan_create(ctx, &dmattn_decode_operator, desc, tiles, out);
}

dmattn_status dmattn_decode_check(const dmattn_context *ctx, const dmattn_decode_desc *desc, dmattn_support *support)
{
    return dmattn_plan_check(ctx, &dmattn_decode_operator, desc, support);
}

dmattn_status dmattn_decode_get_layout(const dmattn_plan *plan, dmattn_cache_layout *layout)
{
    if (!layout)
        return plan ? dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "`layout` is NULL")
                    : DMATTN_ERROR_INVALID;
    *layout = (dmattn_cache_layout){0};
    if (!plan)
        return DMATTN_ERROR_INVALID;
    TRY(dmattn_plan_check_type(plan, &dmattn_decode_operator));
    *layout = stage_of(plan)->layout;
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_decode_record(const dmattn_plan *plan, VkCommandBuffer commands, const dmattn_decode_args *args)
{
    return dmattn_plan_record(plan, &dmattn_decode_operator, commands, args, 0);
}

static dmattn_status check_sequence(const dmattn_plan *plan, const char *name, uint32_t sequence)
{
    const uint32_t sequences = stage_of(plan)->desc.attention.batch;
    if (sequence >= sequences)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "%s is %u, but there are %u sequences", name,
                           sequence, sequences);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_decode_fill_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                        const dmattn_decode_fill_args *args)
{
    if (!plan)
        return DMATTN_ERROR_INVALID;
    const messenger *m = &plan->ctx->messenger;
    if (!args)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "`args` is NULL");
    recorder r;
    TRY(dmattn_plan_begin_record(plan, &dmattn_decode_operator, commands, &r));
    TRY(check_sequence(plan, "sequence", args->sequence));
    const dmattn_decode_desc *d = &stage_of(plan)->desc;
    const dmattn_attention_desc *a = &d->attention;
    TRY(dmattn_check_size(m, "keys", args->keys));
    const uint64_t tokens = (uint64_t)args->first + args->keys;
    if (d->cache == DMATTN_CACHE_PAGED && tokens > d->max_keys)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "first (%u) plus keys (%u) is %llu, but a sequence has at most %u tokens (max_keys)",
                           args->first, args->keys, (unsigned long long)tokens, d->max_keys);
    if (tokens >= UINT64_C(1) << 30)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "first (%u) plus keys (%u) is %llu, but must be below 2^30",
                           args->first, args->keys, (unsigned long long)tokens);
    const uint32_t stride = args->importance_stride ? args->importance_stride : args->keys;
    if (!d->no_importance && (stride < args->keys || stride >= 1u << 30))
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "importance_stride is %u, but must be 0 or from keys (%u) to 2^30 - 1", stride, args->keys);
    dmattn_strides k = args->k_strides, v = args->v_strides;
    TRY(dmattn_strides_resolve(m, "k", &k, 1, args->keys, a->kv_heads, a->head_dim));
    TRY(dmattn_strides_resolve(m, "v", &v, 1, args->keys, a->kv_heads, a->value_dim));
    const uint32_t size = dmattn_type_size(a->type);
    const bool aligned = dmattn_strides_aligned(&k, 1, args->keys, a->kv_heads, size)
                         && dmattn_strides_aligned(&v, 1, args->keys, a->kv_heads, size);
    const uint32_t alignment = aligned ? 16 : size;
    fill_params params = {
        .k_sequence = k.sequence * size,
        .k_head = k.head * size,
        .v_sequence = v.sequence * size,
        .v_head = v.head * size,
        .sequence = args->sequence,
        .first = args->first,
        .keys = args->keys,
        .importance_stride = stride,
        .aligned = aligned,
    };
    TRY(dmattn_plan_resolve_buffer(plan, "k", &args->k,
                                   size * dmattn_strides_span(&k, 1, args->keys, a->kv_heads, a->head_dim), alignment,
                                   &params.k));
    TRY(dmattn_plan_resolve_buffer(plan, "v", &args->v,
                                   size * dmattn_strides_span(&v, 1, args->keys, a->kv_heads, a->value_dim), alignment,
                                   &params.v));
    if (!d->no_importance)
        TRY(dmattn_plan_resolve_buffer(plan, "importance", &args->importance,
                                       4 * ((a->kv_heads - 1) * (uint64_t)stride + args->keys), 4, &params.importance));
    TRY(dmattn_plan_resolve_tensor(plan, &r, TENSOR_STATE, &args->state));
    TRY(dmattn_plan_resolve_tensor(plan, &r, TENSOR_PAGES, &args->pages));
    TRY(dmattn_plan_resolve_tensor(plan, &r, TENSOR_TABLE, &args->table));
    dmattn_decode_stage_record_fill(stage_of(plan), &r, &params);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_decode_chunk_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                         const dmattn_decode_chunk_args *args)
{
    if (!plan)
        return DMATTN_ERROR_INVALID;
    if (!args)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "`args` is NULL");
    recorder r;
    TRY(dmattn_plan_begin_record(plan, &dmattn_decode_operator, commands, &r));
    TRY(check_sequence(plan, "sequence", args->sequence));
    return dmattn_chunk_record(&((const decode_plan *)plan)->chunk, plan, stage_of(plan), &r, args);
}

dmattn_status dmattn_decode_fork_record(const dmattn_plan *plan, VkCommandBuffer commands, const dmattn_buffer *state,
                                        uint32_t from, uint32_t to)
{
    if (!plan)
        return DMATTN_ERROR_INVALID;
    recorder r;
    TRY(dmattn_plan_begin_record(plan, &dmattn_decode_operator, commands, &r));
    TRY(check_sequence(plan, "from", from));
    TRY(check_sequence(plan, "to", to));
    if (from == to)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "from and to are both sequence %u", from);
    TRY(dmattn_plan_resolve_tensor(plan, &r, TENSOR_STATE, state));
    dmattn_decode_stage_record_fork(stage_of(plan), &r, from, to);
    return DMATTN_SUCCESS;
}
