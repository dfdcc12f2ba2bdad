/* SPDX-License-Identifier: MIT */
#include "desc.h"

#include "../descriptors/format.h"
#include "../shape.h"
#include "pages.h"

#include "../../shaders/lib/lists.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

uint32_t dmattn_score_head(const dmattn_score_shape *shape, uint32_t head, uint32_t heads, uint32_t kv_heads)
{
    return shape->heads == heads ? head : shape->heads == kv_heads ? head / (heads / kv_heads) : 0;
}

row_shape dmattn_query_rows(const dmattn_attention_desc *d)
{
    return d->total_queries ? (row_shape){1, d->total_queries} : (row_shape){d->batch, d->queries};
}

row_shape dmattn_key_rows(const dmattn_attention_desc *d)
{
    return d->total_keys ? (row_shape){1, d->total_keys} : (row_shape){d->batch, d->keys};
}

static uint64_t score_span(const dmattn_score_shape *s, uint32_t keys)
{
    return dmattn_span((uint64_t[]){s->batch, s->heads, s->queries},
                       (uint64_t[]){s->batch_stride, s->head_stride, s->query_stride}, keys);
}

/* `keys`: elements of a row. */
static dmattn_status resolve_score(const messenger *m, const char *name, dmattn_score_shape *s,
                                   const dmattn_attention_desc *d, uint32_t keys)
{
    s->batch = s->batch ? s->batch : 1;
    s->heads = s->heads ? s->heads : 1;
    s->queries = s->queries ? s->queries : 1;
    if (s->batch != 1 && s->batch != d->batch)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s_shape.batch is %u, but must be 1 or the batch (%u)", name,
                           s->batch, d->batch);
    if (s->heads != 1 && s->heads != d->heads && s->heads != d->kv_heads)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s_shape.heads is %u, but must be 1, kv_heads (%u) or heads (%u)",
                           name, s->heads, d->kv_heads, d->heads);
    if (s->queries != 1 && s->queries != d->queries)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s_shape.queries is %u, but must be 1 or queries (%u)", name,
                           s->queries, d->queries);
    if (d->mask == DMATTN_MASK_INTERVALS && s->queries != 1)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s_shape.queries is %u, but must be 1 with interval masks", name,
                           s->queries);
    if (!s->batch_stride && !s->head_stride && !s->query_stride) {
        s->query_stride = keys;
        s->head_stride = dmattn_product(s->queries, s->query_stride);
        s->batch_stride = dmattn_product(s->heads, s->head_stride);
        TRY(dmattn_check_bytes(m, name, s->batch_stride));
    }
    if (score_span(s, keys) > MAX_TENSOR_BYTES / 4)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s spans more than 2^60 elements with these strides", name);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_attention_format_resolve(const messenger *m, const char *tensor, dmattn_format *format,
                                              dmattn_type type, uint32_t dim, const dmattn_strides *s)
{
    char name[16];
    snprintf(name, sizeof name, "%s_format", tensor);
    TRY(dmattn_check_format(m, name, *format));
    if (dmattn_format_is_type(*format, type))
        *format = DMATTN_FORMAT_TYPE;
    const uint32_t block = dmattn_format_block(*format);
    if (dim % block)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is %s, but the dimension %u of %s is not a multiple of %u",
                           name, dmattn_format_string(*format), dim, tensor, block);
    if (s->batch % block || s->sequence % block || s->head % block)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is %s, but a stride of %s is not a multiple of %u", name,
                           dmattn_format_string(*format), tensor, block);
    return DMATTN_SUCCESS;
}

uint32_t dmattn_mask_row(const dmattn_attention_desc *d)
{
    return d->mask == DMATTN_MASK_SELECTED ? d->selected_count : d->keys;
}

#define MAX_SELECTED (1u << 20)
#define MAX_BLOCK    (1u << SELECTED_MAX_SHIFT)

static dmattn_status resolve_selected(const messenger *m, dmattn_attention_desc *d)
{
    if (d->mask != DMATTN_MASK_SELECTED) {
        const char *set = d->selected_count     ? "selected_count"
                          : d->selected_block   ? "selected_block"
                          : d->selected_queries ? "selected_queries"
                                                : NULL;
        if (set)
            return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is set, but the mask is not DMATTN_MASK_SELECTED", set);
        return DMATTN_SUCCESS;
    }
    d->selected_block = d->selected_block ? d->selected_block : 1;
    if (!d->selected_count || d->selected_count > MAX_SELECTED)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "selected_count is %u, but must be from 1 to %u", d->selected_count,
                           MAX_SELECTED);
    if (d->selected_block > MAX_BLOCK || d->selected_block & (d->selected_block - 1))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "selected_block is %u, but must be a power of 2 up to %u",
                           d->selected_block, MAX_BLOCK);
    return DMATTN_SUCCESS;
}

