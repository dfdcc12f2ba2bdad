// SPDX-License-Identifier: MIT
// The queries that see some keys of a tile of keys, with selected keys: lists that key_lists.comp made.
#ifndef LIB_QUERY_LISTS_GLSL
#define LIB_QUERY_LISTS_GLSL

#include "key_schedule.glsl"

const uint KEY_WORDS = TILE_KEYS > 32 ? 2 : 1;

uint list_plane()
{
    return MASK_BATCHES * batch * score_heads(MASK_HEADS) + score_head(MASK_HEADS, first_head);
}

// The index of the first entry, and the number of entries, of a tile of keys for the current heads.
uvec2 query_list(uint key_tile)
{
    return Quads(advance(WALK, list_plane() * key_tiles() + key_tile, uvec2(16, 0))).q[0].xy;
}

// The address of an entry.
uvec2 query_entry(uint index)
{
    const uint planes = (MASK_BATCHES != 0 ? p.batches : 1) * score_heads(MASK_HEADS);
    return advance(advance(WALK, planes * key_tiles(), uvec2(16, 0)), index, uvec2(4 * (1 + KEY_WORDS), 0));
}

#endif
