/* SPDX-License-Identifier: MIT */
#include "backward.h"

#include <stdio.h>

/* A dbias without a query dimension is computed by key, in planes that may have to be summed. A dbias with a query
 * dimension has its own kernel. */
static bool has_key_bias(const dmattn_attention_backward_desc *b)
{
    return b->gradients & DMATTN_GRADIENT_BIAS && b->attention.bias_shape.queries == 1;
}

static bool has_query_bias(const dmattn_attention_backward_desc *b)
{
    return b->gradients & DMATTN_GRADIENT_BIAS && b->attention.bias_shape.queries > 1;
}

static bool has_keys(const dmattn_attention_backward_desc *b)
{
    return b->gradients & (DMATTN_GRADIENT_K | DMATTN_GRADIENT_V) || has_key_bias(b);
}

static bool has_queries(const dmattn_attention_backward_desc *b)
{
    return b->gradients & DMATTN_GRADIENT_Q;
}

/* The number of planes of dbias that backward_keys.comp writes for a batch item. */
static uint32_t partial_heads(const dmattn_attention_desc *d)
{
    return d->bias_shape.heads > 1 && d->bias_shape.heads == d->heads ? d->heads : d->kv_heads;
}

/* The shape of the sum of dbias' partial results: a group of them for each plane of dbias. */
static sum_shape sum_of(const dmattn_attention_desc *d)
{
    const dmattn_score_shape *s = &d->bias_shape;
    const uint32_t heads = partial_heads(d);
    if (s->heads == heads)
        return (sum_shape){.outer = 1, .partials = s->batch == 1 ? d->batch : 1, .inner = heads * d->keys};
    return (sum_shape){.outer = s->batch, .partials = s->batch == 1 ? d->batch * heads : heads, .inner = d->keys};
}

uint64_t dmattn_backward_rows_bytes(const backward_stage *s)
{
    const dmattn_attention_desc *d = &s->desc.attention;
    return dmattn_product(8, d->batch, d->heads, d->queries);
}

uint64_t dmattn_backward_partial_bytes(const backward_stage *s)
{
    const dmattn_attention_desc *d = &s->desc.attention;
    const bool summed = has_key_bias(&s->desc) && sum_of(d).partials > 1;
    return summed ? dmattn_product(4, d->batch, partial_heads(d), d->keys) : 0;
}

uint32_t dmattn_backward_list_queries(const backward_stage *s)
{
    const bool selected = s->desc.attention.mask == DMATTN_MASK_SELECTED;
    return selected ? dmattn_tile_queries(&s->tile.query) : dmattn_tile_list_queries(&s->tile.query);
}

bool dmattn_backward_has_key_lists(const backward_stage *s)
{
    return s->desc.attention.mask == DMATTN_MASK_SELECTED && has_keys(&s->desc);
}

key_lists_desc dmattn_backward_key_lists(const backward_stage *s)
{
    const dmattn_attention_desc *d = &s->desc.attention;
    return (key_lists_desc){
        .planes = d->mask_shape.batch * d->mask_shape.heads,
        .queries = d->queries,
        .keys = d->keys,
        .count = d->selected_count,
        .block = d->selected_block,
        .list_queries = dmattn_tile_queries(&s->tile.query),
        .tile_keys = s->tile.key.keys,
        .causal = d->causal,
    };
}

uint64_t dmattn_backward_work_bytes(const backward_stage *s)
{
    return has_keys(&s->desc) ? dmattn_backward_schedule_bytes(&s->desc, &s->tile.key) : 0;
}

/* The family of kernels of queries, or of keys. */
static const char *stem(const dmattn_attention_desc *d, bool of_keys)
{
    if (d->mask == DMATTN_MASK_SELECTED)
        return of_keys ? "backward_keys_selected" : "backward_queries_selected";
    return of_keys ? "backward_keys" : "backward_queries";
}

void dmattn_backward_kernel(const attention_tile *tile, const dmattn_attention_desc *d, bool of_keys,
                            char name[KERNEL_NAME])
{
    dmattn_tile_kernel(tile, stem(d, of_keys), name);
}