static dmattn_status resolve_packed(const messenger *m, dmattn_attention_desc *d)
{
    if (!d->total_queries && !d->total_keys)
        return DMATTN_SUCCESS;
    if (!d->counts || !d->total_queries)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is set, but %s is not",
                           d->total_queries ? "total_queries" : "total_keys", d->counts ? "total_queries" : "counts");
    if (d->lengths)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "lengths and total_queries are both set, but packed items have their own lengths");
    if (d->mask == DMATTN_MASK_SELECTED)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "total_queries is set, but with lists of selected keys, rows of items must be apart");
    TRY(dmattn_check_size(m, "total_queries", d->total_queries));
    if (d->page_size && !d->total_keys) {
        const uint64_t keys = (uint64_t)d->batch * d->keys;
        d->total_keys = keys < UINT32_MAX ? (uint32_t)keys : UINT32_MAX;
    }
    return d->total_keys ? dmattn_check_size(m, "total_keys", d->total_keys) : DMATTN_SUCCESS;
}

/* Whether a scale or a soft cap is 0 or so far from the ends of the range of f32 that nothing made of it leaves it. */
static bool is_factor(float x)
{
    return x == 0 || (x >= 0x1p-64f && x <= 0x1p64f);
}

dmattn_status dmattn_attention_desc_resolve(const dmattn_attention_desc *desc, dmattn_attention_desc *resolved,
                                            const messenger *m)
{
    if (!desc)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the attention descriptor is NULL");
    dmattn_attention_desc d = *desc;
    TRY(dmattn_check_size(m, "batch", d.batch));
    TRY(dmattn_check_size(m, "queries", d.queries));
    TRY(dmattn_check_size(m, "keys", d.keys));
    TRY(dmattn_check_size(m, "heads", d.heads));
    TRY(dmattn_check_type(m, "type", d.type));
    if ((unsigned)d.mask > DMATTN_MASK_SELECTED)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "mask %d is not a dmattn_mask", (int)d.mask);
    if ((unsigned)d.level > DMATTN_LEVEL_MATRIX2)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "level %d is not a dmattn_level", (int)d.level);
    if ((unsigned)d.max_level > DMATTN_LEVEL_MATRIX2)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "max_level %d is not a dmattn_level", (int)d.max_level);
    if (d.max_level && d.level > d.max_level)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "level %s is above max_level %s", dmattn_level_string(d.level),
                           dmattn_level_string(d.max_level));

    d.kv_heads = d.kv_heads ? d.kv_heads : d.heads;
    if (d.heads % d.kv_heads)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "heads (%u) is not a multiple of kv_heads (%u)", d.heads,
                           d.kv_heads);
    d.value_dim = d.value_dim ? d.value_dim : d.head_dim;
    TRY(dmattn_check_dim(m, "head_dim", d.head_dim, DMATTN_MAX_HEAD_DIM));
    TRY(dmattn_check_dim(m, "value_dim", d.value_dim, DMATTN_MAX_VALUE_DIM));
    if (!is_factor(fabsf(d.scale)))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "scale is %g, but its magnitude must be 0 or from 2^-64 to 2^64",
                           d.scale);
    if (d.scale == 0)
        d.scale = (float)(1 / sqrt(d.head_dim));
    if (!is_factor(d.soft_cap))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "soft_cap is %g, but must be 0 or from 2^-64 to 2^64", d.soft_cap);

    if (d.page_size)
        d.k_strides = d.v_strides = (dmattn_strides){0};
    TRY(resolve_packed(m, &d));
    const row_shape q = dmattn_query_rows(&d), k = dmattn_key_rows(&d);
    TRY(dmattn_strides_resolve(m, "q", &d.q_strides, q.batch, q.rows, d.heads, d.head_dim));
    TRY(dmattn_strides_resolve(m, "k", &d.k_strides, k.batch, k.rows, d.kv_heads, d.head_dim));
    TRY(dmattn_strides_resolve(m, "v", &d.v_strides, k.batch, k.rows, d.kv_heads, d.value_dim));
    TRY(dmattn_attention_format_resolve(m, "k", &d.k_format, d.type, d.head_dim, &d.k_strides));
    TRY(dmattn_attention_format_resolve(m, "v", &d.v_format, d.type, d.value_dim, &d.v_strides));
    TRY(dmattn_strides_resolve(m, "out", &d.out_strides, q.batch, q.rows, d.heads, d.value_dim));
    if (!dmattn_strides_distinct(&d.out_strides, q.batch, q.rows, d.heads, d.value_dim))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "out_strides give two elements of out the same address");

    TRY(dmattn_pages_resolve(&d, m));
    TRY(resolve_selected(m, &d));
    if (d.counts && d.mask == DMATTN_MASK_INTERVALS)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "counts is set, but an interval of no queries already hides a key that does not exist");
    d.bias = d.bias || d.mask == DMATTN_MASK_ADDITIVE;
    if (d.mask == DMATTN_MASK_NONE || d.mask == DMATTN_MASK_ADDITIVE)
        memset(&d.mask_shape, 0, sizeof d.mask_shape);
    else
        TRY(resolve_score(m, "mask", &d.mask_shape, &d, dmattn_mask_row(&d)));
    if (!d.bias) {
        memset(&d.bias_shape, 0, sizeof d.bias_shape);
        d.bias_type = DMATTN_TYPE_F32;
    } else {
        TRY(dmattn_check_type(m, "bias_type", d.bias_type));
        TRY(resolve_score(m, "bias", &d.bias_shape, &d, d.keys));
    }
    if (d.mask == DMATTN_MASK_ADDITIVE)
        d.mask_shape = d.bias_shape;
    if (d.mask != DMATTN_MASK_INTERVALS && (d.lists || d.list_capacity))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is set, but tile lists belong to interval masks",
                           d.lists ? "lists" : "list_capacity");
    if (d.lists && d.list_capacity)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "list_capacity is set, but with lists it has no effect, because they are made elsewhere");
    *resolved = d;
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_attention_desc_shorten(const dmattn_attention_desc *given, uint32_t queries, uint32_t keys,
                                            dmattn_attention_desc *run, const messenger *m)
{
    *run = *given;
    TRY(dmattn_shorten_length(m, "queries", given->lengths, queries, &run->queries));
    TRY(dmattn_shorten_length(m, "keys", given->lengths, keys, &run->keys));
    if (run->mask_shape.queries > 1)
        run->mask_shape.queries = run->queries;
    if (run->bias_shape.queries > 1)
        run->bias_shape.queries = run->queries;
    return dmattn_attention_desc_resolve(run, run, m);
}

