// SPDX-License-Identifier: MIT
// Attention of up to 16 rows to the workgroup's split of the cache, with cooperative matrices of 16 x 16 x 16 whose
// fragment layout is LAYOUT_QUAD_ROWS (fragment_layout.h). Each subgroup has its own keys, 16 at a time. It needs no
// shared memory and no barriers for them, because the 16 bytes that an invocation loads are elements of the matrices
// that it holds. Only the results of the subgroups are combined through shared memory.
//
// An invocation holds elements of two rows of a matrix (queries, keys or columns of v) in four columns, which are
// summed over:
//     S = q k^T   The order of the summed columns does not matter if it is the same in q and k. An invocation's four
//                 columns of some matrices are the columns that it loads together.
//     O = P v     The columns of P are keys. The order of the output's columns does not matter.
#ifndef LIB_DECODE_ATTEND_GLSL
#define LIB_DECODE_ATTEND_GLSL

#include "../lib/coopmat.glsl"

const uint SUBGROUPS = WORKGROUP / SUBGROUP;
const uint STEP_KEYS = 16; // keys of a subgroup at a time
const uint STORED_ROWS = TOKENS * GROUP < 16 ? TOKENS * GROUP : 16;
const uint OUT_PITCH = VALUE_DIM / 4 + 1; // in units of 16 bytes; one is unused, so that rows start in different banks
const uint CHECK_PITCH = 5, CHECK_UNITS = 16 * CHECK_PITCH;
const uint SUM_UNITS = SUBGROUPS * (STORED_ROWS * OUT_PITCH > CHECK_UNITS ? STORED_ROWS * OUT_PITCH : CHECK_UNITS);

shared uvec4 sums[SUM_UNITS];
shared vec2 softmax[SUBGROUPS * STORED_ROWS]; // maximum and sum

float score_scale; // NaN if the layout is not the known one
#define SCORE_SCALE score_scale
#include "../lib/score.glsl"
#ifndef QUERY_BITS
#include "../lib/visible.glsl"
#endif

uint lane_row, lane_column; // an invocation has rows lane_row + {0, 8}, columns 2 lane_column + {0, 1, 8, 9}

// ---- the fragment layout --------------------------------------------------------------------------------------------

// The index of the element in row lane_row + 8 r and column element_column(n), n from 0 to 3, of a matrix (of b^T, for
// use B).
#define ELEMENT(r, n) (4 * (r) + (n))

uint element_column(uint n)
{
    return 2 * lane_column + (n & 1) + 8 * (n >> 1);
}

// Whether matrices have this layout. Loads matrices whose elements are their own positions and compares. If the layout
// is another one, the scale and all results become NaN. The check takes a tenth of a step's time, so it runs once for
// each sequence.
bool layout_is_right()
{
    const uint slice = gl_SubgroupID * CHECK_UNITS;
    for (uint i = gl_SubgroupInvocationID; i < 64; i += SUBGROUP)
        sums[slice + i / 4 * CHECK_PITCH + i % 4] = floatBitsToUint(vec4(4 * i) + vec4(0, 1, 2, 3));
    subgroup_sync();
    MATRIX_C c;
    coopMatLoad(c, sums, slice, CHECK_PITCH, BY_ROWS);
    subgroup_sync();
    const uint row = gl_SubgroupInvocationID / 2, column = gl_SubgroupInvocationID % 2 * 8;
    uvec4 numbers;
    [[unroll]] for (uint i = 0; i < 4; i++) // up to 255, which is exact in any type
        numbers[i] = pack_operands(vec2(row * 16 + column + 2 * i) + vec2(0, 1));
    sums[slice + row * CHECK_PITCH + column / 8] = numbers;
    subgroup_sync();
    MATRIX_A a;
    MATRIX_B b;
    coopMatLoad(a, sums, slice, CHECK_PITCH, BY_ROWS);
    coopMatLoad(b, sums, slice, CHECK_PITCH, BY_COLUMNS);
    bool known = true;
    [[unroll]] for (uint r = 0; r < 2; r++)
        [[unroll]] for (uint n = 0; n < 4; n++) {
            const float number = float((lane_row + 8 * r) * 16 + element_column(n));
            known = known && c[ELEMENT(r, n)] == number && float(a[ELEMENT(r, n)]) == number
                    && float(b[ELEMENT(r, n)]) == number;
        }
    return subgroupAll(known);
}

// The maximum over the four invocations that share a row.
float max_of_row(float x)
{
    x = max(x, subgroupShuffleXor(x, 1));
    return max(x, subgroupShuffleXor(x, 2));
}

// ---- rows -----------------------------------------------------------------------------------------------------------
// How an invocation holds its parts of rows of q, k and v, and multiplies them.

#define OUTPUTS MATRIX_C o[OUT_MATRICES]

#ifdef FORMATS
#include "fragments_formats.glsl"
#else
#include "fragments_rows.glsl"
#endif

