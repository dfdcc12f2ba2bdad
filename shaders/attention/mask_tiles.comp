// SPDX-License-Identifier: MIT
// Reduces a dense mask to a bitmap of tiles with two bits each: some pair of the tile is visible; all pairs are. Of an
// additive mask, the second bit is: all elements of the tile are 0. The bitmap is made once for each head of the mask.
// The attention kernels visit only the tiles whose first bit is set. With ADDITIVE_ROWS, a tile with an element that is
// added, neither 0 nor -infinity, has 0 and 1 (additive_rows.glsl).
//
// Workgroup (x, y, z): tiles 8 y to 8 y + 7 of row x of tiles, batch item and head z of the mask. So few, because each
// reads all elements of its tiles, and only many workgroups together reach the rate of a copy.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#define PARAMS MASK_TILES_PARAMS
#include "../lib/pairs.glsl"
#include "../lib/math.glsl"

shared uint visible_tiles;
shared uint hidden_tiles;
#ifdef ADDITIVE_ROWS
shared uint adding_tiles;
#endif

// Sets the lowest bit of each byte that is not 0, and no others.
uint nonzero_bytes(uint x)
{
    x = x & 0x0f0f0f0fu | x >> 4 & 0x0f0f0f0fu;
    x = x & 0x03030303u | x >> 2 & 0x03030303u;
    return (x | x >> 1) & 0x01010101u;
}

// Elements of a row of an additive mask that are read together, and rows of an item.
const uint BIASES = BIAS_TYPE == TYPE_F32 ? 4 : 8, ROWS = MASK == MASK_ADDITIVE ? 4 : 16;

// What is found. x: not 0 if some pair is visible; y: not 0 if not all are, or, of an additive mask, if not all
// elements are 0; z: not 0 if an element is added: it is neither 0 nor -infinity.

// An element of an additive mask.
uvec3 look_at(float x)
{
    const bool visible = counted_bias(x) > MINUS_INFINITY;
    return uvec3(visible ? 1 : 0, x != 0 ? 1 : 0, visible && x != 0 ? 1 : 0);
}

// `count` elements of a row of an additive mask, up to BIASES.
uvec3 look_at_elements(uvec2 row, uint count)
{
    uvec3 found = uvec3(0);
    for (uint i = 0; i < count; i++)
        found |= look_at(load_element(BIAS_TYPE, row, i));
    return found;
}

// BIASES elements that are loaded.
uvec3 look_at_words(uvec4 words)
{
    uvec3 found = uvec3(0);
    [[unroll]] for (uint i = 0; i < 4; i++) {
        const vec2 pair = BIAS_TYPE == TYPE_F32 ? vec2(uintBitsToFloat(words[i])) : unpack_halves(BIAS_TYPE, words[i]);
        found |= look_at(pair.x) | look_at(pair.y);
    }
    return found;
}

// For `count` columns of a tile, up to 4, from `key` on.
uvec3 look_at_bytes(uint batch, uint head, uint first_query, uint end_query, uint key, uint count)
{
    const uvec2 query_stride = is_derived(DERIVED_MASK) ? uvec2(p.keys, 0) : uvec2(MASK_QUERY_LOW, MASK_QUERY_HIGH);
    const uint all = 0x01010101u >> 8 * (4 - count);
    uvec2 address = advance(mask_row(p.DENSE_MASK, batch, head, first_query), key, uvec2(1, 0)), found = uvec2(0);
    for (uint t = first_query; t < end_query; t++) {
        const uint bytes = nonzero_bytes(load_bytes(address, count)) & all;
        found |= uvec2(bytes, bytes ^ all);
        address = advance(address, 1, query_stride);
    }
    return uvec3(found, 0);
}

