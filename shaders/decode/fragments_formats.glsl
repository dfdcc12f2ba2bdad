// SPDX-License-Identifier: MIT
// Rows of formats of 8 and 4 bits in decode_attend_fragments.glsl. The matrices are of f16 for every TYPE, because all
// stored numbers are exact in it. What would not fit into f16 is outside of the matrices, in f32:
//     q        a row is divided by a power of 2, so that its largest element is from 1 to 2
//     k        the scale of a row of INT8 or E4M3 multiplies the scores
//     v        that of v multiplies the probabilities. All are divided by a power of 2, which grows with the scales;
//              then the output so far shrinks
// Numbers of Q8_0 and Q4_0 are multiplied by their d in f16.
//
// A piece is 16 elements of a row, which an invocation loads together: four columns of four matrices of k, or, of v,
// two columns of eight matrices of the output. Word m of a piece has elements of matrix m of k, or of matrices 2 m and
// 2 m + 1 of the output, in the order 0, 2, 1, 3: elements 0 and 2 of a word become a pair of f16 with few operations.
#ifndef LIB_FRAGMENTS_GLSL
#define LIB_FRAGMENTS_GLSL

const uint KEY_PIECES = HEAD_DIM / 16, VALUE_PIECES = VALUE_DIM / 16; // of a row
const uint KEY_STEPS = (KEY_PIECES + 3) / 4, VALUE_STEPS = (VALUE_PIECES + 7) / 8;
const uint OUT_MATRICES = 8 * VALUE_STEPS, QUERY_MATRICES = 4 * KEY_STEPS;

struct piece {
    uvec4 words; // of Q4_0 two: elements 0 to 7 of its half of the block are lower halves of bytes, 16 to 23 upper ones
    uint d;      // of a block, twice, as f16
};

// What an invocation holds: the matrices of q, pieces of its two rows of k and of its four rows of v, and sums.
#define FIRST_QUERIES(q) MATRIX_A q[QUERY_MATRICES]
#define KEYS(k) piece k[2][KEY_STEPS]
#define VALUES(v) piece v[4][VALUE_STEPS]

float row_factor[2];     // the powers of 2 by which the two rows of q were divided
uint value_exponent = 1; // that of the probabilities is 2^(value_exponent - 127)
vec2 own_scales;         // bounded: of the key of own_slot

// Numbers of E4M3 become f16 without a change of the exponent's bias, and are too small by this factor.
#define FORMAT_FACTOR(format) ((format) == FORMAT_E4M3 ? 256.0 : 1.0)

// ---- pieces ---------------------------------------------------------------------------------------------------------

// Where the elements of word m of piece `i` are in the row, in units of 4 elements.
uint piece_column(uint format, uint i, uint m)
{
    return format == FORMAT_Q4_0 ? 8 * (i / 2) + 2 * (i % 2) + m % 2 + 4 * (m / 2) : 4 * i + m;
}

// Piece `i` of a row of the cache. Those of blocks may begin in the middle of words. Only words that have a part of the
// block are read.
piece load_piece(uint format, uvec2 row, uint i)
{
    piece x;
    x.d = 0;
    if (!has_blocks(format)) {
        x.words = Quads(row).q[i];
        return x;
    }
    const uvec2 block = block_of(format, row, 2 * i);
    const bool is_upper = (block.x & 2u) != 0; // the block begins in the upper half of a word, so its numbers do not
    Words words = Words(uvec2(block.x & ~3u, block.y));
    const uint count = format == FORMAT_Q8_0 ? 4 : 2, first = i % 2 * count + (is_upper ? 1 : 0);
    uint w[5];
    const uint d = words.w[0];
    [[unroll]] for (uint n = 0; n <= count; n++)
        w[n] = words.w[first + n - (is_upper && n == count ? 1 : 0)];
    x.words = uvec4(0);
    [[unroll]] for (uint n = 0; n < count; n++)
        x.words[n] = is_upper ? w[n] : w[n] >> 16 | w[n + 1] << 16;
    x.d = (is_upper ? d >> 16 : d & 0xffffu) * 0x10001u;
    return x;
}

