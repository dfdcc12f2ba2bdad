// SPDX-License-Identifier: MIT
// Addresses of the mask, the bias, the bitmap of tiles and the tile lists.
#ifndef LIB_PAIRS_GLSL
#define LIB_PAIRS_GLSL

#include "attention.glsl"

// The bitmap or the tile lists that the kernel walks over.
#ifndef WALK
#define WALK p.walk
#endif

uint score_heads(uint heads_kind)
{
    return heads_kind == SCORE_HEADS_ALL ? HEADS : heads_kind == SCORE_HEADS_KV ? HEADS / GROUP : 1;
}

// The head of a mask or bias that a query head reads.
uint score_head(uint heads_kind, uint head)
{
    return heads_kind == SCORE_HEADS_ALL ? head : heads_kind == SCORE_HEADS_KV ? head / GROUP : 0;
}

// The address of key 0 in a row of the mask (or of begin, or of end). `mask_head` is a head of the mask, not a query
// head.
uvec2 mask_row(uvec2 base, uint batch, uint mask_head, uint query)
{
    uint b = MASK_BATCHES * batch, t = MASK_QUERIES * query;
    if (is_derived(DERIVED_MASK)) {
        uint row = (b * score_heads(MASK_HEADS) + mask_head) * (MASK_QUERIES != 0 ? p.queries : 1) + t;
        return advance(base, row, uvec2(MASK == MASK_DENSE ? p.keys : 4 * p.keys, 0));
    }
    uvec2 item = advance(base, b, uvec2(MASK_BATCH_LOW, MASK_BATCH_HIGH));
    uvec2 plane = advance(item, mask_head, uvec2(MASK_HEAD_LOW, MASK_HEAD_HIGH));
    return advance(plane, t, uvec2(MASK_QUERY_LOW, MASK_QUERY_HIGH));
}

uvec2 bias_row(uint batch, uint head, uint query)
{
    uint b = BIAS_BATCHES * batch, h = score_head(BIAS_HEADS, head), t = BIAS_QUERIES * query;
    if (is_derived(DERIVED_BIAS)) {
        uint row = (b * score_heads(BIAS_HEADS) + h) * (BIAS_QUERIES != 0 ? p.queries : 1) + t;
        return advance(p.bias, row, uvec2(element_size(BIAS_TYPE) * p.keys, 0));
    }
    uvec2 item = advance(p.bias, b, uvec2(BIAS_BATCH_LOW, BIAS_BATCH_HIGH));
    uvec2 plane = advance(item, h, uvec2(BIAS_HEAD_LOW, BIAS_HEAD_HIGH));
    return advance(plane, t, uvec2(BIAS_QUERY_LOW, BIAS_QUERY_HIGH));
}

// The bitmap of tiles has, for each batch item and head of the mask and each row of tiles, four words per 32 tiles. A
// word is for 8 of them. Its bit i: some query sees some key of tile i. Its bit 8 + i: every query sees every key.
uint tile_groups()
{
    return ((p.keys - 1) / TILE_KEYS) / 32 + 1;
}

uvec2 tile_row(uint batch, uint mask_head, uint query_tile)
{
    uint query_tiles = MASK_QUERIES != 0 ? (p.queries - 1) / TILE_QUERIES + 1 : 1;
    uint t = query_tiles == 1 ? 0 : query_tile;
    uint row = (MASK_BATCHES * batch * score_heads(MASK_HEADS) + mask_head) * query_tiles + t;
    return advance(WALK, row, uvec2(16 * tile_groups(), 0));
}

// x: whether some pair of a tile is visible, as 0 or 1; y: whether all are.
uvec2 bits_of_tile(uvec2 tile_row, uint tile)
{
    const uint word = Words(tile_row).w[tile / 8] >> tile % 8;
    return uvec2(word & 1u, word >> 8 & 1u);
}

// The same for the 32 tiles of a group, one bit for each tile.
uvec2 tiles_of_group(uvec2 tile_row, uint group)
{
    const uvec4 w = Quads(tile_row).q[group];
    return uvec2(w.x & 0xffu | (w.y & 0xffu) << 8 | (w.z & 0xffu) << 16 | w.w << 24,
                 w.x >> 8 | w.y & 0xff00u | (w.z & 0xff00u) << 8 | (w.w & 0xff00u) << 16);
}

// The header of the tile list for the tile that begins with first_query (lists.comp).
uvec4 list_header(uint batch, uint mask_head, uint first_query)
{
    uint lists = (p.queries - 1) / LIST_QUERIES + 1, plane = MASK_BATCHES * batch * score_heads(MASK_HEADS) + mask_head;
    return Quads(advance(WALK, plane * lists + first_query / LIST_QUERIES, uvec2(16, 0))).q[0];
}

#endif
