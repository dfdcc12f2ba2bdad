// SPDX-License-Identifier: MIT
// Attention of up to MATRIX_M rows to the workgroup's split of a bounded cache, with cooperative matrices. Operands
// have 16 bits, all sums are f32. Invocations load a block's k and v, 16 bytes each at a time, to shared memory, and
// subgroups read them as matrices. A subgroup computes some columns of the scores, some rows of the softmax, and some
// columns of the output. This works with any fragment layout.
#ifndef LIB_DECODE_ATTEND_GLSL
#define LIB_DECODE_ATTEND_GLSL

#include "../lib/coopmat.glsl"
#include "../lib/score.glsl"
#include "../lib/visible.glsl"

const uint SUBGROUPS = WORKGROUP / SUBGROUP;
const uint HEAD_BLOCKS = (HEAD_DIM + MATRIX_K - 1) / MATRIX_K;
const uint VALUE_BLOCKS = (VALUE_DIM + MATRIX_N - 1) / MATRIX_N;
const uint SUBGROUP_VALUE_BLOCKS = (VALUE_BLOCKS + SUBGROUPS - 1) / SUBGROUPS;
const uint ELEMENTS = MATRIX_M * MATRIX_N / SUBGROUP; // elements of an accumulator in an invocation

// The unit of shared memory is 16 bytes: 8 elements, or 4 sums. There is an unused unit after each row, so that rows
// start in different banks.
const uint HEAD_UNITS = HEAD_DIM / 8, VALUE_UNITS = VALUE_DIM / 8; // units of a row; below, padded with 0:
const uint KEY_COLUMNS = HEAD_BLOCKS * MATRIX_K / 8, VALUE_COLUMNS = VALUE_BLOCKS * MATRIX_N / 8;
const uint KEY_PITCH = KEY_COLUMNS + 1, VALUE_PITCH = VALUE_COLUMNS + 1;
const uint SCORE_PITCH = BLOCK_KEYS / 4 + 1, FACTOR_PITCH = MATRIX_N / 4 + 1;
const uint OUT_PITCH = VALUE_BLOCKS * MATRIX_N / 4 + 1;

shared uvec4 query_rows[BLOCK_ROWS * KEY_PITCH];
shared uvec4 key_rows[BLOCK_KEYS * KEY_PITCH];
shared uvec4 value_rows[BLOCK_KEYS * VALUE_PITCH]; // at the end, rows of the output
shared uvec4 scores[BLOCK_ROWS * SCORE_PITCH];      // then probabilities
shared uvec4 factors[BLOCK_ROWS * FACTOR_PITCH];    // for each row, the factor of its sums so far
shared float row_max[BLOCK_ROWS], row_sum[BLOCK_ROWS];

// What an invocation holds: columns of the output, and loaded units of rows of k and v.
#define OUTPUTS MATRIX_C o[SUBGROUP_VALUE_BLOCKS]
const uint KEY_STEPS = (BLOCK_KEYS * KEY_COLUMNS + WORKGROUP - 1) / WORKGROUP;
const uint VALUE_STEPS = (BLOCK_KEYS * VALUE_COLUMNS + WORKGROUP - 1) / WORKGROUP;
const uint NEW_KEY_STEPS = (TOKENS * KEY_COLUMNS + WORKGROUP - 1) / WORKGROUP;
const uint NEW_VALUE_STEPS = (TOKENS * VALUE_COLUMNS + WORKGROUP - 1) / WORKGROUP;
const uint ALL_KEY_STEPS = KEY_STEPS + NEW_KEY_STEPS, ALL_VALUE_STEPS = VALUE_STEPS + NEW_VALUE_STEPS;
#define KEYS(k) uvec4 k[ALL_KEY_STEPS]
#define VALUES(v) uvec4 v[ALL_VALUE_STEPS]