// The same of a new token, whose units begin at `first` in new_rows.
piece new_piece(uint format, uint first, uint i)
{
    const uvec4 a = new_rows[first + 2 * i], b = new_rows[first + 2 * i + 1];
    piece x;
    x.words = format == FORMAT_Q4_0 ? uvec4(a.x, b.x, 0, 0) : uvec4(a.xy, b.xy);
    x.d = has_blocks(format) ? packHalf2x16(vec2(uintBitsToFloat(a.z))) : 0;
    return x;
}

// Elements 0 and 2, and 1 and 3, of word m of a piece. 1024 + x is 0x6400 + x in f16, for x below 1024.
void piece_numbers(uint format, piece x, uint m, out f16vec2 even, out f16vec2 odd)
{
    if (format == FORMAT_E4M3) {
        const uint w = x.words[m];
        even = unpackFloat2x16(w << 8 & 0x80008000u | w << 7 & 0x3f803f80u);
        odd = unpackFloat2x16(w & 0x80008000u | w >> 1 & 0x3f803f80u);
    } else if (format == FORMAT_Q4_0) {
        const uint w = x.words[m % 2] >> (m < 2 ? 0 : 4);
        even = unpackFloat2x16(w & 0x000f000fu | 0x64006400u) - f16vec2(1024 + 8);
        odd = unpackFloat2x16(w >> 8 & 0x000f000fu | 0x64006400u) - f16vec2(1024 + 8);
    } else { // x ^ 0x80 is x + 128 without a sign
        const uint w = x.words[m];
        even = unpackFloat2x16(w & 0x00ff00ffu ^ 0x64806480u) - f16vec2(1024 + 128);
        odd = unpackFloat2x16(w >> 8 & 0x00ff00ffu ^ 0x64806480u) - f16vec2(1024 + 128);
    }
    if (has_blocks(format)) {
        even *= unpackFloat2x16(x.d);
        odd *= unpackFloat2x16(x.d);
    }
}

// ---- loads ----------------------------------------------------------------------------------------------------------

// Loads the subgroup's keys from number `first` on, of the `listed` keys of the block that begins with entry `block`.
// Loads are unconditional, with clamped indices: with a branch around each load, each would wait for the one before.
void fetch_keys(uint block, uint first, uint listed, inout KEYS(k))
{
#ifndef PAGED
    const uint own = block + min(first + gl_SubgroupInvocationID % STEP_KEYS, listed - 1);
    own_slot = fetch_slot(own);
    own_scales = entry_scales(own);
#endif
    [[unroll]] for (uint r = 0; r < 2; r++) {
        const uvec2 row = listed_key(block, min(first + lane_row + 8 * r, listed - 1));
        [[unroll]] for (uint i = 0; i < KEY_STEPS; i++)
            k[r][i] = load_piece(K_FORMAT, row, min(4 * i + lane_column, KEY_PIECES - 1));
    }
}

void fetch_values(uint block, uint first, uint listed, inout VALUES(v))
{
    [[unroll]] for (uint n = 0; n < 4; n++) {
        const uvec2 row = listed_value(block, min(first + element_column(n), listed - 1));
        [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)
            v[n][i] = load_piece(V_FORMAT, row, min(8 * i + lane_row, VALUE_PIECES - 1));
    }
}

// Whether there is a new token among the subgroup's keys: the last one is, because entries ascend.
bool has_new_tokens(uint block, uint first, uint listed)
{
    return entry_token(entry_at(block, min(first + STEP_KEYS, listed) - 1)) != NONE;
}

