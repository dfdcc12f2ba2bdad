/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include "../descriptors/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static uint32_t bands(const attention_stage *s, const attention_tile *tile)
{
    return dmattn_tile_bands(tile, s->desc.value_dim);
}

static dmattn_attention_desc band_of(const attention_stage *s, const attention_tile *tile, uint32_t band)
{
    const uint32_t columns = dmattn_tile_columns(tile, s->desc.value_dim);
    return dmattn_attention_band(&s->desc, band * columns, columns);
}

static bool choose_tile(void *stage, const capabilities *caps, dmattn_level level, level_kernels *kernels, char *why,
                        size_t size)
{
    attention_stage *s = stage;
    if (!dmattn_tile_choose(caps, &s->desc, level, &s->tile, why, size))
        return false;
    dmattn_attention_kernel(&s->tile, &s->desc, kernels->name[0]);
    return true;
}

/* What follows from the descriptor and the tile of a run. */
static void size_run(attention_stage *s)
{
    const dmattn_attention_desc *d = &s->desc;
    s->attention_grid = dmattn_attention_grid(d, &s->tile);
    s->mask_grid = dmattn_mask_tiles_grid(d, &s->tile);
    s->slice = s->tile.slice ? s->tile.slice : dmattn_grid_slice(s->attention_grid, dmattn_attention_flops(d));
}

/* Shorter runs have smaller grids. */
static dmattn_status check_grids(const attention_stage *s, const dmattn_context *ctx)
{
    for (uint32_t i = 0; i < s->variants.count; i++) {
        attention_tile tile = s->variants.of[i].tile;
        tile.splits = i ? 1 : s->tile.splits;
        TRY(dmattn_check_grid(ctx, "attention", dmattn_attention_grid(&s->desc, &tile)));
        TRY(dmattn_check_grid(ctx, "the mask's bitmap", dmattn_mask_tiles_grid(&s->desc, &tile)));
        if (s->variants.of[i].splits) {
            const dmattn_attention_desc band = band_of(s, &tile, 0);
            const grid combine =
                s->desc.total_queries ? dmattn_combine_parts_grid(&band, &tile) : dmattn_combine_grid(&band);
            TRY(dmattn_check_grid(ctx, "combining the results of split keys", combine));
        }
    }
    return DMATTN_SUCCESS;
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
    s->variants = dmattn_attention_variants(&ctx->caps, d, &s->tile, tile != NULL);
    s->aligned = dmattn_attention_is_aligned(d);
    size_run(s);
    char how[KERNEL_NAME], splits[32] = "";
    dmattn_tile_describe(&s->tile, d->type, how);
    if (s->tile.splits > 1)
        snprintf(splits, sizeof splits, " in %u splits", s->tile.splits);
    snprintf(s->name, sizeof s->name, "%s %ux%u d%u/%u%s", how, s->tile.rows, s->tile.keys, d->head_dim, d->value_dim,
             splits);
    return check_grids(s, ctx);
}

void dmattn_attention_stage_shorten(attention_stage *s, const capabilities *caps, const dmattn_attention_desc *run)
{
    s->desc = *run;
    s->variant = (uint32_t)(dmattn_attention_variant_for(&s->variants, caps, run, &s->tile) - s->variants.of);
    size_run(s);
}

/* `d`: of a band. */
static void put_constants(const attention_stage *s, const dmattn_attention_desc *d, const attention_tile *tile,
                          uint32_t constants[ATTENTION_CONSTANT_COUNT])
{
    dmattn_attention_constants(d, tile, s->aligned, constants);
    if (d->lengths)
        dmattn_attention_keep_strides(d, s->given_strides, constants);
}

