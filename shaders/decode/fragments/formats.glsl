// SPDX-License-Identifier: MIT
// Rows of formats of 8 and 4 bits in attend_formats.glsl. The matrices are of f16 for every TYPE, because all
// stored numbers are exact in it. What would not fit into f16 is outside of the matrices, in f32:
//     q        a row is divided by a power of 2, so that its largest element is from 1 to 2
//     k        the scale of a row of INT8 or E4M3 multiplies the scores
//     v        that of v multiplies the probabilities. All are divided by a power of 2, which grows with the scales;
//              then the output so far shrinks
// Numbers of Q8_0 and Q4_0 are multiplied by their d in f16. A number x of INT8 is x + 128 in the matrices, which takes
// the fewest instructions; what this adds to the products is subtracted in f32.
//
// A piece is 16 elements of a row, which an invocation loads together: four columns of four matrices of k, or, of v,
// two rows of eight matrices of v^T.
#ifndef LIB_FRAGMENTS_FORMATS_GLSL
#define LIB_FRAGMENTS_FORMATS_GLSL

const uint KEY_PIECES = HEAD_DIM / 16, VALUE_PIECES = VALUE_DIM / 16; // of a row
const uint KEY_STEPS = (KEY_PIECES + 3) / 4, VALUE_STEPS = (VALUE_PIECES + 7) / 8;
const uint OUT_MATRICES = 8 * VALUE_STEPS, QUERY_MATRICES = 4 * KEY_STEPS;

// Blocks begin at any multiple of 2 bytes. Their words are shifted where they are used: where they are loaded, each
// load would be waited for before the next one.
struct piece {
    uvec4 words; // of Q4_0, elements 0 to 7 of its half of the block are lower halves of bytes, 16 to 23 upper ones
    uint next;   // Q8_0: the last word; of Q4_0, it is words.z
    uint d;      // blocks: the word with their d
    uint upper;  // blocks: not 0 if d is in the upper half of its word, so that the numbers begin with words.y
};

// What an invocation holds: the matrices of q, pieces of its rows of k and of v.
#define FIRST_QUERIES(q) MATRIX_B q[QUERY_MATRICES]
#define KEYS(k) piece k[SEEN_KEYS][KEY_STEPS]
#define VALUES(v) piece v[HELD_VALUES][VALUE_STEPS]

vec2 row_factor;         // the powers of 2 by which the invocation's two queries were divided
vec2 first_sums;         // of S^T: what is subtracted for the bias of k
uint value_exponent = 1; // that of the probabilities is 2^(value_exponent - 127)
vec2 own_scales;         // bounded: of the key of own_slot

// In the matrices, numbers of E4M3 are too small by this factor, because the bias of their exponents stays as it is.
// Those of INT8 are subnormal, as integers in the lowest bits.
#define NUMBER_FACTOR(format) ((format) == FORMAT_E4M3 ? 256.0 : (format) == FORMAT_INT8 ? 16777216.0 : 1.0)
#define IS_BIASED(format)     ((format) == FORMAT_INT8)

// ---- pieces ---------------------------------------------------------------------------------------------------------

// Where the elements of word m of piece `i` are in the row, in units of 4 elements.
uint piece_column(uint format, uint i, uint m)
{
    return format == FORMAT_Q4_0 ? 8 * (i / 2) + 2 * (i % 2) + m % 2 + 4 * (m / 2) : 4 * i + m;
}

// Piece `i` of a row of the cache. Of blocks, only words that have a part of the block are read.
piece load_piece(uint format, uvec2 row, uint i)
{
    piece x;
    x.next = x.d = x.upper = 0;
    if (!has_blocks(format)) {
        x.words = Quads(row).q[i];
        return x;
    }
    const uvec2 block = block_of(format, row, 2 * i);
    Words words = Words(uvec2(block.x & ~3u, block.y));
    const uint count = format == FORMAT_Q8_0 ? 4 : 2, first = i % 2 * count;
    x.upper = block.x & 2u;
    x.d = words.w[0];
    x.words = uvec4(words.w[first], words.w[first + 1], words.w[first + 2], 0);
    if (format == FORMAT_Q8_0) {
        x.words.w = words.w[first + 3];
        x.next = words.w[first + 4];
    }
    return x;
}

