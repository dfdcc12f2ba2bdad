// SPDX-License-Identifier: MIT
// The tile of a workgroup of a kernel for packed items, and where its rows are stored. Included by tile.glsl.
#ifndef LIB_PACKED_TILE_GLSL
#define LIB_PACKED_TILE_GLSL

// Sets `splits` to 0 if the workgroup has nothing to do.
void begin_tile()
{
    const uvec2 entry = advance(p.SCHEDULE, WORKGROUP_ID.y, uvec2(ENTRY_BYTES, 0));
    const uvec4 part = Quads(entry).q[1];
    entry_item = Quads(entry).q[0];
    counts = entry_item.yw;
    batch = part.x;
    split = part.z;
    splits = part.w;
    kv_head = WORKGROUP_ID.x / GROUP_TILES;
    find_heads(WORKGROUP_ID.x % GROUP_TILES);
    find_queries(part.y);
    find_inputs();
    row_of_first = SPLIT != 0 ? WORKGROUP_ID.y * TILE_QUERIES - first_query : entry_item.x;
    find_bias();
}

uvec2 out_row(uint row)
{
    return advance(advance(TILE_OUT, row_query(row) + row_of_first, uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH)),
                   row_head(row), uvec2(OUT_HEAD_LOW, OUT_HEAD_HIGH));
}

// Stores the lse of a row, or, of a split, its largest score and the sum of exp(score - largest).
void store_softmax(uint row, float largest, float sum)
{
    const uint head = row_head(row), at = row_query(row) + row_of_first;
    if (SPLIT != 0) {
        const uvec2 sums = advance(TILE_OUT, TILE_LSE.x, uvec2(16, 0));
        Pairs(advance(sums, head, uvec2(8 * TILE_LSE.y, 0))).p[at] = floatBitsToUint(vec2(largest, sum));
    } else
        Words(advance(TILE_LSE, head, uvec2(4 * p.PACKED_ROWS, 0))).w[at] = floatBitsToUint(softmax_lse(largest, sum));
}

#endif