const char *dmattn_attention_not_decoded(const dmattn_attention_desc *d)
{
    const bool mask = d->mask == DMATTN_MASK_INTERVALS || d->mask == DMATTN_MASK_ADDITIVE;
    return d->causal             ? "causal"
           : d->page_size        ? "page_size"
           : d->counts           ? "counts"
           : d->total_queries    ? "total_queries"
           : d->total_keys       ? "total_keys"
           : d->lists            ? "lists"
           : mask                ? "mask"
           : d->selected_queries ? "selected_queries"
           : d->list_capacity    ? "list_capacity"
           : d->lengths          ? "lengths"
                                 : NULL;
}

dmattn_attention_desc dmattn_attention_band(const dmattn_attention_desc *d, uint32_t first, uint32_t columns)
{
    dmattn_attention_desc band = *d;
    band.value_dim = d->value_dim - first < columns ? d->value_dim - first : columns;
    band.lse = d->lse && !first;
    return band;
}

dmattn_type dmattn_attention_type(const dmattn_attention_desc *d, tensor_id tensor)
{
    return (tensor == TENSOR_Q && d->q_f32) || (tensor == TENSOR_OUT && d->out_f32) ? DMATTN_TYPE_F32 : d->type;
}

dmattn_format dmattn_attention_format(const dmattn_attention_desc *d, tensor_id tensor)
{
    return dmattn_format_of(tensor == TENSOR_K ? d->k_format : d->v_format, d->type);
}