/* Adds the kernel for a band and, for additive masks, the one for rows that only hide. */
static dmattn_status add_kernels(const dmattn_attention_desc *d, const attention_tile *tile, pipeline_set *set,
                                 uint32_t constants[ATTENTION_CONSTANT_COUNT], VkPipeline *adding, VkPipeline *hiding)
{
    char kernel_name[KERNEL_NAME];
    const kernel_values values = {constants, ATTENTION_CONSTANT_COUNT, tile->subgroup_size};
    dmattn_attention_kernel(tile, d, kernel_name);
    TRY(dmattn_pipelines_add(set, kernel_name, tile->level, &values, adding));
    if (!dmattn_attention_tells_rows(d))
        return DMATTN_SUCCESS;
    constants[CONSTANT_BIAS] = constants[CONSTANT_REAL_UNITS] = 0;
    return dmattn_pipelines_add(set, kernel_name, tile->level, &values, hiding);
}

static dmattn_status build_band(const attention_stage *s, pipeline_set *set, attention_variant *v, uint32_t band)
{
    uint32_t constants[ATTENTION_CONSTANT_COUNT];
    attention_tile tile = v->tile;
    const dmattn_attention_desc d = band_of(s, &tile, band);
    if (d.lengths || d.total_queries || !v->splits) {
        put_constants(s, &d, &tile, constants);
        TRY(add_kernels(&d, &tile, set, constants, &v->whole[band], &v->hiding_whole[band]));
    }
    if (!v->splits)
        return DMATTN_SUCCESS;
    tile.splits = 2; /* any number above 1 */
    put_constants(s, &d, &tile, constants);
    dmattn_attention_split_constants(&d, &tile, constants);
    return add_kernels(&d, &tile, set, constants, &v->part[band], &v->hiding_part[band]);
}

dmattn_status dmattn_mask_tiles_build(pipeline_set *set, const char *kernel_name, const attention_tile *tile,
                                      const uint32_t constants[ATTENTION_CONSTANT_COUNT], VkPipeline *pipeline)
{
    uint32_t c[ATTENTION_CONSTANT_COUNT];
    memcpy(c, constants, sizeof c);
    c[CONSTANT_WORKGROUP] = dmattn_mask_tiles_workgroup(&set->ctx->caps, tile);
    return dmattn_pipelines_add(set, kernel_name, DMATTN_LEVEL_PORTABLE,
                                &(kernel_values){c, ATTENTION_CONSTANT_COUNT, tile->subgroup_size}, pipeline);
}

static dmattn_status build_variant(const attention_stage *s, pipeline_set *set, attention_variant *v)
{
    uint32_t constants[ATTENTION_CONSTANT_COUNT];
    const dmattn_attention_desc first = band_of(s, &v->tile, 0);
    const char *mask_tiles = dmattn_attention_tells_rows(&first) ? "mask_tiles_additive" : "mask_tiles";
    put_constants(s, &first, &v->tile, constants);
    if (s->mask_grid.x)
        TRY(dmattn_mask_tiles_build(set, mask_tiles, &v->tile, constants, &v->mask_tiles));
    for (uint32_t band = 0; band < bands(s, &v->tile); band++)
        TRY(build_band(s, set, v, band));
    return DMATTN_SUCCESS;
}

/* It depends on no sizes of a tile, except its bands. */
static dmattn_status build_combine(attention_stage *s, pipeline_set *set, uint32_t band)
{
    uint32_t constants[ATTENTION_CONSTANT_COUNT];
    const attention_tile none = {.workgroup = COMBINE_WORKGROUP, .rows = 1, .keys = 1, .heads_per_tile = 1};
    const dmattn_attention_desc d = band_of(s, &s->tile, band);
    put_constants(s, &d, &none, constants);
    return dmattn_pipelines_add(set, d.total_queries ? "combine_packed" : "combine_splits", DMATTN_LEVEL_PORTABLE,
                                &(kernel_values){constants, ATTENTION_CONSTANT_COUNT, 0}, &s->combine[band]);
}

dmattn_status dmattn_attention_stage_build(attention_stage *s, pipeline_set *set)
{
    bool splits = false;
    for (uint32_t i = 0; i < s->variants.count; i++) {
        TRY(build_variant(s, set, &s->variants.of[i]));
        splits |= s->variants.of[i].splits;
    }
    for (uint32_t band = 0; splits && band < bands(s, &s->tile); band++)
        TRY(build_combine(s, set, band));
    return DMATTN_SUCCESS;
}

