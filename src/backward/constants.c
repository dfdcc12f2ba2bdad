/* SPDX-License-Identifier: MIT
 * The specialization constants and the grids of the backward kernels, from a descriptor and tiles. Pure functions. */
#include "backward.h"

/* The constants of all backward kernels. `out`: the strides of the tensor that they call out_. */
static void common_constants(const dmattn_attention_backward_desc *b, const attention_tile *tile, bool aligned,
                             const dmattn_strides *out, uint32_t out_rows, uint32_t out_heads,
                             uint32_t c[ATTENTION_CONSTANT_COUNT])
{
    const dmattn_attention_desc *d = &b->attention;
    const uint32_t size = dmattn_type_size(d->type);
    dmattn_attention_constants(d, tile, aligned, c);
    c[CONSTANT_DERIVED_STRIDES] &= ~(uint32_t)DERIVED_OUT;
    for (int i = CONSTANT_OUT_BATCH_LOW; i <= CONSTANT_OUT_HEAD_HIGH; i++)
        c[i] = 0;
    c[CONSTANT_DERIVED_STRIDES] |=
        dmattn_put_strides(c, CONSTANT_OUT_BATCH_LOW, out, d->batch, out_rows, out_heads, size, DERIVED_OUT);
    c[CONSTANT_DERIVED_STRIDES] |= dmattn_put_strides(c, CONSTANT_DOUT_BATCH_LOW, &b->dout_strides, d->batch,
                                                      d->queries, d->heads, size, DERIVED_DOUT);
    c[CONSTANT_DERIVED_STRIDES] |=
        dmattn_put_strides(c, CONSTANT_DV_BATCH_LOW, &b->dv_strides, d->batch, d->keys, d->kv_heads, size, DERIVED_DV);
}

void dmattn_backward_query_constants(const dmattn_attention_backward_desc *b, const attention_tile *tile, bool aligned,
                                     uint32_t c[ATTENTION_CONSTANT_COUNT])
{
    common_constants(b, tile, aligned, &b->dq_strides, b->attention.queries, b->attention.heads, c);
    c[CONSTANT_GRADIENTS] = GRADIENT_Q;
}

void dmattn_backward_key_constants(const dmattn_attention_backward_desc *b, const attention_tile *tile, bool aligned,
                                   uint32_t c[ATTENTION_CONSTANT_COUNT])
{
    common_constants(b, tile, aligned, &b->dk_strides, b->attention.keys, b->attention.kv_heads, c);
    c[CONSTANT_GRADIENTS] = b->gradients & (GRADIENT_K | GRADIENT_V);
    if (b->attention.bias_shape.queries == 1)
        c[CONSTANT_GRADIENTS] |= b->gradients & GRADIENT_BIAS;
}

key_pass dmattn_backward_key_pass(const dmattn_attention_backward_desc *b, const attention_tile *tile, uint32_t pass)
{
    const dmattn_attention_desc *d = &b->attention;
    uint32_t made = b->gradients & (GRADIENT_K | GRADIENT_V);
    if (b->attention.bias_shape.queries == 1)
        made |= b->gradients & GRADIENT_BIAS;
    const uint32_t bands_k = dmattn_tile_bands(tile, d->head_dim), bands_v = dmattn_tile_bands(tile, d->value_dim);
    if (bands_k == 1 && bands_v == 1 && (!tile->two_passes || !(made & GRADIENT_K) || !(made & GRADIENT_V)))
        return (key_pass){pass ? 0 : made, 0};
    const uint32_t others = made & ~(uint32_t)GRADIENT_V; /* dbias is made in the first pass */
    const uint32_t passes = others & GRADIENT_K ? bands_k : others ? 1 : 0;
    if (pass < passes)
        return (key_pass){pass ? GRADIENT_K : others, pass * tile->band};
    pass -= passes;
    return (key_pass){pass < bands_v ? made & GRADIENT_V : 0, pass * tile->band};
}

/* A row has as many invocations as can read 16 bytes each, but at most a subgroup. */
#define ROWS_WORKGROUP 128
static uint32_t row_lanes(const dmattn_attention_desc *d, const capabilities *caps)
{
    uint32_t lanes = 1;
    const uint32_t subgroup = dmattn_capabilities_subgroup_size(caps);
    while (2 * lanes <= d->value_dim / 8 && 2 * lanes <= subgroup && 2 * lanes <= 32)
        lanes *= 2;
    return lanes;
}

