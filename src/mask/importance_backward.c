/* SPDX-License-Identifier: MIT */
#include "importance_backward.h"

#include <string.h>

#define WORKGROUP    128
#define COLUMN_LANES 8 /* eight pieces of 16 bytes are a cache line of v */
#define LANE_KEYS    4

#define TILE_KEYS (WORKGROUP / COLUMN_LANES * LANE_KEYS) /* of importance_weights and importance_values */
#define SUM_KEYS  (WORKGROUP * LANE_KEYS)                /* of sum_keys */

/* A large device has about 150 cores that run a few workgroups each. With more chunks than MOST_CHUNKS, or shorter
 * ones, the final sum takes longer than they save. The limit also keeps the memory of their sums to a few MiB beyond
 * ddt_weight. */
#define ENOUGH_WORKGROUPS 1024
#define MOST_CHUNKS       256
#define LEAST_TILES       2

/* ---- without a device ------------------------------------------------------------------------------------------ */

static uint32_t block_heads(const dmattn_mask_desc *d)
{
    return d->kv_heads < 8 ? d->kv_heads : 8;
}

bool dmattn_importance_backward_is_aligned(const dmattn_mask_desc *d, const dmattn_strides *rows)
{
    return dmattn_strides_aligned(rows, d->batch, d->keys, d->kv_heads, dmattn_type_size(d->type));
}

void dmattn_importance_backward_constants(const dmattn_mask_desc *d, const dmattn_strides *rows,
                                          uint32_t c[IMPORTANCE_BACKWARD_CONSTANT_COUNT])
{
    memset(c, 0, IMPORTANCE_BACKWARD_CONSTANT_COUNT * sizeof *c);
    c[IMPORTANCE_BACKWARD_WORKGROUP] = WORKGROUP;
    c[IMPORTANCE_BACKWARD_COLUMN_LANES] = COLUMN_LANES;
    c[IMPORTANCE_BACKWARD_LANE_KEYS] = LANE_KEYS;
    c[IMPORTANCE_BACKWARD_BLOCK_HEADS] = block_heads(d);
    c[IMPORTANCE_BACKWARD_KV_HEADS] = d->kv_heads;
    c[IMPORTANCE_BACKWARD_VALUE_DIM] = d->value_dim;
    c[IMPORTANCE_BACKWARD_TYPE] = d->type;
    c[IMPORTANCE_BACKWARD_PARAMETER_TYPE] = d->importance.parameter_type;
    c[IMPORTANCE_BACKWARD_ALIGNED] = dmattn_importance_backward_is_aligned(d, rows);
    c[IMPORTANCE_BACKWARD_DERIVED_STRIDES] = dmattn_put_strides(c, IMPORTANCE_BACKWARD_BATCH_LOW, rows, d->batch,
                                                                d->keys, d->kv_heads, dmattn_type_size(d->type), 1);
}

/* The number of blocks of 8 * COLUMN_LANES columns. kv_heads * value_dim is below 2^28. */
static uint32_t column_blocks(const dmattn_mask_desc *d)
{
    return dmattn_ceil_div(d->kv_heads * d->value_dim / 8, COLUMN_LANES);
}

grid dmattn_importance_weights_grid(const dmattn_mask_desc *d, const key_chunks *chunks)
{
    return (grid){column_blocks(d), dmattn_ceil_div(d->kv_heads, block_heads(d)), chunks->count};
}

grid dmattn_importance_values_grid(const dmattn_mask_desc *d)
{
    return (grid){dmattn_ceil_div(d->keys, TILE_KEYS), column_blocks(d), d->batch};
}

key_chunks dmattn_key_chunks(uint32_t batch, uint32_t keys, uint32_t tile_keys, uint64_t chunk_workgroups)
{
    const uint32_t item_tiles = dmattn_ceil_div(keys, tile_keys);
    const uint64_t tiles = (uint64_t)batch * item_tiles;
    key_chunks c = {.tiles = dmattn_workgroups(tiles), .item_tiles = item_tiles};
    const uint32_t wanted =
        chunk_workgroups >= ENOUGH_WORKGROUPS ? 1 : dmattn_ceil_div(ENOUGH_WORKGROUPS, (uint32_t)chunk_workgroups);
    c.chunk_tiles = dmattn_ceil_div(c.tiles, wanted < MOST_CHUNKS ? wanted : MOST_CHUNKS);
    c.chunk_tiles = c.chunk_tiles < LEAST_TILES ? LEAST_TILES : c.chunk_tiles;
    c.count = dmattn_ceil_div(c.tiles, c.chunk_tiles);
    return c;
}

/* Appends an array to the layout and returns its offset. */
static uint64_t put(importance_backward_layout *l, uint64_t bytes)
{
    const uint64_t offset = l->bytes;
    l->bytes = dmattn_add(l->bytes, bytes);
    return offset;
}

