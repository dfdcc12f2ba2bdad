/* SPDX-License-Identifier: MIT
 * The specialization constants and the grids of the kernels, from a descriptor and a tile. Pure functions. */
#include "stage.h"

#include <math.h>
#include <string.h>

/* Biases can be in units of the scale if large ones keep their order (shaders/attention/scores.glsl). */
#define LEAST_UNIT 0x1p-6f

static uint32_t put_score(uint32_t *constants, uint32_t id, const dmattn_score_shape *s, uint32_t keys, uint32_t size,
                          uint32_t bit)
{
    uint64_t rows = (uint64_t)s->batch * s->heads * s->queries;
    bool derived = rows <= UINT32_MAX && (s->queries == 1 || s->query_stride == keys)
                   && (s->heads == 1 || s->head_stride == (uint64_t)s->queries * keys)
                   && (s->batch == 1 || s->batch_stride == (uint64_t)s->heads * s->queries * keys);
    if (derived)
        return bit;
    dmattn_put_stride(constants, id, s->batch, s->batch_stride, size);
    dmattn_put_stride(constants, id + 2, s->heads, s->head_stride, size);
    dmattn_put_stride(constants, id + 4, s->queries, s->query_stride, size);
    return 0;
}

static uint32_t heads_kind(const dmattn_score_shape *s, const dmattn_attention_desc *d)
{
    return s->heads == 1 ? SCORE_HEADS_ONE : s->heads == d->heads ? SCORE_HEADS_ALL : SCORE_HEADS_KV;
}

static uint32_t splits_of(const attention_tile *t)
{
    return t->splits ? t->splits : 1;
}

/* Whether all offsets within a head's plane fit in 32 bits. */
static bool is_near(const dmattn_strides *s, uint32_t rows, uint32_t size)
{
    return s->sequence <= (UINT32_MAX - DMATTN_MAX_HEAD_DIM * 4) / size / rows;
}

void dmattn_score_constants(const dmattn_attention_desc *d, uint32_t *c)
{
    const float soft_cap = d->soft_cap > 0 ? d->soft_cap : 0; /* not -0 */
    memcpy(&c[CONSTANT_SCALE], &d->scale, sizeof d->scale);
    memcpy(&c[CONSTANT_SOFT_CAP], &soft_cap, sizeof soft_cap);
}

