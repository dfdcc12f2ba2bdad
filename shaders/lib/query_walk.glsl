// SPDX-License-Identifier: MIT
// The tiles of queries that see a tile of keys, one after the other, for the portable level. The queries that see a key are
// one interval, so those that see any of some keys are looked for between the first and the last of them.
#ifndef LIB_QUERY_WALK_GLSL
#define LIB_QUERY_WALK_GLSL

shared uint tile_keys[TILE_KEYS]; // what is not below p.keys is none
shared ivec2 tile_lives[TILE_KEYS];

uint key_tile;
bool partial;      // some query of the present tile does not see some key
ivec2 walk_any;    // the queries that see some key, from x on and before y, as far as lives go,
ivec2 walk_all;    // and those that see all
uint walk_next, walk_end; // tiles of queries

void find_keys(uint tile)
{
    key_tile = tile;
    if (invocation < TILE_KEYS) {
        const uint slot = tile * TILE_KEYS + invocation;
        uint key = slot;
        if (LISTED) {
            const uint padded = (p.keys + KEY_ORDER_BLOCK - 1) & ~(KEY_ORDER_BLOCK - 1);
            const uint plane = MASK_BATCHES * batch * (MASK_HEADS == SCORE_HEADS_ONE ? 1 : p.heads / GROUP)
                               + (MASK_HEADS == SCORE_HEADS_ONE ? 0 : kv_head);
            Pairs order = Pairs(advance(p.tiles, plane, uvec2(8 * padded, padded >> 29)));
            key = slot < padded ? order.p[slot].y : p.keys;
        }
        tile_keys[invocation] = key;
    }
    barrier();
}

// Of the present heads.
void begin_walk()
{
    barrier();
    if (invocation < TILE_KEYS)
        tile_lives[invocation] = key_life(tile_keys[invocation]);
    barrier();
    walk_any = ivec2(p.queries, 0);
    walk_all = ivec2(0, p.queries);
    for (uint i = 0; i < TILE_KEYS; i++) {
        const ivec2 life = tile_lives[i];
        if (life.x < life.y)
            walk_any = ivec2(min(walk_any.x, life.x), max(walk_any.y, life.y));
        walk_all = ivec2(max(walk_all.x, life.x), min(walk_all.y, life.y));
    }
    walk_any = clamp(walk_any, ivec2(0), ivec2(p.queries));
    walk_next = uint(walk_any.x) / TILE_QUERIES;
    walk_end = walk_any.x < walk_any.y ? (uint(walk_any.y) - 1) / TILE_QUERIES + 1 : walk_next;
}

bool next_tile()
{
    for (; walk_next < walk_end; walk_next++) {
        uvec2 bits = uvec2(0xffffffffu);
        if (MASK == MASK_DENSE)
            bits = Pairs(tile_row(batch, score_head(MASK_HEADS, first_head), walk_next)).p[key_tile / 32] >> key_tile % 32;
        if ((bits.x & 1u) == 0)
            continue;
        find_queries(walk_next++);
        partial = (bits.y & 1u) == 0 || int(first_query) < walk_all.x || walk_all.y < int(end_query);
        return true;
    }
    return false;
}

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
