/* SPDX-License-Identifier: MIT */
#include "desc.h"

#include "../attention/pages.h"
#include "../shape.h"

#define MAX_COUNT (1u << 20)
#define MAX_BLOCK (1u << 12)

static dmattn_status check_levels(const messenger *m, const dmattn_selector_desc *d)
{
    if ((unsigned)d->level > DMATTN_LEVEL_MATRIX2)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "level %d is not a dmattn_level", (int)d->level);
    if ((unsigned)d->max_level > DMATTN_LEVEL_MATRIX2)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "max_level %d is not a dmattn_level", (int)d->max_level);
    if (d->max_level && d->level > d->max_level)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "level %s is above max_level %s", dmattn_level_string(d->level),
                           dmattn_level_string(d->max_level));
    return DMATTN_SUCCESS;
}

static dmattn_status check_heads(const messenger *m, const dmattn_selector_desc *d)
{
    if (d->heads % d->kv_heads)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "heads (%u) is not a multiple of kv_heads (%u)", d->heads,
                           d->kv_heads);
    if (d->heads % d->list_heads || d->list_heads % d->kv_heads)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "list_heads is %u, but must be a divisor of heads (%u) and a multiple of kv_heads (%u)",
                           d->list_heads, d->heads, d->kv_heads);
    return DMATTN_SUCCESS;
}

static dmattn_status check_numbers(const messenger *m, const dmattn_selector_desc *d)
{
    if (d->block > MAX_BLOCK || d->block & (d->block - 1))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "block is %u, but must be a power of 2 up to %u", d->block,
                           MAX_BLOCK);
    if (!d->count || d->count > MAX_COUNT)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "count is %u, but must be from 1 to %u", d->count, MAX_COUNT);
    if ((uint64_t)d->first + d->recent > d->count)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "first (%u) and recent (%u) are together more than count (%u)",
                           d->first, d->recent, d->count);
    if (d->block > 1 && d->causal && !d->recent)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "recent is 0, but must be at least 1 with blocks and causal, because the mean of a query's "
                           "own block has keys after the query");
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_selector_desc_resolve(const dmattn_selector_desc *desc, dmattn_selector_desc *d,
                                           const messenger *m)
{
    if (!desc)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the descriptor of a selector is NULL");
    *d = *desc;
    TRY(dmattn_check_type(m, "type", d->type));
    TRY(dmattn_check_size(m, "batch", d->batch));
    TRY(dmattn_check_size(m, "queries", d->queries));
    TRY(dmattn_check_size(m, "keys", d->keys));
    TRY(dmattn_check_size(m, "heads", d->heads));
    TRY(dmattn_check_dim(m, "head_dim", d->head_dim, DMATTN_MAX_HEAD_DIM));
    TRY(check_levels(m, d));
    d->kv_heads = d->kv_heads ? d->kv_heads : d->heads;
    d->list_heads = d->list_heads ? d->list_heads : d->kv_heads;
    d->block = d->block ? d->block : 1;
    TRY(check_heads(m, d));
    TRY(check_numbers(m, d));
    const uint64_t page = dmattn_product(d->page_size, d->kv_heads, d->head_dim, dmattn_type_size(d->type));
    TRY(dmattn_pages_check(m, d->page_size, d->pages, &d->page_bytes, page));
    if (d->page_size)
        d->k_strides = (dmattn_strides){0};
    TRY(dmattn_strides_resolve(m, "q", &d->q_strides, d->batch, d->queries, d->heads, d->head_dim));
    return dmattn_strides_resolve(m, "k", &d->k_strides, d->batch, d->keys, d->kv_heads, d->head_dim);
}

dmattn_status dmattn_selector_desc_shorten(const dmattn_selector_desc *given, uint32_t queries, uint32_t keys,
                                           dmattn_selector_desc *run, const messenger *m)
{
    dmattn_selector_desc shorter = *given;
    TRY(dmattn_shorten_length(m, "queries", given->lengths, queries, &shorter.queries));
    TRY(dmattn_shorten_length(m, "keys", given->lengths, keys, &shorter.keys));
    return dmattn_selector_desc_resolve(&shorter, run, m);
}

uint32_t dmattn_selector_numbers(const dmattn_selector_desc *d)
{
    return dmattn_ceil_div(d->keys, d->block);
}

bool dmattn_selector_is_aligned(const dmattn_selector_desc *d)
{
    const uint32_t size = dmattn_type_size(d->type);
    return dmattn_strides_aligned(&d->q_strides, d->batch, d->queries, d->heads, size)
           && (d->page_size || dmattn_strides_aligned(&d->k_strides, d->batch, d->keys, d->kv_heads, size));
}

uint32_t dmattn_selector_table_pages(const dmattn_selector_desc *d)
{
    return d->page_size ? dmattn_ceil_div(d->keys, d->page_size) : 0;
}

uint64_t dmattn_selector_tensor_bytes(const dmattn_selector_desc *d, tensor_id tensor)
{
    const uint64_t size = dmattn_type_size(d->type);
    switch (tensor) {
    case TENSOR_Q:
        return dmattn_product(size, dmattn_strides_span(&d->q_strides, d->batch, d->queries, d->heads, d->head_dim));
    case TENSOR_K:
        return d->page_size ? 0
                            : dmattn_product(
                                size, dmattn_strides_span(&d->k_strides, d->batch, d->keys, d->kv_heads, d->head_dim));
    case TENSOR_WEIGHTS: return d->weights ? dmattn_product(4, d->batch, d->queries, d->heads) : 0;
    case TENSOR_COUNTS: return d->counts ? dmattn_product(8, d->batch) : 0;
    case TENSOR_PAGES: return dmattn_product(d->pages, d->page_bytes);
    case TENSOR_TABLE: return dmattn_product(4, d->batch, dmattn_selector_table_pages(d));
    case TENSOR_SELECTED: return dmattn_product(4, d->batch, d->list_heads, d->queries, d->count);
    default: return 0;
    }
}

uint64_t dmattn_selector_alignment(const dmattn_selector_desc *d, tensor_id tensor)
{
    switch (tensor) {
    case TENSOR_Q:
    case TENSOR_K: return dmattn_selector_is_aligned(d) ? 16 : dmattn_type_size(d->type);
    case TENSOR_COUNTS: return 8;
    case TENSOR_PAGES: return 16;
    default: return 4;
    }
}

/* Pairs of a query and a number that it sees, of a list. */
static double seen_pairs(const dmattn_selector_desc *d)
{
    const double numbers = dmattn_selector_numbers(d), queries = d->queries, keys = d->keys, block = d->block;
    if (!d->causal)
        return queries * numbers;
    /* the queries with a position see from 1, or from those before the first query, to all numbers */
    const double seeing = queries < keys ? queries : keys, before = keys - seeing;
    const double fewest = before / block + 1 < numbers ? before / block + 1 : numbers;
    return seeing * (fewest + numbers) / 2;
}

double dmattn_selector_flops(const dmattn_selector_desc *d)
{
    return 2.0 * d->head_dim * d->heads * d->batch * seen_pairs(d);
}

double dmattn_selector_bytes(const dmattn_selector_desc *d)
{
    const tensor_id tensors[] = {TENSOR_WEIGHTS, TENSOR_COUNTS, TENSOR_SELECTED};
    double bytes = dmattn_type_size(d->type) * (double)d->head_dim * d->batch
                   * ((double)d->queries * d->heads + (double)d->keys * d->kv_heads);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        bytes += (double)dmattn_selector_tensor_bytes(d, tensors[i]);
    return bytes;
}
