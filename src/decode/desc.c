/* SPDX-License-Identifier: MIT */
#include "desc.h"

#include "../attention/desc.h"
#include "../descriptors/format.h"
#include "../mask/desc.h"
#include "../shape.h"

#include "../../shaders/decode/decode.h"

#include <string.h>

/* The number of slots is a multiple of this, so that all arrays of the state begin at multiples of 16 bytes. */
#define SLOT_UNIT 16

/* The kernel counts rows of all splits, and units of 16 bytes of a sequence, in 32 bits. */
#define MAX_ROWS           (UINT64_C(1) << 24)
#define MAX_SEQUENCE_BYTES (UINT64_C(1) << 36)

_Static_assert(DECODE_MAX_TOKENS == DMATTN_DECODE_MAX_TOKENS, "the public header has the limit of the kernel");

static dmattn_status resolve_attention(dmattn_decode_desc *d, const messenger *m)
{
    dmattn_attention_desc *a = &d->attention;
    const char *extra = dmattn_attention_not_decoded(a);
    if (extra)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "attention.%s is set, but decoding has no such option; its selection, its cache and "
                           "args.counts say which keys a query sees",
                           extra);
    if (!a->queries || a->queries > DECODE_MAX_TOKENS)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "attention.queries, the new tokens of a step, is %u, but must be from 1 to %d", a->queries,
                           DECODE_MAX_TOKENS);
    if (a->keys && a->keys != a->queries)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "attention.keys is %u, but must be 0 or the new tokens of a step (%u)", a->keys, a->queries);
    if (a->mask && d->cache == DMATTN_CACHE_BOUNDED && a->mask_shape.heads > 1)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "attention.mask_shape.heads is %u, but the mask of a bounded cache, which is over the new "
                           "tokens, has one head",
                           a->mask_shape.heads);
    if (a->mask == DMATTN_MASK_SELECTED && d->cache == DMATTN_CACHE_BOUNDED)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "attention.mask is SELECTED, but a bounded cache keeps only keys of its own selection, so "
                           "it may not have those of a list; a paged cache has all keys");
    const bool bias = a->bias; /* also a mask of ADDITIVE, which is refused */
    if ((bias || a->slopes) && (d->cache != DMATTN_CACHE_PAGED || !d->no_importance))
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "attention.%s is set, but in decoding it needs a paged cache and no_importance",
                           bias ? "bias" : "slopes");
    if (a->mask || bias) {
        dmattn_attention_desc masked = *a;
        memset(&masked.k_strides, 0, sizeof masked.k_strides);
        memset(&masked.v_strides, 0, sizeof masked.v_strides);
        masked.keys = dmattn_decode_masked_keys(d);
        TRY(dmattn_attention_desc_resolve(&masked, &masked, m));
        a->mask_shape = masked.mask_shape;
        a->bias_shape = masked.bias_shape;
        a->selected_block = masked.selected_block;
    }
    if (a->mask == DMATTN_MASK_SELECTED && a->mask_shape.heads > a->kv_heads)
        return dmattn_fail(
            m, DMATTN_ERROR_INVALID,
            "mask_shape.heads is %u, but in decoding a list belongs to a kv head, of which there are %u, "
            "or to all",
            a->mask_shape.heads, a->kv_heads);
    const dmattn_attention_desc of_all = *a;
    a->keys = a->queries; /* k and v have only the new tokens */
    a->mask = DMATTN_MASK_NONE;
    if (of_all.mask == DMATTN_MASK_SELECTED)
        a->selected_count = a->selected_block = 0;
    a->bias = false;
    TRY(dmattn_attention_desc_resolve(a, a, m));
    a->mask = of_all.mask;
    a->selected_count = of_all.selected_count;
    a->selected_block = of_all.selected_block;
    if (a->mask)
        a->mask_shape = of_all.mask_shape;
    a->bias = bias;
    if (bias) {
        a->bias_type = of_all.bias_type;
        a->bias_shape = of_all.bias_shape;
    }
    return DMATTN_SUCCESS;
}

/* Resolves the attention to new tokens, whose k and v are elements of `type`, and the formats of the cache. */
static dmattn_status resolve_attention_and_formats(dmattn_decode_desc *d, const messenger *m)
{
    dmattn_format k = d->attention.k_format, v = d->attention.v_format;
    d->attention.k_format = d->attention.v_format = DMATTN_FORMAT_TYPE;
    TRY(resolve_attention(d, m));
    const dmattn_strides none = {0}; /* rows of the cache have no strides */
    TRY(dmattn_attention_format_resolve(m, "k", &k, d->attention.type, d->attention.head_dim, &none));
    TRY(dmattn_attention_format_resolve(m, "v", &v, d->attention.type, d->attention.value_dim, &none));
    d->attention.k_format = k;
    d->attention.v_format = v;
    return DMATTN_SUCCESS;
}

