// SPDX-License-Identifier: MIT
// Attention, forward, with cooperative matrices: an online softmax over tiles of keys. Operands have 16 bits, all sums
// are f32.
//
//     for each tile of keys              neighbouring keys, or keys from the tile list
//         S = q k^T                          q in registers, the rest in shared memory if registers are too few
//         P, O = softmax_*.glsl
//         O = O + P v
//     out = O / l;  lse = m + ln l
//
// Each subgroup has its own rows. All subgroups share k and v of a tile in shared memory. loop_*.glsl has the order of
// the products, the loads and the barriers.
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
    uvec4 x;
    if (Q_TYPE == TYPE_F32)
        x = load_f32_operands(q_row(row), min(column, HEAD_DIM / 8 - 1));
    else
        x = load_operands(advance(q_row(row), min(column, HEAD_DIM / 8 - 1), uvec2(16, 0)));
    const uint negate = uintBitsToFloat(SCALE) < 0 ? 0x80008000u : 0u;
    return row_exists(row) && column < HEAD_DIM / 8 ? x ^ negate : uvec4(0);
}

#ifdef REGISTERS
#include "load_queries.glsl"
#else
DEFINE_LOAD_ROWS(q, HEAD_BLOCKS, QUERY_BLOCKS, q_unit)
#endif
DEFINE_PRODUCT(q, HEAD_BLOCKS, QUERY_BLOCKS, KEY_PITCH)

// ---- tiles of keys --------------------------------------------------------------------------------------------------

// The loaded rows of k or v that are not yet in shared memory.
const uint KEY_STEPS = (TILE_KEYS * HEAD_COLUMNS + WORKGROUP - 1) / WORKGROUP;
const uint VALUE_STEPS = (TILE_KEYS * VALUE_COLUMNS + WORKGROUP - 1) / WORKGROUP;
#define COMING_KEYS uvec4 coming_keys[KEY_STEPS]
#define COMING_VALUES uvec4 coming_values[VALUE_STEPS]

// Loads are unconditional, with clamped indices: with a branch around each load, each would wait for the one before.
void fetch_keys(key_tile t, inout COMING_KEYS)
{
    [[unroll]] for (uint step = 0; step < KEY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation;
        const uint column = i % HEAD_COLUMNS, row = min(i / HEAD_COLUMNS, TILE_KEYS - 1);
        coming_keys[step] = load_operands(row_unit(k_base, uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH), tile_key(t, row),
                                              min(column, HEAD_DIM / 8 - 1)));
    }
}

void store_keys(COMING_KEYS)
{
    [[unroll]] for (uint step = 0; step < KEY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, column = i % HEAD_COLUMNS, row = i / HEAD_COLUMNS;
        if (TILE_KEYS * HEAD_COLUMNS % WORKGROUP == 0 || row < TILE_KEYS)
            staged[row * KEY_PITCH + column] = column < HEAD_DIM / 8 ? coming_keys[step] : uvec4(0);
    }
}

void fetch_values(key_tile t, inout COMING_VALUES)
{
    [[unroll]] for (uint step = 0; step < VALUE_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation;
        const uint column = i % VALUE_COLUMNS, row = min(i / VALUE_COLUMNS, TILE_KEYS - 1);
        coming_values[step] = load_operands(row_unit(v_base, uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH), tile_key(t, row),
                                              min(column, VALUE_DIM / 8 - 1)));
    }
}

void store_values(COMING_VALUES)
{
    [[unroll]] for (uint step = 0; step < VALUE_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, column = i % VALUE_COLUMNS, row = i / VALUE_COLUMNS;
        if (TILE_KEYS * VALUE_COLUMNS % WORKGROUP == 0 || row < TILE_KEYS)
            staged[VALUES + row * VALUE_PITCH + column] = column < VALUE_DIM / 8 ? coming_values[step] : uvec4(0);
    }
}

// The same loads for a tile whose keys all exist, if PLAIN_ROWS is 1: keys are neighbours, and each invocation loads
// units of one column. So no index is clamped, and an invocation's loads have constant distances.
const uint UNEVEN_UNITS = 8 * HEAD_COLUMNS - HEAD_DIM + WORKGROUP % HEAD_COLUMNS + TILE_KEYS * HEAD_COLUMNS % WORKGROUP
                          + 8 * VALUE_COLUMNS - VALUE_DIM + WORKGROUP % VALUE_COLUMNS
                          + TILE_KEYS * VALUE_COLUMNS % WORKGROUP;
#ifdef SELECTED_KEYS
const uint PLAIN_ROWS = 0;
#else
const uint PLAIN_ROWS = MASK == MASK_INTERVALS ? 0 : UNEVEN_UNITS != 0 ? 0 : ALIGNED != 0 ? NEAR : 0;
#endif

// If the last tiles may be full, the loop over full tiles goes on to the last one. It then also loads tiles that do not
// exist; the rows of existing keys stand for theirs.
#ifdef COUNTED
const uint FULL_TO_THE_END = 0;
#else
const uint FULL_TO_THE_END = CAUSAL != 0 ? 0 : BITMAP ? 0 : 1;
#endif

void fetch_plain_keys(key_tile t, inout COMING_KEYS)
{
    if (FULL_TO_THE_END != 0)
        t.first = min(t.first, p.keys - TILE_KEYS);
    const uvec2 stride = uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH);
    const uvec2 first = row_unit(k_base, stride, t.first + invocation / HEAD_COLUMNS, invocation % HEAD_COLUMNS);
    [[unroll]] for (uint step = 0; step < KEY_STEPS; step++)
        coming_keys[step] = as_operands(Quads(first).q[step * (WORKGROUP / HEAD_COLUMNS) * (stride.x / 16)]);
}

void fetch_plain_values(key_tile t, inout COMING_VALUES)
{
    if (FULL_TO_THE_END != 0)
        t.first = min(t.first, p.keys - TILE_KEYS);
    const uvec2 stride = uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH);
    const uvec2 first = row_unit(v_base, stride, t.first + invocation / VALUE_COLUMNS, invocation % VALUE_COLUMNS);
    [[unroll]] for (uint step = 0; step < VALUE_STEPS; step++)
        coming_values[step] = as_operands(Quads(first).q[step * (WORKGROUP / VALUE_COLUMNS) * (stride.x / 16)]);
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

void begin_output(out OUTPUTS)
{
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint d = 0; d < OUTPUT_BLOCKS; d++)
            o[m][d] = MATRIX_C(0.0);
}

void put_output(uint row, uint column, vec4 x, vec4 y)
{
    if (row_exists(row) && column < VALUE_DIM / 8)
        store_8(OUT_TYPE, OUT_ALIGNED != 0, out_row(row), column, x, y);
}

#ifdef REGISTERS
#include "loop_registers.glsl"
#else
#include "loop_shared.glsl"
#endif