// Replaces what was loaded for new tokens. This follows all other loads, because it waits for those that it replaces.
void replace_new_keys(uint block, uint first, uint listed, inout KEYS(k))
{
    if (has_new_tokens(block, first, listed))
        [[unroll]] for (uint r = 0; r < 2; r++) {
            const uint token = entry_token(entry_at(block, min(first + lane_row + 8 * r, listed - 1)));
            if (token != NONE)
                [[unroll]] for (uint i = 0; i < KEY_STEPS; i++)
                    k[r][i] = new_piece(K_FORMAT, token * NEW_QUADS, min(4 * i + lane_column, KEY_PIECES - 1));
        }
}

void replace_new_values(uint block, uint first, uint listed, inout VALUES(v))
{
    if (has_new_tokens(block, first, listed))
        [[unroll]] for (uint n = 0; n < 4; n++) {
            const uint token = entry_token(entry_at(block, min(first + element_column(n), listed - 1)));
            const uint at = token * NEW_QUADS + KEY_QUADS;
            if (token != NONE)
                [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)
                    v[n][i] = new_piece(V_FORMAT, at, min(8 * i + lane_row, VALUE_PIECES - 1));
        }
}

// For rows that do not exist, other rows are loaded. This is harmless, because no row of the result depends on another.
void fetch_queries(uint first_row, inout FIRST_QUERIES(q))
{
    [[unroll]] for (uint r = 0; r < 2; r++) {
        const uvec2 row = q_row(min(first_row + lane_row + 8 * r, TOKENS * GROUP - 1));
        vec4 x[4 * KEY_STEPS];
        float largest = 0;
        [[unroll]] for (uint i = 0; i < KEY_STEPS; i++)
            [[unroll]] for (uint m = 0; m < 4; m++) {
                const uint own = 4 * i + lane_column;
                const uint column = piece_column(K_FORMAT, min(own, KEY_PIECES - 1), m);
                vec4 a, b;
                load_8(Q_TYPE, ALIGNED != 0, row, column / 2, a, b);
                a = column % 2 == 0 ? a : b;
                x[4 * i + m] = own < KEY_PIECES ? a : vec4(0);
                largest = larger(larger(larger(larger(largest, a.x), a.y), a.z), a.w);
            }
        const uint exponent = clamp(floatBitsToUint(max_of_row(abs(largest))) >> 23, 1u, 253u);
        row_factor[r] = uintBitsToFloat(exponent << 23);
        [[unroll]] for (uint i = 0; i < 4 * KEY_STEPS; i++) {
            const vec4 y = x[i] * uintBitsToFloat(254 - exponent << 23);
            q[i][ELEMENT(r, 0)] = OPERAND(y.x);
            q[i][ELEMENT(r, 1)] = OPERAND(y.z);
            q[i][ELEMENT(r, 2)] = OPERAND(y.y);
            q[i][ELEMENT(r, 3)] = OPERAND(y.w);
        }
    }
}

// ---- scales ---------------------------------------------------------------------------------------------------------

// The scales of key `at` of the current block, and those of the key of another lane's own_slot. `seen`: of the
// invocation's own slot. Of a key that no row sees, they may be anything.
vec2 listed_scales(uint at)
{
    return vec2(scale_of_key(at), scale_of_value(at));
}

vec2 shuffled_scales(bool seen, uint lane)
{
    vec2 s = vec2(1);
    if (KEY_SCALE_BYTES != 0)
        s.x = subgroupShuffle(own_scales.x, lane);
    if (VALUE_SCALE_BYTES != 0)
        s.y = subgroupShuffle(seen ? own_scales.y : 0, lane);
    return s;
}

// What the product of row `r` and a key is multiplied with.
float score_factor(uint r, vec2 scale)
{
    return row_factor[r] * (scale.x * FORMAT_FACTOR(K_FORMAT));
}

void begin_weights()
{
    value_exponent = 1;
}