// The same of a new token, whose units begin at `first` in new_rows.
piece new_piece(uint format, uint first, uint i)
{
    const uvec4 a = new_rows[first + 2 * i], b = new_rows[first + 2 * i + 1];
    piece x;
    x.words = format == FORMAT_Q4_0   ? uvec4(0, a.x, b.x, 0)
              : format == FORMAT_Q8_0 ? uvec4(0, a.xy, b.x)
                                      : uvec4(a.xy, b.xy);
    x.next = b.y;
    x.d = has_blocks(format) ? packHalf2x16(vec2(uintBitsToFloat(a.z))) : 0;
    x.upper = 2;
    return x;
}

// Pairs of f16: bytes 0 and 2 of a word of a piece, and bytes 1 and 3. 1024 + x is 0x6400 + x in f16, for x below 1024.
// x ^ 0x80 is x + 128 without a sign. Those of blocks are not yet multiplied by d.
void word_numbers(uint format, uint w, out f16vec2 even, out f16vec2 odd)
{
    if (format == FORMAT_E4M3) {
        even = unpackFloat2x16(w << 8 & 0x80008000u | w << 7 & 0x3f803f80u);
        odd = unpackFloat2x16(w & 0x80008000u | w >> 1 & 0x3f803f80u);
    } else if (format == FORMAT_Q4_0) {
        even = unpackFloat2x16(w & 0x000f000fu | 0x64006400u) - f16vec2(1024 + 8);
        odd = unpackFloat2x16(w >> 8 & 0x000f000fu | 0x64006400u) - f16vec2(1024 + 8);
    } else if (format == FORMAT_Q8_0) {
        w ^= 0x80808080u;
        even = unpackFloat2x16(w & 0x00ff00ffu | 0x64006400u) - f16vec2(1024 + 128);
        odd = unpackFloat2x16(w >> 8 & 0x00ff00ffu | 0x64006400u) - f16vec2(1024 + 128);
    } else {
        w ^= 0x80808080u;
        even = unpackFloat2x16(w & 0x00ff00ffu);
        odd = unpackFloat2x16(w >> 8 & 0x00ff00ffu);
    }
}

// Word m of a piece, with the numbers of Q4_0 in the lower halves of its bytes.
uint word_of_piece(uint format, piece x, uint m)
{
    if (!has_blocks(format))
        return x.words[m];
    const uint at = format == FORMAT_Q4_0 ? m % 2 : m, low = x.words[at], high = at < 3 ? x.words[at + 1] : x.next;
    const uint word = x.upper != 0 ? high : low >> 16 | high << 16;
    return format == FORMAT_Q4_0 && m >= 2 ? word >> 4 : word;
}

// d of a block, in both halves.
uint d_of_piece(piece x)
{
    return (x.upper != 0 ? x.d >> 16 : x.d & 0xffffu) * 0x10001u;
}

// A matrix whose product with P^T is minus what the bias of v adds.
MATRIX_A minus_bias()
{
    return MATRIX_A(unpackFloat2x16(0x8080u).x); // -128 * 2^-24
}

// ---- loads ----------------------------------------------------------------------------------------------------------

// Of the invocation's values, number `n` is that of this key of the subgroup.
uint value_of(uint n)
{
    return 16 * (n / 4) + element_column(n % 4);
}

#ifdef SUBGROUP_LISTS

// Piece `i` of the row that begins 16 * `at` bytes behind the first page.
piece load_listed(uint format, uint at, uint i)
{
    return load_piece(format, advance(p.pages, at, uvec2(16, 0)), i);
}

// If an invocation has pieces in all steps, their distance is a constant, which is a part of a load.
const bool WHOLE_KEYS = KEY_PIECES % 4 == 0, WHOLE_VALUES = VALUE_PIECES % 8 == 0;

