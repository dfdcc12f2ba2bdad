// SPDX-License-Identifier: MIT
// The online softmax of a subgroup's rows, with scores and probabilities in shared memory. For devices whose fragment
// layout is unknown. ROW_LANES neighbouring invocations share a row. ROW_BLOCKS is 1.
#ifndef LIB_SOFTMAX_GLSL
#define LIB_SOFTMAX_GLSL

#include "scores.glsl"

#include "../lib/lanes.glsl"

const uint OUTPUT_BLOCKS = SUMS_SHARED != 0 ? 1 : VALUE_BLOCKS; // in registers

const uint ROW_LANES = SUBGROUP / MATRIX_M;
const uint LANE_KEYS = TILE_KEYS / ROW_LANES;
const uint SCORE_PITCH = TILE_KEYS / 4 + 1;

// For each subgroup, one after another in the same memory: scores, factors for the output's rows, probabilities.
shared uvec4 scores[SUBGROUPS * MATRIX_M * SCORE_PITCH];

const uint ROW_VALUES = 1, HELD_BLOCKS = 1; // no probabilities are held in registers

#define FACTORS MATRIX_C factors
#define ROWS_LOOP [[dont_unroll]] // with few registers, not all rows can be loaded at once

// With SUMS_SHARED, the output is in shared memory, for devices whose registers do not hold it.
const uint SUM_UNITS = (ELEMENTS + 3) / 4; // of a block, in each invocation
shared uvec4 sums[SUMS_SHARED != 0 ? VALUE_BLOCKS * SUM_UNITS * WORKGROUP : 1];

// Whether invocations may read the elements of k, v and q that they hold (lanes.glsl), and whether they do.
const uint BY_LANES = SUMS_SHARED == 0 ? 0 : UNEVEN_LANES != 0 ? 0 : FRAGMENT_LAYOUT < LAYOUT_COLUMNS ? 0 : 1;
const uint ORDERED = BY_LANES == 0 ? 0 : FRAGMENT_LAYOUT == LAYOUT_ORDERED ? 1 : 0;
bool reads_lanes;

// A lane's row of a block, and its first column in that row.
#define LANE_ROW (gl_SubgroupInvocationID / ROW_LANES)
#define LANE_COLUMN (gl_SubgroupInvocationID % ROW_LANES * LANE_KEYS)
#define SUBGROUP_SCORES (gl_SubgroupID * MATRIX_M * SCORE_PITCH)
#define LANE_SCORES (SUBGROUP_SCORES + LANE_ROW * SCORE_PITCH)

void begin_rows(out ROW_MAXIMA, out ROW_SUMS)
{
    row_max[0][0] = LOWEST;
    row_sum[0][0] = 0;
}

void begin_scores(key_tile t, out SCORES)
{
    [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
        score[0][n] = MATRIX_C(0.0);
}

// As subgroup_sync(), but for shared memory only. subgroupBarrier() is for all memory: two fences more (ANV).
void rows_sync()
{
    controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared, gl_SemanticsAcquireRelease);
}

// Makes a matrix whose rows are a row's factor.
void spread_factors(float factor, out FACTORS)
{
    [[unroll]] for (uint i = gl_SubgroupInvocationID % ROW_LANES; i < MATRIX_N / 4; i += ROW_LANES)
        scores[LANE_SCORES + i] = uvec4(floatBitsToUint(factor));
    rows_sync();
    coopMatLoad(factors, scores, SUBGROUP_SCORES, SCORE_PITCH, BY_ROWS);
    rows_sync();
}

