// SPDX-License-Identifier: MIT
// Attention of up to BLOCK_ROWS rows to the workgroup's split of the cache, portable level. k and v are read once for
// all rows, from memory to registers. With so few rows, shared memory would gain nothing.
#ifndef LIB_DECODE_ATTEND_GLSL
#define LIB_DECODE_ATTEND_GLSL

#include "../lib/score.glsl"
#ifndef QUERY_BITS
#include "../lib/visible.glsl"
#endif

// A unit is 8 elements of a row (rows.glsl): 16 bytes, or 32 bytes of f32, or fewer in formats of fewer bits.
const uint LANE_UNITS = (HEAD_DIM / 8 + KEY_LANES - 1) / KEY_LANES; // units of a row of k in an invocation
const uint LANE_QUADS = LANE_UNITS * KEY_UNIT_QUADS;
const uint QUERY_VECTORS = 2 * LANE_UNITS;
const uint KEY_GROUPS = WORKGROUP / KEY_LANES;
const uint VALUE_UNITS = VALUE_DIM / 8;
const uint VALUE_GROUPS = WORKGROUP / VALUE_UNITS;

// The number of rows that a group loads at a time.
const uint KEYS_WANTED = (LANE_QUADS > 2 ? 2 : 4) * LOADS_AHEAD / 8;
const uint KEYS_AHEAD = KEYS_WANTED > 1 ? KEYS_WANTED : 1;
const uint VALUES_WANTED = (VALUE_UNIT_QUADS == 1 ? 8 : 4) * LOADS_AHEAD / 8;
const uint VALUES_AHEAD = VALUES_WANTED > 1 ? VALUES_WANTED : 1;

shared float scores[BLOCK_ROWS * BLOCK_KEYS]; // then probabilities
shared float row_max[BLOCK_ROWS], row_sum[BLOCK_ROWS], row_shrink[BLOCK_ROWS];
// The number of rows that are added up at a time. With more shared memory, fewer workgroups would run at the same time.
const uint SUM_ROWS = BLOCK_ROWS < 2 ? 1 : 2;
shared vec4 sums[SUM_ROWS * 2 * WORKGROUP];

// Not 0: registers do not even hold a row of q beside one of k. So the units of both are loaded one after another.
const uint BY_UNIT = LOADS_AHEAD > 1 ? 0 : LANE_QUADS > 2 ? 1 : 0;

// What an invocation holds: rows of q, the sums of its columns of v, and loaded rows of k and v.
#define QUERIES vec4 q[BLOCK_ROWS][QUERY_VECTORS]
#define OUTPUTS vec4 o[BLOCK_ROWS][2]
#define KEYS(k) uvec4 k[KEYS_AHEAD][LANE_QUADS]
#define VALUES(v) uvec4 v[VALUES_AHEAD][VALUE_UNIT_QUADS]

// Unit number `i` of an invocation in a row of q; 0 if it does not exist.
void load_query_unit(uint row, uint i, out vec4 a, out vec4 b)
{
    const uint unit = i * KEY_LANES + invocation % KEY_LANES;
    load_q_row_unit(q_row(row), min(unit, HEAD_DIM / 8 - 1), a, b);
    if (unit >= HEAD_DIM / 8)
        a = b = vec4(0);
}

void load_queries(uint first_row, inout QUERIES)
{
    if (BY_UNIT == 0)
        [[unroll]] for (uint r = 0; r < BLOCK_ROWS; r++)
            [[unroll]] for (uint u = 0; u < LANE_UNITS; u++)
                load_query_unit(first_row + r, u, q[r][2 * u], q[r][2 * u + 1]);
}

// Unit number `i` of an invocation in a row. If it does not exist, another unit; q is 0 for it.
uint lane_unit(uint i, uint lane)
{
    const uint unit = i * KEY_LANES + lane;
    return LANE_UNITS * KEY_LANES == HEAD_DIM / 8 ? unit : min(unit, HEAD_DIM / 8 - 1);
}

// Loads keys from number `first` on, of the `listed` keys of the block that begins with entry `block`. Loads are
// unconditional, with clamped indices, so that none waits for a branch.
void fetch_keys(uint block, uint first, uint listed, inout KEYS(k))
{
    const uint lane = invocation % KEY_LANES, group = invocation / KEY_LANES;
    [[unroll]] for (uint n = 0; n < KEYS_AHEAD; n++) {
        const uint entry = entry_at(block, min(first + n * KEY_GROUPS + group, listed - 1));
        const uvec2 row = entry_key(entry);
        [[unroll]] for (uint u = 0; u < LANE_QUADS; u++)
            k[n][u] = load_key_quad(row, entry,
                                    lane_unit(u / KEY_UNIT_QUADS, lane) * KEY_UNIT_QUADS + u % KEY_UNIT_QUADS);
    }
}

