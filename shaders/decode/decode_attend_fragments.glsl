// SPDX-License-Identifier: MIT
// Attention of up to 16 rows to the workgroup's split of the cache, by cooperative matrices of 16 x 16 x 16 whose fragment
// layout is LAYOUT_QUAD_ROWS (fragment_layout.h). Each subgroup has keys of its own, 16 at a time, and needs neither shared memory nor
// barriers for them: 16 bytes that an invocation loads are elements of the matrices that it holds. Only the results of the
// subgroups are combined through shared memory.
//
// Of a matrix an invocation holds two rows (of queries, of keys or of columns of v) and four columns, which are summed over:
//
//     S = q k^T   sums over columns of k in any order, if those of q are in the same: column 4 of a matrix is column
//                 4 of the invocation's unit, and so on
//     O = P v     columns of P are keys; columns of the output come in any order: matrix i has columns 2 i and 2 i + 1 of each unit
#ifndef LIB_DECODE_ATTEND_GLSL
#define LIB_DECODE_ATTEND_GLSL

#include "../lib/coopmat.glsl"

const uint SUBGROUPS = WORKGROUP / SUBGROUP;
const uint STEP_KEYS = 16; // of a subgroup, at a time
const uint HEAD_UNITS = HEAD_DIM / 8, VALUE_UNITS = VALUE_DIM / 8; // of 8 elements
const uint KEY_STEPS = (HEAD_UNITS + 3) / 4, VALUE_STEPS = (VALUE_UNITS + 7) / 8;
const uint OUT_MATRICES = 4 * VALUE_STEPS;
const uint STORED_ROWS = TOKENS * GROUP < 16 ? TOKENS * GROUP : 16;
const uint OUT_PITCH = VALUE_DIM / 4 + 1; // in units of 16 bytes, one more than a row has: rows start in different banks
const uint CHECK_PITCH = 5, CHECK_UNITS = 16 * CHECK_PITCH;
const uint SUM_UNITS = SUBGROUPS * (STORED_ROWS * OUT_PITCH > CHECK_UNITS ? STORED_ROWS * OUT_PITCH : CHECK_UNITS);

shared uvec4 sums[SUM_UNITS];
shared vec2 softmax[SUBGROUPS * STORED_ROWS]; // maximum and sum

// What an invocation holds: units of its two rows of q and of k, of its four rows of v, and sums.
#define FIRST_QUERIES(q) uvec4 q[2][KEY_STEPS]
#define KEYS(k) uvec4 k[2][KEY_STEPS]
#define VALUES(v) uvec4 v[4][VALUE_STEPS]
#define OUTPUTS MATRIX_C o[OUT_MATRICES]

float score_scale; // NaN if the layout is not the known one
#define SCORE_SCALE score_scale
#include "../lib/score.glsl"
#include "../lib/visible.glsl"

uint lane_row, lane_column; // of an invocation in its subgroup: row and row + 8; columns 2 * lane_column + {0, 1, 8, 9}

// ---- how matrices lie in registers ------------------------------------------------------------------------------------------

// The element of a matrix of any use that is in row lane_row + 8 r of it (of b^T) and in column element_column(n), n from 0 to 3.
#define ELEMENT(r, n) (4 * (r) + (n))

uint element_column(uint n)
{
    return 2 * lane_column + (n & 1) + 8 * (n >> 1);
}

vec2 operand_pair(uint word)
{
    return unpack_halves(OPERAND_TYPE, word);
}

// Whether matrices have this layout. It loads matrices whose elements are their own positions. If they are elsewhere, the scale
// becomes NaN, and so do the results. The check takes a tenth of a step, so it runs once for each sequence.
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

// ---- loads ------------------------------------------------------------------------------------------------------------------

// Of the subgroup's keys: those from number `first` on of the `listed` ones of a block that begins with entry `block`. Loads are
// unconditional, from a clamped place: a branch around each would make each wait for the one before.
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

// Of rows that there are not, those of others: no row of the result depends on another.
void fetch_queries(uint first_row, inout FIRST_QUERIES(q))
{
    [[unroll]] for (uint r = 0; r < 2; r++)
        [[unroll]] for (uint i = 0; i < KEY_STEPS; i++) {
            const uint unit = 4 * i + lane_column, row = min(first_row + lane_row + 8 * r, TOKENS * GROUP - 1);
            q[r][i] = load_quad(q_row(row), ALIGNED != 0, min(unit, HEAD_UNITS - 1));
            q[r][i] = unit < HEAD_UNITS ? q[r][i] : uvec4(0);
        }
}

