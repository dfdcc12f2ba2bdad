// SPDX-License-Identifier: MIT
// What the backward kernels share at the matrix levels: they load the rows of a tile's columns to shared memory, and
// turn the tile's products into P and dS, and these into operands.
//
// The includer defines PAIR_ROWS and PAIR_COLUMNS, and how pairs are arranged: for row i and column j, QUERY_OF(i, j)
// is the row of the tile of queries and KEY_OF(i, j) the key of the tile of keys. It also defines number_of(key),
// range_of(key) and bias_of(key) for the current tile, and NEEDS_SLOPE. With selected keys, it defines PREPARE_TEST and
// PAIR_IS_VISIBLE instead of range_of(key).
#ifndef LIB_GRADIENTS_MATRIX_GLSL
#define LIB_GRADIENTS_MATRIX_GLSL

#include "../lib/matrix.glsl"

// ---- shared memory --------------------------------------------------------------------------------------------------

// The columns of the tile are rows of k and v, or of q and dout. A row has one use as a factor, in blocks of MATRIX_K
// elements, and one as a summand, in blocks of MATRIX_N elements. It is padded for both.
const uint HEAD_SUMS = (HEAD_DIM + MATRIX_N - 1) / MATRIX_N; // blocks of a row of dq or dk
const uint VALUE_FACTORS = (VALUE_DIM + MATRIX_K - 1) / MATRIX_K;
const uint HEAD_COLUMNS =
    (HEAD_BLOCKS * MATRIX_K > HEAD_SUMS * MATRIX_N ? HEAD_BLOCKS * MATRIX_K : HEAD_SUMS * MATRIX_N) / 8;
const uint VALUE_COLUMNS =
    (VALUE_FACTORS * MATRIX_K > VALUE_BLOCKS * MATRIX_N ? VALUE_FACTORS * MATRIX_K : VALUE_BLOCKS * MATRIX_N) / 8;
const uint HEAD_PITCH = HEAD_COLUMNS + 1, VALUE_PITCH = VALUE_COLUMNS + 1;

// A tile buffer holds rows of head_dim elements, then rows of value_dim elements. There are TILE_BUFFERS buffers. With
// two, one is filled while the other is used.
const uint BUFFER_VALUES = PAIR_COLUMNS * HEAD_PITCH;
const uint BUFFER_UNITS = BUFFER_VALUES + PAIR_COLUMNS * VALUE_PITCH;
const uint OTHER_BUFFER = TILE_BUFFERS > 1 ? BUFFER_UNITS : 0; // buffers begin at b and OTHER_BUFFER - b
const uint STAGED_UNITS =
    TILE_BUFFERS * BUFFER_UNITS > SUBGROUPS * BLOCK_UNITS ? TILE_BUFFERS * BUFFER_UNITS : SUBGROUPS * BLOCK_UNITS;
const uint SLICE_UNITS = STAGED_UNITS / SUBGROUPS;

shared uvec4 staged[STAGED_UNITS];

#include "../lib/fragment_layout.glsl"
#if defined(SELECTED_KEYS) && defined(FRAGMENTS)
#include "../attention/visible_rows.glsl"
#endif

// Waits until the buffer that is stored to next is no longer read.
void end_buffer()
{
    if (TILE_BUFFERS == 1)
        barrier();
}