// What the probabilities of an invocation's four keys are multiplied with, from 0 to 2. `shrink`: what the output so
// far is multiplied with.
void find_weights(vec2 scale[4], out float weight[4], out float shrink)
{
    shrink = 1;
    [[unroll]] for (uint n = 0; n < 4; n++)
        weight[n] = 1;
    if (VALUE_SCALE_BYTES != 0) {
        const float largest = max_of_row(max(max(scale[0].y, scale[1].y), max(scale[2].y, scale[3].y)));
        const uint before = value_exponent;
        value_exponent = clamp(floatBitsToUint(largest) >> 23, before, 253u);
        shrink = before + 127 > value_exponent ? uintBitsToFloat(before + 127 - value_exponent << 23) : 0;
        [[unroll]] for (uint n = 0; n < 4; n++)
            weight[n] = scale[n].y * uintBitsToFloat(254 - value_exponent << 23);
    }
}

// ---- products -------------------------------------------------------------------------------------------------------

// S = q k^T
MATRIX_C find_scores(FIRST_QUERIES(q), KEYS(k))
{
    MATRIX_C s = MATRIX_C(0.0);
    [[unroll]] for (uint i = 0; i < KEY_STEPS; i++)
        [[unroll]] for (uint m = 0; m < 4; m++) {
            MATRIX_B b;
            [[unroll]] for (uint r = 0; r < 2; r++) {
                f16vec2 even, odd;
                piece_numbers(K_FORMAT, k[r][i], m, even, odd);
                b[ELEMENT(r, 0)] = even.x;
                b[ELEMENT(r, 1)] = even.y;
                b[ELEMENT(r, 2)] = odd.x;
                b[ELEMENT(r, 3)] = odd.y;
            }
            s = coopMatMulAdd(q[4 * i + m], b, s);
        }
    return s;
}

// O = O + P v. If no row sees a key, its blocks count as 0, because 0 * NaN is NaN. Those of INT8 and E4M3 are finite.
void add_values(MATRIX_A probabilities, VALUES(v), bool seen[4], inout OUTPUTS)
{
    [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)
        [[unroll]] for (uint m = 0; m < 4; m++) {
            MATRIX_B even, odd;
            [[unroll]] for (uint n = 0; n < 4; n++) {
                f16vec2 x, y;
                piece part = v[n][i];
                part.d = seen[n] ? part.d : 0;
                piece_numbers(V_FORMAT, part, m, x, y);
                even[ELEMENT(0, n)] = x.x;
                even[ELEMENT(1, n)] = x.y;
                odd[ELEMENT(0, n)] = y.x;
                odd[ELEMENT(1, n)] = y.y;
            }
            o[8 * i + 2 * m] = coopMatMulAdd(probabilities, even, o[8 * i + 2 * m]);
            o[8 * i + 2 * m + 1] = coopMatMulAdd(probabilities, odd, o[8 * i + 2 * m + 1]);
        }
}

// Stores the invocation's part of a row of the output, of row lane_row + 8 r: columns of two of every 8 pieces. With a
// function, NVIDIA's compiler keeps the output in memory.
#define STORE_OUTPUTS(at, r, o)                                                                                        \
    const float factor =                                                                                               \
        VALUE_SCALE_BYTES != 0 ? uintBitsToFloat(value_exponent << 23) * FORMAT_FACTOR(V_FORMAT) : 1;                  \
    [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)                                                                  \
        [[unroll]] for (uint c = 0; c < 2; c++) {                                                                      \
            const uint own = 8 * i + 2 * lane_column + c;                                                              \
            if (own < VALUE_PIECES)                                                                                    \
                [[unroll]] for (uint m = 0; m < 4; m++) {                                                              \
                    const uint even = 8 * i + 2 * m, odd = even + 1, e = ELEMENT(r, c);                                \
                    sums[at * OUT_PITCH + piece_column(V_FORMAT, own, m)] =                                            \
                        floatBitsToUint(factor * vec4(o[even][e], o[odd][e], o[even][e + 2], o[odd][e + 2]));          \
                }                                                                                                      \
        }

#endif