importance_backward_layout dmattn_importance_backward_layout(const dmattn_mask_desc *d, uint32_t gradients)
{
    const key_chunks one = {.count = 1};
    const grid blocks = dmattn_importance_weights_grid(d, &one);
    importance_backward_layout l = {
        .weights = dmattn_key_chunks(d->batch, d->keys, TILE_KEYS, (uint64_t)blocks.x * blocks.y),
        .sums = dmattn_key_chunks(d->batch, d->keys, SUM_KEYS, d->kv_heads),
    };
    const uint64_t terms = dmattn_product(4, d->batch, d->kv_heads, d->keys), heads = UINT64_C(4) * d->kv_heads;
    const uint64_t weight_partials = l.weights.count > 1 ? l.weights.count : 0;
    const uint64_t head_partials = l.sums.count > 1 ? l.sums.count : 0;
    if (gradients & IMPORTANCE_GRADIENTS & ~(uint32_t)DMATTN_GRADIENT_A)
        l.dz = put(&l, terms);
    if (gradients & DMATTN_GRADIENT_A)
        l.da_terms = put(&l, terms);
    if (gradients & DMATTN_GRADIENT_DT_WEIGHT)
        l.ddt_weight = put(&l, dmattn_product(weight_partials, heads, d->kv_heads, d->value_dim));
    if (gradients & DMATTN_GRADIENT_DT_BIAS)
        l.ddt_bias = put(&l, head_partials * heads);
    if (gradients & DMATTN_GRADIENT_A)
        l.da = put(&l, head_partials * heads);
    return l;
}

/* ---- the stage ------------------------------------------------------------------------------------------------- */

static dmattn_status check(const importance_backward_stage *s, const dmattn_context *ctx, const dmattn_mask_desc *d)
{
    TRY(dmattn_check_grid(ctx, "the importance", s->terms_grid));
    TRY(dmattn_check_grid(ctx, "the gradient of dt_weight", s->weights_grid));
    TRY(dmattn_check_grid(ctx, "the gradients of a and dt_bias", s->sums_grid));
    TRY(dmattn_check_grid(ctx, "the importance's gradient of v", s->values_grid));
    /* tiles are counted in 32 bits, up to the end of the last chunk, which may not be full */
    if (s->layout.weights.tiles > UINT32_MAX / 2)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED,
                           "the gradients of the importance have too many keys and batch items");
    if ((uint64_t)d->kv_heads * d->kv_heads * d->value_dim > UINT32_MAX)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED, "dt_weight has 2^32 elements or more");
    return DMATTN_SUCCESS;
}

static bool sums_partials(const importance_backward_stage *s)
{
    return (s->gradients & DMATTN_GRADIENT_DT_WEIGHT && s->layout.weights.count > 1)
           || (s->gradients & (DMATTN_GRADIENT_DT_BIAS | DMATTN_GRADIENT_A) && s->layout.sums.count > 1);
}

static uint32_t weight_count(const importance_backward_stage *s)
{
    return s->kv_heads * s->kv_heads * s->value_dim;
}

dmattn_status dmattn_importance_backward_stage_plan(importance_backward_stage *s, pipeline_set *set,
                                                    const dmattn_mask_desc *d, uint32_t gradients,
                                                    const dmattn_strides *dv_strides)
{
    const dmattn_context *ctx = set->ctx;
    s->gradients = gradients & IMPORTANCE_GRADIENTS;
    if (!s->gradients)
        return DMATTN_SUCCESS;
    s->keys = d->keys;
    s->kv_heads = d->kv_heads;
    s->value_dim = d->value_dim;
    s->layout = dmattn_importance_backward_layout(d, s->gradients);

    uint32_t terms_constants[IMPORTANCE_CONSTANT_COUNT], constants[IMPORTANCE_BACKWARD_CONSTANT_COUNT];
    const dmattn_level level = DMATTN_LEVEL_PORTABLE;
    dmattn_importance_constants(&ctx->caps, d, terms_constants);
    s->terms_grid = dmattn_importance_grid(d, terms_constants);
    s->weights_grid = dmattn_importance_weights_grid(d, &s->layout.weights);
    s->sums_grid = (grid){d->kv_heads, s->layout.sums.count, 1};
    s->values_grid = dmattn_importance_values_grid(d);
    TRY(check(s, ctx, d));
    const double flops = 2.0 * d->batch * d->keys * d->kv_heads * d->kv_heads * d->value_dim;
    s->weights_slice = dmattn_grid_slice(s->weights_grid, flops);
    s->values_slice = dmattn_grid_slice(s->values_grid, flops);

    TRY(dmattn_pipelines_add(
        set, "importance_terms", level,
        &(kernel_values){terms_constants, IMPORTANCE_CONSTANT_COUNT, dmattn_capabilities_subgroup_size(&ctx->caps)},
        &s->terms));
    const kernel_values values = {constants, IMPORTANCE_BACKWARD_CONSTANT_COUNT, 0};
    dmattn_importance_backward_constants(d, &d->v_strides, constants);
    if (s->gradients & DMATTN_GRADIENT_DT_WEIGHT)
        TRY(dmattn_pipelines_add(set, "importance_weights", level, &values, &s->weights));
    if (s->gradients & (DMATTN_GRADIENT_DT_BIAS | DMATTN_GRADIENT_A))
        TRY(dmattn_pipelines_add(set, "sum_keys", level, &values, &s->sums));
    dmattn_importance_backward_constants(d, dv_strides, constants);
    if (s->gradients & DMATTN_GRADIENT_V)
        TRY(dmattn_pipelines_add(set, "importance_values", level, &values, &s->values));
    if (sums_partials(s))
        TRY(dmattn_sum_partials_plan(&s->sum, set, (sum_shape){1, MOST_CHUNKS, weight_count(s)}));
    return DMATTN_SUCCESS;
}

