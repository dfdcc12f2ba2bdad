// SPDX-License-Identifier: MIT
// Gradients of queries, with cooperative matrices. Like the forward kernel, a workgroup has a tile of queries and
// visits the tiles of keys that its queries see.
//
//     P  = exp(S - lse); 0 if the pair is hidden
//     dS = P * (dout v^T - D)                meanwhile, the next tile's k and v are loaded
//     dq = scale * sum of dS k
//
// Each subgroup has its own rows. Their q and dout are in registers; if registers are too few, the rest is in shared
// memory. All subgroups share k and v of a tile in shared memory.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_KHR_shader_subgroup_vote : require

#define PARAMS BACKWARD_QUERY_PARAMS
#define TILE_OUT p.dq
#define PAIR_ROWS TILE_ROWS
#define PAIR_COLUMNS TILE_KEYS
#include "../lib/matrix.glsl"

#define SLOT_SETS 3
#include "../attention/key_tiles.glsl"
#include "dout.glsl"

key_tile now, next; // the tile in shared memory, and the one after it

#define QUERY_OF(i, j) (i)
#define KEY_OF(i, j) (j)

uint number_of(uint key)
{
    return tile_key(now, key);
}

ivec2 range_of(uint key)
{
    return tile_range(now, key);
}

float bias_of(uint key)
{
    return slot_bias[now.slots + key];
}

const bool NEEDS_SLOPE = true;

#ifdef SELECTED_KEYS
#define NOW_IS_PARTIAL true // no slot counts as full
#ifdef FRAGMENTS            // bits of rows_of_members(), in the columns of an invocation
#define PREPARE_TEST                                                                               \
    uint seen[COLUMN_BLOCKS][4];                                                                   \
    [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {                                          \
        const uint own = n * MATRIX_N + gl_SubgroupInvocationID % MATRIX_N;                        \
        const uint rows = rows_of_members(uvec2(range_of(own)));                                   \
        [[unroll]] for (uint c = 0; c < 4; c++)                                                    \
            seen[n][c] = subgroupShuffle(rows, element_position(c).y) >> element_position(0).x;    \
    }
#define PAIR_IS_VISIBLE(m, n, e, row, key) ((seen[n][(e) & 3] & 1u << (m) * MATRIX_M + 8 * ((e) >> 2)) != 0)
#else
#define PREPARE_TEST
#define PAIR_IS_VISIBLE(m, n, e, row, key) row_sees(number_of(key), row, range_of(key))
#endif
#else
#define NOW_IS_PARTIAL now.partial
#endif
#include "gradients_matrix.glsl"

// ---- rows -----------------------------------------------------------------------------------------------------------

uvec4 q_unit(uint row, uint column)
{
    const uvec4 x = load_operands(q_address(row, min(column, HEAD_DIM / 8 - 1)));
    return column < HEAD_DIM / 8 ? x : uvec4(0);
}

uvec4 dout_unit(uint row, uint column)
{
    const uvec4 x = load_operands(dout_address(row, min(column, VALUE_DIM / 8 - 1)));
    return column < VALUE_DIM / 8 ? x : uvec4(0);
}

DEFINE_LOAD_ROWS(q, HEAD_BLOCKS, QUERY_BLOCKS, q_unit)
DEFINE_LOAD_ROWS(dout, VALUE_FACTORS, DOUT_BLOCKS, dout_unit)

// ---- tiles of keys --------------------------------------------------------------------------------------------------

uvec2 k_address(uint column, uint unit)
{
    return row_unit(k_base, uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH), tile_key(next, column), unit);
}

uvec2 v_address(uint column, uint unit)
{
    return row_unit(v_base, uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH), tile_key(next, column), unit);
}

// Hidden keys may hold anything, and 0 * NaN would be NaN.
bool k_is_hidden(uint column)
{
    return next.partial && tile_hides(next, column);
}

bool v_is_hidden(uint column)
{
    return false; // find_gradients() ignores the resulting dP
}

DEFINE_STAGING(keys, HEAD_COLUMNS, HEAD_DIM, 0, k_address, k_is_hidden)
DEFINE_STAGING(values, VALUE_COLUMNS, VALUE_DIM, BUFFER_VALUES, v_address, v_is_hidden)

