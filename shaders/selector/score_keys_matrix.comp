// SPDX-License-Identifier: MIT
// The scores of queries and numbers, with cooperative matrices. Operands have 16 bits, all sums are f32.
//
//     rows of k to registers
//     for each block of rows          MATRIX_M / ROW_HEADS queries with ROW_HEADS heads each
//         for each ROW_HEADS heads of the list
//             sum = sum + weights * rectified(q k^T)
//         scores = sum, added up over the heads of a query
//
// Each subgroup has its own rows of k. All subgroups share rows of q in shared memory, STEPS blocks at a time. The next
// ones are loaded meanwhile. A weight belongs to a row, so in shared memory it fills a row of a matrix, and products of
// elements need no knowledge of where elements are.
//
// With FEW_REGISTERS, rows of k stay in shared memory and are read again for each STEPS blocks of rows of q.
//
// Workgroup (x, y): numbers from x * TILE_KEYS on of tile y.
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

#include "../lib/operand_type.glsl"
#define INT64
#include "score_tile.glsl"
#include "../lib/coopmat.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

const uint SUBGROUPS = WORKGROUP / SUBGROUP;
const uint HEAD_BLOCKS = (HEAD_DIM + MATRIX_K - 1) / MATRIX_K;
const uint ELEMENTS = MATRIX_M * MATRIX_N / SUBGROUP; // of a sum in an invocation
const uint COLUMN_BLOCKS = TILE_KEYS / (SUBGROUPS * MATRIX_N);
const uint BLOCK_QUERIES = MATRIX_M / ROW_HEADS, ROW_BLOCKS = TILE_QUERIES / BLOCK_QUERIES;
// ROW_HEADS divides LIST_HEADS.
const uint TURNS = (LIST_HEADS / ROW_HEADS + STEPS - 1) / STEPS; // loads of q for a block of rows

// The unit of shared memory is 16 bytes: 8 operands, or 4 sums. There is an unused unit after each row.
const uint COLUMNS = HEAD_BLOCKS * MATRIX_K / 8, PITCH = COLUMNS + 1, SUM_PITCH = MATRIX_N / 4 + 1;
const uint TURN_ROWS = STEPS * MATRIX_M;
const uint Q_UNITS = 2 * TURN_ROWS * PITCH, K_UNITS = SUBGROUPS * MATRIX_N * PITCH;
const uint SUM_UNITS = SUBGROUPS * MATRIX_M * SUM_PITCH, ROW_UNITS = Q_UNITS > K_UNITS ? Q_UNITS : K_UNITS;
#ifdef FEW_REGISTERS
shared uvec4 key_rows[K_UNITS];
shared uvec4 staged[Q_UNITS > SUM_UNITS ? Q_UNITS : SUM_UNITS]; // rows of q, or sums
#else
shared uvec4 staged[ROW_UNITS > SUM_UNITS ? ROW_UNITS : SUM_UNITS]; // rows of k, then rows of q, or sums
#endif
shared uvec4 row_weights[2 * TURN_ROWS * SUM_PITCH];

const uint LOADS = (TURN_ROWS * COLUMNS + WORKGROUP - 1) / WORKGROUP;
const uint WEIGHT_LOADS = (TURN_ROWS + WORKGROUP - 1) / WORKGROUP;
#define COMING uvec4 coming[LOADS]
#define COMING_WEIGHTS float coming_weights[WEIGHT_LOADS]
#define KEYS MATRIX_B keys[COLUMN_BLOCKS][HEAD_BLOCKS]

uint invocation;

// 8 elements of 16 bits as operands. They are in four words, or, if the first one is the upper half of a word, in five.
uvec4 load_operands(uvec2 address)
{
    if (ALIGNED != 0)
        return as_operands(Quads(address).q[0]);
    const bool in_middle = (address.x & 2u) != 0;
    Words words = Words(uvec2(address.x & ~3u, address.y));
    uvec4 x = uvec4(words.w[0], words.w[1], words.w[2], words.w[3]);
    const uint last = words.w[in_middle ? 4 : 3];
    if (in_middle)
        x = x >> 16 | uvec4(x.yzw, last) << 16;
    return as_operands(x);
}

