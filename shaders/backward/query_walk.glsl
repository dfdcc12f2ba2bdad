// SPDX-License-Identifier: MIT
// Iterates over the query tiles of a work item (key_schedule.glsl), for the portable level.
#ifndef LIB_QUERY_WALK_GLSL
#define LIB_QUERY_WALK_GLSL

#include "tile_keys.glsl"

bool partial;             // some query of the current tile may not see some key
ivec2 all_queries;        // the queries from x to y - 1 are in the visible ranges of all keys
uint walk_next, walk_end; // tiles of queries

#ifdef SELECTED_KEYS
#include "query_lists.glsl"
shared uvec2 query_keys[TILE_QUERIES]; // bit i: the query sees key i of the tile
uvec2 queries_of_tile;                 // query_list() of the tile
#endif

// Begins with the first query tile of a work item, for the current heads.
void begin_walk(uvec4 item)
{
    barrier();
    if (invocation < TILE_KEYS)
        tile_ranges[invocation] = visible_range(tile_keys[invocation]);
    barrier();
    all_queries = ivec2(0, p.queries);
    for (uint i = 0; i < TILE_KEYS; i++)
        all_queries = ivec2(max(all_queries.x, tile_ranges[i].x), min(all_queries.y, tile_ranges[i].y));
    walk_next = item.y;
    walk_end = item.z;
#ifdef SELECTED_KEYS
    queries_of_tile = query_list(key_tile);
    walk_end = min(walk_end, (queries_of_tile.y + TILE_QUERIES - 1) / TILE_QUERIES);
#endif
}

#ifdef SELECTED_KEYS

// Takes the next queries of the list of the tile of keys.
bool next_tile()
{
    if (walk_next >= walk_end)
        return false;
    barrier(); // all reads of the previous tile are done
    for (uint i = invocation; i < TILE_QUERIES; i += WORKGROUP) {
        const uint entry = walk_next * TILE_QUERIES + i;
        const bool exists = entry < queries_of_tile.y;
        Words words = Words(query_entry(queries_of_tile.x + min(entry, queries_of_tile.y - 1)));
        tile_queries[i] = exists ? words.w[0] : p.queries;
        query_keys[i] = exists ? uvec2(words.w[1], KEY_WORDS > 1 ? words.w[KEY_WORDS] : 0) : uvec2(0);
    }
    barrier();
    walk_next++;
    partial = true;
    return true;
}

// Whether a row sees key i of the tile.
bool row_sees_key(uint row, uint i)
{
    return (query_keys[ENTRY_OF(row)][i / 32] & 1u << i % 32) != 0;
}

#else

bool next_tile()
{
    for (; walk_next < walk_end; walk_next++) {
        uvec2 bits = uvec2(1);
        if (BITMAP)
            bits = bits_of_tile(tile_row(batch, score_head(MASK_HEADS, first_head), walk_next), key_tile);
        if (bits.x == 0)
            continue;
        find_queries(walk_next++);
        partial = bits.y == 0 || int(first_query) < all_queries.x || all_queries.y < int(end_query);
        return true;
    }
    return false;
}

#endif

bool key_exists_at(uint i)
{
    return tile_keys[i] < p.keys;
}

uvec2 k_row_at(uint i)
{
    return k_row(tile_keys[i]);
}

uvec2 v_row_at(uint i)
{
    return v_row(tile_keys[i]);
}

#endif
