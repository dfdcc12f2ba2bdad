// SPDX-License-Identifier: MIT
// Rows of TYPE in attend_rows.glsl. A unit is 8 elements, which an invocation loads together: four columns
// of two matrices of k, or, of v, two columns of four matrices of the output. Matrix i of those has columns 2 i and
// 2 i + 1 of each unit.
#ifndef LIB_FRAGMENTS_ROWS_GLSL
#define LIB_FRAGMENTS_ROWS_GLSL

const uint HEAD_UNITS = HEAD_DIM / 8, VALUE_UNITS = VALUE_DIM / 8; // units of 8 elements
const uint KEY_STEPS = (HEAD_UNITS + 3) / 4, VALUE_STEPS = (VALUE_UNITS + 7) / 8;
const uint OUT_MATRICES = 4 * VALUE_STEPS;

// What an invocation holds: units of its two rows of q and of k, of its four rows of v, and sums.
#define FIRST_QUERIES(q) uvec4 q[2][KEY_STEPS]
#define KEYS(k) uvec4 k[2][KEY_STEPS]
#define VALUES(v) uvec4 v[4][VALUE_STEPS]

vec2 operand_pair(uint word)
{
    return unpack_halves(OPERAND_TYPE, word);
}

// Loads the subgroup's keys from number `first` on, of the `listed` keys of the block that begins with entry `block`.
// Loads are unconditional, with clamped indices: with a branch around each load, each would wait for the one before.
void fetch_keys(uint block, uint first, uint listed, inout KEYS(k))
{
#ifndef PAGED
    own_slot = fetch_slot(block + min(first + gl_SubgroupInvocationID % STEP_KEYS, listed - 1));
#endif
    [[unroll]] for (uint r = 0; r < 2; r++) {
        const uint entry = entry_at(block, min(first + lane_row + 8 * r, listed - 1));
        const uvec2 row = entry_key(entry);
        [[unroll]] for (uint i = 0; i < KEY_STEPS; i++)
            k[r][i] = load_quad(row, entry_is_aligned(entry), min(4 * i + lane_column, HEAD_UNITS - 1));
    }
}

void fetch_values(uint block, uint first, uint listed, inout VALUES(v))
{
    [[unroll]] for (uint n = 0; n < 4; n++) {
        const uint entry = entry_at(block, min(first + element_column(n), listed - 1));
        const uvec2 row = entry_value(entry);
        [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)
            v[n][i] = load_quad(row, entry_is_aligned(entry), min(8 * i + lane_row, VALUE_UNITS - 1));
    }
}

// For rows that do not exist, other rows are loaded. This is harmless, because no row of the result depends on another.
void fetch_queries(uint first_row, inout FIRST_QUERIES(q))
{
    [[unroll]] for (uint r = 0; r < 2; r++)
        [[unroll]] for (uint i = 0; i < KEY_STEPS; i++) {
            const uint unit = 4 * i + lane_column, row = min(first_row + lane_row + 8 * r, TOKENS * GROUP - 1);
            q[r][i] = load_q_unit(row, min(unit, HEAD_UNITS - 1));
            q[r][i] = unit < HEAD_UNITS ? q[r][i] : uvec4(0);
        }
}

// S = q k^T
MATRIX_C find_scores(FIRST_QUERIES(q), KEYS(k))
{
    MATRIX_C s = MATRIX_C(0.0);
    [[unroll]] for (uint i = 0; i < KEY_STEPS; i++)
        [[unroll]] for (uint half_ = 0; half_ < 2; half_++) {
            MATRIX_A a;
            MATRIX_B b;
            [[unroll]] for (uint r = 0; r < 2; r++)
                [[unroll]] for (uint n = 0; n < 2; n++) {
                    const vec2 x = operand_pair(q[r][i][2 * half_ + n]), y = operand_pair(k[r][i][2 * half_ + n]);
                    a[ELEMENT(r, 2 * n)] = OPERAND(x.x);
                    a[ELEMENT(r, 2 * n + 1)] = OPERAND(x.y);
                    b[ELEMENT(r, 2 * n)] = OPERAND(y.x);
                    b[ELEMENT(r, 2 * n + 1)] = OPERAND(y.y);
                }
            s = coopMatMulAdd(a, b, s);
        }
    return s;
}

// O = O + P v. If no row sees a key, its v counts as 0, because 0 * NaN is NaN.
void add_values(MATRIX_A probabilities, VALUES(v), bool seen[4], inout OUTPUTS)
{
    [[unroll]] for (uint n = 0; n < 4; n++)
        [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)
            v[n][i] = seen[n] ? v[n][i] : uvec4(0);
    [[unroll]] for (uint i = 0; i < OUT_MATRICES; i++) {
        MATRIX_B b;
        [[unroll]] for (uint n = 0; n < 4; n++) {
            const vec2 x = operand_pair(v[n][i / 4][i % 4]);
            b[ELEMENT(0, n)] = OPERAND(x.x);
            b[ELEMENT(1, n)] = OPERAND(x.y);
        }
        o[i] = coopMatMulAdd(probabilities, b, o[i]);
    }
}

// Stores the invocation's part of a row of the output, of row lane_row + 8 r. It has columns of two of every 8 units.
#define STORE_OUTPUTS(row, r, o)                                                                   \
    [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)                                              \
        [[unroll]] for (uint c = 0; c < 2; c++) {                                                  \
            const uint unit = 8 * i + 2 * lane_column + c;                                         \
            if (unit < VALUE_UNITS)                                                                \
                [[unroll]] for (uint h = 0; h < 2; h++) {                                          \
                    const uint even = 4 * i + 2 * h, odd = even + 1, e = ELEMENT(r, c);            \
                    sums[sums_row(gl_SubgroupID, row) + 2 * unit + h] =                            \
                        floatBitsToUint(vec4(o[even][e], o[even][e + 2], o[odd][e], o[odd][e + 2])); \
                }                                                                                  \
        }

#endif