// ---- products -------------------------------------------------------------------------------------------------------

DEFINE_PRODUCT(q, HEAD_BLOCKS, QUERY_BLOCKS, HEAD_PITCH)
DEFINE_PRODUCT(dout, VALUE_FACTORS, DOUT_BLOCKS, VALUE_PITCH)
DEFINE_SUM(add_ds_k, HEAD_SUMS, HEAD_PITCH)

float out_scale;

void put_dq(uint row, uint column, vec4 x, vec4 y)
{
    if (row_exists(row) && column < HEAD_DIM / 8)
        store_8(TYPE, OUT_ALIGNED != 0, out_row(row), column, x * out_scale, y * out_scale);
}

DEFINE_STORE_ROWS(dq, HEAD_SUMS, put_dq)

// Handles one tile of keys. Three tiles are in progress. The rows of `now` are in shared memory. The slots of `next`
// are in shared memory, so its rows can be loaded. The slots of `after` are being loaded.
#define ATTEND(partial)                                  \
    fetch_keys(coming_keys);                             \
    fetch_values(coming_values);                         \
    fetch_slot(after, coming_slot);                      \
    begin_scores(probability);                           \
    add_q(q, buffer_, probability);                      \
    find_probabilities(partial, 0, probability, slope);  \
    begin_gradients(0, ds);                              \
    add_dout(dout, buffer_ + BUFFER_VALUES, ds);         \
    find_gradients(probability, ds);                     \
    uncap(slope, ds);                                    \
    make_weights(ds, w);                                 \
    add_ds_k(w, buffer_, dq);                            \
    end_buffer();                                        \
    store_keys(OTHER_BUFFER - buffer_, coming_keys);     \
    store_values(OTHER_BUFFER - buffer_, coming_values); \
    store_slot(after, coming_slot);                      \
    buffer_ = OTHER_BUFFER - buffer_;                    \
    const uint free_slots = now.slots;                   \
    now = next;                                          \
    next = after;                                        \
    after = next_tile(free_slots);                       \
    fetch_slot_key(after, coming_slot);                  \
    barrier();
void main()
{
    invocation = gl_SubgroupID * SUBGROUP + gl_SubgroupInvocationID;
    begin_tile();
    find_dout();
    MATRIX_A q[ROW_BLOCKS][QUERY_BLOCKS];
    MATRIX_A dout[ROW_BLOCKS][DOUT_BLOCKS];
    PAIRS(probability);
    PAIRS(ds);
    PAIRS(slope);
    WEIGHTS(w);
    SUMS(dq, HEAD_SUMS);
    uvec4 coming_keys[keys_STEPS], coming_values[values_STEPS];
    slot first, second, coming_slot;
    uint buffer_ = 0;

    CLEAR(dq, HEAD_SUMS)
    begin_walk();
    next = next_tile(0); // the first tile is `next` until its rows are loaded
    key_tile second_tile = next_tile(TILE_KEYS), after = next_tile(2 * TILE_KEYS);
    fetch_slot_key(next, first);
    fetch_slot_key(second_tile, second);
    fetch_slot_key(after, coming_slot);
    out_scale = check_layout() ? uintBitsToFloat(SCALE) : uintBitsToFloat(0x7fc00000u);
    load_row_softmax();
    load_q(q);
    load_dout(dout);
    fetch_slot(next, first);
    fetch_slot(second_tile, second);
    store_slot(next, first);
    store_slot(second_tile, second);
    barrier(); // also: shared memory held slices before, and holds tile buffers from here on
    fetch_keys(coming_keys);
    fetch_values(coming_values);
    store_keys(0, coming_keys);
    store_values(0, coming_values);
    now = next;
    next = second_tile;
    barrier();

#if defined(FRAGMENTS) && !defined(SELECTED_KEYS) // here, separate code for full tiles is faster
    while (now.exists && !now.partial) {
        ATTEND(false)
    }
#endif
    while (now.exists) {
        ATTEND(NOW_IS_PARTIAL)
    }
    store_dq(dq);
}
