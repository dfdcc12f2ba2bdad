// SPDX-License-Identifier: MIT
// A step of decoding: new tokens of each sequence join the cache, and their queries attend to it. All in one dispatch, as a
// step is too short to wait for another.
//
//     importance of the new tokens
//     who evicts whom, in order              for t: the least important of the `window` and of token t goes
//     for each block of this workgroup's keys
//         those that some query sees         k and v of the cache, or of the new tokens
//         S = cap(scale q k^T) + importance
//         P, l, m, O                         an online softmax in shared memory
//     the last workgroup to arrive
//         joins the parts                    as join_splits.comp does
//         writes the new tokens to the cache when none reads it any more
//
// Workgroup (x, y, z): part x % SPLITS of the keys, for every PACKS'th pack of rows from x / SPLITS on, of kv head y of sequence
// z. All of them find out for themselves who is evicted, from 16 bytes a slot. Rows are (new token, query head of the group).
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "lib/decode.glsl"

#include "lib/decode_tokens.glsl"

#ifdef PAGED
#include "lib/cache_paged.glsl"
#else
#include "lib/cache_bounded.glsl"
#endif

#include "lib/decode_attend.glsl"

#include "lib/decode_join.glsl"

void main()
{
    KEYS(k);
    VALUES(v);
    begin_workgroup();
    if (FIRST_IS_KNOWN) // on their way while it is found out who sees them
        fetch_first(k, v);
    begin_step();
    find_importance();
    begin_cache();
    const uint first_row = pack * PACK_ROWS, rows = count * GROUP, step = PACKS * PACK_ROWS;
    for (uint row = first_row; row < rows; row += step)
        attend(row, k, v);
    if (!is_last_of(HEADER_PACKS + pack, SPLITS))
        return;
    if (PACKS == 1) // what it writes is on its way while the parts are joined
        end_cache();
    for (uint row = first_row; row < rows; row += step)
        join(row);
    if (PACKS > 1) {
        if (!is_last_of(HEADER_ARRIVED, PACKS))
            return;
        end_cache();
    }
    end_step();
}
