// SPDX-License-Identifier: MIT
// Where the pages of an item are, with PAGED. The includer has the constants PAGE_SIZE, PAGES and TABLE_PAGES, and the
// push constant table.
#ifndef SELECTOR_PAGES_GLSL
#define SELECTOR_PAGES_GLSL

#include "../lib/memory.glsl"

// The page of a key; the last one if the block table has a number of no page.
uint page_of(uint item, uint key)
{
    return min(Words(advance(p.table, item, uvec2(4 * TABLE_PAGES, 0))).w[key / PAGE_SIZE], PAGES - 1);
}

// The address of a key, if `base` is its address in page 0.
uvec2 paged_row(uvec2 base, uint item, uint key, uvec2 page_stride, uvec2 sequence)
{
    return advance(advance(base, page_of(item, key), page_stride), key % PAGE_SIZE, sequence);
}

#endif