/* Bytes of the partial results of a band of the widest kind, a multiple of 16. */
static uint64_t partial_bytes(const attention_stage *s, const attention_tile *tile, uint64_t rows)
{
    const uint64_t bytes = dmattn_product(4, dmattn_tile_columns(tile, s->desc.value_dim) + UINT64_C(2), rows);
    return dmattn_product(16, dmattn_add(bytes, 15) / 16);
}

/* Records a band. All bands write other columns, so no barrier is needed between them. */
static void record_band(const attention_stage *s, recorder *r, attention_params params, uint32_t band)
{
    const attention_variant *v = &s->variants.of[s->variant];
    const dmattn_attention_desc d = band_of(s, &s->tile, band);
    const uint64_t first = (uint64_t)band * dmattn_tile_columns(&s->tile, s->desc.value_dim);
    const bool splits = s->tile.splits > 1;
    const uint64_t rows = dmattn_attention_partial_rows(&d, &s->tile), to_sums = 4 * d.value_dim * rows;
    const VkDeviceAddress partials = r->workspace + s->at.partials + band * partial_bytes(s, &s->tile, rows);
    const VkDeviceAddress out = r->tensor[TENSOR_OUT] + first * dmattn_type_size(dmattn_attention_type(&d, TENSOR_OUT));
    params.pair.v += first * dmattn_type_size(d.type);
    params.out_ = splits ? partials : out;
    params.lse = splits ? to_sums / 16 | (uint64_t)s->tile.splits << 32 : r->tensor[TENSOR_LSE];
    const VkPipeline adding = splits ? v->part[band] : v->whole[band];
    const VkPipeline hiding = splits ? v->hiding_part[band] : v->hiding_whole[band];
    if (band)
        dmattn_recorder_beside(r);
    if (hiding) {
        dmattn_recorder_dispatch_slices(r, hiding, &params, sizeof params, s->attention_grid, s->slice);
        dmattn_recorder_beside(r);
    }
    dmattn_recorder_dispatch_slices(r, adding, &params, sizeof params, s->attention_grid, s->slice);
}

static void record_combine(const attention_stage *s, recorder *r, uint32_t band)
{
    const dmattn_attention_desc d = band_of(s, &s->tile, band);
    const uint64_t first = (uint64_t)band * dmattn_tile_columns(&s->tile, s->desc.value_dim);
    const uint64_t rows = dmattn_attention_partial_rows(&d, &s->tile);
    const VkDeviceAddress partials = r->workspace + s->at.partials + band * partial_bytes(s, &s->tile, rows);
    const combine_params combine = {.partials = partials,
                                    .sums = partials + 4 * d.value_dim * rows,
                                    .out_ = r->tensor[TENSOR_OUT]
                                            + first * dmattn_type_size(dmattn_attention_type(&d, TENSOR_OUT)),
                                    .lse = r->tensor[TENSOR_LSE],
                                    .sink = r->tensor[TENSOR_SINK],
                                    .queries = d.queries,
                                    .splits = s->tile.splits};
    if (band)
        dmattn_recorder_beside(r);
    dmattn_recorder_dispatch(r, s->combine[band], &combine, sizeof combine, dmattn_combine_grid(&d));
}