static bool choose_tiles(void *stage, const capabilities *caps, dmattn_level level, level_kernels *kernels, char *why,
                         size_t size)
{
    backward_stage *s = stage;
    if (!dmattn_backward_tiles_choose(caps, &s->desc, level, &s->tile, why, size))
        return false;
    dmattn_backward_kernel(&s->tile.query, &s->desc.attention, false, kernels->name[0]);
    dmattn_backward_kernel(&s->tile.key, &s->desc.attention, true, kernels->name[1]);
    return true;
}

static void name_stage(backward_stage *s)
{
    const dmattn_attention_desc *d = &s->desc.attention;
    const attention_tile *q = &s->tile.query, *k = &s->tile.key;
    char how[KERNEL_NAME];
    dmattn_tile_describe(q, d->type, how);
    snprintf(s->name, sizeof s->name, "%s %ux%u + %ux%u d%u/%u", how, q->rows, q->keys, k->rows, k->keys, d->head_dim,
             d->value_dim);
}

dmattn_status dmattn_backward_stage_choose(backward_stage *s, const dmattn_context *ctx,
                                           const dmattn_attention_backward_desc *b, const backward_tiles *tiles)
{
    const dmattn_attention_desc *d = &b->attention;
    s->desc = *b;
    if (tiles)
        s->tile = *tiles;
    else
        TRY(dmattn_level_choose(ctx, d->level, d->max_level, "gradients cannot be computed", choose_tiles, s,
                                s->why_not));
    s->aligned = dmattn_backward_is_aligned(b);
    s->rows_grid = dmattn_backward_rows_grid(b, &ctx->caps);
    s->query_grid = dmattn_attention_grid(d, &s->tile.query);
    s->key_grid = dmattn_backward_key_grid(b, &s->tile.key);
    s->bias_grid = dmattn_backward_bias_grid(b, &s->tile.bias);
    s->query_tiles_grid = dmattn_mask_tiles_grid(d, &s->tile.query);
    s->key_tiles_grid = dmattn_mask_tiles_grid(d, &s->tile.key);
    s->query_slice = dmattn_grid_slice(s->query_grid, dmattn_attention_flops(d));
    s->key_slice = dmattn_grid_slice(s->key_grid, 2 * dmattn_attention_flops(d));
    s->bias_slice = dmattn_grid_slice(s->bias_grid, dmattn_attention_flops(d));
    name_stage(s);
    TRY(dmattn_check_grid(ctx, "the gradient of queries", s->query_grid));
    TRY(dmattn_check_grid(ctx, "the gradient of keys", s->key_grid));
    TRY(dmattn_check_grid(ctx, "the ranges of the gradient of keys", dmattn_backward_ranges_grid(b, &s->tile.key)));
    TRY(dmattn_check_grid(ctx, "preprocessing the gradients", s->rows_grid));
    TRY(dmattn_check_grid(ctx, "the mask's bitmap", s->query_tiles_grid));
    TRY(dmattn_check_grid(ctx, "the mask's bitmap", s->key_tiles_grid));
    if (has_key_bias(b) && (double)d->batch * partial_heads(d) * d->keys > UINT32_MAX)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED,
                           "batch * heads * keys exceeds 2^32, the maximum for the gradient of a bias by key");
    return has_query_bias(b) ? dmattn_check_grid(ctx, "the gradient of the bias", s->bias_grid) : DMATTN_SUCCESS;
}

/* ---- pipelines ------------------------------------------------------------------------------------------------- */

/* Builds a kernel with the constants of a tile. `stem` names a kernel, or a family with a kernel for each form. */
static dmattn_status build(pipeline_set *set, const attention_tile *tile, const char *stem,
                           const uint32_t constants[ATTENTION_CONSTANT_COUNT], VkPipeline *pipeline)
{
    char name[KERNEL_NAME];
    dmattn_tile_kernel(tile, stem, name);
    return dmattn_pipelines_add(set, name, tile->level,
                                &(kernel_values){constants, ATTENTION_CONSTANT_COUNT, tile->subgroup_size}, pipeline);
}

