// SPDX-License-Identifier: MIT
// Attention of up to 8 rows to the workgroup's split of a cache in formats of 8 and 4 bits, with cooperative matrices
// of 16 x 8 x 16 whose fragment layout is LAYOUT_QUAD_ROWS (fragment_layout.h). As in attend_rows.glsl, each subgroup
// has its own keys, and the bytes that an invocation loads are elements of the matrices that it holds. But here, the
// queries are the columns, so that 8 of them take half the instructions and registers of 16:
//     S^T = k q^T      the order of the summed columns of k does not matter if it is the same in q
//     O^T = v^T P^T    the order of the output's rows does not matter
//
// A subgroup takes KEY_TILES matrices of 16 keys at a time, whose softmax it does together. An invocation holds S^T of
// keys lane_row + 8 r, r below 2 KEY_TILES, and of queries 2 lane_column and 2 lane_column + 1.
#ifndef LIB_DECODE_ATTEND_GLSL
#define LIB_DECODE_ATTEND_GLSL

const uint KEY_TILES = K_FORMAT >= FORMAT_Q8_0 ? 1 : V_FORMAT >= FORMAT_Q8_0 ? 1 : 2; // blocks take more registers
const uint SEEN_KEYS = 2 * KEY_TILES;   // that an invocation has in S^T
const uint HELD_VALUES = 4 * KEY_TILES; // the keys whose values an invocation has
#include "begin.glsl"

#define OUTPUTS          MATRIX_C o[OUT_MATRICES]
#define PROBABILITIES(p) MATRIX_B p[KEY_TILES]

// The maximum over the four invocations that share lane_row, and over the eight that share lane_column.
float max_of_row(float x)
{
    x = max(x, subgroupShuffleXor(x, 1));
    return max(x, subgroupShuffleXor(x, 2));
}

float max_of_column(float x)
{
    x = max(x, subgroupShuffleXor(x, 4));
    x = max(x, subgroupShuffleXor(x, 8));
    return max(x, subgroupShuffleXor(x, 16));
}

float sum_of_column(float x)
{
    x += subgroupShuffleXor(x, 4);
    x += subgroupShuffleXor(x, 8);
    return x + subgroupShuffleXor(x, 16);
}

// The invocation that holds row `row` of a matrix and, of its columns, the lower ones of `column`.
uint lane_of(uint row, uint column)
{
    return row % 8 * 4 + column % 8 / 2;
}

#include "formats.glsl"

// ---- who sees a key -------------------------------------------------------------------------------------------------

// Ranges, biases and scales of the invocation's keys, as in ranges[], biases[] and the scales; 0 after the last key.
#ifdef SUBGROUP_LISTS
void find_ranges(uint block, uint first, uint listed, out uint range[SEEN_KEYS], out float bias[SEEN_KEYS],
                 out vec2 scale[SEEN_KEYS])
{
    [[unroll]] for (uint r = 0; r < SEEN_KEYS; r++) {
        const uint at = LIST_AT(first + lane_row + 8 * r);
        range[r] = ranges[at];
        bias[r] = BIAS != 0 ? biases[at] : 0;
        scale[r] = list_scales(at);
    }
}
#elif defined(PAGED)
void find_ranges(uint block, uint first, uint listed, out uint range[SEEN_KEYS], out float bias[SEEN_KEYS],
                 out vec2 scale[SEEN_KEYS])
{
    [[unroll]] for (uint r = 0; r < SEEN_KEYS; r++) {
        const uint at = first + lane_row + 8 * r, clamped = min(at, listed - 1);
        range[r] = at < listed ? ranges[clamped] : 0;
        bias[r] = BIAS != 0 ? biases[clamped] : 0;
        scale[r] = at < listed ? vec2(scale_of_key(clamped), scale_of_value(clamped)) : vec2(0);
    }
}
#else
// Each invocation looks at one key and gets the others by shuffles.
void find_ranges(uint block, uint first, uint listed, out uint range[SEEN_KEYS], out float bias[SEEN_KEYS],
                 out vec2 scale[SEEN_KEYS])
{
    const uint own = first + gl_SubgroupInvocationID % STEP_KEYS;
    float importance;
    const uvec2 seen = entry_range(block + min(own, listed - 1), own_slot, importance);
    const uint own_range = own < listed && seen.x < seen.y ? seen.x | seen.y << 8 : 0;
    const float own_bias = counted_bias(importance);
    [[unroll]] for (uint r = 0; r < SEEN_KEYS; r++) {
        range[r] = subgroupShuffle(own_range, lane_row + 8 * r);
        bias[r] = BIAS != 0 ? subgroupShuffle(own_bias, lane_row + 8 * r) : 0;
        scale[r] = shuffled_scales(own_range != 0, lane_row + 8 * r);
    }
}
#endif

// ---- softmax --------------------------------------------------------------------------------------------------------

