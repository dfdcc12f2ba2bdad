// SPDX-License-Identifier: MIT
// Attention, forward, with cooperative matrices: an online softmax over tiles of keys. Operands have 16 bits, all sums
// are f32.
//
//     for each tile of keys              neighbouring keys, or keys from the tile list
//         S = q k^T                          q in registers, the rest in shared memory if registers are too few
//         P, O = softmax_*.glsl              meanwhile, the next tile's k is loaded
//         O = O + P v                        meanwhile, the next tile's v is loaded
//     out = O / l;  lse = m + ln l
//
// Each subgroup has its own rows. All subgroups share k and v of a tile in shared memory.
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

#define PARAMS ATTENTION_PARAMS
#define TILE_OUT p.out_
#define TILE_LSE p.lse
#ifdef REGISTERS
#include "softmax_registers.glsl"
#else
#include "softmax_shared.glsl"
#endif
#include "../lib/operands.glsl"

// ---- queries --------------------------------------------------------------------------------------------------------

#define QUERIES MATRIX_A q[ROW_BLOCKS][QUERY_BLOCKS]

// 8 elements of a row of q; 0 beyond its end. The scale's sign is multiplied into q, so that a larger product is a
// larger score.
uvec4 q_unit(uint row, uint column)
{
    const uvec4 x = load_operands(advance(q_row(row), min(column, HEAD_DIM / 8 - 1), uvec2(16, 0)));
    const uint negate = uintBitsToFloat(SCALE) < 0 ? 0x80008000u : 0u;
    return row_exists(row) && column < HEAD_DIM / 8 ? x ^ negate : uvec4(0);
}

DEFINE_LOAD_ROWS(q, HEAD_BLOCKS, QUERY_BLOCKS, q_unit)
DEFINE_PRODUCT(q, HEAD_BLOCKS, QUERY_BLOCKS, KEY_PITCH)

// ---- tiles of keys --------------------------------------------------------------------------------------------------

// `coming`: the loaded rows of k or v that are not yet in shared memory.
const uint KEY_STEPS = (TILE_KEYS * HEAD_COLUMNS + WORKGROUP - 1) / WORKGROUP;
const uint VALUE_STEPS = (TILE_KEYS * VALUE_COLUMNS + WORKGROUP - 1) / WORKGROUP;
const uint STEPS = KEY_STEPS > VALUE_STEPS ? KEY_STEPS : VALUE_STEPS;
#define COMING uvec4 coming[STEPS]

// Loads are unconditional, with clamped indices: with a branch around each load, each would wait for the one before.
void fetch_keys(key_tile t, inout COMING)
{
    [[unroll]] for (uint step = 0; step < KEY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation;
        const uint column = i % HEAD_COLUMNS, row = min(i / HEAD_COLUMNS, TILE_KEYS - 1);
        coming[step] = load_operands(row_unit(k_base, uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH), tile_key(t, row),
                                              min(column, HEAD_DIM / 8 - 1)));
    }
}

void store_keys(COMING)
{
    [[unroll]] for (uint step = 0; step < KEY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, column = i % HEAD_COLUMNS, row = i / HEAD_COLUMNS;
        if (TILE_KEYS * HEAD_COLUMNS % WORKGROUP == 0 || row < TILE_KEYS)
            staged[row * KEY_PITCH + column] = column < HEAD_DIM / 8 ? coming[step] : uvec4(0);
    }
}

void fetch_values(key_tile t, inout COMING)
{
    [[unroll]] for (uint step = 0; step < VALUE_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation;
        const uint column = i % VALUE_COLUMNS, row = min(i / VALUE_COLUMNS, TILE_KEYS - 1);
        coming[step] = load_operands(row_unit(v_base, uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH), tile_key(t, row),
                                              min(column, VALUE_DIM / 8 - 1)));
    }
}

void store_values(COMING)
{
    [[unroll]] for (uint step = 0; step < VALUE_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, column = i % VALUE_COLUMNS, row = i / VALUE_COLUMNS;
        if (TILE_KEYS * VALUE_COLUMNS % WORKGROUP == 0 || row < TILE_KEYS)
            staged[VALUES + row * VALUE_PITCH + column] = column < VALUE_DIM / 8 ? coming[step] : uvec4(0);
    }
}

// Loads rows of k or v and stores them at once, a few at a time: for devices with too few registers to hold them.
const uint MOST_STEPS = 2;

void stage_keys(key_tile t, inout COMING)
{
    if (KEY_STEPS <= MOST_STEPS) {
        fetch_keys(t, coming);
        store_keys(coming);
    } else
        [[dont_unroll]] for (uint i = invocation; i < TILE_KEYS * HEAD_COLUMNS; i += WORKGROUP) {
            const uint column = i % HEAD_COLUMNS, row = i / HEAD_COLUMNS;
            const uvec4 unit = load_operands(row_unit(k_base, uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH), tile_key(t, row),
                                                      min(column, HEAD_DIM / 8 - 1)));
            staged[row * KEY_PITCH + column] = column < HEAD_DIM / 8 ? unit : uvec4(0);
        }
}

void stage_values(key_tile t, inout COMING)
{
    if (VALUE_STEPS <= MOST_STEPS) {
        fetch_values(t, coming);
        store_values(coming);
    } else
        [[dont_unroll]] for (uint i = invocation; i < TILE_KEYS * VALUE_COLUMNS; i += WORKGROUP) {
            const uint column = i % VALUE_COLUMNS, row = i / VALUE_COLUMNS;
            const uvec4 unit = load_operands(row_unit(v_base, uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH), tile_key(t, row),
                                                      min(column, VALUE_DIM / 8 - 1)));
            staged[VALUES + row * VALUE_PITCH + column] = column < VALUE_DIM / 8 ? unit : uvec4(0);
        }
}