/* The tile for the portable kernels that prepare or finish the work of a kernel of another level. */
static attention_tile portable(const attention_tile *tile)
{
    attention_tile t = *tile;
    t.level = DMATTN_LEVEL_PORTABLE;
    t.form = FORM_PORTABLE;
    return t;
}

static dmattn_status build_keys(backward_stage *s, pipeline_set *set)
{
    uint32_t constants[ATTENTION_CONSTANT_COUNT];
    const attention_tile *tile = &s->tile.key, around = portable(tile);
    const bool selected = s->desc.attention.mask == DMATTN_MASK_SELECTED;
    dmattn_backward_key_constants(&s->desc, tile, s->aligned, constants);
    if (s->key_tiles_grid.x)
        TRY(dmattn_mask_tiles_build(set, "mask_tiles", tile, constants, &s->key_tiles));
    TRY(build(set, &around, selected ? "key_ranges_selected" : "key_ranges", constants, &s->ranges));
    TRY(build(set, &around, "combine_keys", constants, &s->combine));
    for (uint32_t pass = 0; pass < KEY_PASSES; pass++) {
        const key_pass made = dmattn_backward_key_pass(&s->desc, tile, pass);
        constants[CONSTANT_GRADIENTS] = made.gradients;
        constants[CONSTANT_FIRST_COLUMN] = made.first;
        if (made.gradients)
            TRY(build(set, tile, stem(&s->desc.attention, true), constants, &s->keys[pass]));
    }
    /* One workgroup does all the work. Every device allows its size. It needs few other constants, so that most
     * problems share its pipeline. */
    const uint32_t needed[] = {CONSTANT_TILE_ROWS,    CONSTANT_TILE_KEYS, CONSTANT_HEADS_PER_TILE,
                               CONSTANT_LIST_QUERIES, CONSTANT_GROUP,     CONSTANT_HEADS};
    uint32_t work[ATTENTION_CONSTANT_COUNT] = {[CONSTANT_WORKGROUP] = 128};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        work[needed[i]] = constants[needed[i]];
    return build(set, &around, "schedule_keys", work, &s->work);
}

dmattn_status dmattn_backward_stage_build(backward_stage *s, pipeline_set *set)
{
    const dmattn_attention_backward_desc *b = &s->desc;
    const dmattn_attention_desc *d = &b->attention;
    uint32_t constants[ATTENTION_CONSTANT_COUNT];
    const attention_tile around = portable(&s->tile.query);

    dmattn_backward_rows_constants(b, &set->ctx->caps, s->aligned, constants);
    TRY(build(set, &around, "backward_preprocess", constants, &s->rows));
    if (b->gradients & DMATTN_GRADIENT_SINK)
        TRY(build(set, &around, "sink_gradient", constants, &s->sink));
    if (has_queries(b)) {
        dmattn_backward_query_constants(b, &s->tile.query, s->aligned, constants);
        if (s->query_tiles_grid.x)
            TRY(dmattn_mask_tiles_build(set, "mask_tiles", &s->tile.query, constants, &s->query_tiles));
        for (uint32_t band = 0; band < dmattn_tile_bands(&s->tile.query, d->head_dim); band++) {
            constants[CONSTANT_FIRST_COLUMN] = band * s->tile.query.band;
            TRY(build(set, &s->tile.query, stem(d, false), constants, &s->queries[band]));
        }
    }
    if (has_keys(b))
        TRY(build_keys(s, set));
    if (dmattn_backward_partial_bytes(s))
        TRY(dmattn_sum_partials_plan(&s->sum, set, sum_of(d)));
    if (has_query_bias(b)) {
        dmattn_backward_key_constants(b, &s->tile.bias, s->aligned, constants);
        constants[CONSTANT_HEADS_PER_TILE] = 1;
        TRY(build(set, &s->tile.bias, "backward_bias", constants, &s->bias));
    }
    return DMATTN_SUCCESS;
}