// Loads the subgroup's keys from number `first` of its list on. A list has whole steps.
void fetch_keys(uint block, uint first, uint listed, inout KEYS(k))
{
    const uint own = WHOLE_KEYS ? lane_column : 0;
    [[unroll]] for (uint r = 0; r < SEEN_KEYS; r++) {
        const uint at = places[LIST_AT(first + lane_row + 8 * r)] + own;
        [[unroll]] for (uint i = 0; i < KEY_STEPS; i++)
            k[r][i] = load_listed(K_FORMAT, at, WHOLE_KEYS ? 4 * i : min(4 * i + lane_column, KEY_PIECES - 1));
    }
}

void fetch_values(uint block, uint first, uint listed, inout VALUES(v))
{
    const uint own = WHOLE_VALUES ? lane_row : 0;
    [[unroll]] for (uint n = 0; n < HELD_VALUES; n++) {
        const uint number = LIST_AT(first + value_of(n));
        const uint at = places[number] + (own + value_row_after(VALUE_BYTES == KEY_BYTES ? 0 : entries[number]));
        [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)
            v[n][i] = load_listed(V_FORMAT, at, WHOLE_VALUES ? 8 * i : min(8 * i + lane_row, VALUE_PIECES - 1));
    }
}

#else

// Loads the subgroup's keys from number `first` on, of the `listed` keys of the block that begins with entry `block`.
// Loads are unconditional, with clamped indices: with a branch around each load, each would wait for the one before.
void fetch_keys(uint block, uint first, uint listed, inout KEYS(k))
{
#ifndef PAGED
    const uint own = block + min(first + gl_SubgroupInvocationID % STEP_KEYS, listed - 1);
    own_slot = fetch_slot(own);
    own_scales = entry_scales(own);
#endif
    [[unroll]] for (uint r = 0; r < SEEN_KEYS; r++) {
        const uvec2 row = listed_key(block, min(first + lane_row + 8 * r, listed - 1));
        [[unroll]] for (uint i = 0; i < KEY_STEPS; i++)
            k[r][i] = load_piece(K_FORMAT, row, min(4 * i + lane_column, KEY_PIECES - 1));
    }
}

void fetch_values(uint block, uint first, uint listed, inout VALUES(v))
{
    [[unroll]] for (uint n = 0; n < HELD_VALUES; n++) {
        const uvec2 row = listed_value(block, min(first + value_of(n), listed - 1));
        [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)
            v[n][i] = load_piece(V_FORMAT, row, min(8 * i + lane_row, VALUE_PIECES - 1));
    }
}

#endif

// Whether there is a new token among the first `count` keys of a list: then the last of them is one, because entries
// ascend.
bool has_new_tokens(uint block, uint count)
{
    return entry_token(entry_at(block, count - 1)) != NONE;
}

// Replaces what was loaded for new tokens. This follows all other loads, because it waits for those that it replaces.
void replace_new_keys(uint block, uint first, uint listed, inout KEYS(k))
{
    if (has_new_tokens(block, min(first + STEP_KEYS, listed)))
        [[unroll]] for (uint r = 0; r < SEEN_KEYS; r++) {
            const uint token = entry_token(entry_at(block, min(first + lane_row + 8 * r, listed - 1)));
            if (token != NONE)
                [[unroll]] for (uint i = 0; i < KEY_STEPS; i++)
                    k[r][i] = new_piece(K_FORMAT, token * NEW_QUADS, min(4 * i + lane_column, KEY_PIECES - 1));
        }
}

void replace_new_values(uint block, uint first, uint listed, inout VALUES(v))
{
    if (has_new_tokens(block, min(first + STEP_KEYS, listed)))
        [[unroll]] for (uint n = 0; n < HELD_VALUES; n++) {
            const uint token = entry_token(entry_at(block, min(first + value_of(n), listed - 1)));
            const uint at = token * NEW_QUADS + KEY_QUADS;
            if (token != NONE)
                [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)
                    v[n][i] = new_piece(V_FORMAT, at, min(8 * i + lane_row, VALUE_PIECES - 1));
        }
}