static dmattn_status resolve_importance(dmattn_decode_desc *d, const messenger *m)
{
    if (d->no_importance && d->importance_given)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "importance_given and no_importance are both set");
    if (d->no_importance || d->importance_given) {
        memset(&d->importance, 0, sizeof d->importance);
        return DMATTN_SUCCESS;
    }
    dmattn_mask_desc mask = {
        .stages = DMATTN_STAGE_IMPORTANCE,
        .batch = d->attention.batch,
        .keys = d->attention.keys,
        .kv_heads = d->attention.kv_heads,
        .type = d->attention.type,
        .value_dim = d->attention.value_dim,
        .v_strides = d->attention.v_strides,
        .importance = d->importance,
    };
    return dmattn_mask_desc_resolve(&mask, &mask, m);
}

static dmattn_status resolve_selection(dmattn_decode_desc *d, const messenger *m)
{
    const dmattn_selection *s = &d->selection;
    if (!s->causal)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "selection.causal is not set, but decoding is causal");
    if (s->key_valid || s->documents)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "selection.%s is set, but in decoding each sequence is one document",
                           s->key_valid ? "key_valid" : "documents");
    if (s->select == DMATTN_SELECT_TOPW_SHARED)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "select is TOPW_SHARED, which needs all keys before the first query");
    TRY(dmattn_selection_check(m, s));
    if (s->select == DMATTN_SELECT_TOPW_CAUSAL)
        TRY(dmattn_check_size(m, "window", s->window));
    if (d->no_importance && s->select != DMATTN_SELECT_ALL)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "select needs an importance, but no_importance is set");
    /* a position plus one of these numbers must be a valid position */
    const uint32_t numbers[] = {s->sinks, s->recent, s->sliding};
    static const char *const names[] = {"sinks", "recent", "sliding"};
    for (int i = 0; i < 3; i++)
        if (numbers[i] >= 1u << 30)
            return dmattn_fail(m, DMATTN_ERROR_INVALID, "selection.%s is %u, but must be below 2^30", names[i],
                               numbers[i]);
    return DMATTN_SUCCESS;
}

static dmattn_status resolve_cache(dmattn_decode_desc *d, const messenger *m)
{
    const dmattn_selection *s = &d->selection;
    if (d->cache == DMATTN_CACHE_BOUNDED) {
        if (d->page_size || d->pages || d->max_keys)
            return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is set, but a bounded cache has no pages",
                               d->page_size ? "page_size"
                               : d->pages   ? "pages"
                                            : "max_keys");
        if (d->rollback > DECODE_MAX_TOKENS)
            return dmattn_fail(m, DMATTN_ERROR_INVALID, "rollback is %u, but must be at most %d", d->rollback,
                               DECODE_MAX_TOKENS);
        if (s->select != DMATTN_SELECT_TOPW_CAUSAL && !s->sliding)
            return dmattn_fail(m, DMATTN_ERROR_INVALID,
                               "a bounded cache needs select TOPW_CAUSAL or sliding; otherwise any key may be visible, "
                               "which needs a paged cache");
        if (dmattn_cache_slots(d) >= 1u << 28)
            return dmattn_fail(m, DMATTN_ERROR_INVALID, "the cache has %llu slots, but must have less than 2^28",
                               (unsigned long long)dmattn_cache_slots(d));
        return DMATTN_SUCCESS;
    }
    if (d->cache != DMATTN_CACHE_PAGED)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "cache %d is not a dmattn_cache", (int)d->cache);
    if (s->select == DMATTN_SELECT_TOPW_CAUSAL)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "select is TOPW_CAUSAL, but a paged cache does not store evictions; use a bounded cache");
    const uint32_t page = d->page_size;
    if (!page || page > 256 || (page % 16 && page != 1 && page != 2 && page != 4 && page != 8))
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "page_size is %u, but must be 1, 2, 4, 8 or a multiple of 16 up to 256", page);
    if (d->attention.sink && !d->no_importance && !d->importance_given)
        return dmattn_fail(
            m, DMATTN_ERROR_INVALID,
            "attention.sink is set, but with a paged cache the importance must be given then, or not exist");
    d->rollback = 0; /* any number can be taken back */
    return dmattn_check_size(m, "pages", d->pages);
}

