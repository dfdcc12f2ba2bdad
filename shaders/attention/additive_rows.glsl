// SPDX-License-Identifier: MIT
// Additive masks. Most of them only hide: their elements are 0 or -infinity. Attention by such a mask needs no biases,
// and an exponent is then one instruction instead of two. So there are two dispatches of all workgroups, for the same
// tiles: with BIAS 0 for rows of tiles that only hide, and with BIAS 1 for rows that add. A workgroup whose row is of
// the other kind returns at once.
//
// In the bitmap, a tile that adds is 0 in the first word and 1 in the second (mask_tiles.comp).
#ifndef ATTENTION_ADDITIVE_ROWS_GLSL
#define ATTENTION_ADDITIVE_ROWS_GLSL

// The words of other bitmaps: tiles with a visible pair, full tiles.
uvec2 tile_bits(uvec2 words)
{
    return uvec2(words.x | words.y, words.x & words.y);
}

shared uint tiles_that_add;

// Whether the workgroup's row of tiles is of the kind that this dispatch is for. All invocations must call this.
bool row_is_ours()
{
    const uvec2 row = tile_row(batch, score_head(MASK_HEADS, first_head), query_tile);
    if (invocation == 0)
        tiles_that_add = 0;
    barrier();
    uint adding = 0;
    for (uint i = invocation; i < tile_words(); i += WORKGROUP) {
        const uvec2 words = Pairs(row).p[i];
        adding |= words.y & ~words.x;
    }
    if (adding != 0)
        atomicOr(tiles_that_add, adding);
    barrier();
    return tiles_that_add != 0 == (BIAS != 0);
}

#endif
