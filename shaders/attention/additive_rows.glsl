// SPDX-License-Identifier: MIT
// Additive masks. Most of them only hide: their elements are 0 or -infinity, and the keys that a row of tiles sees are
// neighbours, as in causal masks, windows and padding. So there are two dispatches of all workgroups, for the same
// tiles. With BIAS 0, it is for such rows of tiles, which need no biases and no walk over the bitmap. With BIAS 1, it
// is for all others. A workgroup whose row is of the other kind returns at once.
//
// In the bitmap, the first bit of a tile that adds is 0, and its second bit is 1 (mask_tiles.comp).
#ifndef ATTENTION_ADDITIVE_ROWS_GLSL
#define ATTENTION_ADDITIVE_ROWS_GLSL

const bool WALKS_BITMAP = BIAS != 0;

// What other bitmaps have. x: tiles with a visible pair; y: full tiles.
uvec2 tile_bits(uvec2 words)
{
    return uvec2(words.x | words.y, words.x & words.y);
}

// Tiles of the workgroup's row: the first one, the last one + 1, and their number.
struct tile_run {
    uint begin, end, count;
};
shared tile_run visible_run, full_run;
shared uint adding_tiles;

#define ADD_TO_RUN(run, word, bits)                        \
    if (bits != 0) {                                       \
        atomicMin(run.begin, 32 * word + findLSB(bits));   \
        atomicMax(run.end, 32 * word + findMSB(bits) + 1); \
        atomicAdd(run.count, bitCount(bits));              \
    }

bool are_neighbours(tile_run run)
{
    return run.count == 0 || run.count == run.end - run.begin;
}

// Whether the workgroup's row of tiles is of the kind that this dispatch is for. All invocations must call this.
bool row_is_ours()
{
    const uvec2 row = tile_row(batch, score_head(MASK_HEADS, first_head), query_tile);
    if (invocation == 0) {
        visible_run = full_run = tile_run(~0u, 0, 0);
        adding_tiles = 0;
    }
    barrier();
    for (uint i = invocation; i < tile_groups(); i += WORKGROUP) {
        const uvec2 words = tiles_of_group(row, i), bits = tile_bits(words);
        ADD_TO_RUN(visible_run, i, bits.x)
        ADD_TO_RUN(full_run, i, bits.y)
        if ((words.y & ~words.x) != 0)
            atomicOr(adding_tiles, 1);
    }
    barrier();
    const bool only_hides = adding_tiles == 0 && are_neighbours(visible_run) && are_neighbours(full_run);
    return only_hides == (BIAS == 0);
}

#endif
