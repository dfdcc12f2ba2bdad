// SPDX-License-Identifier: MIT
// Attention, forward, by cooperative matrices: an online softmax over tiles of keys, products of 16-bit operands, all sums
// in f32.
//
//     for each tile of keys, which are neighbours, or those of a list of all keys that some query of the tile sees
//         S = q k^T                          q in registers (and shared memory, where those do not suffice)
//         P, O = softmax_*.glsl              the next tile's k arrives meanwhile
//         O = O + P v                        the next tile's v arrives meanwhile
//     out = O / l;  lse = m + ln l
//
// A subgroup has rows of its own; k and v of a tile are in shared memory for all of them.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_KHR_shader_subgroup_vote : require
#ifdef BF16
#extension GL_EXT_bfloat16 : require
#define OPERAND bfloat16_t
#define OPERAND_TYPE TYPE_BF16
#else
#define OPERAND float16_t
#define OPERAND_TYPE TYPE_F16
#endif
#ifdef MATRIX2
#extension GL_NV_cooperative_matrix2 : require
#define CONVERT_ACCUMULATORS
#endif

#ifdef REGISTERS
#include "lib/softmax_registers.glsl"
#else
#include "lib/softmax_shared.glsl"
#endif

// ---- queries -------------------------------------------------------------------------------------------------------------

// Blocks of a row of q that are not in registers.
const uint SHARED_BLOCKS = HEAD_BLOCKS - QUERY_BLOCKS;
const uint QUERY_PITCH = SHARED_BLOCKS * MATRIX_K / 8 + 1;
shared uvec4 shared_queries[SHARED_BLOCKS > 0 ? TILE_ROWS * QUERY_PITCH : 1];

MATRIX_A q[ROW_BLOCKS][QUERY_BLOCKS];

// 8 elements of a row of q, 0 where it has none. The scale's sign goes into q, so that larger products are larger scores.
uvec4 load_query(uint row, uint column)
{
    const uvec4 x = load_operands(q_row(row), min(column, HEAD_DIM / 8 - 1));
    const uint negate = p.scale < 0 ? 0x80008000u : 0u;
    return row_exists(row) && column < HEAD_DIM / 8 ? x ^ negate : uvec4(0);
}

void load_queries()
{
    // As many blocks at a time as fit in the subgroup's slice.
    const uint block = MATRIX_K / 8, most = (SLICE_UNITS / MATRIX_M - 1) / block;
    const uint at_once = most < QUERY_BLOCKS ? most : QUERY_BLOCKS, pitch = at_once * block + 1;
    const uint slice = gl_SubgroupID * SLICE_UNITS;
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint first = 0; first < QUERY_BLOCKS; first += at_once) {
            for (uint i = gl_SubgroupInvocationID; i < MATRIX_M * at_once * block; i += SUBGROUP) {
                const uint r = i / (at_once * block), c = i % (at_once * block);
                staged[slice + r * pitch + c] = load_query(tile_row_of(m, r), first * block + c);
            }
            subgroup_sync();
            [[unroll]] for (uint b = 0; b < at_once; b++)
                if (first + b < QUERY_BLOCKS)
                    coopMatLoad(q[m][first + b], staged, slice + b * block, pitch, BY_ROWS);
            subgroup_sync();
        }
    if (SHARED_BLOCKS > 0)
        for (uint i = invocation; i < TILE_ROWS * SHARED_BLOCKS * block; i += WORKGROUP) {
            const uint row = i / (SHARED_BLOCKS * block), c = i % (SHARED_BLOCKS * block);
            shared_queries[row * QUERY_PITCH + c] = load_query(row, QUERY_BLOCKS * block + c);
        }
    barrier(); // slices end here, keys begin
}

// ---- tiles of keys -------------------------------------------------------------------------------------------------------

uint walk_tile, walk_tiles; // the next tile to look at, of how many
uvec2 walk_bits;            // of a dense mask's bitmap: tiles left of the present 32, and which are full
uvec2 walk_bitmap;

void begin_walk()
{
    const uint end_key = CAUSAL != 0 ? min(causal_end(end_query - 1), p.keys) : p.keys;
    walk_tile = 0;
    walk_tiles = LISTED ? (list.y + TILE_KEYS - 1) / TILE_KEYS : (end_key + TILE_KEYS - 1) / TILE_KEYS;
    walk_bits = uvec2(0);
    if (MASK == MASK_DENSE)
        walk_bitmap = tile_row(batch, score_head(MASK_HEADS, first_head), query_tile);
}