/* Records both lists of the schedule. The parts of long items come first. */
static void record_packed(const attention_stage *s, recorder *r, attention_params params, uint32_t band)
{
    const attention_variant *v = &s->variants.of[s->variant];
    const dmattn_attention_desc d = band_of(s, &s->tile, band);
    const uint64_t first = (uint64_t)band * dmattn_tile_columns(&s->tile, s->desc.value_dim);
    const uint64_t rows = dmattn_attention_partial_rows(&d, &s->tile), to_sums = 4 * d.value_dim * rows;
    const schedule_items_params *schedule = &s->schedule.params;
    const VkDeviceAddress lists = r->workspace + s->schedule.at;
    const grid parts = dmattn_attention_parts_grid(&d, &s->tile);
    params.pair.v += first * dmattn_type_size(d.type);
    params.lists_end = d.total_queries;
    if (band)
        dmattn_recorder_beside(r);
    if (v->part[band]) {
        params.pair.visible[1] = lists + dmattn_schedule_parts(schedule);
        params.out_ = r->workspace + s->at.partials + band * partial_bytes(s, &s->tile, rows);
        params.lse = to_sums / 16 | rows / d.heads << 32;
        dmattn_recorder_dispatch_slices(r, v->part[band], &params, sizeof params, parts,
                                        dmattn_grid_slice(parts, dmattn_attention_flops(&s->desc)));
        dmattn_recorder_beside(r);
    }
    params.pair.visible[1] = lists + dmattn_schedule_tiles(schedule);
    params.out_ = r->tensor[TENSOR_OUT] + first * dmattn_type_size(dmattn_attention_type(&d, TENSOR_OUT));
    params.lse = r->tensor[TENSOR_LSE];
    dmattn_recorder_dispatch_slices(r, v->whole[band], &params, sizeof params, s->attention_grid, s->slice);
}

static void record_combine_packed(const attention_stage *s, recorder *r, uint32_t band)
{
    const dmattn_attention_desc d = band_of(s, &s->tile, band);
    const uint64_t first = (uint64_t)band * dmattn_tile_columns(&s->tile, s->desc.value_dim);
    const uint64_t rows = dmattn_attention_partial_rows(&d, &s->tile);
    const VkDeviceAddress partials = r->workspace + s->at.partials + band * partial_bytes(s, &s->tile, rows);
    const combine_packed_params combine = {
        .partials = partials,
        .sums = partials + 4 * d.value_dim * rows,
        .out_ = r->tensor[TENSOR_OUT] + first * dmattn_type_size(dmattn_attention_type(&d, TENSOR_OUT)),
        .lse = r->tensor[TENSOR_LSE],
        .sink = r->tensor[TENSOR_SINK],
        .schedule = r->workspace + s->schedule.at + dmattn_schedule_parts(&s->schedule.params),
        .tile_queries = dmattn_tile_queries(&s->tile),
        .partial_rows = (uint32_t)(rows / d.heads),
        .rows = d.total_queries,
        .parts = s->schedule.params.most_parts};
    if (band)
        dmattn_recorder_beside(r);
    dmattn_recorder_dispatch(r, s->combine[band], &combine, sizeof combine, dmattn_combine_parts_grid(&d, &s->tile));
}

void dmattn_attention_stage_record(const attention_stage *s, recorder *r, bool reuse_mask_tiles)
{
    const dmattn_attention_desc *d = &s->desc;
    const attention_variant *v = &s->variants.of[s->variant];
    const bool listed = dmattn_attention_has_lists(d);
    const VkDeviceAddress bitmap = r->workspace + s->at.mask_tiles;
    const attention_params params = {
        .pair = dmattn_pair_params(d, r->tensor),
        .walk = listed ? r->tensor[TENSOR_LISTS] : bitmap,
        .lists_end = r->bytes[TENSOR_LISTS] / 4,
        .sink = r->tensor[TENSOR_SINK],
        .slopes = r->tensor[TENSOR_SLOPES],
    };
    if (v->mask_tiles && !reuse_mask_tiles) {
        const mask_tiles_params mask = {.pair = params.pair, .walk = bitmap};
        dmattn_recorder_dispatch(r, v->mask_tiles, &mask, sizeof mask, s->mask_grid);
    }
    const bool packed = d->total_queries;
    for (uint32_t band = 0; band < bands(s, &s->tile); band++)
        packed ? record_packed(s, r, params, band) : record_band(s, r, params, band);
    for (uint32_t band = 0; (packed ? v->splits : s->tile.splits > 1) && band < bands(s, &s->tile); band++)
        packed ? record_combine_packed(s, r, band) : record_combine(s, r, band);
}

void dmattn_attention_stage_describe(const attention_stage *s, dmattn_plan_info *info)
{
    info->level = s->tile.level;
    info->why_not_higher = s->why_not;
    info->list_queries = s->desc.mask == DMATTN_MASK_INTERVALS ? dmattn_tile_list_queries(&s->tile) : 0;
}

