// SPDX-License-Identifier: MIT
// The tile scheduler of the gradients of keys. A tile of keys may be seen by all queries or by a few. So the scheduler
// cuts tiles into work items of about equal numbers of query tiles: schedule_keys.comp makes at most WORK_ITEMS items
// more than there are tiles. A tile of one item stores its sums as results. The items of other tiles store partial
// results, which combine_keys.comp adds up.
//
// p.work_at points to the work items, then a record for each tile, then the partial results.
#ifndef LIB_KEY_SCHEDULE_GLSL
#define LIB_KEY_SCHEDULE_GLSL

// The grid of items has rows of this length, so that no dimension of the grid is too large.
const uint ITEM_ROW = 32768;
const uint NONE = 0xffffffffu;

uint key_tiles()
{
    return (p.keys - 1) / TILE_KEYS + 1;
}

uint all_key_tiles()
{
    return p.batches * (HEADS / GROUP) * key_tiles();
}

uint max_items()
{
    return all_key_tiles() + WORK_ITEMS;
}

// A work item. x: its tile (NONE: the item does not exist); y, z: it has the query tiles from y to z - 1; w: the index
// of its partial result (NONE: it is the only item of its tile).
Quads work_item(uint i)
{
    return Quads(advance(WORKSPACE(p.work_at), i, uvec2(16, 0)));
}

// A tile. x, y: the query tiles from x to y - 1 may see some of its keys; z: the index of its first partial result; w:
// its number of items.
Quads work_tile(uint i)
{
    return work_item(max_items() + i);
}

// A partial result consists of these floats: dk, dv, and dbias of each tile of heads.
const uint PARTIAL_DV = TILE_KEYS * HEAD_DIM;
const uint PARTIAL_BIAS = PARTIAL_DV + TILE_KEYS * VALUE_DIM;
const uint BIAS_PLANES = BIAS_HEADS == SCORE_HEADS_ALL ? GROUP_TILES : 1;
const uint PARTIAL_FLOATS = PARTIAL_BIAS + TILE_KEYS * BIAS_PLANES;

uvec2 partial_address(uint partial_index)
{
    const uvec2 partials = advance(WORKSPACE(p.work_at), max_items() + all_key_tiles(), uvec2(16, 0));
    return advance(partials, partial_index, uvec2(4 * PARTIAL_FLOATS, 0));
}

// Sets the kv head and batch item of a tile. Returns the tile's index among the tiles of this kv head.
uint find_plane(uint tile)
{
    const uint plane = tile / key_tiles();
    kv_head = plane % (HEADS / GROUP);
    batch = plane / (HEADS / GROUP);
    return tile % key_tiles();
}

// ---- results --------------------------------------------------------------------------------------------------------

uvec2 dk_base, dv_base;

void find_outputs()
{
    dk_base = head_base(p.dk, batch, p.keys, kv_head, is_derived(DERIVED_OUT), uvec2(OUT_BATCH_LOW, OUT_BATCH_HIGH),
                        uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH), uvec2(OUT_HEAD_LOW, OUT_HEAD_HIGH));
    dv_base = head_base(p.dv, batch, p.keys, kv_head, is_derived(DERIVED_DV), uvec2(DV_BATCH_LOW, DV_BATCH_HIGH),
                        uvec2(DV_SEQUENCE_LOW, DV_SEQUENCE_HIGH), uvec2(DV_HEAD_LOW, DV_HEAD_HIGH));
}

uvec2 dk_row(uint key)
{
    return advance(dk_base, key, uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH));
}

uvec2 dv_row(uint key)
{
    return advance(dv_base, key, uvec2(DV_SEQUENCE_LOW, DV_SEQUENCE_HIGH));
}

// The row of dbias for the kv head, or for one head of its group if the bias has all heads.
uvec2 dbias_row(uint head_tile)
{
    const uint planes = BIAS_HEADS == SCORE_HEADS_ALL ? HEADS : HEADS / GROUP;
    const uint plane = batch * planes + (BIAS_HEADS == SCORE_HEADS_ALL ? kv_head * GROUP + head_tile : kv_head);
    return advance(p.dbias, plane, uvec2(4 * p.keys, 0));
}

#endif