// Defines fetch_name(x), which loads the rows of the tile's columns, `dim` elements each, from address_of(column,
// unit), and store_name(buffer_, x), which stores them at `offset` in a tile buffer, 0 for columns with
// is_hidden(column). Loads are unconditional, with clamped indices: with a branch around each load, each would wait for
// the one before.
#define DEFINE_STAGING(name, units, dim, offset, address_of, is_hidden)                                        \
    const uint name##_STEPS = (PAIR_COLUMNS * (units) + WORKGROUP - 1) / WORKGROUP;                            \
                                                                                                               \
    void fetch_##name(out uvec4 x[name##_STEPS])                                                               \
    {                                                                                                          \
        [[unroll]] for (uint step = 0; step < name##_STEPS; step++) {                                          \
            const uint i = step * WORKGROUP + invocation, unit = i % (units);                                  \
            x[step] = load_operands(address_of(min(i / (units), PAIR_COLUMNS - 1), min(unit, (dim) / 8 - 1))); \
        }                                                                                                      \
    }                                                                                                          \
                                                                                                               \
    void store_##name(uint buffer_, const uvec4 x[name##_STEPS])                                               \
    {                                                                                                          \
        [[unroll]] for (uint step = 0; step < name##_STEPS; step++) {                                          \
            const uint i = step * WORKGROUP + invocation, unit = i % (units), column = i / (units);            \
            if (PAIR_COLUMNS * (units) % WORKGROUP == 0 || column < PAIR_COLUMNS)                              \
                staged[buffer_ + (offset) + column * ((units) + 1) + unit] =                                   \
                    unit < (dim) / 8 && !is_hidden(column) ? x[step] : uvec4(0);                               \
        }                                                                                                      \
    }

// ---- rows of queries ------------------------------------------------------------------------------------------------

// Addresses of a unit of q and dout of a row of the tile of queries.
uvec2 q_address(uint row, uint unit)
{
    return advance(q_row(row), unit, uvec2(16, 0));
}

uvec2 dout_address(uint row, uint unit)
{
    return advance(dout_row(row), unit, uvec2(16, 0));
}

// ---- pairs ----------------------------------------------------------------------------------------------------------

// What a subgroup holds in registers. These are local arrays of main(), because some drivers keep large global arrays
// in memory.
#define PAIRS(x) MATRIX_C x[ROW_BLOCKS][COLUMN_BLOCKS]
#define SUMS(x, blocks) MATRIX_C x[ROW_BLOCKS][blocks]
#define EACH_PAIR(m, n, e)                                  \
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)        \
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) \
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)

#define CLEAR(sums, blocks)                            \
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)   \
        [[unroll]] for (uint d = 0; d < (blocks); d++) \
            sums[m][d] = MATRIX_C(0.0);

// The row and column of an element in the tile.
uvec2 pair_position(uint m, uint n, uint e)
{
    const uvec2 position = element_position(e);
    return uvec2(tile_row_of(m, position.x), n * MATRIX_N + position.y);
}

// The products add to these start values: 0 for scores, and -D for dP, so that the result is dP - D.
void begin_scores(out PAIRS(x))
{
    CLEAR(x, COLUMN_BLOCKS)
}

void begin_gradients(uint softmax, out PAIRS(x))
{
    EACH_PAIR(m, n, e) {
        const uvec2 at = pair_position(m, n, e);
        x[m][n][e] = -row_softmax[softmax + QUERY_OF(at.x, at.y)].y;
    }
}

// Whether the row sees the key, for element e of block (m, n). PREPARE_TEST comes before all tests of a tile.
#ifndef PAIR_IS_VISIBLE
#define PREPARE_TEST
#define PAIR_IS_VISIBLE(m, n, e, row, key) is_visible(number_of(key), row, range_of(key))
#endif

// Turns q k^T into P. The rows' lse begin at row_softmax[softmax]. `slope` is the derivative of the soft cap.
void find_probabilities(const bool partial, uint softmax, inout PAIRS(x), out PAIRS(slope))
{
    PREPARE_TEST
    EACH_PAIR(m, n, e) {
        const uvec2 at = pair_position(m, n, e);
        const uint row = QUERY_OF(at.x, at.y), key = KEY_OF(at.x, at.y);
        float s_slope;
        const float s = scale_and_cap(x[m][n][e], s_slope);
        if (NONLINEAR != 0)
            if (NEEDS_SLOPE)
                slope[m][n][e] = s_slope;
        const float lse = row_softmax[softmax + row].x;
        const float bias = PAIR_TERMS != 0 ? pair_bias(row, number_of(key), BIAS_BY_KEY != 0 ? bias_of(key) : 0) : 0;
        // With a bias, the score is rounded as in forward, and the difference comes first, because both may be large.
        const float exponent = PAIR_TERMS != 0 ? (fma(s, exponent_scale(), bias) - lse) * LOG2_E
                                               : fma(s, exponent_scale() * LOG2_E, -lse * LOG2_E);
        const float probability = exp2(exponent);
        x[m][n][e] = !partial || PAIR_IS_VISIBLE(m, n, e, row, key) ? probability : 0;
    }
}

