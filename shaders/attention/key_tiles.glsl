// SPDX-License-Identifier: MIT
// Iterates over the tiles of keys that a tile of queries sees, at the matrix levels. For each key of a tile, a slot in
// shared memory holds its number, its visible range and its bias. The includer defines SLOT_SETS, the number of tiles
// that have slots at a time.
#ifndef ATTENTION_KEY_TILES_GLSL
#define ATTENTION_KEY_TILES_GLSL

shared uint slot_key[LISTED ? SLOT_SETS * TILE_KEYS : 1];
shared ivec2 slot_range[LISTED ? SLOT_SETS * TILE_KEYS : 1];
shared float slot_bias[SLOT_SETS * TILE_KEYS];

// A tile of keys: neighbouring keys from `first` on, or the keys of the tile list from entry `first` on.
struct key_tile {
    uint first;
    bool partial; // some query may not see some key
    bool exists;
    uint slots; // the index of its first slot in shared memory
};

uint tile_key(key_tile t, uint i)
{
    return LISTED ? slot_key[t.slots + i] : min(t.first + i, KEYS_HERE - 1);
}

ivec2 tile_range(key_tile t, uint i)
{
    return LISTED ? slot_range[t.slots + i] : visible_range(t.first + i);
}

// Whether a partial tile may have a key that no query sees. Each entry of a list of selected keys has members, but not
// each key of a block does, and with numbers of queries and keys of its own, an item may have fewer than its lists.
#if defined SELECTED_KEYS && !defined COUNTED
#define HAS_HIDDEN_KEYS(t) (list.w != 0 || t.first + TILE_KEYS > list.y)
#else
#define HAS_HIDDEN_KEYS(t) t.partial
#endif

bool tile_hides(key_tile t, uint i)
{
    return LISTED ? !range_meets_tile(slot_range[t.slots + i]) : key_is_hidden(t.first + i);
}

// ---- the walk -------------------------------------------------------------------------------------------------------

// Full tiles come first, so that the loop over them needs no code for partial tiles. A tile list begins with full
// tiles. With causality alone, the tiles of the first keys are full. A dense mask's bitmap is walked twice: first for
// full tiles, then for partial ones.
uint walk_tile;             // the next tile to look at
uvec2 walk_tiles;           // the tiles from x to y - 1
uint walk_live;             // dense mask: bits of tiles still to visit, of the 32 tiles from walk_tile - 32 on
bool walk_partial;
uvec2 walk_bitmap;

#ifdef ADDITIVE_ROWS
#include "additive_rows.glsl"
uvec2 walk_full; // without a walk over the bitmap: the tiles that begin with keys from x to y - 1 are full
#else
#define WALKS_BITMAP BITMAP
#define tile_bits(words) (words)
#endif

void begin_walk()
{
    const uint end_key = TILE_END_KEY;
    walk_tiles = split_of(((LISTED ? list.y : end_key) + TILE_KEYS - 1) / TILE_KEYS);
#ifdef ADDITIVE_ROWS
    if (!WALKS_BITMAP) {
        walk_tiles = uvec2(max(walk_tiles.x, visible_run.begin), min(walk_tiles.y, visible_run.end));
        walk_full = TILE_KEYS * uvec2(full_run.begin, min(full_run.end, TILE_FULL_KEY / TILE_KEYS));
    }
#endif
    walk_tile = WALKS_BITMAP ? walk_tiles.x & ~31u : walk_tiles.x;
    walk_live = 0;
    walk_partial = false;
    if (WALKS_BITMAP)
        walk_bitmap = tile_row(batch, score_head(MASK_HEADS, first_head), query_tile);
}

// The number of tiles at the beginning that are full as far as causality and the number of keys are concerned.
uint full_tiles()
{
    return TILE_FULL_KEY / TILE_KEYS;
}

key_tile next_tile_of_bitmap(uint slots)
{
    while (walk_live == 0) {
        if (walk_tile >= walk_tiles.y) {
            if (walk_partial || walk_tiles.x == walk_tiles.y)
                return key_tile(0, true, false, slots);
            walk_partial = true;
            walk_tile = walk_tiles.x & ~31u;
        }
        const uvec2 bits = tile_bits(tiles_of_group(walk_bitmap, walk_tile / 32));
        const uint full = bits.y & bits_of(uvec2(0, full_tiles()), walk_tile);
        walk_live = (walk_partial ? bits.x & ~full : full) & bits_of(walk_tiles, walk_tile);
        walk_tile += 32;
    }
    const uint bit = findLSB(walk_live);
    walk_live &= walk_live - 1;
    return key_tile((walk_tile - 32 + bit) * TILE_KEYS, walk_partial, true, slots);
}

// The tile that begins with key or entry `first`. Not for a bitmap.
key_tile tile_at(uint first, uint slots)
{
#ifdef ADDITIVE_ROWS
    return key_tile(first, first < walk_full.x || first >= walk_full.y, first < walk_tiles.y * TILE_KEYS, slots);
#else
    const uint full = LISTED ? list.z / TILE_KEYS : full_tiles();
    return key_tile(first, first >= full * TILE_KEYS, first < walk_tiles.y * TILE_KEYS, slots);
#endif
}

key_tile next_tile(uint slots)
{
    return WALKS_BITMAP ? next_tile_of_bitmap(slots) : tile_at(walk_tile++ * TILE_KEYS, slots);
}

// The content of a slot before it is stored in shared memory. Invocation i loads it for slot i of a tile.
struct slot {
    uint key;
    ivec2 range;
    float bias;
};

// Whether slots have any content.
#ifdef SELECTED_KEYS
const uint SLOTS = 1;
#else
const uint SLOTS = MASK == MASK_INTERVALS ? 1 : BIAS_BY_KEY;
#endif

void fetch_slot_key(key_tile t, inout slot s)
{
    if (SLOTS != 0 && invocation < TILE_KEYS)
        s.key = LISTED ? t.exists ? listed_key(t.first + invocation) : p.keys : t.first + invocation;
}

void fetch_slot(key_tile t, inout slot s)
{
    if (SLOTS != 0 && invocation < TILE_KEYS) {
#ifdef SELECTED_KEYS
        s.range = ivec2(load_members(t.first + invocation, s.key));
#else
        if (LISTED && t.partial) // in full tiles, all queries see all keys
            s.range = visible_range(s.key);
#endif
        if (BIAS_BY_KEY != 0)
            s.bias = IN_SCORE_UNITS(load_bias_of_key(min(s.key, p.keys - 1)));
    }
}

void store_slot(key_tile t, slot s)
{
    if (SLOTS != 0 && invocation < TILE_KEYS) {
        if (LISTED) {
            slot_key[t.slots + invocation] = min(s.key, p.keys - 1); // a slot without a key has an empty visible range
            slot_range[t.slots + invocation] = s.range;
        }
        if (BIAS_BY_KEY != 0)
            slot_bias[t.slots + invocation] = s.bias;
    }
}

// The address of 8 elements of a key's row. In a plane of less than 4 GiB, a 32-bit offset takes fewer registers.
uvec2 row_unit(uvec2 base, uvec2 stride, uint key, uint unit)
{
    return NEAR != 0 ? advance(base, key * stride.x + 16 * unit, uvec2(1, 0))
                     : advance(advance(base, unit, uvec2(16, 0)), key, stride);
}

#endif
