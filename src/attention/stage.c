/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include <stdio.h>

static bool choose_tile(void *stage, const capabilities *caps, dmattn_level level, level_kernels *kernels, char *why,
                        size_t size)
{
    attention_stage *s = stage;
    if (!dmattn_tile_choose(caps, &s->desc, level, &s->tile, why, size))
        return false;
    dmattn_tile_kernel(&s->tile, "attention", kernels->name[0]);
    return true;
}

dmattn_status dmattn_attention_stage_choose(attention_stage *s, const dmattn_context *ctx,
                                            const dmattn_attention_desc *desc, const attention_tile *tile)
{
    const dmattn_attention_desc *d = &s->desc;
    s->desc = *desc;
    if (tile)
        s->tile = *tile;
    else
        TRY(dmattn_level_choose(ctx, d->level, d->max_level, "forward attention cannot run", choose_tile, s,
                                s->why_not));
    s->aligned = dmattn_attention_is_aligned(d);
    s->attention_grid = dmattn_attention_grid(d, &s->tile);
    s->mask_grid = dmattn_mask_tiles_grid(d, &s->tile);
    s->slice = s->tile.slice ? s->tile.slice : dmattn_grid_slice(s->attention_grid, dmattn_attention_flops(d));
    char how[KERNEL_NAME], splits[32] = "";
    dmattn_tile_describe(&s->tile, d->type, how);
    if (s->tile.splits > 1)
        snprintf(splits, sizeof splits, " in %u splits", s->tile.splits);
    snprintf(s->name, sizeof s->name, "%s %ux%u d%u/%u%s", how, s->tile.rows, s->tile.keys, d->head_dim, d->value_dim,
             splits);
    TRY(dmattn_check_grid(ctx, "attention", s->attention_grid));
    if (s->tile.splits > 1)
        TRY(dmattn_check_grid(ctx, "combining the results of split keys", dmattn_combine_grid(d)));
    return dmattn_check_grid(ctx, "the mask's bitmap", s->mask_grid);
}

dmattn_status dmattn_attention_stage_build(attention_stage *s, pipeline_set *set)
{
    char kernel_name[KERNEL_NAME];
    uint32_t constants[ATTENTION_CONSTANT_COUNT];
    const kernel_values values = {constants, ATTENTION_CONSTANT_COUNT, s->tile.subgroup_size};
    dmattn_attention_constants(&s->desc, &s->tile, s->aligned, constants);
    if (s->mask_grid.x)
        TRY(dmattn_pipelines_add(set, "mask_tiles", DMATTN_LEVEL_PORTABLE, &values, &s->mask_tiles));
    if (s->tile.splits > 1) {
        const uint32_t workgroup = constants[CONSTANT_WORKGROUP];
        constants[CONSTANT_WORKGROUP] = COMBINE_WORKGROUP;
        TRY(dmattn_pipelines_add(set, "combine_splits", DMATTN_LEVEL_PORTABLE,
                                 &(kernel_values){constants, ATTENTION_CONSTANT_COUNT, 0}, &s->combine));
        constants[CONSTANT_WORKGROUP] = workgroup;
        dmattn_attention_split_constants(&s->desc, &s->tile, constants);
    }
    dmattn_tile_kernel(&s->tile, "attention", kernel_name);
    return dmattn_pipelines_add(set, kernel_name, s->tile.level, &values, &s->attention);
}

void dmattn_attention_stage_record(const attention_stage *s, recorder *r, bool reuse_mask_tiles)
{
    const dmattn_attention_desc *d = &s->desc;
    const bool listed = d->mask == DMATTN_MASK_INTERVALS;
    const VkDeviceAddress bitmap = r->workspace + s->at.mask_tiles;
    const VkDeviceAddress partials = r->workspace + s->at.partials;
    const uint64_t to_sums = 4 * d->value_dim * dmattn_attention_partial_rows(d, &s->tile);
    const attention_params params = {
        .pair = dmattn_pair_params(d, r->tensor),
        .walk = listed ? r->tensor[TENSOR_LISTS] : bitmap,
        .out_ = s->combine ? partials : r->tensor[TENSOR_OUT],
        .lse = s->combine ? to_sums / 16 | (uint64_t)s->tile.splits << 32 : r->tensor[TENSOR_LSE],
        .lists_end = r->bytes[TENSOR_LISTS] / 4,
        .sink = r->tensor[TENSOR_SINK],
    };
    if (s->mask_tiles && !reuse_mask_tiles) {
        const mask_tiles_params mask = {.pair = params.pair, .walk = bitmap};
        dmattn_recorder_dispatch(r, s->mask_tiles, &mask, sizeof mask, s->mask_grid);
    }
    dmattn_recorder_dispatch_slices(r, s->attention, &params, sizeof params, s->attention_grid, s->slice);
    if (s->combine) {
        const combine_params combine = {.partials = partials,
                                        .sums = partials + to_sums,
                                        .out_ = r->tensor[TENSOR_OUT],
                                        .lse = r->tensor[TENSOR_LSE],
                                        .sink = r->tensor[TENSOR_SINK],
                                        .queries = d->queries,
                                        .splits = s->tile.splits};
        dmattn_recorder_dispatch(r, s->combine, &combine, sizeof combine, dmattn_combine_grid(d));
    }
}

void dmattn_attention_stage_describe(const attention_stage *s, dmattn_plan_info *info)
{
    info->level = s->tile.level;
    info->why_not_higher = s->why_not;
    info->list_queries = s->desc.mask == DMATTN_MASK_INTERVALS ? dmattn_tile_list_queries(&s->tile) : 0;
}

uint64_t dmattn_attention_partial_bytes(const attention_stage *s)
{
    return dmattn_product(4, s->desc.value_dim + UINT64_C(2), dmattn_attention_partial_rows(&s->desc, &s->tile));
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
    bytes += d->sink ? 4.0 * d->heads : 0;
    bytes += (d->mask == DMATTN_MASK_INTERVALS ? 8.0 : 1.0) * m->batch * m->heads * m->queries * d->keys;
    return bytes + (double)dmattn_type_size(d->bias_type) * b->batch * b->heads * b->queries * d->keys;
}