uint64_t dmattn_importance_backward_scratch_bytes(const importance_backward_stage *s)
{
    return s->layout.bytes;
}

/* A gradient that is the sum of partial results, one per chunk of keys. */
typedef struct chunked {
    bool wanted;
    VkPipeline pipeline;
    grid grid;
    uint32_t slice;
    const key_chunks *chunks;
    VkDeviceAddress terms, partials, out;
    uint32_t count; /* numbers */
} chunked;

static void record_terms(const importance_backward_stage *s, recorder *r, VkDeviceAddress dz, VkDeviceAddress da_terms)
{
    const importance_terms_params params = {
        .v = r->tensor[TENSOR_V],
        .dt_weight = r->tensor[TENSOR_DT_WEIGHT],
        .a = r->tensor[TENSOR_A],
        .dt_bias = r->tensor[TENSOR_DT_BIAS],
        .dimportance = r->tensor[TENSOR_DIMPORTANCE],
        .dz = s->gradients & ~(uint32_t)DMATTN_GRADIENT_A ? dz : 0,
        .da_terms = s->gradients & DMATTN_GRADIENT_A ? da_terms : 0,
        .keys = s->keys,
    };
    dmattn_recorder_dispatch(r, s->terms, &params, sizeof params, s->terms_grid);
}

static void record_values(const importance_backward_stage *s, recorder *r, VkDeviceAddress dz)
{
    const importance_backward_params params = {
        .rows = r->tensor[TENSOR_DV], .dt_weight = r->tensor[TENSOR_DT_WEIGHT], .terms = dz, .keys = s->keys};
    dmattn_recorder_dispatch_slices(r, s->values, &params, sizeof params, s->values_grid, s->values_slice);
}

static void record_chunks(const importance_backward_stage *s, recorder *r, const chunked *c)
{
    const importance_backward_params params = {
        .rows = r->tensor[TENSOR_V],
        .terms = c->terms,
        .sums = c->chunks->count > 1 ? c->partials : c->out,
        .keys = s->keys,
        .tiles = c->chunks->tiles,
        .item_tiles = c->chunks->item_tiles,
        .chunk_tiles = c->chunks->chunk_tiles,
    };
    dmattn_recorder_dispatch_slices(r, c->pipeline, &params, sizeof params, c->grid, c->slice);
}

void dmattn_importance_backward_stage_record(const importance_backward_stage *s, recorder *r)
{
    if (!s->gradients)
        return;
    const importance_backward_layout *l = &s->layout;
    const VkDeviceAddress scratch = r->workspace + s->scratch_at;
    const VkDeviceAddress dz = scratch + l->dz, da_terms = scratch + l->da_terms;
    const chunked gradients[] = {
        {s->gradients & DMATTN_GRADIENT_DT_WEIGHT, s->weights, s->weights_grid, s->weights_slice, &l->weights, dz,
         scratch + l->ddt_weight, r->tensor[TENSOR_DDT_WEIGHT], weight_count(s)},
        {s->gradients & DMATTN_GRADIENT_DT_BIAS, s->sums, s->sums_grid, UINT32_MAX, &l->sums, dz, scratch + l->ddt_bias,
         r->tensor[TENSOR_DDT_BIAS], s->kv_heads},
        {s->gradients & DMATTN_GRADIENT_A, s->sums, s->sums_grid, UINT32_MAX, &l->sums, da_terms, scratch + l->da,
         r->tensor[TENSOR_DA], s->kv_heads},
    };
    enum { CHUNKED = sizeof gradients / sizeof *gradients };

    record_terms(s, r, dz, da_terms);
    bool first = true; /* these kernels need the terms, but no results of each other */
    for (int i = 0; i < CHUNKED; i++)
        if (gradients[i].wanted) {
            dmattn_recorder_one_of(r, &first);
            record_chunks(s, r, &gradients[i]);
        }
    if (s->values) {
        dmattn_recorder_one_of(r, &first);
        record_values(s, r, dz);
    }
    first = true;
    for (int i = 0; i < CHUNKED; i++) {
        const chunked *c = &gradients[i];
        if (c->wanted && c->chunks->count > 1) {
            dmattn_recorder_one_of(r, &first);
            dmattn_sum_partials_record(&s->sum, r, c->partials, c->out, (sum_shape){1, c->chunks->count, c->count});
        }
    }
}
