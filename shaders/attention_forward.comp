// SPDX-License-Identifier: MIT
// Attention, forward, portable level: an online softmax over tiles of keys, all sums in f32, products by FMA.
//
// Invocation (row_lane, key_lane) computes the rows row_lane + i * ROW_LANES and the keys key_lane + n * KEY_LANES.
//
//     for each tile of keys, which are neighbours, or those of a list of all keys that some query of the tile sees
//         S = scale * q k^T                  q and k staged DEPTH elements of their rows at a time
//         S = cap(S) + bias, -inf where hidden
//         m' = max(m, max S);  P = exp(S - m');  l = l * exp(m - m') + sum P;  m = m'
//         O = O * exp(m - m') + P v          v staged VALUE_KEYS rows at a time
//     out = O / l;  lse = m + ln l
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "lib/tile.glsl"

const uint ROW_LANES = WORKGROUP / KEY_LANES;
const uint LANE_ROWS = TILE_ROWS / ROW_LANES;
const uint LANE_KEYS = TILE_KEYS / KEY_LANES;

// In units of 4 elements. A lane holds the columns key_lane + c * KEY_LANES of its rows of O.
const uint DEPTH_4 = DEPTH / 4;
const uint VALUE_COLUMNS = (VALUE_DIM / 4 + KEY_LANES - 1) / KEY_LANES;

// One row more than needed apart, so that rows start in different banks.
const uint STAGE_PITCH = DEPTH_4 + 1;
const uint VALUE_PITCH = VALUE_COLUMNS * KEY_LANES;
const uint PROBABILITY_PITCH = TILE_KEYS / 4 + 1;

const uint STAGED_QK = (TILE_ROWS + TILE_KEYS) * STAGE_PITCH;
const uint STAGED_V = VALUE_KEYS * VALUE_PITCH;

shared vec4 staged[STAGED_QK > STAGED_V ? STAGED_QK : STAGED_V];
shared vec4 probabilities[TILE_ROWS * PROBABILITY_PITCH];

// If listed, the tile's keys. What is not below p.keys is none.
shared uint listed_keys[TILE_KEYS];

uint invocation, row_lane, key_lane;

// What an invocation holds: its scores of a tile, then probabilities; for its rows the maximum, the sum of its own keys'
// probabilities, and its part of O. In main()'s own arrays: some drivers keep larger global ones in memory.
#define SCORES float score[LANE_ROWS][LANE_KEYS]
#define MAXIMA float row_max[LANE_ROWS]
#define SUMS float row_sum[LANE_ROWS]
#define OUTPUTS vec4 o[LANE_ROWS][VALUE_COLUMNS]

// The largest value among the lanes of a row.
float max_over_row(float x)
{
    [[unroll]] for (uint lane = 1; lane < KEY_LANES; lane *= 2)
        x = max(x, subgroupShuffleXor(x, lane));
    return x;
}

float sum_over_row(float x)
{
    [[unroll]] for (uint lane = 1; lane < KEY_LANES; lane *= 2)
        x += subgroupShuffleXor(x, lane);
    return x;
}

uint key_at(uint first_key, uint i)
{
    return LISTED ? listed_keys[i] : first_key + i;
}

// Loads are unconditional, from a clamped place, and what lies outside is dropped afterwards: a branch around each would
// make each wait for the one before.

// Stages elements [first, first + DEPTH) of the tile's rows of q, then of k; 0 past the last row and past the row's end.
void stage_qk(uint first_key, uint first)
{
    const uint columns = DEPTH / 8, total = (TILE_ROWS + TILE_KEYS) * columns;
    [[unroll]] for (uint step = 0; step < total; step += WORKGROUP) {
        uint row = (step + invocation) / columns, column = (step + invocation) % columns;
        bool is_query = row < TILE_ROWS;
        uint key = key_at(first_key, is_query ? 0 : min(row - TILE_ROWS, TILE_KEYS - 1));
        uvec2 address = is_query ? q_row(row) : k_row(key);
        vec4 a, b;
        load_8(TYPE, ALIGNED != 0, address, min(first / 8 + column, HEAD_DIM / 8 - 1), a, b);
        bool inside = (is_query ? row_exists(row) : key < p.keys) && first / 8 + column < HEAD_DIM / 8;
        if (step + invocation < total) {
            staged[row * STAGE_PITCH + 2 * column] = inside ? a : vec4(0);
            staged[row * STAGE_PITCH + 2 * column + 1] = inside ? b : vec4(0);
        }
    }
}