// Loads the first rows, and the first keys if they are known.
void fetch_first(inout FIRST_QUERIES(q), inout KEYS(k), inout VALUES(v))
{
    lane_row = gl_SubgroupInvocationID / 4;
    lane_column = gl_SubgroupInvocationID % 4;
    fetch_queries(row_block * BLOCK_ROWS, q);
#ifndef PAGED
    const uvec2 range = split_entries(TOKENS);
    fetch_keys(range.x, gl_SubgroupID * STEP_KEYS, range.y - range.x, k);
    fetch_values(range.x, gl_SubgroupID * STEP_KEYS, range.y - range.x, v);
#endif
}

// ---- who sees a key -------------------------------------------------------------------------------------------------

// Ranges, biases and, with FORMATS, scales of the keys that an invocation has in its matrices, as in ranges[], biases[]
// and scales[]; 0 after the last key. Without FORMATS, the text has no scales, for the
// reason that tile.glsl gives.
#ifdef FORMATS
#define SCALES_OF_KEYS , out vec2 scale[4]
#else
#define SCALES_OF_KEYS
#endif
#ifdef PAGED
void find_ranges(uint block, uint first, uint listed, out uint range[4], out float bias[4] SCALES_OF_KEYS)
{
    [[unroll]] for (uint n = 0; n < 4; n++) {
        const uint at = first + element_column(n), clamped = min(at, listed - 1);
        range[n] = at < listed ? ranges[clamped] : 0;
        bias[n] = BIAS != 0 ? biases[clamped] : 0;
#ifdef FORMATS
        scale[n] = at < listed ? listed_scales(clamped) : vec2(0);
#endif
    }
}
#else
// Each invocation looks at one key and gets the others by shuffles.
void find_ranges(uint block, uint first, uint listed, out uint range[4], out float bias[4] SCALES_OF_KEYS)
{
    const uint own = first + gl_SubgroupInvocationID % STEP_KEYS;
    float importance;
    const uvec2 seen = entry_range(block + min(own, listed - 1), own_slot, importance);
    const uint own_range = own < listed && seen.x < seen.y ? seen.x | seen.y << 8 : 0;
    const float own_bias = counted_bias(importance);
    [[unroll]] for (uint n = 0; n < 4; n++) {
        range[n] = subgroupShuffle(own_range, element_column(n));
        bias[n] = BIAS != 0 ? subgroupShuffle(own_bias, element_column(n)) : 0;
#ifdef FORMATS
        scale[n] = shuffled_scales(own_range != 0, element_column(n));
#endif
    }
}
#endif

// ---- softmax --------------------------------------------------------------------------------------------------------

// Computes the probabilities of the subgroup's keys. `row_max` has the largest scores so far of the invocation's two
// rows, `row_sum` the sums over its own keys.
void attend_keys(uint first_row, uint block, uint first, uint listed, FIRST_QUERIES(q), KEYS(k), inout vec2 row_max,
                 inout vec2 row_sum, out MATRIX_A probabilities, out bool seen[4], inout OUTPUTS)
{
    uint range[4];
    float bias[4];
#ifdef FORMATS
    float weight[4], shrink_values;
    vec2 scale[4];
    find_ranges(block, first, listed, range, bias, scale);
    find_weights(scale, weight, shrink_values);
#else
    find_ranges(block, first, listed, range, bias);
#endif
    const MATRIX_C s = find_scores(q, k);
    float x[2][4];
    vec2 largest = row_max;
    [[unroll]] for (uint r = 0; r < 2; r++) {
        const uint row = first_row + lane_row + 8 * r;
        [[unroll]] for (uint n = 0; n < 4; n++) {
            const uint entry = entry_at(block, min(first + element_column(n), listed - 1));
            const bool visible = is_visible(entry, row, unpack_range(range[n]));
#ifdef FORMATS
            const float product = s[ELEMENT(r, n)] * score_factor(r, scale[n]);
            x[r][n] = finish_score(product, ENTRY_TERMS != 0 ? entry_term(entry, row) : bias[n], visible);
#else
            x[r][n] = finish_score(s[ELEMENT(r, n)], ENTRY_TERMS != 0 ? entry_term(entry, row) : bias[n], visible);
#endif
            seen[n] = range[n] != 0;
            largest[r] = max(largest[r], x[r][n]);
        }
        largest[r] = max_of_row(largest[r]);
    }
    const vec2 shrink = exp2((row_max - largest) * LOG2_E);
    row_max = largest;
    row_sum *= shrink;
    [[unroll]] for (uint r = 0; r < 2; r++)
        [[unroll]] for (uint n = 0; n < 4; n++) {
            const float y = exp2((x[r][n] - largest[r]) * LOG2_E);
            row_sum[r] += y;
#ifdef FORMATS
            probabilities[ELEMENT(r, n)] = OPERAND(y * weight[n]);
#else
            probabilities[ELEMENT(r, n)] = OPERAND(y);
#endif
        }
    [[unroll]] for (uint i = 0; i < OUT_MATRICES; i++)
        [[unroll]] for (uint e = 0; e < 8; e++)
#ifdef FORMATS
            o[i][e] *= shrink[e / 4] * shrink_values;
#else
            o[i][e] *= shrink[e / 4];
#endif
}

