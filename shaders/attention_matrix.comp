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
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
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

#define INT64

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

#define QUERIES MATRIX_A q[ROW_BLOCKS][QUERY_BLOCKS]

// 8 elements of a row of q, 0 where it has none. The scale's sign goes into q, so that larger products are larger scores.
uvec4 load_query(uint row, uint column)
{
    const uvec4 x = load_operands(advance(q_row(row), min(column, HEAD_DIM / 8 - 1), uvec2(16, 0)));
    const uint negate = p.scale < 0 ? 0x80008000u : 0u;
    return row_exists(row) && column < HEAD_DIM / 8 ? x ^ negate : uvec4(0);
}

void load_queries(out QUERIES)
{
    // As many blocks at a time as fit in the subgroup's slice.
    const uint block = MATRIX_K / 8, most = (SLICE_UNITS / MATRIX_M - 1) / block;
    const uint at_once = most < QUERY_BLOCKS ? most : QUERY_BLOCKS, pitch = at_once * block + 1;
    const uint slice = gl_SubgroupID * SLICE_UNITS;
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint first = 0; first < QUERY_BLOCKS; first += at_once) {
            // unrolled, so that all loads are under way at once
            [[unroll]] for (uint step = 0; step < MATRIX_M * at_once * block; step += SUBGROUP) {
                const uint i = step + gl_SubgroupInvocationID, r = i / (at_once * block), c = i % (at_once * block);
                const uvec4 x = load_query(tile_row_of(m, r), first * block + c);
                if (r < MATRIX_M)
                    staged[slice + r * pitch + c] = x;
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
}

// ---- tiles of keys -------------------------------------------------------------------------------------------------------

// Full tiles come first, so that the loop over them needs no code for the others: in a list they are its beginning, with
// causality alone those of the first keys, and a dense mask's bitmap is walked twice.
uint walk_tile;  // the next one to look at
uvec2 walk_part; // the first one, and one past the last one
uint walk_live;             // of a dense mask's bitmap: what is left of the present 32, which begin at walk_tile - 32
bool walk_partial;
uvec2 walk_bitmap;

void begin_walk()
{
    const uint end_key = CAUSAL != 0 ? min(causal_end(end_query - 1), p.keys) : p.keys;
    walk_part = part_of(((LISTED ? list.y : end_key) + TILE_KEYS - 1) / TILE_KEYS);
    walk_tile = MASK == MASK_DENSE ? walk_part.x & ~31u : walk_part.x;
    walk_live = 0;
    walk_partial = false;
    if (MASK == MASK_DENSE)
        walk_bitmap = tile_row(batch, score_head(MASK_HEADS, first_head), query_tile);
}

// How many tiles, from the first on, are full as far as the number of keys and causality go.
uint full_tiles()
{
    return (CAUSAL != 0 ? min(causal_end(first_query), p.keys) : p.keys) / TILE_KEYS;
}

key_tile next_tile_of_bitmap(uint slots)
{
    while (walk_live == 0) {
        if (walk_tile >= walk_part.y) {
            if (walk_partial || walk_part.x == walk_part.y)
                return key_tile(0, true, false, slots);
            walk_partial = true;
            walk_tile = walk_part.x & ~31u;
        }
        const uvec2 bits = Pairs(walk_bitmap).p[walk_tile / 32];
        const uint full = bits.y & bits_of(uvec2(0, full_tiles()), walk_tile);
        walk_live = (walk_partial ? bits.x & ~full : full) & bits_of(walk_part, walk_tile);
        walk_tile += 32;
    }
    const uint bit = findLSB(walk_live);
    walk_live &= walk_live - 1;
    return key_tile((walk_tile - 32 + bit) * TILE_KEYS, walk_partial, true, slots);
}

key_tile next_tile(uint slots)
{
    if (MASK == MASK_DENSE)
        return next_tile_of_bitmap(slots);
    const uint tile = walk_tile++;
    return key_tile(tile * TILE_KEYS, tile >= (LISTED ? list.z / TILE_KEYS : full_tiles()), tile < walk_part.y, slots);
}

// What is known of a key on its way to shared memory, by one of the first invocations for each slot of a tile.
struct slot {
    uint key;
    ivec2 life;
    float bias;
};

// Whether there is anything to know.
const uint SLOTS = MASK == MASK_INTERVALS ? 1 : BIAS_BY_KEY;

void fetch_slot_key(key_tile t, inout slot s)
{
    if (SLOTS != 0 && invocation < TILE_KEYS)
        s.key = LISTED ? t.exists ? listed_key(t.first + invocation) : p.keys : t.first + invocation;
}

void fetch_slot(key_tile t, inout slot s)
{
    if (SLOTS != 0 && invocation < TILE_KEYS) {
        if (LISTED && t.partial) // in others all queries see all keys
            s.life = key_life(s.key);
        if (BIAS_BY_KEY != 0)
            s.bias = score_bias(load_bias_of_key(min(s.key, p.keys - 1)));
    }
}

void store_slot(key_tile t, slot s)
{
    if (SLOTS != 0 && invocation < TILE_KEYS) {
        if (LISTED) {
            slot_key[t.slots + invocation] = min(s.key, p.keys - 1); // where there is none, its life says so
            slot_life[t.slots + invocation] = s.life;
        }
        if (BIAS_BY_KEY != 0)
            slot_bias[t.slots + invocation] = s.bias;
    }
}

// Rows of k, or of v, on their way to shared memory.
const uint KEY_STEPS = (TILE_KEYS * HEAD_COLUMNS + WORKGROUP - 1) / WORKGROUP;
const uint VALUE_STEPS = (TILE_KEYS * VALUE_COLUMNS + WORKGROUP - 1) / WORKGROUP;
const uint STEPS = KEY_STEPS > VALUE_STEPS ? KEY_STEPS : VALUE_STEPS;
#define COMING uvec4 coming[STEPS]

// Where 8 elements of a key's row are. In a plane of less than 4 GiB by an offset of 32 bits, which takes fewer registers.
uvec2 row_unit(uvec2 base, uvec2 stride, uint key, uint unit)
{
    return NEAR != 0 ? advance(base, key * stride.x + 16 * unit, uvec2(1, 0))
                     : advance(advance(base, unit, uvec2(16, 0)), key, stride);
}

// Loads are unconditional, from a clamped place: a branch around each would make each wait for the one before.
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

// Makes those of hidden keys 0 whatever they hold, as 0 * NaN would be NaN: each invocation what it has stored.
void hide_values(key_tile t)
{
    for (uint i = invocation; i < TILE_KEYS * VALUE_COLUMNS; i += WORKGROUP)
        if (tile_hides(t, i / VALUE_COLUMNS))
            staged[VALUES + i / VALUE_COLUMNS * VALUE_PITCH + i % VALUE_COLUMNS] = uvec4(0);
}

// ---- products ------------------------------------------------------------------------------------------------------------

void multiply_qk(key_tile t, QUERIES, out SCORES)
{
    begin_scores(t, score);
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

void multiply_pv(PROBABILITIES, inout OUTPUTS)
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

// Two elements of out, to nearest even as this type of matrices is converted by hardware.
uint pack_output(vec2 x)
{
    return TYPE == TYPE_F16 ? packFloat2x16(f16vec2(x)) : pack_pair(TYPE, x);
}

void store_output(OUTPUTS)
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
                if (!row_exists(row) || column >= VALUE_DIM / 8)
                    continue;
                if (OUT_TYPE != TYPE_F32 && OUT_ALIGNED != 0)
                    Quads(advance(out_row(row), column, uvec2(16, 0))).q[0] =
                        uvec4(pack_output(x.xy), pack_output(x.zw), pack_output(y.xy), pack_output(y.zw));
                else {
                    store_4(OUT_TYPE, OUT_ALIGNED != 0, out_row(row), 2 * column, x);
                    store_4(OUT_TYPE, OUT_ALIGNED != 0, out_row(row), 2 * column + 1, y);
                }
            }
            subgroup_sync();
        }
}