key_tile next_tile(uint slots)
{
    bool full = true;
    if (MASK == MASK_DENSE) {
        // walk_tile: the first of the present 32 once its bits were read, until none is left
        while (walk_bits.x == 0 && walk_tile < walk_tiles) {
            walk_bits = Pairs(walk_bitmap).p[walk_tile / 32];
            walk_bits.x &= 0xffffffffu >> 32 - min(walk_tiles - walk_tile, 32);
            walk_tile += 32;
        }
        const uint bit = findLSB(walk_bits.x);
        const bool exists = walk_bits.x != 0;
        const uint first_key = exists ? (walk_tile - 32 + bit) * TILE_KEYS : 0, past_key = first_key + TILE_KEYS;
        full = (walk_bits.y >> (bit & 31u) & 1u) != 0 && past_key <= p.keys
               && (CAUSAL == 0 || past_key <= causal_end(first_query));
        walk_bits.x &= walk_bits.x - 1;
        return key_tile(first_key, !full, exists, slots);
    }
    const uint first = walk_tile * TILE_KEYS, past = first + TILE_KEYS;
    const bool exists = walk_tile < walk_tiles;
    walk_tile++;
    if (LISTED)
        full = past <= list.z;
    else
        full = past <= p.keys && (CAUSAL == 0 || past <= causal_end(first_query));
    return key_tile(first, !full, exists, slots);
}

// The slots of a tile on their way to shared memory, one of them for each of the first invocations.
uint coming_key;
ivec2 coming_life;
float coming_bias;

void fetch_slot_key(key_tile t)
{
    if (invocation < TILE_KEYS)
        coming_key = LISTED ? t.exists ? listed_key(t.first + invocation) : p.keys : t.first + invocation;
}

void fetch_slot()
{
    if (invocation < TILE_KEYS) {
        if (LISTED)
            coming_life = key_life(coming_key);
        if (BIAS_BY_KEY != 0)
            coming_bias = score_bias(load_bias(first_head, 0, min(coming_key, p.keys - 1)));
    }
}

void store_slot(key_tile t)
{
    if (invocation < TILE_KEYS) {
        if (LISTED) {
            slot_key[t.slots + invocation] = coming_key;
            slot_life[t.slots + invocation] = coming_life;
        }
        if (BIAS_BY_KEY != 0)
            slot_bias[t.slots + invocation] = coming_bias;
    }
}

// Rows of k, or of v, on their way to shared memory.
const uint KEY_STEPS = (TILE_KEYS * HEAD_COLUMNS + WORKGROUP - 1) / WORKGROUP;
const uint VALUE_STEPS = (TILE_KEYS * VALUE_COLUMNS + WORKGROUP - 1) / WORKGROUP;
uvec4 coming[KEY_STEPS > VALUE_STEPS ? KEY_STEPS : VALUE_STEPS];

// Loads are unconditional, from a clamped place: a branch around each would make each wait for the one before.
void fetch_keys(key_tile t)
{
    [[unroll]] for (uint step = 0; step < KEY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation;
        const uint column = i % HEAD_COLUMNS, row = min(i / HEAD_COLUMNS, TILE_KEYS - 1);
        coming[step] = load_operands(k_row(tile_key(t, row)), min(column, HEAD_DIM / 8 - 1));
    }
}

void store_keys()
{
    [[unroll]] for (uint step = 0; step < KEY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, column = i % HEAD_COLUMNS, row = i / HEAD_COLUMNS;
        if (TILE_KEYS * HEAD_COLUMNS % WORKGROUP == 0 || row < TILE_KEYS)
            staged[row * KEY_PITCH + column] = column < HEAD_DIM / 8 ? coming[step] : uvec4(0);
    }
}

void fetch_values(key_tile t)
{
    [[unroll]] for (uint step = 0; step < VALUE_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation;
        const uint column = i % VALUE_COLUMNS, row = min(i / VALUE_COLUMNS, TILE_KEYS - 1);
        coming[step] = load_operands(v_row(tile_key(t, row)), min(column, VALUE_DIM / 8 - 1));
    }
}

// Those of hidden keys are 0 whatever they hold: 0 * NaN would be NaN.
void store_values(key_tile t)
{
    [[unroll]] for (uint step = 0; step < VALUE_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, column = i % VALUE_COLUMNS, row = i / VALUE_COLUMNS;
        if (TILE_KEYS * VALUE_COLUMNS % WORKGROUP == 0 || row < TILE_KEYS) {
            const bool keep = column < VALUE_DIM / 8 && !(t.partial && tile_hides(t, row));
            staged[VALUES + row * VALUE_PITCH + column] = keep ? coming[step] : uvec4(0);
        }
    }
}

