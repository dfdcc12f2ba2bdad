/* SPDX-License-Identifier: MIT */
#include "case_cache.h"

#include "decode/desc.h"
#include "shape.h"

#define PAGE_TOKENS 64

bool case_has_cache(const bench_case *c)
{
    const bool selected = c->mask.mask == DMATTN_MASK_SELECTED;
    return c->pass == PASS_DECODE && (c->mask.dynamic || c->mask.paged || c->mask.sliding || selected);
}

uint32_t case_keys(const bench_case *c, uint32_t sequence)
{
    return sequence && c->other_keys ? c->other_keys : c->desc.keys;
}

uint32_t case_queries(const bench_case *c, uint32_t sequence)
{
    return sequence && c->other_queries ? c->other_queries : c->desc.queries;
}

double case_average_keys(const bench_case *c)
{
    const double first = c->desc.keys, others = (double)case_keys(c, 1) * (c->desc.batch - 1.0);
    return (first + others) / c->desc.batch;
}

uint32_t case_page_tokens(const bench_case *c)
{
    return c->desc.page_size ? c->desc.page_size : PAGE_TOKENS;
}

uint64_t case_pages(const bench_case *c)
{
    return dmattn_ceil_div(c->desc.keys, case_page_tokens(c))
           + (c->desc.batch - UINT64_C(1)) * dmattn_ceil_div(case_keys(c, 1), case_page_tokens(c));
}

/* A cache with pages for all tokens. The importance of keys is uniform from 0 to 1, so a threshold of 1 - F leaves a
 * fraction F of them. */
static void set_paged_cache(bench_case *c, bool importance)
{
    dmattn_decode_desc *d = &c->decode;
    d->cache = DMATTN_CACHE_PAGED;
    d->page_size = case_page_tokens(c);
    d->max_keys = c->desc.keys;
    d->pages = (uint32_t)case_pages(c); /* check_mask_of() rejects counts that do not fit */
    d->importance_given = importance;
    d->no_importance = !importance;
    if (c->mask.fraction > 0) {
        d->selection.select = DMATTN_SELECT_THRESHOLD;
        d->selection.threshold = (float)(1 - c->mask.fraction);
    }
}

/* Sets what all caches have. The attention of `desc` becomes that of the new tokens of a step. */
static void start_cache(bench_case *c)
{
    dmattn_attention_desc a = c->desc;
    a.keys = a.page_size = a.pages = 0;
    a.causal = false;
    if (a.mask != DMATTN_MASK_SELECTED) {
        a.mask = DMATTN_MASK_NONE;
        a.mask_shape = (dmattn_score_shape){0};
    }
    a.selected_queries = 0;
    a.k_format = c->decode.attention.k_format;
    a.v_format = c->decode.attention.v_format;
    c->decode = (dmattn_decode_desc){.attention = a, .selection = {.causal = true}};
}

void case_set_cache(bench_case *c)
{
    start_cache(c);
    if (c->mask.paged || c->mask.mask == DMATTN_MASK_SELECTED) {
        set_paged_cache(c, c->mask.paged && !c->desc.slopes && !c->mask.plain);
        return;
    }
    c->decode.rollback = 1;
    if (c->desc.queries > DMATTN_DECODE_MAX_TOKENS) { /* a chunk of each sequence */
        c->decode.attention.queries = 1;
        c->decode.chunk_tokens = c->desc.queries;
    }
    if (c->mask.sliding) {
        c->decode.no_importance = true;
        c->decode.selection.sliding = c->mask.window;
        c->desc.mask = DMATTN_MASK_NONE;
    } else {
        c->decode.selection.select = DMATTN_SELECT_TOPW_CAUSAL;
        c->decode.selection.window = c->mask.window;
    }
}

uint64_t case_cache_bytes(const bench_case *c)
{
    dmattn_decode_desc resolved;
    if ((!case_has_cache(c) && c->pass != PASS_PREFILL) || dmattn_decode_desc_resolve(&c->decode, &resolved, NULL))
        return 0;
    const dmattn_cache_layout layout = dmattn_decode_layout(&resolved);
    return layout.pages_size > layout.state_size ? layout.pages_size : layout.state_size;
}

void case_set_prefill(bench_case *c)
{
    dmattn_decode_desc resolved;
    start_cache(c);
    c->decode.attention.queries = 1;
    set_paged_cache(c, c->mask.dynamic);
    c->desc.page_size = c->decode.page_size;
    c->desc.pages = c->decode.pages;
    if (!dmattn_decode_desc_resolve(&c->decode, &resolved, NULL))
        c->desc.page_bytes = dmattn_decode_layout(&resolved).page_size;
    const uint64_t others = c->desc.batch - UINT64_C(1);
    c->desc.counts = c->other_keys || c->other_queries || c->packed;
    if (c->packed) {
        c->desc.total_queries = dmattn_workgroups(c->desc.queries + others * case_queries(c, 1));
        c->desc.total_keys = dmattn_workgroups(c->desc.keys + others * case_keys(c, 1));
    }
}