// ---- keys -----------------------------------------------------------------------------------------------------------

uvec4 key_unit(uint number, uint column)
{
    const uvec4 x = load_operands(advance(k_row(min(number, end_number - 1)), min(column, HEAD_DIM / 8 - 1),
                                          uvec2(16, 0)));
    return number < end_number && column < HEAD_DIM / 8 ? x : uvec4(0);
}

#ifdef FEW_REGISTERS
void load_keys()
{
    const uint first = first_number + gl_SubgroupID * MATRIX_N, slice = gl_SubgroupID * MATRIX_N * PITCH;
    [[dont_unroll]] for (uint i = gl_SubgroupInvocationID; i < MATRIX_N * COLUMNS; i += SUBGROUP)
        key_rows[slice + i / COLUMNS * PITCH + i % COLUMNS] = key_unit(first + i / COLUMNS, i % COLUMNS);
    subgroup_sync();
}
#else
// Loads of an invocation for MATRIX_N rows. All loads are issued together, unless they need too many registers.
const uint KEY_LOADS = (MATRIX_N * COLUMNS + SUBGROUP - 1) / SUBGROUP;
const uint MOST_KEY_LOADS = STEPS == 1 ? 8 : 16; // few registers have one step
const uint ALL_KEY_LOADS = COLUMN_BLOCKS * KEY_LOADS;

uvec4 fetch_key(uint first, uint i)
{
    return key_unit(first + min(i / COLUMNS, MATRIX_N - 1), i % COLUMNS);
}

void store_key(uint i, uvec4 unit)
{
    if (MATRIX_N * COLUMNS % SUBGROUP == 0 || i < MATRIX_N * COLUMNS)
        staged[gl_SubgroupID * MATRIX_N * PITCH + i / COLUMNS * PITCH + i % COLUMNS] = unit;
}

// Takes a block of rows from the subgroup's slice of shared memory.
void take_keys(uint n, inout KEYS)
{
    subgroup_sync();
    [[unroll]] for (uint d = 0; d < HEAD_BLOCKS; d++)
        coopMatLoad(keys[n][d], staged, gl_SubgroupID * MATRIX_N * PITCH + d * MATRIX_K / 8, PITCH, BY_COLUMNS);
    subgroup_sync();
}

void load_keys(out KEYS)
{
    const uint first = first_number + gl_SubgroupID * COLUMN_BLOCKS * MATRIX_N;
    if (ALL_KEY_LOADS <= MOST_KEY_LOADS) {
        uvec4 coming[ALL_KEY_LOADS];
        [[unroll]] for (uint i = 0; i < ALL_KEY_LOADS; i++)
            coming[i] = fetch_key(first + i / KEY_LOADS * MATRIX_N,
                                  i % KEY_LOADS * SUBGROUP + gl_SubgroupInvocationID);
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {
            [[unroll]] for (uint i = 0; i < KEY_LOADS; i++)
                store_key(i * SUBGROUP + gl_SubgroupInvocationID, coming[n * KEY_LOADS + i]);
            take_keys(n, keys);
        }
    } else
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {
            [[dont_unroll]] for (uint i = gl_SubgroupInvocationID; i < KEY_LOADS * SUBGROUP; i += SUBGROUP)
                store_key(i, fetch_key(first + n * MATRIX_N, i));
            take_keys(n, keys);
        }
}

#endif

// ---- queries --------------------------------------------------------------------------------------------------------

// The query and the head of a row of a turn.
uint row_query(uint block, uint row)
{
    return first_query + block * BLOCK_QUERIES + row % MATRIX_M / ROW_HEADS;
}

uint row_head(uint turn, uint row)
{
    return (turn * STEPS + row / MATRIX_M) * ROW_HEADS + row % ROW_HEADS;
}

