// SPDX-License-Identifier: MIT
// Iterates over the tiles of keys that a tile of queries sees, at the portable level. The keys of a tile are
// neighbours, or entries of the tile list.
#ifndef ATTENTION_KEY_WALK_GLSL
#define ATTENTION_KEY_WALK_GLSL

uint first_key;                     // of the current tile, if its keys are neighbours
shared uint listed_keys[TILE_KEYS]; // otherwise, its keys; numbers from p.keys on mean: no key
#ifdef SELECTED_KEYS
shared ivec2 listed_ranges[TILE_KEYS]; // their members
#endif
bool partial;                       // some query may not see some key

uvec2 walk_tiles; // the tiles from x to y - 1
uint walk_next;
uvec2 walk_bits; // dense mask: bits of tiles still to visit, of the 32 tiles before walk_next
uvec2 walk_bitmap;

#ifdef ADDITIVE_ROWS
#include "additive_rows.glsl"
#else
#define WALKS_BITMAP BITMAP
#define tile_bits(words) (words)
#endif

void begin_walk()
{
    const uint end_key = TILE_END_KEY;
    walk_tiles = split_of(((LISTED ? list.y : end_key) + TILE_KEYS - 1) / TILE_KEYS);
#ifdef ADDITIVE_ROWS
    if (!WALKS_BITMAP)
        walk_tiles = uvec2(max(walk_tiles.x, visible_run.begin), min(walk_tiles.y, visible_run.end));
#endif
    walk_next = WALKS_BITMAP ? walk_tiles.x & ~31u : walk_tiles.x;
    walk_bits = uvec2(0);
    if (WALKS_BITMAP)
        walk_bitmap = tile_row(batch, score_head(MASK_HEADS, first_head), query_tile);
}

// Goes to the next tile. Returns false after the last one. listed_keys can be read after the next barrier, and must
// have been read before the tile's last barrier.
bool next_tile()
{
    while (WALKS_BITMAP && walk_bits.x == 0) {
        if (walk_next >= walk_tiles.y)
            return false;
        walk_bits = tile_bits(tiles_of_group(walk_bitmap, walk_next / 32));
        walk_bits.x &= bits_of(walk_tiles, walk_next);
        walk_next += 32;
    }
    uint tile = walk_next;
    bool full = true;
    if (WALKS_BITMAP) {
        const uint bit = findLSB(walk_bits.x);
        walk_bits.x &= walk_bits.x - 1;
        tile = walk_next - 32 + bit;
        full = (walk_bits.y >> bit & 1u) != 0;
    } else if (walk_next++ >= walk_tiles.y)
        return false;
#ifdef ADDITIVE_ROWS
    if (!WALKS_BITMAP)
        full = tile >= full_run.begin && tile < full_run.end;
#endif

    first_key = tile * TILE_KEYS;
    const uint past_key = first_key + TILE_KEYS;
    if (LISTED) {
        if (invocation < TILE_KEYS)
            listed_keys[invocation] = listed_key(first_key + invocation);
#ifdef SELECTED_KEYS
        if (invocation < TILE_KEYS)
            listed_ranges[invocation] = ivec2(load_members(first_key + invocation, listed_keys[invocation]));
#endif
        partial = past_key > list.z;
    } else
#ifdef COUNTED
        partial = !full || past_key > tile_full_key();
#else
        partial = !full || past_key > p.keys || CAUSAL != 0 && past_key > causal_end(first_query);
#endif
    return true;
}

uint key_at(uint i)
{
    return LISTED ? listed_keys[i] : first_key + i;
}

bool key_exists_at(uint i)
{
    return key_at(i) < p.keys;
}

#ifdef SELECTED_KEYS
#define RANGE_AT(key, i) listed_ranges[i]

bool key_is_hidden_at(uint i)
{
    return partial && !range_meets_tile(listed_ranges[i]);
}
#else
#define RANGE_AT(key, i) visible_range(key)

bool key_is_hidden_at(uint i)
{
    return partial && key_is_hidden(key_at(i));
}
#endif

uvec2 k_row_at(uint i)
{
    return k_row(key_at(i));
}

uvec2 v_row_at(uint i)
{
    return v_row(key_at(i));
}

#endif