void dmattn_attention_constants(const dmattn_attention_desc *d, const attention_tile *tile, bool aligned,
                                uint32_t c[ATTENTION_CONSTANT_COUNT])
{
    const uint32_t size = dmattn_type_size(d->type), bias_size = dmattn_type_size(d->bias_type);
    const dmattn_type q = dmattn_attention_type(d, TENSOR_Q), out = dmattn_attention_type(d, TENSOR_OUT);
    memset(c, 0, ATTENTION_CONSTANT_COUNT * sizeof *c);
    c[CONSTANT_WORKGROUP] = tile->workgroup;
    c[CONSTANT_TILE_ROWS] = tile->rows;
    c[CONSTANT_TILE_KEYS] = tile->keys;
    c[CONSTANT_KEY_LANES] = tile->key_lanes;
    c[CONSTANT_DEPTH] = tile->depth;
    c[CONSTANT_VALUE_KEYS] = tile->value_keys;
    c[CONSTANT_BY_UNIT] = tile->by_unit;
    c[CONSTANT_SUBGROUP] = tile->subgroup_size;
    c[CONSTANT_MATRIX_M] = tile->matrix.m;
    c[CONSTANT_MATRIX_N] = tile->matrix.n;
    c[CONSTANT_MATRIX_K] = tile->matrix.k;
    c[CONSTANT_FRAGMENT_LAYOUT] = tile->fragment_layout;
    c[CONSTANT_QUERY_BLOCKS] = tile->query_blocks;
    c[CONSTANT_DOUT_BLOCKS] = tile->dout_blocks;
    c[CONSTANT_TILE_BUFFERS] = tile->tile_buffers;
    c[CONSTANT_SUMS_SHARED] = tile->sums_shared;
    c[CONSTANT_GUARDED] = tile->guarded;
    c[CONSTANT_SPLIT] = splits_of(tile) > 1;
    c[CONSTANT_OUT_TYPE] = out;
    c[CONSTANT_Q_TYPE] = q;
    c[CONSTANT_OUT_ALIGNED] = aligned;
    c[CONSTANT_NEAR] = is_near(&d->k_strides, d->keys, size) && is_near(&d->v_strides, d->keys, size);
    c[CONSTANT_HEAD_DIM] = d->head_dim;
    c[CONSTANT_VALUE_DIM] = d->value_dim;
    c[CONSTANT_HEADS] = d->heads;
    c[CONSTANT_GROUP] = d->heads / d->kv_heads;
    c[CONSTANT_TYPE] = d->type;
    c[CONSTANT_BIAS_TYPE] = d->bias_type;
    c[CONSTANT_MASK] = d->mask;
    c[CONSTANT_BIAS] = d->bias;
    c[CONSTANT_CAUSAL] = d->causal;
    dmattn_score_constants(d, c);
    c[CONSTANT_SLOPES] = d->slopes;
    c[CONSTANT_REAL_UNITS] = (d->bias || d->slopes) && fabsf(d->scale) < LEAST_UNIT;
    c[CONSTANT_LSE] = d->lse;
    c[CONSTANT_SINK] = d->sink;
    c[CONSTANT_ALIGNED] = aligned;
    c[CONSTANT_HEADS_PER_TILE] = tile->heads_per_tile;
    const row_shape of_q = dmattn_query_rows(d), of_k = dmattn_key_rows(d);
    c[CONSTANT_LIST_QUERIES] =
        d->mask == DMATTN_MASK_SELECTED ? dmattn_tile_queries(tile) : dmattn_tile_list_queries(tile);

    uint32_t derived = 0;
    derived |= dmattn_put_strides(c, CONSTANT_Q_BATCH_LOW, &d->q_strides, of_q.batch, of_q.rows, d->heads,
                                  dmattn_type_size(q), DERIVED_Q);
    derived |=
        dmattn_put_strides(c, CONSTANT_K_BATCH_LOW, &d->k_strides, of_k.batch, of_k.rows, d->kv_heads, size, DERIVED_K);
    derived |=
        dmattn_put_strides(c, CONSTANT_V_BATCH_LOW, &d->v_strides, of_k.batch, of_k.rows, d->kv_heads, size, DERIVED_V);
    derived |= dmattn_put_strides(c, CONSTANT_OUT_BATCH_LOW, &d->out_strides, of_q.batch, of_q.rows, d->heads,
                                  dmattn_type_size(out), DERIVED_OUT);
    if (d->total_keys) /* all items are in one; the schedule has their first rows */
        derived &= ~(uint32_t)(DERIVED_K | DERIVED_V);
    if (d->mask != DMATTN_MASK_NONE) {
        c[CONSTANT_MASK_BATCHES] = d->mask_shape.batch > 1;
        c[CONSTANT_MASK_HEADS] = heads_kind(&d->mask_shape, d);
        c[CONSTANT_MASK_QUERIES] = d->mask_shape.queries > 1;
        /* attention reads no lists of queries, and uses the strides of the bias for an additive mask */
        if (d->mask == DMATTN_MASK_DENSE || d->mask == DMATTN_MASK_INTERVALS)
            derived |= put_score(c, CONSTANT_MASK_BATCH_LOW, &d->mask_shape, d->keys,
                                 d->mask == DMATTN_MASK_DENSE ? 1 : 4, DERIVED_MASK);
    }
    if (d->bias) {
        c[CONSTANT_BIAS_BATCHES] = d->bias_shape.batch > 1;
        c[CONSTANT_BIAS_HEADS] = heads_kind(&d->bias_shape, d);
        c[CONSTANT_BIAS_QUERIES] = d->bias_shape.queries > 1;
        derived |= put_score(c, CONSTANT_BIAS_BATCH_LOW, &d->bias_shape, d->keys, bias_size, DERIVED_BIAS);
    }
    c[CONSTANT_DERIVED_STRIDES] = derived;
}