void fetch_values(uint block, uint first, uint listed, inout VALUES(v))
{
    const uint unit = invocation % VALUE_UNITS, group = invocation / VALUE_UNITS;
    [[unroll]] for (uint n = 0; n < VALUES_AHEAD; n++) {
        const uint entry = entry_at(block, min(first + n * VALUE_GROUPS + group, listed - 1));
        [[unroll]] for (uint u = 0; u < VALUE_UNIT_QUADS; u++)
            v[n][u] = load_value_quad(entry_value(entry), entry, unit * VALUE_UNIT_QUADS + u);
    }
}

// A lane and its neighbour have sums of the same two rows. Each lane keeps one row, which a bit of its number selects,
// and adds the neighbour's sum of that row. It gives the neighbour its own sum of the other row.
float halve(uint lane, uint bit, float even, float odd)
{
    const bool keeps_odd = (lane & bit) != 0;
    return (keeps_odd ? odd : even) + subgroupShuffleXor(keeps_odd ? even : odd, bit);
}

// Adds up the scores of BLOCK_ROWS rows, up to 8, over a key's lanes. A lane gets row lane % BLOCK_ROWS.
float sum_of_row(uint lane, float score[BLOCK_ROWS])
{
    [[unroll]] for (uint r = 0; r < BLOCK_ROWS / 2; r++)
        score[r] = halve(lane, 1, score[2 * r], score[2 * r + 1]);
    [[unroll]] for (uint r = 0; r < BLOCK_ROWS / 4; r++)
        score[r] = halve(lane, 2, score[2 * r], score[2 * r + 1]);
    [[unroll]] for (uint r = 0; r < BLOCK_ROWS / 8; r++)
        score[r] = halve(lane, 4, score[2 * r], score[2 * r + 1]);
    float sum = score[0];
    [[unroll]] for (uint bit = BLOCK_ROWS; bit < KEY_LANES; bit *= 2)
        sum += subgroupShuffleXor(sum, bit);
    return sum;
}

// Adds to the scores of BLOCK_ROWS rows the products with a key, of this invocation's units.
void add_by_unit(uint first_row, uint entry, inout float score[BLOCK_ROWS])
{
    const uint lane = invocation % KEY_LANES;
    [[dont_unroll]] for (uint u = 0; u < LANE_UNITS; u++) {
        const uint quad = lane_unit(u, lane) * KEY_UNIT_QUADS;
        uvec4 low = load_key_quad(entry_key(entry), entry, quad);
        uvec4 high = low;
        if (KEY_UNIT_QUADS > 1)
            high = load_key_quad(entry_key(entry), entry, quad + 1);
#ifdef FORMATS
        replace_new_key(entry, quad, low);
        replace_new_key(entry, quad + KEY_UNIT_QUADS - 1, high);
#endif
        vec4 a, b;
        unpack_key_unit(low, high, a, b);
        [[unroll]] for (uint r = 0; r < BLOCK_ROWS; r++) {
            vec4 c, d;
            load_query_unit(first_row + r, u, c, d);
            score[r] += dot(c, a) + dot(d, b);
        }
    }
}