void dmattn_backward_rows_constants(const dmattn_attention_backward_desc *b, const capabilities *caps, bool aligned,
                                    uint32_t c[ATTENTION_CONSTANT_COUNT])
{
    const dmattn_attention_desc *d = &b->attention;
    const attention_tile tile = {.workgroup = ROWS_WORKGROUP, .rows = 1, .keys = 1, .heads_per_tile = 1};
    common_constants(b, &tile, aligned, &d->out_strides, d->queries, d->heads, c);
    c[CONSTANT_LSE_GRADIENT] = b->dlse;
    c[CONSTANT_KEY_LANES] = row_lanes(d, caps);
}

grid dmattn_backward_rows_grid(const dmattn_attention_backward_desc *b, const capabilities *caps)
{
    const dmattn_attention_desc *d = &b->attention;
    return (grid){dmattn_ceil_div(d->queries, ROWS_WORKGROUP / row_lanes(d, caps)), d->heads, d->batch};
}

/* The grids of items and tiles have rows of this length, so that no dimension is too large. */
#define ITEM_ROW 32768
static grid rows_of_items(uint64_t count)
{
    const uint64_t rows = (count + ITEM_ROW - 1) / ITEM_ROW;
    return (grid){count < ITEM_ROW ? (uint32_t)count : ITEM_ROW, dmattn_workgroups(rows), 1};
}

static uint64_t key_tiles(const dmattn_attention_desc *d, const attention_tile *tile)
{
    return dmattn_product(d->batch, d->kv_heads, dmattn_ceil_div(d->keys, tile->keys));
}

grid dmattn_backward_ranges_grid(const dmattn_attention_backward_desc *b, const attention_tile *tile)
{
    const dmattn_attention_desc *d = &b->attention;
    return (grid){dmattn_ceil_div(d->keys, tile->keys), d->kv_heads, d->batch};
}

grid dmattn_backward_key_grid(const dmattn_attention_backward_desc *b, const attention_tile *tile)
{
    return rows_of_items(key_tiles(&b->attention, tile) + WORK_ITEMS);
}

grid dmattn_backward_combine_grid(const dmattn_attention_backward_desc *b, const attention_tile *tile)
{
    return rows_of_items(key_tiles(&b->attention, tile));
}

uint64_t dmattn_backward_schedule_bytes(const dmattn_attention_backward_desc *b, const attention_tile *tile)
{
    const dmattn_attention_desc *d = &b->attention;
    const uint64_t tiles = key_tiles(d, tile);
    /* Only work items of split tiles have partial results. There are at most WORK_ITEMS full items, equally many
     * remainders, and no more than all tiles give with items of MIN_ITEM_TILES. */
    const uint64_t most = dmattn_ceil_div(dmattn_ceil_div(d->queries, dmattn_tile_queries(tile)), MIN_ITEM_TILES);
    const uint64_t all = dmattn_product(tiles, most);
    const uint64_t partials = most == 1 ? 0 : all < 2 * WORK_ITEMS ? all : 2 * WORK_ITEMS;
    const uint32_t group = d->heads / d->kv_heads, head_tiles = dmattn_ceil_div(group, tile->heads_per_tile);
    const uint64_t biases = d->bias && d->bias_shape.heads == d->heads ? head_tiles : 1; /* for each key */
    const uint64_t sums = dmattn_product(4, partials, tile->keys, d->head_dim + d->value_dim + biases);
    return dmattn_add(dmattn_product(16, dmattn_add(dmattn_product(2, tiles), WORK_ITEMS + WORK_HEADER)), sums);
}

grid dmattn_backward_bias_grid(const dmattn_attention_backward_desc *b, const attention_tile *tile)
{
    const dmattn_attention_desc *d = &b->attention;
    const uint64_t planes = dmattn_product(d->bias_shape.batch, d->bias_shape.heads);
    return (grid){dmattn_ceil_div(d->keys, tile->keys), dmattn_ceil_div(d->queries, tile->rows),
                  dmattn_workgroups(planes)};
}
