// SPDX-License-Identifier: MIT
// Reduces a dense mask to a bitmap of tiles with two bits each: some pair of the tile is visible; all pairs are. The
// bitmap is made once for each head of the mask. The attention kernels visit only the tiles whose first bit is set.
//
// Workgroup (x, y, z): tiles 32 y to 32 y + 31 of row x of tiles, batch item and head z of the mask.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#define PARAMS MASK_TILES_PARAMS
#include "../lib/pairs.glsl"

shared uint visible_tiles;
shared uint hidden_tiles;

// Sets the lowest bit of each byte that is not 0, and no others.
uint nonzero_bytes(uint x)
{
    x = x & 0x0f0f0f0fu | x >> 4 & 0x0f0f0f0fu;
    x = x & 0x03030303u | x >> 2 & 0x03030303u;
    return (x | x >> 1) & 0x01010101u;
}

void main()
{
    const uint heads = score_heads(MASK_HEADS);
    const uint batch = WORKGROUP_ID.z / heads, head = WORKGROUP_ID.z % heads;
    const uint first_query = WORKGROUP_ID.x * TILE_QUERIES, first_key = WORKGROUP_ID.y * 32 * TILE_KEYS;
    const uint end_query = min(first_query + TILE_QUERIES, MASK_QUERIES != 0 ? p.queries : 1);
    const uint columns = min(32 * TILE_KEYS, p.keys - first_key);

    if (gl_LocalInvocationIndex == 0) {
        visible_tiles = 0;
        hidden_tiles = 0;
    }
    barrier();

    const uvec2 query_stride = is_derived(DERIVED_MASK) ? uvec2(p.keys, 0) : uvec2(MASK_QUERY_LOW, MASK_QUERY_HIGH);
    uint seen = 0, holes = 0;
    // A tile's width is a multiple of 4, so the four bytes belong to one tile.
    for (uint c = 4 * gl_LocalInvocationIndex; c < columns; c += 4 * WORKGROUP) {
        uint count = min(4, columns - c), bit = 1u << c / TILE_KEYS;
        uint all = 0x01010101u >> 8 * (4 - count);
        uvec2 address = advance(mask_row(p.DENSE_MASK, batch, head, first_query), first_key + c, uvec2(1, 0));
        for (uint t = first_query; t < end_query; t++) {
            uint bytes = nonzero_bytes(load_bytes(address, count)) & all;
            seen |= bytes != 0 ? bit : 0;
            holes |= bytes != all ? bit : 0;
            address = advance(address, 1, query_stride);
        }
    }
    atomicOr(visible_tiles, seen);
    atomicOr(hidden_tiles, holes);
    barrier();

    if (gl_LocalInvocationIndex == 0)
        Pairs(tile_row(batch, head, WORKGROUP_ID.x)).p[WORKGROUP_ID.y] =
            uvec2(visible_tiles, visible_tiles & ~hidden_tiles);
}