uint32_t dmattn_attention_given_strides(const dmattn_attention_desc *d)
{
    const dmattn_strides *const s[] = {&d->q_strides, &d->k_strides, &d->v_strides, &d->out_strides};
    const uint32_t bits[] = {DERIVED_Q, DERIVED_K, DERIVED_V, DERIVED_OUT};
    const dmattn_score_shape *m = &d->mask_shape, *b = &d->bias_shape;
    uint32_t given = 0;
    for (int i = 0; i < 4; i++)
        given |= s[i]->batch || s[i]->sequence || s[i]->head ? bits[i] : 0;
    given |= m->batch_stride || m->head_stride || m->query_stride ? DERIVED_MASK : 0;
    return given | (b->batch_stride || b->head_stride || b->query_stride ? DERIVED_BIAS : 0);
}

static void put_score_strides(uint32_t *c, uint32_t id, const dmattn_score_shape *s, uint32_t size)
{
    dmattn_put_stride(c, id, s->batch, s->batch_stride, size);
    dmattn_put_stride(c, id + 2, s->heads, s->head_stride, size);
    dmattn_put_stride(c, id + 4, s->queries, s->query_stride, size);
}

void dmattn_attention_keep_strides(const dmattn_attention_desc *d, uint32_t given, uint32_t c[ATTENTION_CONSTANT_COUNT])
{
    const uint32_t size = dmattn_type_size(d->type), kept = given & c[CONSTANT_DERIVED_STRIDES];
    if (kept & DERIVED_Q)
        dmattn_put_stride(c, CONSTANT_Q_BATCH_LOW, d->batch, d->q_strides.batch,
                          dmattn_type_size(dmattn_attention_type(d, TENSOR_Q)));
    if (kept & DERIVED_K)
        dmattn_put_stride(c, CONSTANT_K_BATCH_LOW, d->batch, d->k_strides.batch, size);
    if (kept & DERIVED_V)
        dmattn_put_stride(c, CONSTANT_V_BATCH_LOW, d->batch, d->v_strides.batch, size);
    if (kept & DERIVED_OUT)
        dmattn_put_stride(c, CONSTANT_OUT_BATCH_LOW, d->batch, d->out_strides.batch,
                          dmattn_type_size(dmattn_attention_type(d, TENSOR_OUT)));
    if (kept & DERIVED_MASK)
        put_score_strides(c, CONSTANT_MASK_BATCH_LOW, &d->mask_shape, d->mask == DMATTN_MASK_DENSE ? 1 : 4);
    if (kept & DERIVED_BIAS)
        put_score_strides(c, CONSTANT_BIAS_BATCH_LOW, &d->bias_shape, dmattn_type_size(d->bias_type));
    c[CONSTANT_DERIVED_STRIDES] &= ~kept;
}

pair_params dmattn_pair_params(const dmattn_attention_desc *d, const VkDeviceAddress tensor[TENSOR_COUNT])
{
    return (pair_params){
        .q = tensor[TENSOR_Q],
        .k = tensor[TENSOR_K],
        .v = tensor[TENSOR_V],
        .bias = tensor[TENSOR_BIAS],
        .visible = {tensor[d->mask == DMATTN_MASK_INTERVALS ? TENSOR_BEGIN : TENSOR_MASK],
                    tensor[d->counts ? TENSOR_COUNTS : TENSOR_END]},
        .queries = d->queries,
        .keys = d->keys,
    };
}

void dmattn_attention_split_constants(const dmattn_attention_desc *d, const attention_tile *tile,
                                      uint32_t c[ATTENTION_CONSTANT_COUNT])
{
    const dmattn_strides contiguous = {.batch = (uint64_t)d->queries * d->heads * d->value_dim,
                                       .sequence = (uint64_t)d->heads * d->value_dim,
                                       .head = d->value_dim};
    c[CONSTANT_SINK] = 0; /* the kernel that combines partial results adds it */
    c[CONSTANT_OUT_TYPE] = TYPE_F32;
    c[CONSTANT_OUT_ALIGNED] = 1;
    c[CONSTANT_DERIVED_STRIDES] &= ~(uint32_t)DERIVED_OUT;
    c[CONSTANT_DERIVED_STRIDES] |= dmattn_put_strides(c, CONSTANT_OUT_BATCH_LOW, &contiguous,
                                                      d->batch * splits_of(tile), d->queries, d->heads, 4, DERIVED_OUT);
    if (d->total_queries) /* their sequence stride is needed, even if an item has one query at most */
        dmattn_put_stride(c, CONSTANT_OUT_SEQUENCE_LOW, 2, contiguous.sequence, 4);
}