// Stages whole rows of v, from key `first` of the tile on. Those of hidden keys are 0 whatever they hold: 0 * NaN would be NaN.
void stage_values(uint first_key, uint first, bool partial)
{
    const uint columns = VALUE_DIM / 8, total = VALUE_KEYS * columns;
    [[unroll]] for (uint step = 0; step < total; step += WORKGROUP) {
        uint row = (step + invocation) / columns, column = (step + invocation) % columns;
        uint key = key_at(first_key, min(first + row, TILE_KEYS - 1));
        vec4 a, b;
        load_8(TYPE, ALIGNED != 0, v_row(key), column, a, b);
        bool hidden = partial && key_is_hidden(key);
        if (step + invocation < total) {
            staged[row * VALUE_PITCH + 2 * column] = hidden ? vec4(0) : a;
            staged[row * VALUE_PITCH + 2 * column + 1] = hidden ? vec4(0) : b;
        }
    }
}

// score = q k^T for one tile
void multiply_qk(uint first_key, out SCORES)
{
    [[unroll]] for (uint i = 0; i < LANE_ROWS; i++)
        [[unroll]] for (uint n = 0; n < LANE_KEYS; n++)
            score[i][n] = 0;
    for (uint first = 0; first < HEAD_DIM; first += DEPTH) {
        barrier();
        stage_qk(first_key, first);
        barrier();
        [[unroll]] for (uint d = 0; d < DEPTH_4; d++) {
            vec4 q[LANE_ROWS];
            [[unroll]] for (uint i = 0; i < LANE_ROWS; i++)
                q[i] = staged[(row_lane + i * ROW_LANES) * STAGE_PITCH + d];
            [[unroll]] for (uint n = 0; n < LANE_KEYS; n++) {
                vec4 k = staged[(TILE_ROWS + key_lane + n * KEY_LANES) * STAGE_PITCH + d];
                [[unroll]] for (uint i = 0; i < LANE_ROWS; i++) {
                    float s = fma(q[i].x, k.x, score[i][n]);
                    s = fma(q[i].y, k.y, s);
                    s = fma(q[i].z, k.z, s);
                    score[i][n] = fma(q[i].w, k.w, s);
                }
            }
        }
    }
}

// score = cap(scale * score) + bias; hidden ones -inf if the tile is `partial`
void finish_scores(uint first_key, bool partial, inout SCORES)
{
    [[unroll]] for (uint i = 0; i < LANE_ROWS; i++)
        [[unroll]] for (uint n = 0; n < LANE_KEYS; n++)
            score[i][n] = SOFT_CAP != 0 ? cap(p.scale * score[i][n]) : p.scale * score[i][n];
    if (BIAS != 0) {
        [[unroll]] for (uint n = 0; n < LANE_KEYS; n++) {
            uint key = min(key_at(first_key, key_lane + n * KEY_LANES), p.keys - 1);
            float key_bias = BIAS_BY_KEY != 0 ? load_bias(first_head, 0, key) : 0;
            [[unroll]] for (uint i = 0; i < LANE_ROWS; i++) {
                uint row = row_lane + i * ROW_LANES;
                score[i][n] += BIAS_BY_KEY != 0 ? key_bias : load_bias(row_head(row), row_query(row), key);
            }
        }
    }
    if (!partial)
        return;
    [[unroll]] for (uint n = 0; n < LANE_KEYS; n++) {
        uint key = key_at(first_key, key_lane + n * KEY_LANES);
        ivec2 life = key_life(key);
        [[unroll]] for (uint i = 0; i < LANE_ROWS; i++) {
            uint query = row_query(row_lane + i * ROW_LANES);
            bool seen = life.x <= int(query) && int(query) < life.y;
            if (MASK == MASK_DENSE && seen)
                seen = mask_allows(key, query);
            score[i][n] = seen ? score[i][n] : MINUS_INFINITY;
        }
    }
}

// Turns scores into probabilities relative to the new maximum, and rescales what was summed so far.
void update_softmax(inout SCORES, inout MAXIMA, inout SUMS, inout OUTPUTS)
{
    [[unroll]] for (uint i = 0; i < LANE_ROWS; i++) {
        float tile_max = LOWEST;
        [[unroll]] for (uint n = 0; n < LANE_KEYS; n++)
            tile_max = max(tile_max, score[i][n]);
        float new_max = max(row_max[i], max_over_row(tile_max));
        float shrink = exp2((row_max[i] - new_max) * LOG2_E);
        row_max[i] = new_max;
        row_sum[i] *= shrink;
        [[unroll]] for (uint c = 0; c < VALUE_COLUMNS; c++)
            o[i][c] *= shrink;
        uint at = (row_lane + i * ROW_LANES) * PROBABILITY_PITCH + key_lane / 4;
        [[unroll]] for (uint n = 0; n < LANE_KEYS; n++) {
            float probability = exp2((score[i][n] - new_max) * LOG2_E);
            row_sum[i] += probability;
            probabilities[at + n * (KEY_LANES / 4)][key_lane % 4] = probability;
        }
    }
}