// Loads the rows of the slots among the BLOCK_KEYS entries from `block` on. The rows of slots are contiguous. Loads are
// unconditional, with clamped indices: with a branch around each load, each would wait for the one before.
void fetch_block(uint block, inout KEYS(k), inout VALUES(v))
{
    fetch_list(block);
    [[unroll]] for (uint step = 0; step < KEY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation;
        const uint row = min(block + i / KEY_COLUMNS, CAPACITY - 1), column = min(i % KEY_COLUMNS, HEAD_UNITS - 1);
        k[step] = Quads(keys_of(state, kv_head)).q[row * HEAD_UNITS + column];
    }
    [[unroll]] for (uint step = 0; step < VALUE_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation;
        const uint row = min(block + i / VALUE_COLUMNS, CAPACITY - 1), column = min(i % VALUE_COLUMNS, VALUE_UNITS - 1);
        v[step] = Quads(values_of(state, kv_head)).q[row * VALUE_UNITS + column];
    }
}

void fetch_new(inout KEYS(k), inout VALUES(v))
{
    [[unroll]] for (uint step = 0; step < NEW_KEY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, token = min(i / KEY_COLUMNS, TOKENS - 1);
        k[KEY_STEPS + step] = load_quad(new_key(token), ALIGNED != 0, min(i % KEY_COLUMNS, HEAD_UNITS - 1));
    }
    [[unroll]] for (uint step = 0; step < NEW_VALUE_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, token = min(i / VALUE_COLUMNS, TOKENS - 1);
        v[VALUE_STEPS + step] = load_quad(new_value(token), ALIGNED != 0, min(i % VALUE_COLUMNS, VALUE_UNITS - 1));
    }
}

bool is_new(uint entry)
{
    return entry >= CAPACITY && entry - CAPACITY < TOKENS;
}

void store_key(uint key, uint column, uvec4 unit)
{
    key_rows[key * KEY_PITCH + column] = column < HEAD_UNITS ? as_operands(unit) : uvec4(0);
}

// Stores 0 if no row sees the key, because 0 * NaN is NaN.
void store_value(uint key, uint listed, uint column, uvec4 unit)
{
    const bool counts = key < listed && ranges[key] != 0 && column < VALUE_UNITS;
    value_rows[key * VALUE_PITCH + column] = counts ? as_operands(unit) : uvec4(0);
}

void store_block(uint block, uint listed, KEYS(k), VALUES(v))
{
    [[unroll]] for (uint step = 0; step < KEY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, key = i / KEY_COLUMNS;
        if (key < BLOCK_KEYS && !is_new(block + key))
            store_key(key, i % KEY_COLUMNS, k[step]);
    }
    [[unroll]] for (uint step = 0; step < VALUE_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, key = i / VALUE_COLUMNS;
        if (key < BLOCK_KEYS && !is_new(block + key))
            store_value(key, listed, i % VALUE_COLUMNS, v[step]);
    }
    // k and v of the new tokens.
    [[unroll]] for (uint step = 0; step < NEW_KEY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, token = i / KEY_COLUMNS, key = CAPACITY + token - block;
        if (token < TOKENS && key < BLOCK_KEYS)
            store_key(key, i % KEY_COLUMNS, k[KEY_STEPS + step]);
    }
    [[unroll]] for (uint step = 0; step < NEW_VALUE_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, token = i / VALUE_COLUMNS, key = CAPACITY + token - block;
        if (token < TOKENS && key < BLOCK_KEYS)
            store_value(key, listed, i % VALUE_COLUMNS, v[VALUE_STEPS + step]);
    }
}

// For rows that do not exist, other rows are loaded. This is harmless, because no row of the result depends on another.
#define FIRST_QUERIES(q) uvec4 q[QUERY_STEPS]
const uint QUERY_STEPS = (BLOCK_ROWS * KEY_COLUMNS + WORKGROUP - 1) / WORKGROUP;

void fetch_queries(uint first_row, inout FIRST_QUERIES(q))
{
    [[unroll]] for (uint step = 0; step < QUERY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, row = min(first_row + i / KEY_COLUMNS, TOKENS * GROUP - 1);
        q[step] = load_q_unit(row, min(i % KEY_COLUMNS, HEAD_UNITS - 1));
    }
}

void store_queries(FIRST_QUERIES(q))
{
    [[unroll]] for (uint step = 0; step < QUERY_STEPS; step++) {
        const uint i = step * WORKGROUP + invocation, row = i / KEY_COLUMNS, column = i % KEY_COLUMNS;
        if (row < BLOCK_ROWS)
            query_rows[row * KEY_PITCH + column] = column < HEAD_UNITS ? as_operands(q[step]) : uvec4(0);
    }
}