// The first rows, and the first keys if they are known.
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

// ---- who sees a key ---------------------------------------------------------------------------------------------------------

// Of the keys that an invocation has in its matrices: as in ranges[] and biases[], 0 behind the last one.
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
// An invocation looks at one of them.
void find_ranges(uint block, uint first, uint listed, out uint range[4], out float bias[4])
{
    const uint own = first + gl_SubgroupInvocationID % STEP_KEYS;
    float importance;
    const uvec2 seen = entry_range(block + min(own, listed - 1), own_slot, importance);
    const uint own_range = own < listed && seen.x < seen.y ? seen.x | seen.y << 8 : 0;
    const float own_bias = clean(importance);
    [[unroll]] for (uint n = 0; n < 4; n++) {
        range[n] = subgroupShuffle(own_range, element_column(n));
        bias[n] = BIAS != 0 ? subgroupShuffle(own_bias, element_column(n)) : 0;
    }
}
#endif

// ---- products ---------------------------------------------------------------------------------------------------------------

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

// O = O + P v, v being 0 if no row sees the key, whatever it is, as 0 * NaN would be NaN.
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

// ---- softmax ----------------------------------------------------------------------------------------------------------------

// The largest of the four invocations that share a row.
float max_of_row(float x)
{
    x = max(x, subgroupShuffleXor(x, 1));
    return max(x, subgroupShuffleXor(x, 2));
}

// Probabilities of the subgroup's keys. Of the largest scores so far an invocation has those of its two rows, of the sums its
// part.
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
            x[r][n] = finish_score(s[ELEMENT(r, n)], bias[n], visible);
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

// ---- results ----------------------------------------------------------------------------------------------------------------

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
            // Columns of two units of each 8.
            [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)
                [[unroll]] for (uint c = 0; c < 2; c++) {
                    const uint unit = 8 * i + 2 * lane_column + c;
                    if (unit < VALUE_UNITS)
                        [[unroll]] for (uint h = 0; h < 2; h++) {
                            const uint even = 4 * i + 2 * h, odd = even + 1, e = ELEMENT(r, c);
                            sums[at * OUT_PITCH + 2 * unit + h] =
                                floatBitsToUint(vec4(o[even][e], o[even][e + 2], o[odd][e], o[odd][e + 2]));
                        }
                }
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

// The workgroup's keys of a block, shared out among subgroups; `k` and `v` hold the first ones of each.
void attend_block(uint first_row, uint block, uint listed, FIRST_QUERIES(q), inout KEYS(k), inout VALUES(v),
                  inout vec2 row_max, inout vec2 row_sum, inout OUTPUTS)
{
    const uint step = SUBGROUPS * STEP_KEYS;
    for (uint first = gl_SubgroupID * STEP_KEYS; first < listed; first += step) {
        MATRIX_A probabilities;
        bool seen[4];
        attend_keys(first_row, block, first, listed, q, k, row_max, row_sum, probabilities, seen, o);
        fetch_keys(block, first + step, listed, k); // on their way while these values are added
        add_values(probabilities, v, seen, o);
        fetch_values(block, first + step, listed, v);
    }
}

// `q`, `k` and `v` hold what fetch_first() has fetched.
void attend(uint first_row, inout FIRST_QUERIES(q), inout KEYS(k), inout VALUES(v))
{
    OUTPUTS;
    [[unroll]] for (uint i = 0; i < OUT_MATRICES; i++)
        o[i] = MATRIX_C(0.0);
    vec2 row_max = vec2(LOWEST), row_sum = vec2(0);
    layout_seen = layout_seen || layout_is_right();
    score_scale = layout_seen ? p.scale : NOT_A_NUMBER;
    const bool is_first = first_row == row_block * BLOCK_ROWS;
    if (!is_first)
        fetch_queries(first_row, q);
    const uvec2 range = split_entries(count);
#ifdef PAGED
    for (uint block = range.x; block < range.y; block += BLOCK_KEYS) {
        barrier(); // the list before has been read
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
    barrier(); // what was in shared memory has been read
    store_subgroup(row_max, row_sum, o);
    barrier();
    store_partial(first_row);
}

#endif