// O += P v for one tile
void multiply_pv(uint first_key, bool partial, inout OUTPUTS)
{
    for (uint first = 0; first < TILE_KEYS; first += VALUE_KEYS) {
        barrier();
        stage_values(first_key, first, partial);
        barrier();
        [[dont_unroll]] for (uint j = 0; j < VALUE_KEYS / 4; j++) {
            vec4 probability[LANE_ROWS];
            [[unroll]] for (uint i = 0; i < LANE_ROWS; i++)
                probability[i] = probabilities[(row_lane + i * ROW_LANES) * PROBABILITY_PITCH + first / 4 + j];
            [[unroll]] for (uint jj = 0; jj < 4; jj++)
                [[unroll]] for (uint c = 0; c < VALUE_COLUMNS; c++) {
                    vec4 v = staged[(4 * j + jj) * VALUE_PITCH + key_lane + c * KEY_LANES];
                    [[unroll]] for (uint i = 0; i < LANE_ROWS; i++)
                        o[i][c] = fma(vec4(probability[i][jj]), v, o[i][c]);
                }
        }
    }
}

// One tile of keys, which share listed_keys if they are listed: written before the first barrier, read until the last.
#define ATTEND(first_key, partial)                                                                                     \
    multiply_qk(first_key, score);                                                                                     \
    finish_scores(first_key, partial, score);                                                                          \
    update_softmax(score, row_max, row_sum, o);                                                                        \
    multiply_pv(first_key, partial, o)

void store_rows(MAXIMA, SUMS, OUTPUTS)
{
    // First of all, while all lanes go together.
    [[unroll]] for (uint i = 0; i < LANE_ROWS; i++)
        row_sum[i] = sum_over_row(row_sum[i]);
    [[unroll]] for (uint i = 0; i < LANE_ROWS; i++) {
        float sum = row_sum[i];
        uint row = row_lane + i * ROW_LANES;
        if (!row_exists(row))
            continue;
        float inverse = sum > 0 ? 1 / sum : 0;
        uvec2 address = out_row(row);
        [[unroll]] for (uint c = 0; c < VALUE_COLUMNS; c++) {
            uint column = key_lane + c * KEY_LANES;
            if (column < VALUE_DIM / 4)
                store_4(OUT_TYPE, OUT_ALIGNED != 0, address, column, o[i][c] * inverse);
        }
        if (STORES_SOFTMAX && key_lane == 0)
            store_softmax(row, row_max[i], sum);
    }
}

void main()
{
    // Neighbours in a row must be neighbours in a subgroup, which the local index does not promise.
    invocation = gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID;
    row_lane = invocation / KEY_LANES;
    key_lane = invocation % KEY_LANES;

    begin_tile();

    SCORES;
    MAXIMA;
    SUMS;
    OUTPUTS;
    [[unroll]] for (uint i = 0; i < LANE_ROWS; i++) {
        row_max[i] = LOWEST;
        row_sum[i] = 0;
        [[unroll]] for (uint c = 0; c < VALUE_COLUMNS; c++)
            o[i][c] = vec4(0);
    }

    if (LISTED) {
        const uvec2 part = part_of((list.y + TILE_KEYS - 1) / TILE_KEYS) * TILE_KEYS;
        for (uint slot = part.x; slot < part.y; slot += TILE_KEYS) {
            if (invocation < TILE_KEYS)
                listed_keys[invocation] = listed_key(slot + invocation);
            ATTEND(0, slot + TILE_KEYS > list.z);
        }
    } else {
        const uint end_key = CAUSAL != 0 ? min(causal_end(end_query - 1), p.keys) : p.keys;
        const uvec2 part = part_of((end_key + TILE_KEYS - 1) / TILE_KEYS);
        Pairs bitmap = Pairs(MASK == MASK_DENSE ? tile_row(batch, score_head(MASK_HEADS, first_head), query_tile) : uvec2(0));
        for (uint first = part.x & ~31u; first < part.y; first += 32) {
            uvec2 bits = MASK == MASK_DENSE ? bitmap.p[first / 32] : uvec2(0xffffffffu);
            uint live = bits.x & bits_of(part, first);
            while (live != 0) {
                uint bit = findLSB(live);
                live &= live - 1;
                uint first_key = (first + bit) * TILE_KEYS, past_key = first_key + TILE_KEYS;
                bool partial = (bits.y >> bit & 1u) == 0 || past_key > p.keys
                               || CAUSAL != 0 && past_key > causal_end(first_query);
                ATTEND(first_key, partial);
            }
        }
    }
    store_rows(row_max, row_sum, o);
}
