// SPDX-License-Identifier: MIT
// The tile scheduler of the gradients of keys. A tile of keys may be seen by all queries or by a few. So the scheduler
// cuts tiles into work items of about equal numbers of query tiles: schedule_keys.comp makes at most WORK_ITEMS items
// more than there are tiles. A tile of one item stores its sums as results. The items of other tiles store partial
// results, which combine_keys.comp adds up.
//
// p.work_at points to a header of WORK_HEADER units, the work items, a record for each tile, and the partial results.
// The header holds the addresses of dk, dv and dbias. A work item needs them only at its end, so they need not be push
// constants. It also says whether some row is dropped.
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

Quads work_header()
{
    return Quads(WORKSPACE(p.work_at));
}

// A work item. x: its tile (NONE: the item does not exist); y, z: it has the query tiles from y to z - 1; w: the index
// of its partial result (NONE: it is the only item of its tile).
Quads work_item(uint i)
{
    return Quads(advance(WORKSPACE(p.work_at), WORK_HEADER + i, uvec2(16, 0)));
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
    const uvec2 partials = advance(WORKSPACE(p.work_at), WORK_HEADER + max_items() + all_key_tiles(), uvec2(16, 0));
    return advance(partials, partial_index, uvec2(4 * PARTIAL_FLOATS, 0));
}

#endif