// S = q k^T
void find_scores(uint listed)
{
    for (uint n = gl_SubgroupID; n * MATRIX_N < listed; n += SUBGROUPS) {
        MATRIX_C sum = MATRIX_C(0.0);
        [[unroll]] for (uint d = 0; d < HEAD_BLOCKS; d++) {
            MATRIX_A a;
            MATRIX_B b;
            coopMatLoad(a, query_rows, d * MATRIX_K / 8, KEY_PITCH, BY_ROWS);
            coopMatLoad(b, key_rows, n * MATRIX_N * KEY_PITCH + d * MATRIX_K / 8, KEY_PITCH, BY_COLUMNS);
            sum = coopMatMulAdd(a, b, sum);
        }
        coopMatStore(sum, scores, n * MATRIX_N / 4, SCORE_PITCH, BY_ROWS);
    }
    barrier();
}

// The score of a row and key `at` of the block's `listed` keys, from their product x; -infinity after the last key.
float block_score(float x, uint block, uint at, uint listed, uint row)
{
    const uint clamped = min(at, listed - 1);
    const bool visible = at < listed && is_visible(entry_at(block, clamped), row, unpack_range(ranges[clamped]));
    return finish_score(x, biases[clamped], visible);
}

// The maximum over a subgroup. It uses shuffles, because NVIDIA's driver 580.159 compiled subgroupMin() wrongly in some
// of these kernels: it returned ~0.
float max_of_all(float x)
{
    [[unroll]] for (uint step = 1; step < SUBGROUP; step *= 2)
        x = max(x, subgroupShuffleXor(x, step));
    return x;
}

float sum_of_all(float x)
{
    [[unroll]] for (uint step = 1; step < SUBGROUP; step *= 2)
        x += subgroupShuffleXor(x, step);
    return x;
}

// Turns scores into probabilities relative to the new maximum. A subgroup computes a row, and an invocation pairs of
// keys.
const uint ROW_PAIRS = (BLOCK_KEYS / 2 + SUBGROUP - 1) / SUBGROUP;

void find_probabilities(uint first_row, uint block, uint listed)
{
    const uint rows = min(count * GROUP - first_row, BLOCK_ROWS);
    // All subgroups run this loop equally often, because some drivers let the whole workgroup wait at a subgroup's
    // barrier.
    for (uint first = 0; first < rows; first += SUBGROUPS) {
        const uint r = min(first + gl_SubgroupID, BLOCK_ROWS - 1);
        const bool exists = first + gl_SubgroupID < rows;
        vec2 x[ROW_PAIRS];
        const float before = row_max[r];
        float largest = before, sum = 0;
        [[unroll]] for (uint n = 0; n < ROW_PAIRS; n++)
            [[unroll]] for (uint c = 0; c < 2; c++) {
                const uint at = 2 * (n * SUBGROUP + gl_SubgroupInvocationID) + c, unit = min(at, BLOCK_KEYS - 1) / 4;
                const float score = uintBitsToFloat(scores[r * SCORE_PITCH + unit][at % 4]);
                x[n][c] = block_score(score, block, at, listed, first_row + r);
                largest = max(largest, x[n][c]);
            }
        largest = max_of_all(largest);
        [[unroll]] for (uint n = 0; n < ROW_PAIRS; n++) {
            x[n] = exp2((x[n] - largest) * LOG2_E);
            sum += x[n].x + x[n].y;
        }
        sum = sum_of_all(sum);
        subgroup_sync(); // the row has been read
        [[unroll]] for (uint n = 0; n < ROW_PAIRS; n++) {
            const uint pair = n * SUBGROUP + gl_SubgroupInvocationID;
            if (exists && pair < BLOCK_KEYS / 2)
                scores[r * SCORE_PITCH + pair / 4][pair % 4] = pack_operands(x[n]);
        }
        const float shrink = exp2((before - largest) * LOG2_E);
        for (uint i = gl_SubgroupInvocationID; exists && i < MATRIX_N / 4; i += SUBGROUP)
            factors[r * FACTOR_PITCH + i] = uvec4(floatBitsToUint(shrink));
        if (exists && gl_SubgroupInvocationID == 0) {
            row_sum[r] = row_sum[r] * shrink + sum;
            row_max[r] = largest;
        }
    }
    barrier();
}

