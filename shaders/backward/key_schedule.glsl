// SPDX-License-Identifier: MIT
// How the gradients of keys are shared out. A tile of keys may be seen by all queries or by a few, so tiles are cut into items,
// none of which has more than a share of all the queries that there are to visit: at most KEY_SHARES items more than there are
// tiles. A tile that is one item stores its sums in the results; of others the items leave parts, which combine_keys.comp sums up.
//
// At `lse`, which the kernels that use this do not read otherwise: the items, what is known of tiles, and the parts.
#ifndef LIB_KEY_WORK_GLSL
#define LIB_KEY_WORK_GLSL

// Items lie in rows of this many, so that no dimension of a grid is too large.
const uint ITEM_ROW = 32768;
const uint NONE = 0xffffffffu;

uint key_tiles()
{
    return (p.keys - 1) / TILE_KEYS + 1;
}

uint all_key_tiles()
{
    return p.batches * (p.heads / GROUP) * key_tiles();
}

uint all_items()
{
    return all_key_tiles() + KEY_SHARES;
}

// An item: tile (NONE: there is no such item), the tiles of queries [y, z), and its part (NONE: it is the only item).
Quads work_item(uint i)
{
    return Quads(advance(p.lse, i, uvec2(16, 0)));
}

// A tile: the tiles of queries [x, y) that see any of its keys, its first part and its number of items.
Quads work_tile(uint i)
{
    return work_item(all_items() + i);
}

// Floats of a part: dk, dv, and dbias of each pack.
const uint PART_DV = TILE_KEYS * HEAD_DIM;
const uint PART_BIAS = PART_DV + TILE_KEYS * VALUE_DIM;
const uint BIAS_PLANES = BIAS_HEADS == SCORE_HEADS_ALL ? GROUP_PACKS : 1;
const uint PART = PART_BIAS + TILE_KEYS * BIAS_PLANES;

uvec2 part_address(uint part)
{
    return advance(advance(p.lse, all_items() + all_key_tiles(), uvec2(16, 0)), part, uvec2(4 * PART, 0));
}

// The kv head and batch item of a tile; returns which of theirs it is.
uint find_plane(uint tile)
{
    const uint plane = tile / key_tiles();
    kv_head = plane % (p.heads / GROUP);
    batch = plane / (p.heads / GROUP);
    return tile % key_tiles();
}

// ---- results -------------------------------------------------------------------------------------------------------------

uvec2 dk_base, dv_base;

void find_outputs()
{
    dk_base = head_base(p.out_, batch, p.keys, kv_head, packed(PACKED_OUT), uvec2(OUT_BATCH_LOW, OUT_BATCH_HIGH),
                        uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH), uvec2(OUT_HEAD_LOW, OUT_HEAD_HIGH));
    dv_base = head_base(p.dv, batch, p.keys, kv_head, packed(PACKED_DV), uvec2(DV_BATCH_LOW, DV_BATCH_HIGH),
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

// dbias of the keys, of all heads of the kv head or of those of pack `pack`.
uvec2 dbias_row(uint pack)
{
    const uint planes = BIAS_HEADS == SCORE_HEADS_ALL ? p.heads : p.heads / GROUP;
    const uint plane = batch * planes + (BIAS_HEADS == SCORE_HEADS_ALL ? kv_head * GROUP + pack : kv_head);
    return advance(p.dbias, plane, uvec2(4 * p.keys, 0));
}

#endif
