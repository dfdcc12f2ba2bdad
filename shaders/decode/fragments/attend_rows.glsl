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

#define KEY_TILES     1
#include "begin.glsl"

// The maximum over the four invocations that share a row.
float max_of_row(float x)
{
    x = max(x, subgroupShuffleXor(x, 1));
    return max(x, subgroupShuffleXor(x, 2));
}

// ---- rows -----------------------------------------------------------------------------------------------------------
// How an invocation holds its parts of rows of q, k and v, and multiplies them.

#define OUTPUTS          MATRIX_C o[OUT_MATRICES]
#define PROBABILITIES(p) MATRIX_A p
#define SEEN_KEYS        4

#include "rows.glsl"

// ---- who sees a key -------------------------------------------------------------------------------------------------

// Ranges and biases of the keys that an invocation has in its matrices, as in ranges[] and biases[]; 0 after the last
// key.
#ifdef PAGED
void find_ranges(uint block, uint first, uint listed, out uint range[4], out float bias[4])
{
    [[unroll]] for (uint n = 0; n < 4; n++) {
        const uint at = first + element_column(n), clamped = min(at, listed - 1);
        range[n] = at < listed ? ranges[clamped] : 0;
        bias[n] = BIAS != 0 ? biases[clamped] : 0;
    }
}
#else
// Each invocation looks at one key and gets the others by shuffles.
void find_ranges(uint block, uint first, uint listed, out uint range[4], out float bias[4])
{
    const uint own = first + gl_SubgroupInvocationID % STEP_KEYS;
    float importance;
    const uvec2 seen = entry_range(block + min(own, listed - 1), own_slot, importance);
    const uint own_range = own < listed && seen.x < seen.y ? seen.x | seen.y << 8 : 0;
    const float own_bias = counted_bias(importance);
    [[unroll]] for (uint n = 0; n < 4; n++) {
        range[n] = subgroupShuffle(own_range, element_column(n));
        bias[n] = BIAS != 0 ? subgroupShuffle(own_bias, element_column(n)) : 0;
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
    find_ranges(block, first, listed, range, bias);
    const MATRIX_C s = find_scores(q, k);
    float x[2][4];
    vec2 largest = row_max;
    [[unroll]] for (uint r = 0; r < 2; r++) {
        const uint row = first_row + lane_row + 8 * r;
        [[unroll]] for (uint n = 0; n < 4; n++) {
            const uint entry = entry_at(block, min(first + element_column(n), listed - 1));
            const bool visible = is_visible(entry, row, unpack_range(range[n]));
            x[r][n] = finish_score(s[ELEMENT(r, n)], ENTRY_TERMS != 0 ? entry_term(entry, row) : bias[n], visible);
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
            probabilities[ELEMENT(r, n)] = OPERAND(y);
        }
    [[unroll]] for (uint i = 0; i < OUT_MATRICES; i++)
        [[unroll]] for (uint e = 0; e < 8; e++)
            o[i][e] *= shrink[e / 4];
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
            STORE_OUTPUTS(row, r, o)
        }
    }
}

#include "end.glsl"

#endif