// The same for an additive mask, up to BIASES columns and up to ROWS rows. Most often, neighbouring elements are all 0,
// or all -infinity.
uvec3 look_at_biases(uint batch, uint head, uint first_query, uint end_query, uint key, uint count)
{
    const uint query_head = MASK_HEADS == SCORE_HEADS_KV ? head * GROUP : head;
    const uint size = BIAS_TYPE == TYPE_F32 ? 0x7fffffffu : 0x7fff7fffu; // without signs
    const uint hidden = BIAS_TYPE == TYPE_F32 ? 0xff800000u : BIAS_TYPE == TYPE_F16 ? 0xfc00fc00u : 0xff80ff80u;
    uvec3 found = uvec3(0);
    uvec2 at[ROWS];
    uvec4 words[ROWS];
    bool wide[ROWS];
    [[unroll]] for (uint i = 0; i < ROWS; i++) {
        at[i] = advance(bias_row(batch, query_head, min(first_query + i, end_query - 1)), key,
                        uvec2(element_size(BIAS_TYPE), 0));
        wide[i] = count == BIASES && (at[i].x & 15u) == 0;
        if (wide[i])
            words[i] = Quads(at[i]).q[0];
    }
    [[unroll]] for (uint i = 0; i < ROWS; i++) {
        if (wide[i] && words[i] == uvec4(hidden))
            found.y = 1;
        else if (wide[i] && (words[i] & size) == uvec4(0))
            found.x = 1;
        else if (wide[i])
            found |= look_at_words(words[i]);
        else
            found |= look_at_elements(at[i], count);
    }
    return found;
}

void main()
{
    const uint heads = score_heads(MASK_HEADS);
    const uint batch = WORKGROUP_ID.z / heads, head = WORKGROUP_ID.z % heads;
    const uint first_query = WORKGROUP_ID.x * TILE_QUERIES, first_key = WORKGROUP_ID.y * 8 * TILE_KEYS;
    const uint end_query = min(first_query + TILE_QUERIES, MASK_QUERIES != 0 ? p.queries : 1);
    const uint columns = min(8 * TILE_KEYS, p.keys - min(first_key, p.keys)); // 0 behind the last

    if (gl_LocalInvocationIndex == 0) {
        visible_tiles = 0;
        hidden_tiles = 0;
#ifdef ADDITIVE_ROWS
        adding_tiles = 0;
#endif
    }
    barrier();

    // An item is ROWS rows of neighbouring columns, which belong to one tile, because its width is a multiple of 8.
    const uint at_once = MASK == MASK_ADDITIVE ? BIASES : 4, columns_at_once = (columns + at_once - 1) / at_once;
    const uint items = columns_at_once * ((end_query - first_query - 1) / ROWS + 1);
    uint seen = 0, holes = 0, adding = 0;
    for (uint i = gl_LocalInvocationIndex; i < items; i += WORKGROUP) {
        const uint c = at_once * (i % columns_at_once), count = min(at_once, columns - c), bit = 1u << c / TILE_KEYS;
        const uint query = first_query + i / columns_at_once * ROWS, key = first_key + c;
        const uint end = min(query + ROWS, end_query);
        const uvec3 found = MASK == MASK_ADDITIVE ? look_at_biases(batch, head, query, end, key, count)
                                                  : look_at_bytes(batch, head, query, end, key, count);
        seen |= found.x != 0 ? bit : 0;
        holes |= found.y != 0 ? bit : 0;
        adding |= found.z != 0 ? bit : 0;
    }
#ifdef ADDITIVE_ROWS
    atomicOr(adding_tiles, adding);
#endif
    atomicOr(visible_tiles, seen);
    atomicOr(hidden_tiles, holes);
    barrier();

    if (gl_LocalInvocationIndex == 0) {
        uvec2 bits = uvec2(visible_tiles, visible_tiles & ~hidden_tiles);
#ifdef ADDITIVE_ROWS
        bits = uvec2(bits.x & ~adding_tiles, bits.y | adding_tiles);
#endif
        Words(tile_row(batch, head, WORKGROUP_ID.x)).w[WORKGROUP_ID.y] = bits.x | bits.y << 8;
    }
}
