/* SPDX-License-Identifier: MIT
 * Keys and values in pages of a pool. Pure functions, no device. */
#ifndef DMATTN_ATTENTION_PAGES_H
#define DMATTN_ATTENTION_PAGES_H

#include "../message.h"
#include "../tensor.h"

/* Checks these members of a descriptor. `least`: the bytes of a page, which page_bytes becomes if it is 0. */
dmattn_status dmattn_pages_check(const messenger *messenger, uint32_t page_size, uint32_t pages, uint64_t *page_bytes,
                                 uint64_t least);

/* Checks page_size, pages and page_bytes, and fills in page_bytes. The other members of `desc` are resolved. */
dmattn_status dmattn_pages_resolve(dmattn_attention_desc *desc, const messenger *messenger);

/* The offsets of the parts of a page after the rows of k, in bytes. Each part begins at a multiple of 16. */
typedef struct page_layout {
    uint64_t values, k_scales, v_scales;
    uint64_t importance; /* f32 [Hk, P], if there is one: behind all other parts */
    uint64_t end;        /* with the importance */
} page_layout;
page_layout dmattn_page_layout(const dmattn_attention_desc *desc);

/* The length of a row of the block table. */
uint32_t dmattn_table_pages(const dmattn_attention_desc *desc);

#endif