static uint64_t scales_bytes(const dmattn_attention_desc *d, dmattn_format format)
{
    const row_shape k = dmattn_key_rows(d);
    return dmattn_format_has_scales(format) && !d->page_size ? dmattn_product(4, k.batch, k.rows, d->kv_heads) : 0;
}

uint64_t dmattn_attention_tensor_bytes(const dmattn_attention_desc *d, tensor_id tensor)
{
    const row_shape q = dmattn_query_rows(d), k = dmattn_key_rows(d);
    switch (tensor) {
    case TENSOR_Q:
        return dmattn_type_size(dmattn_attention_type(d, tensor))
               * dmattn_strides_span(&d->q_strides, q.batch, q.rows, d->heads, d->head_dim);
    case TENSOR_K:
        return d->page_size
                   ? 0
                   : dmattn_format_bytes(dmattn_attention_format(d, tensor),
                                         dmattn_strides_span(&d->k_strides, k.batch, k.rows, d->kv_heads, d->head_dim));
    case TENSOR_V:
        return d->page_size ? 0
                            : dmattn_format_bytes(
                                dmattn_attention_format(d, tensor),
                                dmattn_strides_span(&d->v_strides, k.batch, k.rows, d->kv_heads, d->value_dim));
    case TENSOR_K_SCALES: return scales_bytes(d, d->k_format);
    case TENSOR_V_SCALES: return scales_bytes(d, d->v_format);
    case TENSOR_COUNTS: return d->counts ? UINT64_C(8) * d->batch : 0;
    case TENSOR_PAGES: return dmattn_product(d->pages, d->page_bytes);
    case TENSOR_TABLE: return d->page_size ? dmattn_product(4, d->batch, dmattn_table_pages(d)) : 0;
    case TENSOR_OUT:
        return dmattn_type_size(dmattn_attention_type(d, tensor))
               * dmattn_strides_span(&d->out_strides, q.batch, q.rows, d->heads, d->value_dim);
    case TENSOR_LSE: return d->lse ? dmattn_product(4, q.batch, d->heads, q.rows) : 0;
    case TENSOR_MASK: return d->mask == DMATTN_MASK_DENSE ? score_span(&d->mask_shape, d->keys) : 0;
    case TENSOR_BEGIN:
    case TENSOR_END: return d->mask == DMATTN_MASK_INTERVALS ? 4 * score_span(&d->mask_shape, d->keys) : 0;
    case TENSOR_SELECTED:
        return d->mask == DMATTN_MASK_SELECTED ? 4 * score_span(&d->mask_shape, d->selected_count) : 0;
    case TENSOR_BIAS: return d->bias ? dmattn_type_size(d->bias_type) * score_span(&d->bias_shape, d->keys) : 0;
    case TENSOR_SINK: return d->sink ? UINT64_C(4) * d->heads : 0;
    case TENSOR_SLOPES: return d->slopes ? UINT64_C(4) * d->heads : 0;
    default: return 0;
    }
}

bool dmattn_attention_has_bitmap(const dmattn_attention_desc *d)
{
    return d->mask == DMATTN_MASK_DENSE || d->mask == DMATTN_MASK_ADDITIVE;
}

bool dmattn_attention_tells_rows(const dmattn_attention_desc *d)
{
    return d->mask == DMATTN_MASK_ADDITIVE && !d->slopes && !d->counts;
}

bool dmattn_attention_has_lists(const dmattn_attention_desc *d)
{
    return d->mask == DMATTN_MASK_INTERVALS || d->mask == DMATTN_MASK_SELECTED;
}

uint32_t dmattn_attention_seen_keys(const dmattn_attention_desc *d, uint32_t queries)
{
    if (d->mask != DMATTN_MASK_SELECTED)
        return d->keys;
    const uint64_t selected = dmattn_product(queries, d->selected_count, d->selected_block);
    return selected < d->keys ? (uint32_t)selected : d->keys;
}

/* The pairs that `causal` does not hide. */
static double causal_pairs(double queries, double keys)
{
    if (queries > keys) /* the first Sq - Sk queries see no key */
        queries = keys;
    return queries * (keys - queries) + queries * (queries + 1) / 2;
}

double dmattn_attention_pairs(const dmattn_attention_desc *d)
{
    const double pairs = d->causal ? causal_pairs(d->queries, d->keys) : (double)d->queries * d->keys;
    return fmin(pairs, (double)d->queries * dmattn_attention_seen_keys(d, 1));
}