// O = O * factors + P v. Each subgroup computes some columns.
void add_values(uint listed, bool started, inout OUTPUTS)
{
    if (started) {
        MATRIX_C shrink;
        coopMatLoad(shrink, factors, 0, FACTOR_PITCH, BY_ROWS);
        [[unroll]] for (uint i = 0; i < SUBGROUP_VALUE_BLOCKS; i++)
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                o[i][e] *= shrink[e];
    }
    for (uint k = 0; k * MATRIX_K < listed; k++) {
        MATRIX_A a;
        coopMatLoad(a, scores, k * MATRIX_K / 8, SCORE_PITCH, BY_ROWS);
        [[unroll]] for (uint i = 0; i < SUBGROUP_VALUE_BLOCKS; i++) {
            // if these columns do not exist, others are computed and not used
            const uint column = min(gl_SubgroupID + i * SUBGROUPS, VALUE_BLOCKS - 1);
            MATRIX_B b;
            coopMatLoad(b, value_rows, k * MATRIX_K * VALUE_PITCH + column * MATRIX_N / 8, VALUE_PITCH, BY_ROWS);
            o[i] = coopMatMulAdd(a, b, o[i]);
        }
    }
}

void store_partial(uint first_row, OUTPUTS)
{
    const uint units = MATRIX_N / 4;
    barrier(); // the values have been read
    [[unroll]] for (uint i = 0; i < SUBGROUP_VALUE_BLOCKS; i++) {
        const uint column = gl_SubgroupID + i * SUBGROUPS;
        if (column < VALUE_BLOCKS)
            coopMatStore(o[i], value_rows, column * units, OUT_PITCH, BY_ROWS);
    }
    barrier();
    for (uint i = invocation; i < BLOCK_ROWS * VALUE_DIM / 4; i += WORKGROUP) {
        const uint r = i / (VALUE_DIM / 4), unit = i % (VALUE_DIM / 4), row = first_row + r;
        if (row_exists(row))
            SharedQuads(partial_row(split, row)).q[unit] = value_rows[r * OUT_PITCH + unit];
    }
    if (invocation < BLOCK_ROWS && row_exists(first_row + invocation))
        SharedPairs(partial_softmax(split, first_row + invocation)).p[0] =
            floatBitsToUint(vec2(row_max[invocation], row_sum[invocation]));
}

// Loads the first rows, the first block and the new tokens.
void fetch_first(inout FIRST_QUERIES(q), inout KEYS(k), inout VALUES(v))
{
    const uvec2 range = split_entries(TOKENS);
    fetch_queries(row_block * BLOCK_ROWS, q);
    fetch_new(k, v);
    fetch_block(range.x, k, v);
}

void compute(uint first_row, uint block, uint listed, bool started, inout OUTPUTS)
{
    find_scores(listed);
    find_probabilities(first_row, block, listed);
    add_values(listed, started, o);
}

// `q`, `k` and `v` are from fetch_first().
void attend(uint first_row, inout FIRST_QUERIES(q), inout KEYS(k), inout VALUES(v))
{
    OUTPUTS;
    [[unroll]] for (uint i = 0; i < SUBGROUP_VALUE_BLOCKS; i++)
        o[i] = MATRIX_C(0.0);
    const bool is_first = first_row == row_block * BLOCK_ROWS;
    const uvec2 range = split_entries(count);
    if (!is_first) {
        fetch_queries(first_row, q);
        barrier(); // the previous rows have been stored
    }
    store_queries(q);
    if (invocation < BLOCK_ROWS) {
        row_max[invocation] = LOWEST;
        row_sum[invocation] = 0;
    }
    if (!is_first && range.x < range.y)
        fetch_block(range.x, k, v);
    for (uint block = range.x; block < range.y; block += BLOCK_KEYS) {
        const uint listed = list_entries(block, min(block + BLOCK_KEYS, range.y));
        store_block(block, listed, k, v);
        barrier();
        if (block + BLOCK_KEYS < range.y) // loaded while this block is computed
            fetch_block(block + BLOCK_KEYS, k, v);
        compute(first_row, block, listed, block > range.x, o);
    }
    store_partial(first_row, o);
}

#endif