static dmattn_status check_chunk_tokens(const dmattn_decode_desc *d, const messenger *m)
{
    if (!d->chunk_tokens)
        return DMATTN_SUCCESS;
    if (d->cache == DMATTN_CACHE_PAGED)
        return dmattn_fail(
            m, DMATTN_ERROR_INVALID,
            "chunk_tokens is set, but chunks attend to a paged cache by plans of attention or of dynamic "
            "mask attention with page_size");
    if (d->attention.mask)
        return dmattn_fail(
            m, DMATTN_ERROR_INVALID,
            "chunk_tokens and attention.mask are both set, but the mask is over the new tokens of a step; "
            "a plan without a mask can share the states");
    const uint64_t keys = (uint64_t)dmattn_cache_slots(d) + d->chunk_tokens;
    if (keys >= 1u << 30)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "chunk_tokens (%u) plus the slots of the cache (%llu) is %llu, but must be below 2^30",
                           d->chunk_tokens, (unsigned long long)dmattn_cache_slots(d), (unsigned long long)keys);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_decode_desc_resolve(const dmattn_decode_desc *desc, dmattn_decode_desc *resolved,
                                         const messenger *m)
{
    if (!desc)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the descriptor of decoding is NULL");
    dmattn_decode_desc d = *desc;
    if (d.cache == DMATTN_CACHE_PAGED)
        TRY(dmattn_check_size(m, "max_keys", d.max_keys));
    TRY(resolve_attention_and_formats(&d, m));
    TRY(resolve_importance(&d, m));
    TRY(resolve_selection(&d, m));
    TRY(resolve_cache(&d, m));
    TRY(check_chunk_tokens(&d, m));
    const uint64_t rows = (uint64_t)d.attention.batch * d.attention.queries;
    if (rows >= MAX_ROWS || rows * d.attention.heads >= MAX_ROWS)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "batch (%u) times heads (%u) times new tokens (%u) must be below 2^24", d.attention.batch,
                           d.attention.heads, d.attention.queries);
    const dmattn_cache_layout l = dmattn_decode_layout(&d);
    if (l.sequence_size >= MAX_SEQUENCE_BYTES)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "the state of a sequence has %llu bytes, but must have less than 2^36",
                           (unsigned long long)l.sequence_size);
    if (l.page_size >= UINT64_C(1) << 32)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "a page has %llu bytes, but must have less than 2^32",
                           (unsigned long long)l.page_size);
    *resolved = d;
    return DMATTN_SUCCESS;
}

/* These keys are needed (decode/cache.glsl): the `window` most important ones before the floor, sinks, recent keys, and
 * all keys from the floor on. The latter are at most `rollback` keys, or the new tokens of a step. */
uint64_t dmattn_cache_slots(const dmattn_decode_desc *d)
{
    const dmattn_selection *s = &d->selection;
    const bool ranked = s->select == DMATTN_SELECT_TOPW_CAUSAL;
    const uint32_t coming = d->rollback > d->attention.queries ? d->rollback : d->attention.queries;
    const uint64_t slots =
        ranked ? (uint64_t)s->window + s->sinks + s->recent + coming : (uint64_t)s->sinks + s->sliding + coming;
    return (slots + SLOT_UNIT - 1) / SLOT_UNIT * SLOT_UNIT;
}

uint32_t dmattn_decode_masked_keys(const dmattn_decode_desc *d)
{
    return d->cache == DMATTN_CACHE_PAGED ? d->max_keys : d->attention.queries;
}

bool dmattn_decode_has_tree(const dmattn_decode_desc *d)
{
    return d->cache == DMATTN_CACHE_BOUNDED && d->attention.mask;
}

bool dmattn_decode_has_formats(const dmattn_decode_desc *d)
{
    return d->attention.k_format || d->attention.v_format;
}

double dmattn_decode_row_bytes(const dmattn_decode_desc *d)
{
    const dmattn_format k = dmattn_attention_format(&d->attention, TENSOR_K),
                        v = dmattn_attention_format(&d->attention, TENSOR_V);
    const uint64_t bytes = dmattn_format_bytes(k, d->attention.head_dim)
                           + dmattn_format_bytes(v, d->attention.value_dim) + (dmattn_format_has_scales(k) ? 4 : 0)
                           + (dmattn_format_has_scales(v) ? 4 : 0);
    return (double)bytes;
}

/* Bytes of an array of a page or a state, which begins and ends at a multiple of 16 bytes. */
static uint64_t array_bytes(uint64_t of_each, uint64_t count)
{
    return dmattn_product((dmattn_product(of_each, count) + 15) / 16, 16);
}

/* Sets the offsets of rows of k, which begin at layout->keys, and of v, and of their scales. Returns where they end. */
static uint64_t place_rows(const dmattn_decode_desc *d, uint64_t rows, dmattn_cache_layout *l)
{
    const dmattn_format k = dmattn_attention_format(&d->attention, TENSOR_K),
                        v = dmattn_attention_format(&d->attention, TENSOR_V);
    l->values = dmattn_add(l->keys, array_bytes(dmattn_format_bytes(k, d->attention.head_dim), rows));
    uint64_t end = dmattn_add(l->values, array_bytes(dmattn_format_bytes(v, d->attention.value_dim), rows));
    if (dmattn_format_has_scales(k)) {
        l->key_scales = end;
        end = dmattn_add(end, array_bytes(4, rows));
    }
    if (dmattn_format_has_scales(v)) {
        l->value_scales = end;
        end = dmattn_add(end, array_bytes(4, rows));
    }
    return end;
}

