/* SPDX-License-Identifier: MIT
 * From a descriptor and tiles to what the backward shaders are specialized with and how they are launched. Pure
 * functions. */
#include "backward.h"

/* What all backward kernels have; `out` is what they call out_. */
static void common_constants(const dmattn_attention_backward_desc *b, const attention_tile *tile, bool aligned,
                             const dmattn_strides *out, uint32_t out_rows, uint32_t out_heads,
                             uint32_t c[ATTENTION_CONSTANT_COUNT])
{
    const dmattn_attention_desc *d = &b->attention;
    const uint32_t size = dmattn_type_size(d->type);
    dmattn_attention_constants(d, tile, aligned, c);
    c[CONSTANT_PACKED] &= ~(uint32_t)PACKED_OUT;
    for (int i = CONSTANT_OUT_BATCH_LOW; i <= CONSTANT_OUT_HEAD_HIGH; i++)
        c[i] = 0;
    c[CONSTANT_PACKED] |=
        dmattn_put_strides(c, CONSTANT_OUT_BATCH_LOW, out, d->batch, out_rows, out_heads, size, PACKED_OUT);
    c[CONSTANT_PACKED] |= dmattn_put_strides(c, CONSTANT_DOUT_BATCH_LOW, &b->dout_strides, d->batch, d->queries,
                                             d->heads, size, PACKED_DOUT);
    c[CONSTANT_PACKED] |=
        dmattn_put_strides(c, CONSTANT_DV_BATCH_LOW, &b->dv_strides, d->batch, d->keys, d->kv_heads, size, PACKED_DV);
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

/* As many invocations to a row as can read 16 bytes each, but no more than a subgroup. */
#define ROWS_WORKGROUP 128
static uint32_t row_lanes(const dmattn_attention_desc *d, const device_facts *facts)
{
    uint32_t lanes = 1;
    const uint32_t subgroup = dmattn_device_facts_subgroup_size(facts, 32);
    while (2 * lanes <= d->value_dim / 8 && 2 * lanes <= subgroup && 2 * lanes <= 32)
        lanes *= 2;
    return lanes;
}

void dmattn_backward_rows_constants(const dmattn_attention_backward_desc *b, const device_facts *facts, bool aligned,
                                    uint32_t c[ATTENTION_CONSTANT_COUNT])
{
    const dmattn_attention_desc *d = &b->attention;
    const attention_tile tile = {.workgroup = ROWS_WORKGROUP, .rows = 1, .keys = 1, .pack = 1};
    common_constants(b, &tile, aligned, &d->out_strides, d->queries, d->heads, c);
    c[CONSTANT_KEY_LANES] = row_lanes(d, facts);
}

grid dmattn_backward_rows_grid(const dmattn_attention_backward_desc *b, const device_facts *facts)
{
    const dmattn_attention_desc *d = &b->attention;
    return (grid){dmattn_ceil_div(d->queries, ROWS_WORKGROUP / row_lanes(d, facts)), d->heads, d->batch};
}

grid dmattn_backward_key_grid(const dmattn_attention_backward_desc *b, const attention_tile *tile)
{
    const dmattn_attention_desc *d = &b->attention;
    return (grid){dmattn_ceil_div(d->keys, tile->keys), d->kv_heads, d->batch};
}

grid dmattn_backward_bias_grid(const dmattn_attention_backward_desc *b, const attention_tile *tile)
{
    const dmattn_attention_desc *d = &b->attention;
    const uint64_t planes = (uint64_t)d->bias_shape.batch * d->bias_shape.heads;
    return (grid){dmattn_ceil_div(d->keys, tile->keys), dmattn_ceil_div(d->queries, tile->rows),
                  planes > UINT32_MAX ? UINT32_MAX : (uint32_t)planes};
}
