/* SPDX-License-Identifier: MIT */
#include "pages.h"

#include "../descriptors/format.h"
#include "../shape.h"

#define MOST_PAGE_SIZE 256
#define PART_UNIT      16 /* parts of a page begin at multiples of it */

static uint64_t part_bytes(uint64_t of_row, uint64_t rows)
{
    return dmattn_product(PART_UNIT, dmattn_add(dmattn_product(of_row, rows), PART_UNIT - 1) / PART_UNIT);
}

page_layout dmattn_page_layout(const dmattn_attention_desc *d)
{
    const dmattn_format k = dmattn_format_of(d->k_format, d->type), v = dmattn_format_of(d->v_format, d->type);
    const uint64_t rows = dmattn_product(d->kv_heads, d->page_size), numbers = part_bytes(4, rows);
    page_layout l = {.values = part_bytes(dmattn_format_bytes(k, d->head_dim), rows)};
    l.k_scales = dmattn_add(l.values, part_bytes(dmattn_format_bytes(v, d->value_dim), rows));
    l.v_scales = dmattn_add(l.k_scales, dmattn_format_has_scales(k) ? numbers : 0);
    l.importance = dmattn_add(l.v_scales, dmattn_format_has_scales(v) ? numbers : 0);
    l.end = dmattn_add(l.importance, numbers);
    return l;
}

uint32_t dmattn_table_pages(const dmattn_attention_desc *d)
{
    return dmattn_ceil_div(d->keys, d->page_size);
}

dmattn_status dmattn_pages_check(const messenger *m, uint32_t page_size, uint32_t pages, uint64_t *page_bytes,
                                 uint64_t least)
{
    if (!page_size && (pages || *page_bytes))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s is set, but page_size is 0", pages ? "pages" : "page_bytes");
    if (!page_size)
        return DMATTN_SUCCESS;
    if (page_size > MOST_PAGE_SIZE)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "page_size is %u, but must be from 1 to %u", page_size,
                           MOST_PAGE_SIZE);
    TRY(dmattn_check_size(m, "pages", pages));
    *page_bytes = *page_bytes ? *page_bytes : least;
    if (*page_bytes < least || *page_bytes % PART_UNIT)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "page_bytes is %llu, but must be a multiple of %u of at least %llu",
                           (unsigned long long)*page_bytes, PART_UNIT, (unsigned long long)least);
    return dmattn_check_bytes(m, "pages", dmattn_product(*page_bytes, pages));
}

dmattn_status dmattn_pages_resolve(dmattn_attention_desc *d, const messenger *m)
{
    const uint64_t least = d->page_size ? dmattn_page_layout(d).importance : 0;
    return dmattn_pages_check(m, d->page_size, d->pages, &d->page_bytes, least);
}