// `k` holds the first of the block's keys. The next keys are loaded while these are multiplied.
void find_scores(uint first_row, uint block, uint listed, QUERIES, inout KEYS(k))
{
    const uint lane = invocation % KEY_LANES, group = invocation / KEY_LANES;
    const uint row = first_row + lane % BLOCK_ROWS;
    for (uint first = 0; first < listed; first += KEYS_AHEAD * KEY_GROUPS) {
        KEYS(now);
        if (FEW_REGISTERS) {
            if (BY_UNIT == 0)
                fetch_keys(block, first, listed, now);
        } else {
            [[unroll]] for (uint n = 0; n < KEYS_AHEAD; n++)
                [[unroll]] for (uint u = 0; u < LANE_QUADS; u++)
                    now[n][u] = k[n][u];
            if (first + KEYS_AHEAD * KEY_GROUPS < listed)
                fetch_keys(block, first + KEYS_AHEAD * KEY_GROUPS, listed, k);
        }
        [[unroll]] for (uint n = 0; n < KEYS_AHEAD; n++) {
            const uint at = first + n * KEY_GROUPS + group;
            float score[BLOCK_ROWS];
            [[unroll]] for (uint r = 0; r < BLOCK_ROWS; r++)
                score[r] = 0;
            if (BY_UNIT != 0)
                add_by_unit(first_row, entry_at(block, min(at, listed - 1)), score);
            else
                [[unroll]] for (uint u = 0; u < LANE_UNITS; u++) {
#ifdef FORMATS
                    const uint quad = lane_unit(u, lane) * KEY_UNIT_QUADS;
                    [[unroll]] for (uint i = 0; i < KEY_UNIT_QUADS; i++)
                        replace_new_key(entry_at(block, min(at, listed - 1)), quad + i, now[n][u * KEY_UNIT_QUADS + i]);
#endif
                    vec4 a, b;
                    unpack_key_unit(now[n][u * KEY_UNIT_QUADS], now[n][(u + 1) * KEY_UNIT_QUADS - 1], a, b);
                    [[unroll]] for (uint r = 0; r < BLOCK_ROWS; r++)
                        score[r] += dot(q[r][2 * u], a) + dot(q[r][2 * u + 1], b);
                }
            float x = sum_of_row(lane, score);
            if (at < listed && lane < BLOCK_ROWS) {
                x *= scale_of_key(at);
                const bool visible = is_visible(entry_at(block, at), row, unpack_range(ranges[at]));
                const float bias = ENTRY_TERMS != 0 ? entry_term(entry_at(block, at), row) : biases[at];
                scores[lane * BLOCK_KEYS + at] = finish_score(x, bias, visible);
            }
        }
    }
    barrier();
}

// A subgroup computes a row.
void find_probabilities(uint listed)
{
    for (uint r = gl_SubgroupID; r < BLOCK_ROWS; r += gl_NumSubgroups) {
        float largest = row_max[r], sum = 0;
        for (uint i = gl_SubgroupInvocationID; i < listed; i += gl_SubgroupSize)
            largest = max(largest, scores[r * BLOCK_KEYS + i]);
        for (uint step = 1; step < gl_SubgroupSize; step *= 2)
            largest = max(largest, subgroupShuffleXor(largest, step));
        for (uint i = gl_SubgroupInvocationID; i < listed; i += gl_SubgroupSize) {
            const float x = exp2((scores[r * BLOCK_KEYS + i] - largest) * LOG2_E);
            scores[r * BLOCK_KEYS + i] = x * scale_of_value(i);
            sum += x;
        }
        for (uint step = 1; step < gl_SubgroupSize; step *= 2)
            sum += subgroupShuffleXor(sum, step);
        if (gl_SubgroupInvocationID == 0) {
            const float shrink = exp2((row_max[r] - largest) * LOG2_E);
            row_sum[r] = row_sum[r] * shrink + sum;
            row_shrink[r] = shrink;
            row_max[r] = largest;
        }
    }
    barrier();
}

// `v` holds the first values of the block; the next values are loaded while these are added. Values of keys that no row
// sees may be anything.
void add_values(uint block, uint listed, inout OUTPUTS, inout VALUES(v))
{
    const uint group = invocation / VALUE_UNITS;
    [[unroll]] for (uint r = 0; r < BLOCK_ROWS; r++)
        [[unroll]] for (uint i = 0; i < 2; i++)
            o[r][i] *= row_shrink[r];
    for (uint first = 0; first < listed; first += VALUES_AHEAD * VALUE_GROUPS) {
        VALUES(now);
        if (FEW_REGISTERS)
            fetch_values(block, first, listed, now);
        else {
            [[unroll]] for (uint n = 0; n < VALUES_AHEAD; n++)
                [[unroll]] for (uint u = 0; u < VALUE_UNIT_QUADS; u++)
                    now[n][u] = v[n][u];
            if (first + VALUES_AHEAD * VALUE_GROUPS < listed)
                fetch_values(block, first + VALUES_AHEAD * VALUE_GROUPS, listed, v);
        }
        [[unroll]] for (uint n = 0; n < VALUES_AHEAD; n++) {
            const uint at = first + n * VALUE_GROUPS + group;
            const uint clamped = min(at, listed - 1);
            const bool counts = group < VALUE_GROUPS && at < listed && ranges[clamped] != 0;
#ifdef FORMATS
            [[unroll]] for (uint u = 0; u < VALUE_UNIT_QUADS; u++)
                replace_new_value(entry_at(block, clamped), invocation % VALUE_UNITS * VALUE_UNIT_QUADS + u, now[n][u]);
#endif
            vec4 a, b;
            unpack_value_unit(now[n][0], now[n][VALUE_UNIT_QUADS - 1], a, b);
            a = counts ? a : vec4(0);
            b = counts ? b : vec4(0);
            [[unroll]] for (uint r = 0; r < BLOCK_ROWS; r++) {
                const float x = scores[r * BLOCK_KEYS + clamped];
                o[r][0] += x * a;
                o[r][1] += x * b;
            }
        }
    }
    barrier();
}