static uint64_t all_partial_bytes(const attention_stage *s, const attention_tile *tile, uint64_t rows)
{
    return dmattn_product(bands(s, tile), partial_bytes(s, tile, rows));
}

uint64_t dmattn_attention_partial_bytes(const attention_stage *s)
{
    if (!s->desc.lengths)
        return all_partial_bytes(s, &s->tile, dmattn_attention_partial_rows(&s->desc, &s->tile));
    uint64_t most = 0;
    for (uint32_t i = 0; i < s->variants.count; i++) {
        const attention_variant *v = &s->variants.of[i];
        const uint64_t rows = v->splits ? dmattn_tile_most_partial_rows(&s->desc, &v->tile) : 0;
        const uint64_t bytes = all_partial_bytes(s, &v->tile, rows);
        most = bytes > most ? bytes : most;
    }
    return most;
}

uint64_t dmattn_attention_mask_tiles_bytes(const attention_stage *s)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < s->variants.count; i++) {
        const uint64_t bytes = dmattn_mask_tiles_bytes(&s->desc, &s->variants.of[i].tile);
        most = bytes > most ? bytes : most;
    }
    return most;
}

uint64_t dmattn_attention_alignment(const attention_stage *s, tensor_id tensor)
{
    switch (tensor) {
    case TENSOR_Q:
    case TENSOR_K:
    case TENSOR_V:
    case TENSOR_OUT: return s->aligned ? 16 : dmattn_type_size(dmattn_attention_type(&s->desc, tensor));
    case TENSOR_MASK: return 1;
    case TENSOR_COUNTS: return 8;
    case TENSOR_BIAS: return dmattn_type_size(s->desc.bias_type);
    default: return 4;
    }
}

double dmattn_attention_flops(const dmattn_attention_desc *d)
{
    double items = d->batch; /* packed: at most so many can have the most queries and keys */
    if (d->total_queries)
        items = fmin(items, (double)d->total_queries / d->queries);
    if (d->total_keys)
        items = fmin(items, (double)d->total_keys / d->keys);
    return 2.0 * (d->head_dim + d->value_dim) * dmattn_attention_pairs(d) * items * d->heads;
}

/* Bytes of a row of k or v, with its scale. */
static double row_bytes(const dmattn_attention_desc *d, tensor_id tensor, uint32_t dim)
{
    const dmattn_format format = dmattn_attention_format(d, tensor);
    return (double)dmattn_format_bytes(format, dim) + (dmattn_format_has_scales(format) ? 4 : 0);
}

double dmattn_attention_bytes(const dmattn_attention_desc *d)
{
    const row_shape of_q = dmattn_query_rows(d), of_k = dmattn_key_rows(d);
    const double rows = (double)of_q.batch * of_q.rows * d->heads, keys = (double)of_k.batch * of_k.rows * d->kv_heads;
    const dmattn_score_shape *m = &d->mask_shape, *b = &d->bias_shape;
    double bytes = rows * dmattn_type_size(dmattn_attention_type(d, TENSOR_Q)) * d->head_dim;
    bytes += rows * dmattn_type_size(dmattn_attention_type(d, TENSOR_OUT)) * d->value_dim;
    bytes += keys * (row_bytes(d, TENSOR_K, d->head_dim) + row_bytes(d, TENSOR_V, d->value_dim));
    bytes += d->lse ? 4 * rows : 0;
    bytes += d->sink ? 4.0 * d->heads : 0;
    bytes += d->slopes ? 4.0 * d->heads : 0;
    if (d->mask != DMATTN_MASK_ADDITIVE) /* which is the bias */
        bytes += (d->mask == DMATTN_MASK_INTERVALS  ? 8.0
                  : d->mask == DMATTN_MASK_SELECTED ? 4.0
                                                    : 1.0)
                 * m->batch * m->heads * m->queries * dmattn_mask_row(d);
    return bytes + (double)dmattn_type_size(d->bias_type) * b->batch * b->heads * b->queries * d->keys;
}