// For rows that do not exist, other rows are loaded. This is harmless, because no column of the result depends on
// another.
void fetch_queries(uint first_row, inout FIRST_QUERIES(q))
{
    const uvec2 row = q_row(min(first_row + lane_row, TOKENS * GROUP - 1));
    vec4 x[4 * KEY_STEPS];
    float largest = 0, sum = 0;
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
    [[unroll]] for (uint i = 0; i < 4 * KEY_STEPS; i++) {
        const f16vec4 y = f16vec4(x[i] * uintBitsToFloat(254 - exponent << 23));
        q[i][ELEMENT(0, 0)] = y.x;
        q[i][ELEMENT(0, 1)] = y.z;
        q[i][ELEMENT(0, 2)] = y.y;
        q[i][ELEMENT(0, 3)] = y.w;
        sum += float(y.x) + float(y.y) + float(y.z) + float(y.w);
    }
    sum += subgroupShuffleXor(sum, 1);
    sum += subgroupShuffleXor(sum, 2);
    [[unroll]] for (uint n = 0; n < 2; n++) {
        const uint lane = lane_of(2 * lane_column + n, 0);
        row_factor[n] = subgroupShuffle(uintBitsToFloat(exponent << 23), lane);
        first_sums[n] = IS_BIASED(K_FORMAT) ? -128 / NUMBER_FACTOR(K_FORMAT) * subgroupShuffle(sum, lane) : 0;
    }
}

// ---- scales ---------------------------------------------------------------------------------------------------------

// The scales of the key of another invocation's own_slot. `seen`: of the invocation's own slot. Of a key that no query
// sees, they may be anything.
vec2 shuffled_scales(bool seen, uint lane)
{
    vec2 s = vec2(1);
    if (KEY_SCALE_BYTES != 0)
        s.x = subgroupShuffle(own_scales.x, lane);
    if (VALUE_SCALE_BYTES != 0)
        s.y = subgroupShuffle(seen ? own_scales.y : 0, lane);
    return s;
}

void begin_weights()
{
    value_exponent = 1;
}

// What the probabilities of the invocation's keys are multiplied with, from 0 to 2. `shrink`: what the output so far
// is multiplied with.
void find_weights(vec2 scale[SEEN_KEYS], out float weight[SEEN_KEYS], out float shrink)
{
    shrink = 1;
    [[unroll]] for (uint r = 0; r < SEEN_KEYS; r++)
        weight[r] = 1;
    if (VALUE_SCALE_BYTES != 0) {
        float largest = scale[0].y;
        [[unroll]] for (uint r = 1; r < SEEN_KEYS; r++)
            largest = max(largest, scale[r].y);
        largest = max_of_column(largest);
        const uint before = value_exponent;
        value_exponent = clamp(floatBitsToUint(largest) >> 23, before, 253u);
        shrink = before + 127 > value_exponent ? uintBitsToFloat(before + 127 - value_exponent << 23) : 0;
        [[unroll]] for (uint r = 0; r < SEEN_KEYS; r++)
            weight[r] = scale[r].y * uintBitsToFloat(254 - value_exponent << 23);
    }
}

// ---- products -------------------------------------------------------------------------------------------------------

// S^T = k q^T
void find_scores(FIRST_QUERIES(q), KEYS(k), inout MATRIX_C s[KEY_TILES])
{
    [[unroll]] for (uint t = 0; t < KEY_TILES; t++)
        [[unroll]] for (uint e = 0; e < 4; e++)
            s[t][e] = first_sums[e % 2];
    [[unroll]] for (uint i = 0; i < KEY_STEPS; i++)
        [[unroll]] for (uint m = 0; m < 4; m++)
            [[unroll]] for (uint t = 0; t < KEY_TILES; t++) {
                MATRIX_A a;
                [[unroll]] for (uint r = 0; r < 2; r++) {
                    const piece x = k[2 * t + r][i];
                    f16vec2 even, odd;
                    word_numbers(K_FORMAT, word_of_piece(K_FORMAT, x, m), even, odd);
                    if (has_blocks(K_FORMAT)) {
                        even *= unpackFloat2x16(d_of_piece(x));
                        odd *= unpackFloat2x16(d_of_piece(x));
                    }
                    a[ELEMENT(r, 0)] = even.x;
                    a[ELEMENT(r, 1)] = even.y;
                    a[ELEMENT(r, 2)] = odd.x;
                    a[ELEMENT(r, 3)] = odd.y;
                }
                s[t] = coopMatMulAdd(a, q[4 * i + m], s[t]);
            }
}

