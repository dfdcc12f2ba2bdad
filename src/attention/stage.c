/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <stdio.h>

dmattn_status dmattn_attention_stage_choose(attention_stage *s, const dmattn_context *ctx,
                                            const dmattn_attention_desc *desc)
{
    const dmattn_attention_desc *d = &s->desc;
    s->desc = *desc;
    if (d->level > DMATTN_LEVEL_PORTABLE)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED, "forward attention has no kernel of the level %s",
                           dmattn_level_string(d->level));
    if (!dmattn_tile_choose(&ctx->facts, d, &s->tile))
        return dmattn_fail(
            &ctx->messenger, DMATTN_ERROR_UNSUPPORTED,
            "no tile for value_dim %u fits a device of subgroup size %u, %u invocations and %u bytes of shared "
            "memory",
            d->value_dim, ctx->facts.subgroup_size, ctx->facts.max_invocations, ctx->facts.shared_memory);
    s->aligned = dmattn_attention_is_aligned(d);
    s->attention_grid = dmattn_attention_grid(d, &s->tile);
    s->mask_grid = dmattn_mask_tiles_grid(d, &s->tile);
    snprintf(s->name, sizeof s->name, "portable %s %ux%u d%u/%u", dmattn_type_string(d->type),
             dmattn_tile_rows(&s->tile), dmattn_tile_keys(&s->tile), d->head_dim, d->value_dim);
    TRY(dmattn_check_grid(ctx, "attention", s->attention_grid));
    return dmattn_check_grid(ctx, "the mask's bitmap", s->mask_grid);
}

dmattn_status dmattn_attention_stage_build(attention_stage *s, const dmattn_context *ctx, VkPipelineLayout layout)
{
    uint32_t constants[ATTENTION_CONSTANT_COUNT];
    const kernel_values values = {constants, ATTENTION_CONSTANT_COUNT, s->tile.subgroup_size};
    dmattn_attention_constants(&s->desc, &s->tile, s->aligned, constants);
    if (s->desc.mask == DMATTN_MASK_DENSE)
        TRY(dmattn_kernel_build(ctx, "mask_tiles", DMATTN_LEVEL_PORTABLE, layout, &values, &s->mask_tiles));
    return dmattn_kernel_build(ctx, "attention_forward", DMATTN_LEVEL_PORTABLE, layout, &values, &s->attention);
}

void dmattn_attention_stage_destroy(attention_stage *s, const dmattn_context *ctx)
{
    ctx->vk.DestroyPipeline(ctx->device, s->attention, ctx->allocator);
    ctx->vk.DestroyPipeline(ctx->device, s->mask_tiles, ctx->allocator);
}

void dmattn_attention_stage_record(const attention_stage *s, recorder *r, bool reuse_mask_tiles)
{
    const dmattn_attention_desc *d = &s->desc;
    const bool listed = d->mask == DMATTN_MASK_INTERVALS;
    const attention_params params = {
        .q = r->tensor[TENSOR_Q],
        .k = r->tensor[TENSOR_K],
        .v = r->tensor[TENSOR_V],
        .out_ = r->tensor[TENSOR_OUT],
        .lse = r->tensor[TENSOR_LSE],
        .mask = r->tensor[listed ? TENSOR_BEGIN : TENSOR_MASK],
        .end = r->tensor[TENSOR_END],
        .bias = r->tensor[TENSOR_BIAS],
        .tiles = listed ? r->tensor[TENSOR_LISTS] : r->tiles,
        .queries = d->queries,
        .keys = d->keys,
        .heads = d->heads,
        .scale = d->scale,
        .soft_cap = d->soft_cap,
    };
    if (s->mask_tiles && !reuse_mask_tiles)
        dmattn_recorder_dispatch(r, s->mask_tiles, &params, sizeof params, s->mask_grid);
    dmattn_recorder_dispatch(r, s->attention, &params, sizeof params, s->attention_grid);
}

uint64_t dmattn_attention_alignment(const attention_stage *s, tensor_id tensor)
{
    switch (tensor) {
    case TENSOR_Q:
    case TENSOR_K:
    case TENSOR_V:
    case TENSOR_OUT: return s->aligned ? 16 : dmattn_type_size(s->desc.type);
    case TENSOR_MASK: return 1;
    case TENSOR_BIAS: return dmattn_type_size(s->desc.bias_type);
    default: return 4;
    }
}

double dmattn_attention_flops(const dmattn_attention_desc *d)
{
    return 2.0 * (d->head_dim + d->value_dim) * dmattn_attention_pairs(d) * d->batch * d->heads;
}

double dmattn_attention_bytes(const dmattn_attention_desc *d)
{
    const double size = dmattn_type_size(d->type), rows = (double)d->batch * d->queries * d->heads;
    const dmattn_score_shape *m = &d->mask_shape, *b = &d->bias_shape;
    double bytes = size * rows * ((double)d->head_dim + d->value_dim);
    bytes += size * d->batch * d->keys * d->kv_heads * ((double)d->head_dim + d->value_dim);
    bytes += d->lse ? 4 * rows : 0;
    bytes += (d->mask == DMATTN_MASK_INTERVALS ? 8.0 : 1.0) * m->batch * m->heads * m->queries * d->keys;
    return bytes + (double)dmattn_type_size(d->bias_type) * b->batch * b->heads * b->queries * d->keys;
}
