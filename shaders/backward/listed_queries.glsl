// SPDX-License-Identifier: MIT
// Iterates over the query tiles of a work item with selected keys, at the matrix levels: the entries of the list of
// queries of a tile of keys (query_lists.glsl). Three tiles have entries in shared memory: one that is multiplied, one
// whose rows are being loaded, and the one after it, whose entries tell which rows come next.
#ifndef LIB_LISTED_QUERIES_GLSL
#define LIB_LISTED_QUERIES_GLSL

#include "query_lists.glsl"

// Bit i % 32 of word i / 32 of an entry: the query sees key i of the tile.
shared uint query_keys[QUERY_SETS * TILE_QUERIES * KEY_WORDS];

uvec2 queries_of_tile;    // query_list() of the tile of keys
uint walk_next, walk_end; // the next of the item's tiles of queries, and the end

// An entry of a tile before it is stored in shared memory. Invocation i has entry i.
struct listed_query {
    uint query;
    uvec2 keys;
};

listed_query fetch_query(uint tile)
{
    listed_query x = listed_query(p.queries, uvec2(0));
    const uint entry = tile * TILE_QUERIES + invocation;
    if (invocation < TILE_QUERIES && entry < queries_of_tile.y) {
        Words words = Words(query_entry(queries_of_tile.x + entry));
        x.query = words.w[0];
        x.keys = uvec2(words.w[1], words.w[KEY_WORDS]);
    }
    return x;
}

void store_query(uint tile, listed_query x)
{
    const uint at = tile % QUERY_SETS * TILE_QUERIES + invocation;
    if (invocation < TILE_QUERIES) {
        tile_queries[at] = x.query;
        [[unroll]] for (uint i = 0; i < KEY_WORDS; i++)
            query_keys[at * KEY_WORDS + i] = x.keys[i];
    }
}

// Loads the bias of the keys for the current heads and the entries of two tiles, and begins with the item's first tile
// of queries.
void begin_walk(uvec4 item)
{
    barrier();
    if (BIAS_BY_KEY != 0)
        for (uint i = invocation; i < TILE_KEYS; i += WORKGROUP)
            tile_bias[i] = load_bias_of_key(number_of(i));
    queries_of_tile = query_list(key_tile);
    walk_next = item.y;
    walk_end = min(item.z, (queries_of_tile.y + TILE_QUERIES - 1) / TILE_QUERIES);
    const listed_query first = fetch_query(walk_next), second = fetch_query(walk_next + 1);
    store_query(walk_next, first);
    store_query(walk_next + 1, second);
    barrier();
}

uint next_query_tile()
{
    return walk_next < walk_end ? walk_next++ : NONE;
}

// Bit r: a row's query sees key r of the subgroup's block m. A block's keys are in one word.
uint seen_keys_of_block(uint row, uint m)
{
    const uint first = tile_row_of(m, 0);
    return query_keys[(query_set + ENTRY_OF(row)) * KEY_WORDS + first / 32] >> first % 32;
}

#define PREPARE_TEST
#define PAIR_IS_VISIBLE(m, n, e, row, key) ((seen_keys_of_block(row, m) & 1u << element_position(e).x) != 0)

// Whether some query of the current tile sees some of the subgroup's own keys. Without REGISTERS, all subgroups visit
// all tiles, because the products contain subgroup barriers, at which some drivers let the whole workgroup wait.
bool sees_own_keys()
{
#ifdef REGISTERS
    uint seen = 0;
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        for (uint first = 0; first < TILE_QUERIES; first += SUBGROUP) {
            const uint query = min(first + gl_SubgroupInvocationID, TILE_QUERIES - 1);
            seen |= seen_keys_of_block(query * HEADS_PER_TILE, m) & low_bits(MATRIX_M);
        }
    return subgroupAny(seen != 0);
#else
    return true;
#endif
}

#endif