uvec4 query_unit(uint block, uint turn, uint row, uint column)
{
    const uint query = row_query(block, row), head = row_head(turn, row);
    const uvec4 x = load_operands(advance(q_row(min(query, end_query - 1), min(head, LIST_HEADS - 1)),
                                          min(column, HEAD_DIM / 8 - 1), uvec2(16, 0)));
    return query < end_query && head < LIST_HEADS && column < HEAD_DIM / 8 ? x : uvec4(0);
}

void fetch_queries(uint block, uint turn, out COMING)
{
    [[unroll]] for (uint step = 0; step < LOADS; step++) {
        const uint i = step * WORKGROUP + invocation;
        coming[step] = query_unit(block, turn, min(i / COLUMNS, TURN_ROWS - 1), i % COLUMNS);
    }
}

void store_queries(uint turn, COMING)
{
    const uint first = turn % 2 * TURN_ROWS * PITCH;
    [[unroll]] for (uint step = 0; step < LOADS; step++) {
        const uint i = step * WORKGROUP + invocation;
        if (TURN_ROWS * COLUMNS % WORKGROUP == 0 || i < TURN_ROWS * COLUMNS)
            staged[first + i / COLUMNS * PITCH + i % COLUMNS] = coming[step];
    }
}

// Rows without a query or a head have a weight of 0.
void fetch_weights(uint block, uint turn, out COMING_WEIGHTS)
{
    [[unroll]] for (uint step = 0; step < WEIGHT_LOADS; step++) {
        const uint row = min(step * WORKGROUP + invocation, TURN_ROWS - 1);
        const uint query = row_query(block, row), head = row_head(turn, row);
        const float weight = load_weight(min(query, end_query - 1), min(head, LIST_HEADS - 1));
        coming_weights[step] = query < end_query && head < LIST_HEADS ? weight : 0;
    }
}

void store_weights(uint turn, COMING_WEIGHTS)
{
    const uint first = turn % 2 * TURN_ROWS * SUM_PITCH;
    [[unroll]] for (uint step = 0; step < WEIGHT_LOADS; step++) {
        const uint row = step * WORKGROUP + invocation;
        if (row < TURN_ROWS)
            [[unroll]] for (uint i = 0; i < MATRIX_N / 4; i++)
                row_weights[first + row * SUM_PITCH + i] = uvec4(floatBitsToUint(coming_weights[step]));
    }
}

// ---- scores ---------------------------------------------------------------------------------------------------------

#define SUMS MATRIX_C sum[COLUMN_BLOCKS]

#ifdef FEW_REGISTERS
// Blocks of columns in a round. With one product in it, reads would wait for each other. With many loads of q, there
// are no registers for two. dmattn_selector_tile_registers() has the same rule.
const uint ROUND = STEPS == 1 && LOADS <= 2 ? 2 : 1;

// All blocks of rows of q are multiplied by the same k.
void multiply_block(uint row, uint d, inout MATRIX_C x[STEPS])
{
    MATRIX_B k;
    coopMatLoad(k, key_rows, gl_SubgroupID * MATRIX_N * PITCH + d * MATRIX_K / 8, PITCH, BY_COLUMNS);
    [[unroll]] for (uint step = 0; step < STEPS; step++) {
        MATRIX_A q;
        coopMatLoad(q, staged, (row + step * MATRIX_M) * PITCH + d * MATRIX_K / 8, PITCH, BY_ROWS);
        x[step] = coopMatMulAdd(q, k, x[step]);
    }
}

