// SPDX-License-Identifier: MIT
// Finds where the gradients of a tile of keys are stored. The header of the work items (key_schedule.glsl) has the
// addresses.
#ifndef LIB_KEY_RESULTS_GLSL
#define LIB_KEY_RESULTS_GLSL

#include "key_schedule.glsl"

// Sets the kv head and batch item of a tile. Returns the tile's index among the tiles of this kv head.
uint find_plane(uint tile)
{
    const uint plane = tile / key_tiles();
    kv_head = plane % (HEADS / GROUP);
    batch = plane / (HEADS / GROUP);
    return tile % key_tiles();
}

uvec2 dk_base, dv_base;

// Finds the addresses for the current batch item and kv head.
void find_outputs()
{
    const uvec4 results = work_header().q[0];
    dk_base = head_base(results.xy, batch, p.keys, kv_head, is_derived(DERIVED_OUT),
                        uvec2(OUT_BATCH_LOW, OUT_BATCH_HIGH), uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH),
                        uvec2(OUT_HEAD_LOW, OUT_HEAD_HIGH));
    dv_base = head_base(results.zw, batch, p.keys, kv_head, is_derived(DERIVED_DV),
                        uvec2(DV_BATCH_LOW, DV_BATCH_HIGH), uvec2(DV_SEQUENCE_LOW, DV_SEQUENCE_HIGH),
                        uvec2(DV_HEAD_LOW, DV_HEAD_HIGH));
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
    return advance(work_header().q[1].xy, plane, uvec2(4 * p.keys, 0));
}

#endif