/* ---- recording ------------------------------------------------------------------------------------------------- */

static void record_bitmap(recorder *r, VkPipeline pipeline, const dmattn_attention_desc *d, VkDeviceAddress bitmap,
                          grid g)
{
    const mask_tiles_params params = {.pair = dmattn_pair_params(d, r->tensor), .walk = bitmap};
    dmattn_recorder_beside(r);
    dmattn_recorder_dispatch(r, pipeline, &params, sizeof params, g);
}

/* Converts an offset in the workspace to units of 16 bytes, counted from lse and D. */
static uint32_t units(const backward_stage *s, uint64_t at)
{
    return (uint32_t)((at - s->at.rows) / 16);
}

/* Records what the kernels of queries and keys need: lse and D, bitmaps, the work items of keys. */
static void record_preparation(const backward_stage *s, recorder *r, const backward_key_params *keys,
                               const schedule_params *work)
{
    const dmattn_attention_desc *d = &s->desc.attention;
    const preprocess_params preprocess = {
        .q = r->tensor[TENSOR_Q],
        .out_ = r->tensor[TENSOR_OUT],
        .lse = r->tensor[TENSOR_LSE],
        .dout = r->tensor[TENSOR_DOUT],
        .dlse = r->tensor[TENSOR_DLSE],
        .workspace = r->workspace + s->at.rows,
        .queries = d->queries,
        .work_at = s->ranges ? units(s, s->at.work) : NO_WORK,
    };
    if (s->ranges) {
        dmattn_recorder_dispatch(r, s->ranges, keys, sizeof *keys, dmattn_backward_ranges_grid(&s->desc, &s->tile.key));
        dmattn_recorder_dispatch(r, s->work, work, sizeof *work, (grid){1, 1, 1});
        dmattn_recorder_beside(r);
    }
    dmattn_recorder_dispatch(r, s->rows, &preprocess, sizeof preprocess, s->rows_grid);
    if (s->query_tiles)
        record_bitmap(r, s->query_tiles, d, r->workspace + s->at.query_tiles, s->query_tiles_grid);
    if (s->key_tiles)
        record_bitmap(r, s->key_tiles, d, r->workspace + s->at.key_tiles, s->key_tiles_grid);
}

static backward_query_params query_params(const backward_stage *s, const recorder *r)
{
    const dmattn_attention_desc *d = &s->desc.attention;
    const bool listed = dmattn_attention_has_lists(d);
    return (backward_query_params){
        .pair = dmattn_pair_params(d, r->tensor),
        .walk = listed ? r->tensor[TENSOR_LISTS] : r->workspace + s->at.query_tiles,
        .dout = r->tensor[TENSOR_DOUT],
        .workspace = r->workspace + s->at.rows,
        .dq = r->tensor[TENSOR_DQ],
        .lists_end = r->bytes[TENSOR_LISTS] / 4,
        .slopes = r->tensor[TENSOR_SLOPES],
    };
}

/* `order`: the offset of the sorted keys, or of the lists of queries. */
static backward_key_params key_params(const backward_stage *s, const recorder *r, uint64_t order)
{
    const dmattn_attention_desc *d = &s->desc.attention;
    const bool listed = dmattn_attention_has_lists(d);
    return (backward_key_params){
        .pair = dmattn_pair_params(d, r->tensor),
        .dout = r->tensor[TENSOR_DOUT],
        .workspace = r->workspace + s->at.rows,
        .walk_at = units(s, listed ? order : s->at.key_tiles),
        .work_at = units(s, s->at.work),
        .batches = d->batch,
        .slopes = r->tensor[TENSOR_SLOPES],
    };
}

/* `dbias`: the address of the planes that the kernel of keys writes. */
static schedule_params work_params(const backward_stage *s, const recorder *r, VkDeviceAddress dbias)
{
    const dmattn_attention_desc *d = &s->desc.attention;
    return (schedule_params){
        .workspace = r->workspace + s->at.rows,
        .dk = r->tensor[TENSOR_DK],
        .dv = r->tensor[TENSOR_DV],
        .dbias = dbias,
        .keys = d->keys,
        .work_at = units(s, s->at.work),
        .batches = d->batch,
    };
}