// ---- products ------------------------------------------------------------------------------------------------------------

void multiply_qk(key_tile t)
{
    begin_scores(t);
    [[unroll]] for (uint d = 0; d < HEAD_BLOCKS; d++) {
        MATRIX_A a[ROW_BLOCKS];
        [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
            if (d < QUERY_BLOCKS)
                a[m] = q[m][d];
            else
                coopMatLoad(a[m], shared_queries,
                            tile_row_of(m, 0) * QUERY_PITCH + (d - QUERY_BLOCKS) * MATRIX_K / 8, QUERY_PITCH, BY_ROWS);
        [[unroll]] for (uint n = 0; n < SCORE_BLOCKS; n++) {
            MATRIX_B k;
            coopMatLoad(k, staged, n * MATRIX_N * KEY_PITCH + d * MATRIX_K / 8, KEY_PITCH, BY_COLUMNS);
            [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
                score[m][n] = coopMatMulAdd(a[m], k, score[m][n]);
        }
    }
}

void multiply_pv()
{
    [[unroll]] for (uint k = 0; k < PROBABILITY_BLOCKS; k++)
        [[unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++) {
            MATRIX_B v;
            coopMatLoad(v, staged, VALUES + k * MATRIX_K * VALUE_PITCH + d * MATRIX_N / 8, VALUE_PITCH, BY_ROWS);
            [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
                o[m][d] = coopMatMulAdd(PROBABILITY(m, k), v, o[m][d]);
        }
}

// ---- output --------------------------------------------------------------------------------------------------------------

void store_output()
{
    const uint block = MATRIX_N / 4, most = (SLICE_UNITS / MATRIX_M - 1) / block;
    const uint at_once = most < VALUE_BLOCKS ? most : VALUE_BLOCKS, pitch = at_once * block + 1;
    const uint slice = gl_SubgroupID * SLICE_UNITS, columns = at_once * MATRIX_N / 8;
    barrier(); // values end here, slices begin
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint first = 0; first < VALUE_BLOCKS; first += at_once) {
            [[unroll]] for (uint b = 0; b < at_once; b++)
                if (first + b < VALUE_BLOCKS)
                    coopMatStore(o[m][first + b], staged, slice + b * block, pitch, BY_ROWS);
            subgroup_sync();
            for (uint i = gl_SubgroupInvocationID; i < MATRIX_M * columns; i += SUBGROUP) {
                const uint r = i / columns, c = i % columns, row = tile_row_of(m, r), column = first * MATRIX_N / 8 + c;
                const vec4 x = uintBitsToFloat(staged[slice + r * pitch + 2 * c]);
                const vec4 y = uintBitsToFloat(staged[slice + r * pitch + 2 * c + 1]);
                if (row_exists(row) && column < VALUE_DIM / 8)
                    store_8(TYPE, ALIGNED != 0, out_row(row), column, x, y);
            }
            subgroup_sync();
        }
}

void main()
{
    invocation = gl_SubgroupID * SUBGROUP + gl_SubgroupInvocationID;
    score_scale = abs(p.scale);
    score_inverse = 1 / score_scale;
    begin_tile();
    begin_rows();
    begin_walk();
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++)
            o[m][d] = MATRIX_C(0.0);
    load_queries();

    // Three tiles are under way: `now` is in shared memory; the rows of `next` follow, as its slots are there; those of
    // `after` are being fetched.
    key_tile now = next_tile(0);
    fetch_slot_key(now);
    fetch_slot();
    store_slot(now);
    key_tile next = next_tile(TILE_KEYS);
    fetch_slot_key(next);
    fetch_slot();
    store_slot(next);
    key_tile after = next_tile(0);
    fetch_slot_key(after);
    barrier();
    fetch_keys(now);
    store_keys();
    fetch_values(now);
    store_values(now);
    barrier();

    while (now.exists) {
        if (GUARDED == 0 || next.exists)
            fetch_keys(next);
        fetch_slot();
        multiply_qk(now);
        update_softmax(now);
        barrier();
        if (GUARDED == 0 || next.exists) {
            store_keys();
            store_slot(after);
            fetch_values(next);
        }
        const uint free = next.slots;
        now = next;
        next = after;
        after = next_tile(free);
        fetch_slot_key(after);
        multiply_pv();
        barrier();
        if (GUARDED == 0 || now.exists)
            store_values(now);
    }
    finish_rows();
    store_output();
}