// The output must still be multiplied by `factors`, which is done when it is added to. Probabilities can be read after
// the next barrier.
void update_softmax(key_tile t, const bool partial, inout SCORES, inout ROW_MAXIMA, inout ROW_SUMS, out FACTORS)
{
    [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
        coopMatStore(score[0][n], scores, SUBGROUP_SCORES + n * MATRIX_N / 4, SCORE_PITCH, BY_ROWS);
    rows_sync();

    const float to_2 = score_unit * LOG2_E;
    if (NONLINEAR != 0 || FULL_TERMS != 0 || partial) // in place; not unrolled, because the body is large
        [[dont_unroll]] for (uint i = 0; i < LANE_KEYS; i++) {
            const uint row = tile_row_of(0, LANE_ROW), key = LANE_COLUMN + i;
            const uint at = LANE_SCORES + key / 4, c = i % 4;
            scores[at][c] = floatBitsToUint(
                tile_score(t, partial, row, key, uintBitsToFloat(scores[at][c]), !partial || tile_shows(t, row, key)));
        }
    vec4 x[LANE_KEYS / 4];
    float tile_max = LOWEST;
    [[unroll]] for (uint i = 0; i < LANE_KEYS / 4; i++) {
        x[i] = uintBitsToFloat(scores[LANE_SCORES + LANE_COLUMN / 4 + i]);
        tile_max = max(tile_max, max(max(x[i].x, x[i].y), max(x[i].z, x[i].w)));
    }
    [[unroll]] for (uint lane = 1; lane < ROW_LANES; lane *= 2)
        tile_max = max(tile_max, subgroupShuffleXor(tile_max, lane));
    const float new_max = max(row_max[0][0], tile_max), shrink = exp2((row_max[0][0] - new_max) * to_2);
    row_max[0][0] = new_max;
    row_sum[0][0] *= shrink;
    rows_sync();
    spread_factors(shrink, factors);

    [[unroll]] for (uint i = 0; i < LANE_KEYS / 8; i++) {
        const vec4 a = exp2((x[2 * i] - new_max) * to_2), b = exp2((x[2 * i + 1] - new_max) * to_2);
        row_sum[0][0] += a.x + a.y + a.z + a.w + (b.x + b.y + b.z + b.w);
        scores[LANE_SCORES + LANE_COLUMN / 8 + i] =
            uvec4(pack_operands(a.xy), pack_operands(a.zw), pack_operands(b.xy), pack_operands(b.zw));
    }
}

MATRIX_A load_probability(uint k)
{
    MATRIX_A a;
    coopMatLoad(a, scores, SUBGROUP_SCORES + k * MATRIX_K / 8, SCORE_PITCH, BY_ROWS);
    return a;
}

// A block of the output in shared memory. Each invocation stores the elements that it holds, and reads back the same
// ones. So it does not matter which ones they are, no synchronization is needed, and four elements are one access;
// coopMatLoad() and coopMatStore() of a block make up to four times as many (ANV).
void store_sum(uint d, MATRIX_C sum)
{
    [[unroll]] for (uint unit = 0; unit < SUM_UNITS; unit++) {
        vec4 x = vec4(0);
        [[unroll]] for (uint e = 4 * unit; e < 4 * unit + 4 && e < ELEMENTS; e++)
            x[e % 4] = sum[e];
        sums[(d * SUM_UNITS + unit) * WORKGROUP + invocation] = floatBitsToUint(x);
    }
}

MATRIX_C load_sum(uint d)
{
    MATRIX_C sum;
    [[unroll]] for (uint unit = 0; unit < SUM_UNITS; unit++) {
        const vec4 x = uintBitsToFloat(sums[(d * SUM_UNITS + unit) * WORKGROUP + invocation]);
        [[unroll]] for (uint e = 4 * unit; e < 4 * unit + 4 && e < ELEMENTS; e++)
            sum[e] = x[e % 4];
    }
    return sum;
}

// Sets the output to 0.
void begin_sums()
{
    if (SUMS_SHARED != 0)
        [[dont_unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++)
            store_sum(d, MATRIX_C(0.0));
}

// sum = sum * factors + a v, for block d of the columns of v. `lanes`: invocations read the elements that they hold.
void add_block(FACTORS, MATRIX_A a[SUMMED_BLOCKS], uint d, const bool lanes, inout MATRIX_C sum)
{
    [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
        sum[e] *= factors[e];
    [[unroll]] for (uint k = 0; k < SUMMED_BLOCKS; k++) {
        MATRIX_B b;
        if (lanes)
            b = load_columns(VALUES + d * MATRIX_N * VALUE_PITCH + k * MATRIX_K / 8, VALUE_PITCH);
        else if (SUMS_SHARED != 0)
            coopMatLoad(b, staged, VALUES + d * MATRIX_N * VALUE_PITCH + k * MATRIX_K / 8, VALUE_PITCH, BY_COLUMNS);
        else
            coopMatLoad(b, staged, VALUES + k * MATRIX_K * VALUE_PITCH + d * MATRIX_N / 8, VALUE_PITCH, BY_ROWS);
        sum = coopMatMulAdd(a[k], b, sum);
    }
}

// Blocks of the output that are added to together, so that their loads and stores do not wait for each other. If these
// are all, there is no loop, and compilers need more registers.
const uint SUMS_AT_ONCE = BY_LANES == 0 ? 1 : VALUE_BLOCKS % 2 != 0 ? 1 : VALUE_BLOCKS > 2 ? 2 : 1;

// o = o * factors + P v. The products of a block of columns follow each other. Some compilers (ANV) keep a sum's old
// value in registers until its new one is final, and this is soon then.
void add_pv(FACTORS, const bool lanes, inout OUTPUTS)
{
    const uint at_once = lanes ? SUMS_AT_ONCE : 1;
    MATRIX_A a[SUMMED_BLOCKS];
    [[unroll]] for (uint k = 0; k < SUMMED_BLOCKS; k++)
        a[k] = load_probability(k);
    if (SUMS_SHARED != 0)
        [[dont_unroll]] for (uint first = 0; first < VALUE_BLOCKS; first += at_once) {
            MATRIX_C sum[SUMS_AT_ONCE];
            [[unroll]] for (uint d = 0; d < at_once; d++)
                sum[d] = load_sum(first + d);
            [[unroll]] for (uint d = 0; d < at_once; d++)
                add_block(factors, a, first + d, lanes, sum[d]);
            [[unroll]] for (uint d = 0; d < at_once; d++)
                store_sum(first + d, sum[d]);
        }
    else
        [[unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++)
            add_block(factors, a, d, lanes, o[0][d]);
}

// With SUMS_SHARED, the output must still be multiplied by `factors`.
void finish_rows(ROW_MAXIMA, ROW_SUMS, out FACTORS, inout OUTPUTS)
{
    [[unroll]] for (uint lane = 1; lane < ROW_LANES; lane *= 2)
        row_sum[0][0] += subgroupShuffleXor(row_sum[0][0], lane);
    const uint row = tile_row_of(0, LANE_ROW);
    float sum = row_sum[0][0], largest = score_from_units(row_max[0][0]), shrink = 1;
    if (SINK != 0)
        shrink = add_sink(load_sink(p.sink, row_head(row)), largest, sum);
    spread_factors(shrink * softmax_inverse(sum), factors);
    if (SUMS_SHARED == 0)
        [[unroll]] for (uint d = 0; d < VALUE_BLOCKS; d++)
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                o[0][d][e] *= factors[e];
    if (STORES_SOFTMAX && LANE_COLUMN == 0 && row_exists(row))
        store_softmax(row, largest, sum);
}

#endif
