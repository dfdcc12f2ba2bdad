// SPDX-License-Identifier: MIT
// A step of decoding: new tokens of each sequence join the cache, and their queries attend to it. One dispatch does
// everything, because a step is too short to wait for a second one.
//
//     importance of the new tokens            from v as it is given
//     their rows in the cache's formats       only with FORMATS
//     evictions, in the order of tokens       token t evicts the least important of the `window` keys and itself
//     for each block of this workgroup's keys decode_attend*.glsl
//         its visible keys                   k and v from the cache, or of the new tokens
//         S = cap(scale q k^T) + importance
//         P, l, m, O                         an online softmax in shared memory
//     the last workgroup to arrive
//         combines the splits                as combine_splits.comp does, unless IS_ALONE
//         writes the new tokens to the cache     no workgroup reads the cache any more
//
// Workgroup (x, y, z): split x % SPLITS of the keys, every ROW_BLOCKS-th block of rows from block x / SPLITS on, kv
// head y, sequence z; if BALANCED, see balance.glsl. A row is a pair (new token, query head of the group). Each
// workgroup finds the evictions itself. It reads 16 bytes per slot for that.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#ifdef MATRIX
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_vote : require
#define INT64
#include "../lib/operand_type.glsl"
#endif

#if defined(FRAGMENTS) && defined(FORMATS) && defined(PAGED) && !defined(BLOCKS)
#define SUBGROUP_LISTS // each subgroup has lists of its own (fragments/lists.glsl)
#endif

#include "decode.glsl"

#include "decode_rows.glsl"
#include "decode_tokens.glsl"

#ifdef PAGED
#include "cache_paged.glsl"
#else
#include "cache_bounded.glsl"
#endif

#if defined(FRAGMENTS) && defined(FORMATS)
#include "fragments/attend_formats.glsl"
#elif defined(FRAGMENTS)
#include "fragments/attend_rows.glsl"
#elif defined(MATRIX)
#include "decode_attend_matrix.glsl"
#else
#include "decode_attend.glsl"
#endif

#include "decode_combine.glsl"

void main()
{
    KEYS(k);
    VALUES(v);
    SLOTS(slots);
    FIRST_QUERIES(q);
#ifdef BALANCED
    begin_share();
    if (count == 0) {
        store_lengths();
        return;
    }
#else
    begin_workgroup();
#endif
    // Loads from known addresses are issued first, so that they overlap. Rows of keys are loaded while the importance
    // is computed, after the loads that it needs.
    fetch_header();
    fetch_slots(0, slots);
    find_importance();
#if defined(FORMATS) && !defined(LATE_NEW_ROWS)
    make_new_rows();
#endif
    fetch_first(q, k, v);
    begin_step();
#ifdef LATE_NEW_ROWS // in most workgroups, no query sees them
    const bool has_new_rows = sees_new_tokens();
    if (has_new_rows)
        make_new_rows();
#endif
    begin_cache(slots);
    const uint first_row = row_block * BLOCK_ROWS, rows = count * GROUP, step = ROW_BLOCKS * BLOCK_ROWS;
    for (uint row = first_row; row < rows; row += step)
        attend(row, q, k, v);
#ifdef BALANCED
    store_lengths();
#endif
    if (!IS_ALONE && !is_last_of(HEADER_ROW_BLOCKS + row_block, SEQUENCE_SPLITS))
        return;
#ifdef LATE_NEW_ROWS
    if (!has_new_rows) // the cache gets them
        make_new_rows();
#endif
    if (ROW_BLOCKS == 1) // its writes overlap with combining the splits
        end_cache();
    for (uint row = IS_ALONE ? rows : first_row; row < rows; row += step)
        combine(row);
    if (ROW_BLOCKS > 1) {
        if (!is_last_of(HEADER_ARRIVED, ROW_BLOCKS))
            return;
        end_cache();
    }
    end_step();
}
