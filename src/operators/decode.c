/* SPDX-License-Identifier: MIT
 * Decoding: dynamic mask attention of a few new tokens against a cache. */
#include "../plan.h"

#include <stdio.h>

static dmattn_status fill_plan(dmattn_plan *plan, const dmattn_decode_desc *desc)
{
    decode_stage *s = &plan->decode;
    TRY(dmattn_decode_stage_plan(s, plan->ctx, plan->layout, desc));
    plan->parts_offset = dmattn_plan_reserve(plan, dmattn_decode_part_bytes(s));
    for (int t = 0; t < TENSOR_COUNT; t++)
        plan->tensor[t] = (plan_tensor){.bytes = dmattn_decode_tensor_bytes(&s->desc, (tensor_id)t),
                                        .alignment = dmattn_decode_alignment(s, (tensor_id)t),
                                        .optional = t == TENSOR_COUNTS || t == TENSOR_KEEP};
    snprintf(plan->name, sizeof plan->name, "%s", s->name);
    plan->flops = dmattn_decode_flops(&s->desc);
    plan->bytes = dmattn_decode_bytes(&s->desc);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_decode_plan(dmattn_context *ctx, const dmattn_decode_desc *desc, dmattn_plan **out)
{
    dmattn_decode_desc resolved;
    dmattn_plan *plan;
    TRY(dmattn_plan_begin(ctx, out));
    TRY(dmattn_decode_desc_resolve(desc, &resolved, &ctx->messenger));
    TRY(dmattn_plan_create(ctx, PLAN_DECODE, &plan));
    return dmattn_plan_finish(plan, fill_plan(plan, &resolved), "decoding", out);
}

dmattn_status dmattn_decode_get_layout(const dmattn_plan *plan, dmattn_cache_layout *layout)
{
    *layout = (dmattn_cache_layout){0};
    if (!plan)
        return DMATTN_ERROR_INVALID;
    TRY(dmattn_plan_check_kind(plan, PLAN_DECODE));
    *layout = plan->decode.layout;
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_decode_record(const dmattn_plan *plan, VkCommandBuffer commands, const dmattn_decode_args *args)
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
        [TENSOR_IMPORTANCE] = &args->importance,
        [TENSOR_COUNTS] = &args->counts,
        [TENSOR_KEEP] = &args->keep,
        [TENSOR_STATE] = &args->state,
        [TENSOR_PAGES] = &args->pages,
        [TENSOR_TABLE] = &args->table,
        [TENSOR_MASK] = &args->mask,
    };
    return dmattn_plan_record(plan, PLAN_DECODE, commands, buffers, &args->workspace, 0);
}

static dmattn_status check_sequence(const dmattn_plan *plan, const char *name, uint32_t sequence)
{
    const uint32_t sequences = plan->decode.desc.attention.batch;
    if (sequence >= sequences)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "%s is %u, but there are %u sequences", name,
                           sequence, sequences);
    return DMATTN_SUCCESS;
}

/* Of what a plan's step takes. */
static dmattn_status resolve_own(const dmattn_plan *plan, recorder *r, tensor_id tensor, const dmattn_buffer *buffer)
{
    const plan_tensor *t = &plan->tensor[tensor];
    return t->bytes ? dmattn_plan_resolve_buffer(plan, dmattn_tensor_name(tensor), buffer, t->bytes, t->alignment,
                                                 &r->tensor[tensor])
                    : DMATTN_SUCCESS;
}

dmattn_status dmattn_decode_fill_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                        const dmattn_decode_fill_args *args)
{
    if (!plan)
        return DMATTN_ERROR_INVALID;
    const messenger *m = &plan->ctx->messenger;
    if (!args)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "args is NULL");
    recorder r = {.ctx = plan->ctx, .layout = plan->layout, .commands = commands};
    TRY(dmattn_plan_begin_record(plan, PLAN_DECODE, commands));
    TRY(check_sequence(plan, "sequence", args->sequence));
    const dmattn_decode_desc *d = &plan->decode.desc;
    const dmattn_attention_desc *a = &d->attention;
    TRY(dmattn_check_size(m, "keys", args->keys));
    if (d->cache == DMATTN_CACHE_PAGED && args->keys > d->max_keys)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "keys is %u, but a sequence has at most %u (max_keys)", args->keys,
                           d->max_keys);
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
        .keys = args->keys,
        .aligned = aligned,
    };
    TRY(dmattn_plan_resolve_buffer(plan, "k", &args->k,
                                   size * dmattn_strides_span(&k, 1, args->keys, a->kv_heads, a->head_dim), alignment,
                                   &params.k));
    TRY(dmattn_plan_resolve_buffer(plan, "v", &args->v,
                                   size * dmattn_strides_span(&v, 1, args->keys, a->kv_heads, a->value_dim), alignment,
                                   &params.v));
    if (!d->no_importance)
        TRY(dmattn_plan_resolve_buffer(plan, "importance", &args->importance, UINT64_C(4) * a->kv_heads * args->keys, 4,
                                       &params.importance));
    TRY(resolve_own(plan, &r, TENSOR_STATE, &args->state));
    TRY(resolve_own(plan, &r, TENSOR_PAGES, &args->pages));
    TRY(resolve_own(plan, &r, TENSOR_TABLE, &args->table));
    dmattn_decode_stage_record_fill(&plan->decode, &r, &params);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_decode_fork_record(const dmattn_plan *plan, VkCommandBuffer commands, const dmattn_buffer *state,
                                        uint32_t from, uint32_t to)
{
    if (!plan)
        return DMATTN_ERROR_INVALID;
    recorder r = {.ctx = plan->ctx, .layout = plan->layout, .commands = commands};
    TRY(dmattn_plan_begin_record(plan, PLAN_DECODE, commands));
    TRY(check_sequence(plan, "from", from));
    TRY(check_sequence(plan, "to", to));
    if (from == to)
        return dmattn_fail(&plan->ctx->messenger, DMATTN_ERROR_INVALID, "from and to are both sequence %u", from);
    TRY(resolve_own(plan, &r, TENSOR_STATE, state));
    dmattn_decode_stage_record_fork(&plan->decode, &r, from, to);
    return DMATTN_SUCCESS;
}
