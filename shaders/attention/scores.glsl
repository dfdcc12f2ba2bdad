// SPDX-License-Identifier: MIT
// The forward kernel's tile: what lies in shared memory and registers, and from products to scores.
#ifndef LIB_SCORES_GLSL
#define LIB_SCORES_GLSL

#define PAIR_ROWS TILE_ROWS
#define PAIR_COLUMNS TILE_KEYS
#include "../lib/matrix.glsl"

const uint HEAD_COLUMNS = HEAD_BLOCKS * MATRIX_K / 8, VALUE_COLUMNS = VALUE_BLOCKS * MATRIX_N / 8;
const uint KEY_PITCH = HEAD_COLUMNS + 1, VALUE_PITCH = VALUE_COLUMNS + 1;
const uint VALUES = TILE_KEYS * KEY_PITCH; // where those begin
const uint STAGED = VALUES + TILE_KEYS * VALUE_PITCH;
// Before and after the tiles of keys, each subgroup has a slice.
const uint STAGED_UNITS = STAGED > SUBGROUPS * BLOCK_UNITS ? STAGED : SUBGROUPS * BLOCK_UNITS;
const uint SLICE_UNITS = STAGED_UNITS / SUBGROUPS;

shared uvec4 staged[STAGED_UNITS];

// What a subgroup holds in registers; softmax_*.glsl says what ROW_VALUES and HELD_BLOCKS are. In main()'s own arrays: some
// drivers keep larger global ones in memory.
#define SCORES MATRIX_C score[ROW_BLOCKS][COLUMN_BLOCKS]
#define PROBABILITIES MATRIX_A probability[ROW_BLOCKS][HELD_BLOCKS]
#define OUTPUTS MATRIX_C o[ROW_BLOCKS][VALUE_BLOCKS]
#define ROW_MAXIMA float row_max[ROW_BLOCKS][ROW_VALUES] // in units of q k
#define ROW_SUMS float row_sum[ROW_BLOCKS][ROW_VALUES]   // of an invocation's own probabilities

float score_scale;   // |scale|: its sign is in q
float score_inverse; // 1 / |scale|

// A bias in units of q k. Finite where it was, so that nothing becomes NaN.
float score_bias(float bias)
{
    return bias == MINUS_INFINITY ? bias : clamp(bias * score_inverse, -3e38, 3e38);
}

#define SLOT_BIAS(x) score_bias(x)
#define SLOT_SETS 2
#include "../lib/key_tiles.glsl"

// A score in units of q k, capped, biased (unless it started so) and -infinity if hidden: key i of the tile, and row.
float finish_score(key_tile t, const bool partial, uint row, uint i, float x, bool add_key_bias)
{
    if (SOFT_CAP != 0)
        x = cap(x * score_scale) * score_inverse;
    if (BIAS_BY_KEY != 0 && add_key_bias)
        x += slot_bias[t.slots + i];
    else if (BIAS != 0 && BIAS_BY_KEY == 0)
        x += score_bias(load_bias(row_head(row), row_query(row), tile_key(t, i)));
    if (partial) {
        const ivec2 life = tile_life(t, i);
        const int query = int(row_query(row));
        bool seen = life.x <= query && query < life.y;
        if (MASK == MASK_DENSE && seen)
            seen = mask_allows(t.first + i, query);
        x = seen ? x : MINUS_INFINITY;
    }
    return x;
}

#endif