// Turns dP - D into dS. A hidden key may hold anything, even NaN. A probability of NaN makes dS NaN.
void find_gradients(const PAIRS(probability), inout PAIRS(x))
{
    EACH_PAIR(m, n, e)
        x[m][n][e] = probability[m][n][e] != 0 ? probability[m][n][e] * x[m][n][e] : 0;
}

// The gradient through the soft cap.
void uncap(const PAIRS(slope), inout PAIRS(x))
{
    if (NONLINEAR != 0)
        EACH_PAIR(m, n, e)
            x[m][n][e] = x[m][n][e] != 0 ? x[m][n][e] * slope[m][n][e] : 0; // the slope of a hidden pair may be NaN
}

// ---- operands -------------------------------------------------------------------------------------------------------

// make_weights(x, w) makes operands from pairs. WEIGHT(w, m, k) is one operand.
#ifdef REGISTERS

#define WEIGHTS(x) MATRIX_A x[ROW_BLOCKS][COLUMN_BLOCKS]
#define WEIGHT(x, m, k) x[m][k]

void make_weights(const PAIRS(x), out WEIGHTS(w))
{
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++) {
#ifdef CONVERT_ACCUMULATORS
            w[m][n] = MATRIX_A(x[m][n]);
#else
            [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
                w[m][n][e] = OPERAND(x[m][n][e]);
#endif
        }
}

#else // through shared memory; ROW_BLOCKS is 1

const uint WEIGHT_PITCH = PAIR_COLUMNS / 4 + 1;
shared uvec4 weights[SUBGROUPS * MATRIX_M * WEIGHT_PITCH];
#define SUBGROUP_WEIGHTS (gl_SubgroupID * MATRIX_M * WEIGHT_PITCH)

#define WEIGHTS(x) MATRIX_A x[1][1] // not used
#define WEIGHT(x, m, k) load_weight(k)

MATRIX_A load_weight(uint k)
{
    MATRIX_A a;
    coopMatLoad(a, weights, SUBGROUP_WEIGHTS + k * MATRIX_K / 8, WEIGHT_PITCH, BY_ROWS);
    return a;
}

void make_weights(const PAIRS(x), out WEIGHTS(w))
{
    subgroup_sync(); // the previous weights have been read
    [[unroll]] for (uint n = 0; n < COLUMN_BLOCKS; n++)
        coopMatStore(x[0][n], weights, SUBGROUP_WEIGHTS + n * MATRIX_N / 4, WEIGHT_PITCH, BY_ROWS);
    subgroup_sync();
    // Each lane packs its share of a row. All lanes read before any lane writes.
    const uint lanes = SUBGROUP / MATRIX_M, units = PAIR_COLUMNS / 8 / lanes;
    const uint row = SUBGROUP_WEIGHTS + gl_SubgroupInvocationID / lanes * WEIGHT_PITCH;
    const uint first = gl_SubgroupInvocationID % lanes * units;
    uvec4 packed_units[PAIR_COLUMNS / 8 / (SUBGROUP / MATRIX_M)];
    [[unroll]] for (uint i = 0; i < units; i++) {
        const vec4 a = uintBitsToFloat(weights[row + 2 * (first + i)]);
        const vec4 b = uintBitsToFloat(weights[row + 2 * (first + i) + 1]);
        packed_units[i] = uvec4(pack_operands(a.xy), pack_operands(a.zw), pack_operands(b.xy), pack_operands(b.zw));
    }
    subgroup_sync();
    [[unroll]] for (uint i = 0; i < units; i++)
        weights[row + first + i] = packed_units[i];
    subgroup_sync();
}

#endif

#include "../lib/operands.glsl"

// Prepares element_position(). False if the layout is not the known one; the caller then makes its results NaN.
bool check_layout()
{
#ifdef FRAGMENTS
    return layout_is_right();
#else
    find_positions();
    return true;
#endif
}

#endif