// ---- results --------------------------------------------------------------------------------------------------------

void store_subgroup(vec2 row_max, vec2 row_sum, OUTPUTS)
{
    [[unroll]] for (uint r = 0; r < 2; r++) {
        float sum = row_sum[r];
        sum += subgroupShuffleXor(sum, 1);
        sum += subgroupShuffleXor(sum, 2);
        const uint row = lane_row + 8 * r, at = gl_SubgroupID * STORED_ROWS + row;
        if (row < STORED_ROWS) {
            if (lane_column == 0)
                softmax[at] = vec2(row_max[r], sum);
            STORE_OUTPUTS(at, r, o)
        }
    }
}

// Combines the results of the subgroups, in order.
void store_partial(uint first_row)
{
    for (uint i = invocation; i < STORED_ROWS * VALUE_DIM / 4; i += WORKGROUP) {
        const uint r = i / (VALUE_DIM / 4), column = i % (VALUE_DIM / 4), row = first_row + r;
        float largest = LOWEST, l = 0;
        vec4 sum = vec4(0);
        [[unroll]] for (uint n = 0; n < SUBGROUPS; n++)
            largest = max(largest, softmax[n * STORED_ROWS + r].x);
        [[unroll]] for (uint n = 0; n < SUBGROUPS; n++) {
            const float weight = exp2((softmax[n * STORED_ROWS + r].x - largest) * LOG2_E);
            l += weight * softmax[n * STORED_ROWS + r].y;
            sum += weight * uintBitsToFloat(sums[(n * STORED_ROWS + r) * OUT_PITCH + column]);
        }
        if (row_exists(row)) {
            SharedQuads(partial_row(split, row)).q[column] = floatBitsToUint(sum);
            if (column == 0)
                SharedPairs(partial_softmax(split, row)).p[0] = floatBitsToUint(vec2(largest, l));
        }
    }
}

// Attends to the workgroup's keys of a block, which the subgroups share. `k` and `v` hold the first keys of each
// subgroup.
void attend_block(uint first_row, uint block, uint listed, FIRST_QUERIES(q), inout KEYS(k), inout VALUES(v),
                  inout vec2 row_max, inout vec2 row_sum, inout OUTPUTS)
{
    const uint step = SUBGROUPS * STEP_KEYS;
    for (uint first = gl_SubgroupID * STEP_KEYS; first < listed; first += step) {
        MATRIX_A probabilities;
        bool seen[4];
#ifdef FORMATS
        replace_new_keys(block, first, listed, k);
#endif
        attend_keys(first_row, block, first, listed, q, k, row_max, row_sum, probabilities, seen, o);
        fetch_keys(block, first + step, listed, k); // loaded while these values are added
#ifdef FORMATS
        replace_new_values(block, first, listed, v);
#endif
        add_values(probabilities, v, seen, o);
        fetch_values(block, first + step, listed, v);
    }
}

// `q`, `k` and `v` are from fetch_first().
void attend(uint first_row, inout FIRST_QUERIES(q), inout KEYS(k), inout VALUES(v))
{
    OUTPUTS;
    [[unroll]] for (uint i = 0; i < OUT_MATRICES; i++)
        o[i] = MATRIX_C(0.0);
    vec2 row_max = vec2(LOWEST), row_sum = vec2(0);
#ifdef FORMATS
    begin_weights();
#endif
    layout_seen = layout_seen || layout_is_right();
    score_scale = layout_seen ? uintBitsToFloat(SCALE) : NOT_A_NUMBER;
    const bool is_first = first_row == row_block * BLOCK_ROWS;
    if (!is_first)
        fetch_queries(first_row, q);
    const uvec2 range = split_entries(count);
#ifdef PAGED
    for (uint block = range.x; block < range.y; block += BLOCK_KEYS) {
        barrier(); // the previous list has been read
        const uint listed = list_entries(block, min(block + BLOCK_KEYS, range.y));
        if (listed == 0)
            continue;
        fetch_keys(block, gl_SubgroupID * STEP_KEYS, listed, k);
        fetch_values(block, gl_SubgroupID * STEP_KEYS, listed, v);
        attend_block(first_row, block, listed, q, k, v, row_max, row_sum, o);
    }
#else
    if (!is_first && range.x < range.y) {
        fetch_keys(range.x, gl_SubgroupID * STEP_KEYS, range.y - range.x, k);
        fetch_values(range.x, gl_SubgroupID * STEP_KEYS, range.y - range.x, v);
    }
    attend_block(first_row, range.x, range.y - range.x, q, k, v, row_max, row_sum, o);
#endif
    barrier(); // the previous content of shared memory has been read
    store_subgroup(row_max, row_sum, o);
    barrier();
    store_partial(first_row);
}

#endif