// The lower or the upper halves of two words. As numbers of 16 bits, they are moved by one instruction.
uint merge_halves(bool upper, uint x, uint y)
{
    const f16vec2 a = unpackFloat2x16(x), b = unpackFloat2x16(y);
    return packFloat2x16(upper ? f16vec2(a.y, b.y) : f16vec2(a.x, b.x));
}

// O^T = O^T + v^T P^T. If no row sees a key, its blocks count as 0, because 0 * NaN is NaN. Numbers of INT8 and E4M3
// are finite. Words of two keys are merged before they become numbers, so that a pair of f16 has a number of each.
void add_values(PROBABILITIES(probabilities), VALUES(v), bool seen[SEEN_KEYS], inout OUTPUTS)
{
    if (has_blocks(V_FORMAT))
        [[unroll]] for (uint n = 0; n < HELD_VALUES; n++) {
            const bool is_seen = subgroupShuffle(seen[n / 2] ? 1 : 0, lane_of(value_of(n), 0)) != 0;
            [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++)
                v[n][i].d = is_seen ? v[n][i].d : 0;
        }
    [[unroll]] for (uint i = 0; i < OUT_MATRICES; i++) {
        const uint step = i / 8, m = i % 8 / 2; // bytes 0 and 1, or 2 and 3, of word m
        [[unroll]] for (uint t = 0; t < KEY_TILES; t++) {
            MATRIX_A a;
            [[unroll]] for (uint n = 0; n < 4; n += 2) {
                const piece first = v[4 * t + n][step], second = v[4 * t + n + 1][step];
                f16vec2 even, odd;
                const uint x = word_of_piece(V_FORMAT, first, m), y = word_of_piece(V_FORMAT, second, m);
                word_numbers(V_FORMAT, merge_halves(i % 2 != 0, x, y), even, odd);
                if (has_blocks(V_FORMAT)) {
                    const f16vec2 d = unpackFloat2x16(d_of_piece(first) & 0xffffu | d_of_piece(second) << 16);
                    even *= d;
                    odd *= d;
                }
                a[ELEMENT(0, n)] = even.x;
                a[ELEMENT(0, n + 1)] = even.y;
                a[ELEMENT(1, n)] = odd.x;
                a[ELEMENT(1, n + 1)] = odd.y;
            }
            o[i] = coopMatMulAdd(a, probabilities[t], o[i]);
        }
    }
}

// Stores the invocation's part of the output of query 2 lane_column + n: one of every 8 pieces. With a function,
// NVIDIA's compiler keeps the output in memory.
#define STORE_OUTPUTS(row, n, o)                                                                                       \
    const float factor = VALUE_SCALE_BYTES != 0 ? uintBitsToFloat(value_exponent << 23) : 1;                           \
    [[unroll]] for (uint i = 0; i < VALUE_STEPS; i++) {                                                                \
        const uint own = 8 * i + lane_row;                                                                             \
        if (own < VALUE_PIECES)                                                                                        \
            [[unroll]] for (uint m = 0; m < 4; m++) {                                                                  \
                const uint a = 8 * i + 2 * m, b = a + 1;                                                               \
                const vec4 x = vec4(o[a][n], o[a][n + 2], o[b][n], o[b][n + 2]);                                       \
                sums[sums_row(gl_SubgroupID, row) + piece_column(V_FORMAT, own, m)] =                                  \
                    floatBitsToUint(x * NUMBER_FACTOR(V_FORMAT) * factor);                                             \
            }                                                                                                          \
    }

#endif