uint64_t dmattn_attention_partial_rows(const dmattn_attention_desc *d, const attention_tile *tile)
{
    if (d->total_queries)
        return dmattn_product(dmattn_tile_shares(d, tile), dmattn_tile_queries(tile), d->heads);
    return splits_of(tile) == 1 ? 0 : dmattn_product(splits_of(tile), d->batch, d->queries, d->heads);
}

grid dmattn_combine_grid(const dmattn_attention_desc *d)
{
    const uint64_t rows = (uint64_t)d->queries * d->heads, each = COMBINE_WORKGROUP / (d->value_dim / 4);
    return (grid){dmattn_workgroups((rows + each - 1) / each), d->batch, 1};
}

bool dmattn_attention_is_aligned(const dmattn_attention_desc *d)
{
    const uint32_t size = dmattn_type_size(d->type);
    const uint32_t q = dmattn_type_size(dmattn_attention_type(d, TENSOR_Q));
    const uint32_t out = dmattn_type_size(dmattn_attention_type(d, TENSOR_OUT));
    const row_shape of_q = dmattn_query_rows(d), of_k = dmattn_key_rows(d);
    return dmattn_strides_aligned(&d->q_strides, of_q.batch, of_q.rows, d->heads, q)
           && dmattn_strides_aligned(&d->k_strides, of_k.batch, of_k.rows, d->kv_heads, size)
           && dmattn_strides_aligned(&d->v_strides, of_k.batch, of_k.rows, d->kv_heads, size)
           && dmattn_strides_aligned(&d->out_strides, of_q.batch, of_q.rows, d->heads, out);
}

grid dmattn_attention_grid(const dmattn_attention_desc *d, const attention_tile *tile)
{
    if (d->total_queries)
        return (grid){dmattn_tile_heads(d, tile), dmattn_schedule_params(d, tile).most_tiles, 1};
    return (grid){dmattn_ceil_div(d->queries, dmattn_tile_queries(tile)), dmattn_tile_heads(d, tile),
                  dmattn_workgroups(dmattn_product(d->batch, splits_of(tile)))};
}

grid dmattn_attention_parts_grid(const dmattn_attention_desc *d, const attention_tile *tile)
{
    return (grid){dmattn_tile_heads(d, tile), dmattn_tile_shares(d, tile), 1};
}

grid dmattn_combine_parts_grid(const dmattn_attention_desc *d, const attention_tile *tile)
{
    const uint32_t rows = dmattn_tile_queries(tile) * d->heads, each = COMBINE_WORKGROUP / (d->value_dim / 4);
    const uint32_t tiles = dmattn_tile_shares(d, tile) / 2; /* each has two parts or more */
    return (grid){dmattn_ceil_div(rows, each * COMBINE_ROUNDS), tiles, 1};
}

grid dmattn_mask_tiles_grid(const dmattn_attention_desc *d, const attention_tile *tile)
{
    if (!dmattn_attention_has_bitmap(d))
        return (grid){0, 0, 0};
    uint64_t planes = dmattn_product(d->mask_shape.batch, d->mask_shape.heads);
    return (grid){d->mask_shape.queries > 1 ? dmattn_ceil_div(d->queries, dmattn_tile_queries(tile)) : 1,
                  4 * dmattn_ceil_div(dmattn_ceil_div(d->keys, tile->keys), 32), dmattn_workgroups(planes)};
}

#define MASK_TILES_WORKGROUP 256
#define MASK_TILES_SUBGROUPS 32 /* as many as all devices have */

uint32_t dmattn_mask_tiles_workgroup(const capabilities *caps, const attention_tile *tile)
{
    uint32_t workgroup = MASK_TILES_WORKGROUP;
    while (workgroup > caps->max_invocations || workgroup > MASK_TILES_SUBGROUPS * tile->subgroup_size)
        workgroup /= 2;
    return workgroup;
}

uint64_t dmattn_mask_tiles_bytes(const dmattn_attention_desc *d, const attention_tile *tile)
{
    grid g = dmattn_mask_tiles_grid(d, tile);
    return dmattn_product(4, g.x, g.y, g.z);
}
