// SPDX-License-Identifier: MIT
// Whether a query sees a key. Attention, its gradients and decoding all use this test. The includer defines:
//
//     uint row_query(uint row)               the query of a row of the tile
//     bool mask_allows(uint key, uint row)   whether the mask, if one exists, lets the row see the key
#ifndef LIB_VISIBLE_GLSL
#define LIB_VISIBLE_GLSL

// `range`: the visible range of the key, the queries from x to y - 1.
bool is_visible(uint key, uint row, ivec2 range)
{
    const int query = int(row_query(row));
    return range.x <= query && query < range.y && mask_allows(key, row);
}

#endif
