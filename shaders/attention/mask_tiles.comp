// SPDX-License-Identifier: MIT
// Reduces a dense mask to a bitmap of tiles with two bits each: some pair of the tile is visible; all pairs are. Of an
// additive mask, the second bit is: all elements of the tile are 0. The bitmap is made once for each head of the mask.
// The attention kernels visit only the tiles whose first bit is set.
//
// Workgroup (x, y, z): tiles 32 y to 32 y + 31 of row x of tiles, batch item and head z of the mask.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#define PARAMS MASK_TILES_PARAMS
#include "../lib/pairs.glsl"
#include "../lib/math.glsl"

shared uint visible_tiles;
shared uint hidden_tiles;

// Sets the lowest bit of each byte that is not 0, and no others.
uint nonzero_bytes(uint x)
{
    x = x & 0x0f0f0f0fu | x >> 4 & 0x0f0f0f0fu;
    x = x & 0x03030303u | x >> 2 & 0x03030303u;
    return (x | x >> 1) & 0x01010101u;
}

// Elements of a row of the additive mask; if there are less than 4, the last one is repeated.
vec4 load_4_biases(uvec2 row, uint key, uint count)
{
    const uvec2 address = advance(row, key, uvec2(element_size(BIAS_TYPE), 0));
    if (count == 4 && BIAS_TYPE == TYPE_F32)
        return uintBitsToFloat(
            uvec4(Words(address).w[0], Words(address).w[1], Words(address).w[2], Words(address).w[3]));
    if (count == 4 && (address.x & 3u) == 0)
        return vec4(unpack_halves(BIAS_TYPE, Words(address).w[0]), unpack_halves(BIAS_TYPE, Words(address).w[1]));
    vec4 x;
    for (uint i = 0; i < 4; i++)
        x[i] = load_element(BIAS_TYPE, row, key + min(i, count - 1));
    return x;
}

// For `count` columns of a tile, up to 4, from `key` on. x: not 0 if some pair is visible; y: not 0 if not all are.
uvec2 look_at_bytes(uint batch, uint head, uint first_query, uint end_query, uint key, uint count)
{
    const uvec2 query_stride = is_derived(DERIVED_MASK) ? uvec2(p.keys, 0) : uvec2(MASK_QUERY_LOW, MASK_QUERY_HIGH);
    const uint all = 0x01010101u >> 8 * (4 - count);
    uvec2 address = advance(mask_row(p.DENSE_MASK, batch, head, first_query), key, uvec2(1, 0)), found = uvec2(0);
    for (uint t = first_query; t < end_query; t++) {
        const uint bytes = nonzero_bytes(load_bytes(address, count)) & all;
        found |= uvec2(bytes, bytes ^ all);
        address = advance(address, 1, query_stride);
    }
    return found;
}

// The same for an additive mask. y: not 0 if not all elements are 0.
uvec2 look_at_biases(uint batch, uint head, uint first_query, uint end_query, uint key, uint count)
{
    const uint query_head = MASK_HEADS == SCORE_HEADS_KV ? head * GROUP : head;
    uvec2 found = uvec2(0);
    for (uint t = first_query; t < end_query; t++) {
        const vec4 x = load_4_biases(bias_row(batch, query_head, t), key, count);
        for (uint i = 0; i < 4; i++) {
            found.x |= counted_bias(x[i]) > MINUS_INFINITY ? 1 : 0;
            found.y |= x[i] != 0 ? 1 : 0;
        }
    }
    return found;
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

    uint seen = 0, holes = 0;
    // A tile's width is a multiple of 4, so the four elements belong to one tile.
    for (uint c = 4 * gl_LocalInvocationIndex; c < columns; c += 4 * WORKGROUP) {
        const uint count = min(4, columns - c), bit = 1u << c / TILE_KEYS;
        const uint key = first_key + c;
        const uvec2 found = MASK == MASK_ADDITIVE ? look_at_biases(batch, head, first_query, end_query, key, count)
                                                  : look_at_bytes(batch, head, first_query, end_query, key, count);
        seen |= found.x != 0 ? bit : 0;
        holes |= found.y != 0 ? bit : 0;
    }
    atomicOr(visible_tiles, seen);
    atomicOr(hidden_tiles, holes);
    barrier();

    if (gl_LocalInvocationIndex == 0)
        Pairs(tile_row(batch, head, WORKGROUP_ID.x)).p[WORKGROUP_ID.y] =
            uvec2(visible_tiles, visible_tiles & ~hidden_tiles);
}