// Adds up what the groups of invocations have of each row, and stores it.
void store_partial(uint first_row, OUTPUTS)
{
    const uint unit = invocation % VALUE_UNITS, group = invocation / VALUE_UNITS;
    [[unroll]] for (uint first = 0; first < BLOCK_ROWS; first += SUM_ROWS) {
        [[unroll]] for (uint r = 0; r < SUM_ROWS; r++)
            [[unroll]] for (uint i = 0; i < 2; i++)
                sums[2 * (r * WORKGROUP + invocation) + i] = o[first + r][i];
        barrier();
        for (uint i = invocation; i < SUM_ROWS * 2 * VALUE_UNITS; i += WORKGROUP) {
            const uint r = i / (2 * VALUE_UNITS), column = i % (2 * VALUE_UNITS), row = first_row + first + r;
            vec4 sum = sums[2 * r * WORKGROUP + column];
            for (uint g = 1; g < VALUE_GROUPS; g++)
                sum += sums[2 * (r * WORKGROUP + g * VALUE_UNITS) + column];
            if (row_exists(row))
                SharedQuads(partial_row(split, row)).q[row_column(column)] = floatBitsToUint(sum);
        }
        barrier();
    }
    if (invocation < BLOCK_ROWS && row_exists(first_row + invocation))
        SharedPairs(partial_softmax(split, first_row + invocation)).p[0] =
            floatBitsToUint(vec2(row_max[invocation], row_sum[invocation]));
}

#define FIRST_QUERIES(q) uint q // not loaded early, because the keys need the registers

// Loads the first keys and values of the first block, if its entries are known.
void fetch_first(inout FIRST_QUERIES(q), inout KEYS(k), inout VALUES(v))
{
    const uvec2 range = split_entries(TOKENS);
    if (FIRST_IS_KNOWN && range.x < range.y) {
        fetch_list(range.x);
        if (!FEW_REGISTERS) { // else, keys and values are loaded when they are used
            fetch_keys(range.x, 0, min(range.y - range.x, BLOCK_KEYS), k);
            fetch_values(range.x, 0, min(range.y - range.x, BLOCK_KEYS), v);
        }
    }
}

uint listed = 0;

// `k` and `v` are from fetch_first().
void attend(uint first_row, inout FIRST_QUERIES(first), inout KEYS(k), inout VALUES(v))
{
    QUERIES;
    OUTPUTS;
    load_queries(first_row, q);
    [[unroll]] for (uint r = 0; r < BLOCK_ROWS; r++)
        [[unroll]] for (uint i = 0; i < 2; i++)
            o[r][i] = vec4(0);
    barrier(); // the previous rows have been stored
    if (invocation < BLOCK_ROWS) {
        row_max[invocation] = LOWEST;
        row_sum[invocation] = 0;
    }
    const uvec2 range = split_entries(count);
    for (uint block = range.x; block < range.y; block += BLOCK_KEYS) {
        if (first_row == row_block * BLOCK_ROWS || range.y - range.x > BLOCK_KEYS) // else: listed before
            listed = list_entries(block, min(block + BLOCK_KEYS, range.y));
        if (listed == 0)
            continue;
        if (!FEW_REGISTERS)
            if (!FIRST_IS_KNOWN || first_row > row_block * BLOCK_ROWS || block > range.x) {
                fetch_keys(block, 0, listed, k);
                fetch_values(block, 0, listed, v);
            }
        find_scores(first_row, block, listed, q, k);
        find_probabilities(listed);
        add_values(block, listed, o, v);
    }
    store_partial(first_row, o);
}

#endif