void add_turn(uint turn, inout SUMS)
{
    const uint steps = min(STEPS, LIST_HEADS / ROW_HEADS - turn * STEPS), row = turn % 2 * TURN_ROWS;
    MATRIX_C x[STEPS];
    [[unroll]] for (uint step = 0; step < STEPS; step++)
        x[step] = MATRIX_C(0.0);
    [[dont_unroll]] for (uint first = 0; first < HEAD_BLOCKS; first += ROUND)
        [[unroll]] for (uint i = 0; i < ROUND; i++)
            if (HEAD_BLOCKS % ROUND == 0 || first + i < HEAD_BLOCKS)
                multiply_block(row, first + i, x);
    [[unroll]] for (uint step = 0; step < STEPS; step++)
        if (step < steps) {
            MATRIX_C weights;
            coopMatLoad(weights, row_weights, (row + step * MATRIX_M) * SUM_PITCH, SUM_PITCH, BY_ROWS);
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                sum[0][e] = fma(weights[e], rectified(x[step][e]), sum[0][e]);
        }
}
#else
void add_turn(uint turn, KEYS, inout SUMS)
{
    const uint steps = min(STEPS, LIST_HEADS / ROW_HEADS - turn * STEPS);
    [[dont_unroll]] for (uint step = 0; step < steps; step++) {
        const uint row = (turn % 2 * STEPS + step) * MATRIX_M;
        MATRIX_C x[COLUMN_BLOCKS], weights;
        coopMatLoad(weights, row_weights, row * SUM_PITCH, SUM_PITCH, BY_ROWS);
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
            x[n] = MATRIX_C(0.0);
        [[unroll]] for (uint d = 0; d < HEAD_BLOCKS; d++) {
            MATRIX_A q;
            coopMatLoad(q, staged, row * PITCH + d * MATRIX_K / 8, PITCH, BY_ROWS);
            [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
                x[n] = coopMatMulAdd(q, keys[n][d], x[n]);
        }
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                sum[n][e] = fma(weights[e], rectified(x[n][e]), sum[n][e]);
    }
}

#endif

// Adds up the heads of each query, and stores the scores of a block of rows.
void store_scores(uint block, SUMS)
{
    const uint slice = gl_SubgroupID * MATRIX_M * SUM_PITCH;
    [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {
        coopMatStore(sum[n], staged, slice, SUM_PITCH, BY_ROWS);
        subgroup_sync();
        for (uint i = gl_SubgroupInvocationID; i < BLOCK_QUERIES * MATRIX_N / 4; i += SUBGROUP) {
            const uint row = i / (MATRIX_N / 4), column = i % (MATRIX_N / 4);
            vec4 score = vec4(0);
            for (uint head = 0; head < ROW_HEADS; head++)
                score += uintBitsToFloat(staged[slice + (row * ROW_HEADS + head) * SUM_PITCH + column]);
            const uint number = (gl_SubgroupID * COLUMN_BLOCKS + n) * MATRIX_N + 4 * column;
            Quads(score_row(block * BLOCK_QUERIES + row)).q[number / 4] = floatBitsToUint(score);
        }
        subgroup_sync();
    }
}

void main()
{
    invocation = gl_SubgroupID * SUBGROUP + gl_SubgroupInvocationID;
    if (!begin_tile())
        return;
#ifndef FEW_REGISTERS
    KEYS;
#endif
    COMING;
    COMING_WEIGHTS;
    SUMS;
#ifdef FEW_REGISTERS
    load_keys();
#else
    load_keys(keys);
#endif
    for (uint block = 0; block < ROW_BLOCKS; block++) {
        if (first_query + block * BLOCK_QUERIES >= end_query)
            break;
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
            sum[n] = MATRIX_C(0.0);
        fetch_queries(block, 0, coming);
        fetch_weights(block, 0, coming_weights);
        barrier(); // rows of k and sums are no longer read
        store_queries(0, coming);
        store_weights(0, coming_weights);
        barrier();
        for (uint turn = 0; turn < TURNS; turn++) {
            const uint next = min(turn + 1, TURNS - 1);
            fetch_queries(block, next, coming);
            fetch_weights(block, next, coming_weights);
#ifdef FEW_REGISTERS
            add_turn(turn, sum);
#else
            add_turn(turn, keys, sum);
#endif
            if (next != turn) {
                store_queries(next, coming);
                store_weights(next, coming_weights);
            }
            barrier();
        }
        store_scores(block, sum);
    }
}
