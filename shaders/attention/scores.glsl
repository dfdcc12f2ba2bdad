// SPDX-License-Identifier: MIT
// The forward kernel's tile: its memory layout in shared memory and registers, and how products become scores.
#ifndef LIB_SCORES_GLSL
#define LIB_SCORES_GLSL

// Products are already scores, in units of score_unit, unless a soft cap or a bias must still be applied. The scale's
// sign is in q.
#define SCORE_SCALE abs(uintBitsToFloat(SCALE))
#define IN_SCORE_UNITS(bias) bias_to_units(bias)
#ifdef FRAGMENTS
#define START_FROM_BIAS
#endif
float bias_to_units(float bias);

#define PAIR_ROWS TILE_ROWS
#define PAIR_COLUMNS TILE_KEYS
#include "../lib/matrix.glsl"

const uint HEAD_COLUMNS = HEAD_BLOCKS * MATRIX_K / 8, VALUE_COLUMNS = VALUE_BLOCKS * MATRIX_N / 8;
#ifdef REGISTERS
const uint KEY_PITCH = HEAD_COLUMNS + 1, VALUE_PITCH = VALUE_COLUMNS + 1;
const uint VALUES = TILE_KEYS * KEY_PITCH; // rows of v begin here
const uint STAGED = VALUES + TILE_KEYS * VALUE_PITCH;
#else
const uint KEY_PITCH = HEAD_COLUMNS + 1, VALUES = TILE_KEYS * KEY_PITCH; // v begins here
// With SUMS_SHARED, columns of v are stored: 8 keys in a unit. For coopMatLoad(), pairs of keys are then words, as an
// operand needs them. So it makes half as many accesses, and no moves (ANV).
const uint VALUE_ROWS = SUMS_SHARED != 0 ? 8 * VALUE_COLUMNS : TILE_KEYS;
const uint VALUE_PITCH = SUMS_SHARED != 0 ? TILE_KEYS / 8 + 1 : VALUE_COLUMNS + 1;
const uint STAGED = VALUES + VALUE_ROWS * VALUE_PITCH;
#endif
// Before the first and after the last tile of keys, the same memory is divided into one slice per subgroup.
const uint STAGED_UNITS = STAGED > SUBGROUPS * BLOCK_UNITS ? STAGED : SUBGROUPS * BLOCK_UNITS;
const uint SLICE_UNITS = STAGED_UNITS / SUBGROUPS;

shared uvec4 staged[STAGED_UNITS];

// What a subgroup holds in registers. softmax_*.glsl defines ROW_VALUES and HELD_BLOCKS. These are local arrays of
// main(), because some drivers keep large global arrays in memory.
#define SCORES MATRIX_C score[ROW_BLOCKS][COLUMN_BLOCKS]
#define PROBABILITIES MATRIX_A probability[ROW_BLOCKS][HELD_BLOCKS]
#define OUTPUTS MATRIX_C o[ROW_BLOCKS][OUTPUT_BLOCKS]
#define ROW_MAXIMA float row_max[ROW_BLOCKS][ROW_VALUES] // softmax_*.glsl has their unit
#define ROW_SUMS float row_sum[ROW_BLOCKS][ROW_VALUES]   // of an invocation's own probabilities

float score_unit; // exponent_scale()
float score_inverse;
float large_bias;   // 2^102 units, if these are less than 1
float large_offset; // from it to 2^102

void begin_units()
{
    score_unit = exponent_scale();
    score_inverse = 1 / score_unit;
    large_bias = score_unit < 1 ? 5.0706024e30 * score_unit : HIGHEST;
    large_offset = score_unit < 1 ? 5.0706024e30 - large_bias : 0;
}

// A bias in units of score_unit. It is rounded once more than in the gradients, by no more than lse is. A large bias
// divided by the unit could overflow, so the part beyond large_bias is not divided. That keeps the order of scores, and
// nothing else matters among such scores: two of them that differ at all differ by 2^79 units, so that the lower one
// has a probability of 0. The highest bias stays finite, as 2^102 is a quarter of a unit in its last place.
float bias_to_units(float bias)
{
    return abs(bias) <= large_bias ? bias * score_inverse : bias + (bias < 0 ? -large_offset : large_offset);
}

// The inverse, for the largest score of a row.
float score_from_units(float x)
{
    if (PAIR_TERMS == 0 || abs(x) <= large_bias * score_inverse)
        return x * score_unit;
    return x + (x < 0 ? large_offset : -large_offset);
}

#ifdef REGISTERS
#define SLOT_SETS 3
#else
#define SLOT_SETS 2
#endif
#include "key_tiles.glsl"

bool tile_shows(key_tile t, uint row, uint i)
{
    return row_sees(t.first + i, row, tile_range(t, i));
}

// An element of an additive mask that is -infinity hides the pair. It is loaded as a bias, so no other test is needed.
// With slopes it is, because a slope may turn it into something else.
const bool HIDES_BY_BIAS = MASK != MASK_ADDITIVE ? false : SLOPES == 0;

#ifdef ADDITIVE_ROWS
// Whether `visible` is known for each element of a mask that only hides (visible_rows.glsl).
#ifdef FRAGMENTS
const uint HIDES_BY_ROWS = 1;
#else
const uint HIDES_BY_ROWS = 0;
#endif
#endif

// The score of a row and key i of the tile, from their product x. `partial`: of the tile.
float tile_score(key_tile t, const bool partial, uint row, uint i, float x, bool visible)
{
    const float key_bias = BIAS_BY_KEY != 0 ? slot_bias[t.slots + i] : 0;
#ifdef ADDITIVE_ROWS
    const float bias = !partial             ? 0
                       : BIAS != 0          ? pair_bias(row, tile_key(t, i), key_bias)
                       : HIDES_BY_ROWS != 0 ? 0
                                            : load_bias(row_head(row), row_query(row), tile_key(t, i));
#else
    const float bias = MASK != MASK_ADDITIVE || partial ? pair_bias(row, tile_key(t, i), key_bias) : 0;
#endif
    if (HIDES_BY_BIAS)
        visible = visible && floatBitsToUint(bias) != floatBitsToUint(MINUS_INFINITY);
    return finish_score(x, bias, visible);
}

#endif