static backward_bias_params bias_params(const backward_stage *s, const recorder *r)
{
    const dmattn_attention_desc *d = &s->desc.attention;
    return (backward_bias_params){
        .pair = dmattn_pair_params(d, r->tensor),
        .dout = r->tensor[TENSOR_DOUT],
        .workspace = r->workspace + s->at.rows,
        .dbias = r->tensor[TENSOR_DBIAS],
        .batches = d->batch,
    };
}

static sink_gradient_params sink_params(const backward_stage *s, const recorder *r)
{
    const dmattn_attention_desc *d = &s->desc.attention;
    return (sink_gradient_params){
        .workspace = r->workspace + s->at.rows,
        .lse = r->tensor[TENSOR_LSE],
        .sink = r->tensor[TENSOR_SINK],
        .dsink = r->tensor[TENSOR_DSINK],
        .queries = d->queries,
        .batches = d->batch,
    };
}

void dmattn_backward_stage_record(const backward_stage *s, recorder *r)
{
    const bool summed = dmattn_backward_partial_bytes(s) > 0;
    const VkDeviceAddress dbias = r->tensor[TENSOR_DBIAS], planes = summed ? r->workspace + s->at.dbias : dbias;
    uint64_t order = s->order.codes ? dmattn_key_order_record(&s->order, r) : s->at.rows;
    if (s->lists.store) {
        dmattn_key_lists_record(&s->lists, r);
        order = s->lists.at;
    }
    const backward_query_params queries = query_params(s, r);
    const backward_key_params keys = key_params(s, r, order);
    const schedule_params work = work_params(s, r, planes);
    const backward_bias_params bias = bias_params(s, r);
    record_preparation(s, r, &keys, &work);

    /* None of these kernels needs results of another, so they can run at the same time. */
    bool first = true;
    for (int band = 0; band < QUERY_BANDS; band++)
        if (s->queries[band]) {
            dmattn_recorder_one_of(r, &first);
            dmattn_recorder_dispatch_slices(r, s->queries[band], &queries, sizeof queries, s->query_grid,
                                            s->query_slice);
        }
    for (int pass = 0; pass < KEY_PASSES; pass++)
        if (s->keys[pass]) {
            dmattn_recorder_one_of(r, &first);
            dmattn_recorder_dispatch_slices(r, s->keys[pass], &keys, sizeof keys, s->key_grid, s->key_slice);
        }
    if (s->bias) {
        dmattn_recorder_one_of(r, &first);
        dmattn_recorder_dispatch_slices(r, s->bias, &bias, sizeof bias, s->bias_grid, s->bias_slice);
    }
    if (s->sink) {
        const sink_gradient_params sink = sink_params(s, r);
        dmattn_recorder_one_of(r, &first);
        dmattn_recorder_dispatch(r, s->sink, &sink, sizeof sink, (grid){s->desc.attention.heads, 1, 1});
    }
    if (s->combine)
        dmattn_recorder_dispatch(r, s->combine, &keys, sizeof keys,
                                 dmattn_backward_combine_grid(&s->desc, &s->tile.key));
    if (summed)
        dmattn_sum_partials_record(&s->sum, r, planes, dbias, sum_of(&s->desc.attention));
}

uint64_t dmattn_attention_backward_alignment(const backward_stage *s, tensor_id tensor)
{
    const dmattn_attention_desc *d = &s->desc.attention;
    switch (tensor) {
    case TENSOR_Q:
    case TENSOR_K:
    case TENSOR_V:
    case TENSOR_OUT:
    case TENSOR_DOUT:
    case TENSOR_DQ:
    case TENSOR_DK:
    case TENSOR_DV: return s->aligned ? 16 : dmattn_type_size(d->type);
    case TENSOR_MASK: return 1;
    case TENSOR_BIAS: return dmattn_type_size(d->bias_type);
    default: return 4;
    }
}