dmattn_cache_layout dmattn_decode_layout(const dmattn_decode_desc *d)
{
    const dmattn_attention_desc *a = &d->attention;
    const uint64_t heads = a->kv_heads;
    dmattn_cache_layout l = {.sequence_size = 4 * HEADER_WORDS * heads};
    if (d->cache == DMATTN_CACHE_BOUNDED) {
        l.slots = (uint32_t)dmattn_cache_slots(d);
        l.slot_words = l.sequence_size;
        l.keys = l.slot_words + 16 * heads * l.slots;
        l.sequence_size = place_rows(d, heads * l.slots, &l);
    } else {
        const uint64_t rows = heads * d->page_size, end = place_rows(d, rows, &l);
        l.importance = d->no_importance ? 0 : end;
        l.page_size = dmattn_add(end, d->no_importance ? 0 : array_bytes(4, rows));
        l.pages_size = dmattn_product(l.page_size, d->pages);
        l.table_pages = dmattn_ceil_div(d->max_keys, d->page_size);
    }
    l.state_size = dmattn_product(l.sequence_size, a->batch);
    return l;
}

dmattn_page_range dmattn_decode_written_pages(const dmattn_decode_desc *d, uint32_t keep, uint32_t tokens)
{
    if (!d || !d->page_size)
        return (dmattn_page_range){0};
    const uint64_t first = keep < d->max_keys ? keep : d->max_keys, end = (uint64_t)keep + tokens;
    const uint64_t written = (end < d->max_keys ? end : d->max_keys) - first; /* tokens beyond max_keys are dropped */
    const uint32_t page = (uint32_t)(first / d->page_size);
    return (dmattn_page_range){page, written ? (uint32_t)((first + written - 1) / d->page_size) + 1 : page};
}

uint64_t dmattn_decode_tensor_bytes(const dmattn_decode_desc *d, tensor_id tensor)
{
    const dmattn_attention_desc *a = &d->attention;
    const dmattn_cache_layout l = dmattn_decode_layout(d);
    const uint64_t parameter = dmattn_type_size(d->importance.parameter_type), heads = a->kv_heads;
    const bool computed = !d->importance_given && !d->no_importance;
    switch (tensor) {
    case TENSOR_MASK:
    case TENSOR_BIAS: {
        dmattn_attention_desc masked = *a;
        masked.keys = dmattn_decode_masked_keys(d);
        return dmattn_attention_tensor_bytes(&masked, tensor);
    }
    case TENSOR_DT_WEIGHT: return computed ? dmattn_product(parameter, heads, heads, a->value_dim) : 0;
    case TENSOR_A: return computed ? parameter * heads : 0;
    case TENSOR_DT_BIAS: return computed && d->importance.dt_bias ? parameter * heads : 0;
    case TENSOR_IMPORTANCE: return d->importance_given ? dmattn_product(4, heads, a->batch, a->queries) : 0;
    case TENSOR_COUNTS:
    case TENSOR_KEEP: return UINT64_C(4) * a->batch;
    case TENSOR_STATE: return l.state_size;
    case TENSOR_PAGES: return l.pages_size;
    case TENSOR_TABLE: return dmattn_product(4, a->batch, l.table_pages);
    default: {
        dmattn_attention_desc new_tokens = *a;
        new_tokens.k_format = new_tokens.v_format = DMATTN_FORMAT_TYPE;
        return dmattn_attention_tensor_bytes(&new_tokens, tensor);
    }
    }
}

uint64_t dmattn_decode_selected_keys(const dmattn_decode_desc *d, uint32_t queries)
{
    const dmattn_attention_desc *a = &d->attention;
    const uint64_t selected =
        a->mask == DMATTN_MASK_SELECTED ? dmattn_product(queries, a->selected_count, a->selected_block) : d->max_keys;
    return selected < d->max_keys ? selected : d->max_keys;
}

uint64_t dmattn_decode_most_keys(const dmattn_decode_desc *d)
{
    const dmattn_selection *s = &d->selection;
    if (d->cache == DMATTN_CACHE_PAGED)
        return dmattn_decode_selected_keys(d, 1);
    const uint64_t kept = (uint64_t)s->window + s->sinks + s->recent, slid = (uint64_t)s->sinks + s->sliding;
    return s->select != DMATTN_SELECT_TOPW_CAUSAL || (s->sliding && slid < kept) ? slid : kept;
}