// One tile of keys.
#define ATTEND(partial)                                                                     \
    if (GUARDED == 0 || next.exists)                                                        \
        fetch_keys(next, coming);                                                           \
    fetch_slot(after, coming_slot);                                                         \
    multiply_qk(now, q, score);                                                             \
    update_softmax(now, partial, score, probability, row_max, row_sum, o);                  \
    barrier();                                                                              \
    if (GUARDED == 0 || next.exists) {                                                      \
        store_keys(coming);                                                                 \
        store_slot(after, coming_slot);                                                     \
        fetch_values(next, coming);                                                         \
    }                                                                                       \
    const uint free_slots = next.slots;                                                     \
    now = next;                                                                             \
    next = after;                                                                           \
    after = next_tile(free_slots);                                                          \
    fetch_slot_key(after, coming_slot);                                                     \
    multiply_pv(probability, o);                                                            \
    barrier();                                                                              \
    if (GUARDED == 0 || now.exists)                                                         \
        store_values(coming);

void main()
{
    invocation = gl_SubgroupID * SUBGROUP + gl_SubgroupInvocationID;
    score_scale = abs(p.scale);
    score_inverse = 1 / score_scale;
    begin_tile();
    QUERIES;
    SCORES;
    PROBABILITIES;
    OUTPUTS;
    ROW_MAXIMA;
    ROW_SUMS;
    COMING;
    begin_walk();
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++)
            o[m][d] = MATRIX_C(0.0);

    // Three tiles are under way: `now` is in shared memory; the rows of `next` follow, as its slots are there; those of
    // `after` are being fetched. At first all three are, and as much as can be at once.
    key_tile now = next_tile(0), next = next_tile(TILE_KEYS), after = next_tile(0);
    slot first, second, coming_slot;
    fetch_slot_key(now, first);
    fetch_slot_key(next, second);
    fetch_slot_key(after, coming_slot);
    begin_rows(row_max, row_sum);
    load_queries(q);
    fetch_slot(now, first);
    fetch_slot(next, second);
    store_slot(now, first);
    store_slot(next, second);
    barrier(); // and slices end here, keys begin
    {
        uvec4 first_keys[STEPS];
        fetch_keys(now, first_keys);
        fetch_values(now, coming);
        store_keys(first_keys);
        store_values(coming);
    }
    barrier();

#ifdef FRAGMENTS // where a loop without the code of partial tiles is faster
    while (now.exists && !now.partial) {
        ATTEND(false)
    }
#endif
    while (now.exists) {
        if (now.partial)
            hide_values(now); // seen after the barrier before the product
        ATTEND(now.partial)
    }
    finish_rows(row_max, row_sum, o);
    store_output(o);
}