// Sets the values of hidden keys to 0. They may hold NaN, and 0 * NaN is NaN. Each invocation does this for the
// elements that it stored itself, so no barrier is needed.
void hide_values(key_tile t)
{
    for (uint i = invocation; i < TILE_KEYS * VALUE_COLUMNS; i += WORKGROUP)
        if (tile_hides(t, i / VALUE_COLUMNS))
            staged[VALUES + i / VALUE_COLUMNS * VALUE_PITCH + i % VALUE_COLUMNS] = uvec4(0);
}

// ---- output ---------------------------------------------------------------------------------------------------------

#ifdef REGISTERS
DEFINE_SUM(add_pv, VALUE_BLOCKS, VALUE_PITCH)
#define UPDATE_SOFTMAX(partial) update_softmax(now, partial, score, probability, row_max, row_sum, o)
#define ADD_PV add_pv(probability, VALUES, o)
#endif

void put_output(uint row, uint column, vec4 x, vec4 y)
{
    if (row_exists(row) && column < VALUE_DIM / 8)
        store_8(OUT_TYPE, OUT_ALIGNED != 0, out_row(row), column, x, y);
}

DEFINE_STORE_ROWS(o, OUTPUT_BLOCKS, put_output)

// Attends to one tile of keys.
#define ATTEND(partial)                                                                     \
    if (SUMS_SHARED == 0)                                                                   \
        if (GUARDED == 0 || next.exists)                                                    \
            fetch_keys(next, coming);                                                       \
    fetch_slot(after, coming_slot);                                                         \
    begin_scores(now, score);                                                               \
    add_q(q, 0, score);                                                                     \
    UPDATE_SOFTMAX(partial);                                                                \
    barrier();                                                                              \
    if (GUARDED == 0 || next.exists) {                                                      \
        if (SUMS_SHARED != 0)                                                               \
            stage_keys(next, coming);                                                       \
        else                                                                                \
            store_keys(coming);                                                             \
        store_slot(after, coming_slot);                                                     \
        if (SUMS_SHARED == 0)                                                               \
            fetch_values(next, coming);                                                     \
    }                                                                                       \
    const uint free_slots = next.slots;                                                     \
    now = next;                                                                             \
    next = after;                                                                           \
    after = next_tile(free_slots);                                                          \
    fetch_slot_key(after, coming_slot);                                                     \
    ADD_PV;                                                                                 \
    barrier();                                                                              \
    if (GUARDED == 0 || now.exists) {                                                       \
        if (SUMS_SHARED != 0)                                                               \
            stage_values(now, coming);                                                      \
        else                                                                                \
            store_values(coming);                                                           \
    }

void main()
{
    invocation = gl_SubgroupID * SUBGROUP + gl_SubgroupInvocationID;
    begin_units();
    begin_tile();
    QUERIES;
    SCORES;
#ifdef REGISTERS
    PROBABILITIES;
#else
    FACTORS;
#endif
    OUTPUTS;
    ROW_MAXIMA;
    ROW_SUMS;
    COMING;
    begin_walk();
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint d = 0; d < OUTPUT_BLOCKS; d++)
            o[m][d] = MATRIX_C(0.0);
#ifndef REGISTERS
    begin_sums();
#endif

    // Three tiles are in progress: `now` is in shared memory; the slots of `next` are, so its rows can be loaded; the
    // slots of `after` are being loaded. At the start, as many loads as possible are issued together.
    key_tile now = next_tile(0), next = next_tile(TILE_KEYS), after = next_tile(0);
    slot first, second, coming_slot;
    fetch_slot_key(now, first);
    fetch_slot_key(next, second);
    fetch_slot_key(after, coming_slot);
    begin_rows(row_max, row_sum);
    load_q(q);
    fetch_slot(now, first);
    fetch_slot(next, second);
    store_slot(now, first);
    store_slot(next, second);
    barrier(); // also: shared memory held slices before, and holds keys from here on
    if (SUMS_SHARED != 0) {
        stage_keys(now, coming);
        stage_values(now, coming);
    } else {
        uvec4 first_keys[STEPS];
        fetch_keys(now, first_keys);
        fetch_values(now, coming);
        store_keys(first_keys);
        store_values(coming);
    }
    barrier();

#ifdef FRAGMENTS // here, a separate loop without the code for partial tiles is faster
    while (now.exists && !now.partial) {
        ATTEND(false)
    }
#endif
    while (now.exists) {
        if (now.partial)
            hide_values(now); // the barrier before the product makes this visible
        ATTEND(now.partial)
    }
    finish_rows(row_max, row_sum, o);
#ifndef REGISTERS
    if (SUMS_SHARED != 0)
        [[dont_unroll]] for (uint i = gl_SubgroupInvocationID; i < MATRIX_M * VALUE_COLUMNS; i += SUBGROUP) {
            const uint r = i / VALUE_COLUMNS, column = i % VALUE_COLUMNS, at = SUBGROUP_SUMS + r * SUM_PITCH + 2 * column;
            put_output(tile_row_of(0, r), column, uintBitsToFloat(sums[at]), uintBitsToFloat(sums[at + 1]));
        }
    else
#endif
        store_o(o);
}