// P^T as operands: an invocation gets four keys of query lane_row in each. `pair` has the invocation's two queries of
// key lane_row + 8 r, as f16.
void transpose_pair(uint pair, uint r, inout PROBABILITIES(probabilities))
{
    const bool upper = (lane_row & 1) != 0; // query lane_row is in the upper halves
    const uint a = subgroupShuffle(pair, lane_of(2 * lane_column, lane_row)),
               b = subgroupShuffle(pair, lane_of(2 * lane_column + 1, lane_row));
    const f16vec2 keys = unpackFloat2x16(upper ? a >> 16 | b & 0xffff0000u : a & 0xffffu | b << 16);
    probabilities[r / 2][ELEMENT(0, r % 2 * 2)] = keys.x;
    probabilities[r / 2][ELEMENT(0, r % 2 * 2 + 1)] = keys.y;
}

// Two pairs or four. Not a loop: NVIDIA's compiler may leave it rolled in spite of [[unroll]], and then decoding takes
// up to 1.3 times as long.
void transpose_probabilities(uint pair[SEEN_KEYS], inout PROBABILITIES(probabilities))
{
    transpose_pair(pair[0], 0, probabilities);
    transpose_pair(pair[SEEN_KEYS - 1], SEEN_KEYS - 1, probabilities);
    if (SEEN_KEYS > 2) {
        transpose_pair(pair[SEEN_KEYS / 2 - 1], SEEN_KEYS / 2 - 1, probabilities);
        transpose_pair(pair[SEEN_KEYS / 2], SEEN_KEYS / 2, probabilities);
    }
}

// Computes the probabilities of the subgroup's keys. `row_max` has the largest scores so far of the invocation's two
// queries, `row_sum` the sums over its own keys.
void attend_keys(uint first_row, uint block, uint first, uint listed, FIRST_QUERIES(q), inout KEYS(k),
                 inout vec2 row_max, inout vec2 row_sum, inout PROBABILITIES(probabilities),
                 out bool seen[SEEN_KEYS], inout OUTPUTS)
{
    uint range[SEEN_KEYS];
    float bias[SEEN_KEYS], weight[SEEN_KEYS], shrink_values;
    vec2 scale[SEEN_KEYS];
    find_ranges(block, first, listed, range, bias, scale);
    find_weights(scale, weight, shrink_values);
    MATRIX_C s[KEY_TILES];
    find_scores(q, k, s);
#ifndef SUBGROUP_LISTS
    fetch_keys(block, NEXT_STEP(first, listed), listed, k); // loaded while the values of these keys are added
#endif
    vec2 x[SEEN_KEYS], largest = row_max;
    [[unroll]] for (uint r = 0; r < SEEN_KEYS; r++) {
        const uint entry = entry_at(block, min(first + lane_row + 8 * r, listed - 1));
        seen[r] = range[r] != 0;
        [[unroll]] for (uint n = 0; n < 2; n++) {
            const uint row = first_row + 2 * lane_column + n;
            // without a mask, all rows of one token see the same keys
            const bool visible = TOKENS + MASK == 1 ? seen[r] : is_visible(entry, row, unpack_range(range[r]));
            const float number = s[r / 2][SUM_ELEMENT(r % 2, n)] * NUMBER_FACTOR(K_FORMAT);
            const float product = number * (row_factor[n] * scale[r].x);
            x[r][n] = finish_score(product, ENTRY_TERMS != 0 ? entry_term(entry, row) : bias[r], visible);
            largest[n] = max(largest[n], x[r][n]);
        }
    }
    largest = vec2(max_of_column(largest.x), max_of_column(largest.y));
    const vec2 shrink = exp2((row_max - largest) * LOG2_E);
    uint pair[SEEN_KEYS];
    row_sum *= shrink;
    [[unroll]] for (uint r = 0; r < SEEN_KEYS; r++) {
        const vec2 y = exp2((x[r] - largest) * LOG2_E);
        row_sum += y;
        pair[r] = packFloat2x16(f16vec2(y * weight[r]));
    }
    row_max = largest;
    transpose_probabilities(pair, probabilities);
    MATRIX_C zero = MATRIX_C(0.0);
    if (IS_BIASED(V_FORMAT))
        [[unroll]] for (uint t = 0; t < KEY_TILES; t++)
            zero = coopMatMulAdd(minus_bias(), probabilities[t], zero);
    [[unroll]] for (uint i = 0; i < OUT_MATRICES; i++)
        [[unroll]] for (uint e = 0; e < 4; e++)
            o[i][e] = o[i][e] * (shrink[e % 2] * shrink_values) + zero[e];
}

// ---- results --------------------------------------------------------------------------------------------------------

void store_subgroup(vec2 row_max, vec2 row_sum, OUTPUTS)
{
    const vec2 sum = vec2(sum_of_column(row_sum.x), sum_of_column(row_sum.y));
    const uint row = 2 * lane_column, at = gl_SubgroupID * STORED_ROWS + row;
    if (row < STORED_ROWS) {
        if (lane_row == 0)
            softmax[at] = vec2(row_max.x, sum.x);
        STORE_OUTPUTS(row, 0, o)
    }
    if (row + 1 < STORED_ROWS) { // not a loop, in which NVIDIA's compiler would look for each element of the output
        if (lane_row == 0)
            softmax[at + 1] = vec2(row_max.y, sum.y);
        STORE_OUTPUTS(row + 1, 1, o)
    }
}

#include "end.glsl"

#endif
