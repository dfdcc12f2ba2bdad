// SPDX-License-Identifier: MIT
// Cooperative matrices: types, and what a subgroup holds of a tile. Before it is included, OPERAND is the type of their
// elements and OPERAND_TYPE that of attention.h which it is.
//
// A subgroup has ROW_BLOCKS * MATRIX_M rows of the tile; rows of q and of O are cut into blocks of MATRIX_K and of MATRIX_N.
#ifndef LIB_MATRIX_GLSL
#define LIB_MATRIX_GLSL

#include "tile.glsl"

#define MATRIX_A coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA>
#define MATRIX_B coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB>
#define MATRIX_C coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
#define BY_ROWS gl_CooperativeMatrixLayoutRowMajor
#define BY_COLUMNS gl_CooperativeMatrixLayoutColumnMajor

const uint SUBGROUPS = WORKGROUP / SUBGROUP;
const uint ROW_BLOCKS = TILE_ROWS / (SUBGROUPS * MATRIX_M);
const uint HEAD_BLOCKS = (HEAD_DIM + MATRIX_K - 1) / MATRIX_K;
const uint VALUE_BLOCKS = (VALUE_DIM + MATRIX_N - 1) / MATRIX_N;
const uint SCORE_BLOCKS = TILE_KEYS / MATRIX_N;
const uint PROBABILITY_BLOCKS = TILE_KEYS / MATRIX_K;
const uint ELEMENTS = MATRIX_M * MATRIX_N / SUBGROUP; // of an accumulator that an invocation holds

// Shared memory in units of 16 bytes: 8 elements, or 4 sums. Rows lie one unit more apart than they are long, so that they
// start in different banks.
const uint HEAD_COLUMNS = HEAD_BLOCKS * MATRIX_K / 8, VALUE_COLUMNS = VALUE_BLOCKS * MATRIX_N / 8;
const uint KEY_PITCH = HEAD_COLUMNS + 1, VALUE_PITCH = VALUE_COLUMNS + 1;
const uint VALUES = TILE_KEYS * KEY_PITCH; // where those begin
const uint STAGED = VALUES + TILE_KEYS * VALUE_PITCH;
// Before and after the tiles of keys, each subgroup has a slice, in which at least one block of q and one of O fit.
const uint BLOCK_UNITS = MATRIX_M * (MATRIX_K / 8 > MATRIX_N / 4 ? MATRIX_K / 8 + 1 : MATRIX_N / 4 + 1);
const uint STAGED_UNITS = STAGED > SUBGROUPS * BLOCK_UNITS ? STAGED : SUBGROUPS * BLOCK_UNITS;
const uint SLICE_UNITS = STAGED_UNITS / SUBGROUPS;

shared uvec4 staged[STAGED_UNITS];

// What a subgroup holds in registers; softmax_*.glsl says what ROW_VALUES and HELD_BLOCKS are. In main()'s own arrays: some
// drivers keep larger global ones in memory.
#define SCORES MATRIX_C score[ROW_BLOCKS][SCORE_BLOCKS]
#define PROBABILITIES MATRIX_A probability[ROW_BLOCKS][HELD_BLOCKS]
#define OUTPUTS MATRIX_C o[ROW_BLOCKS][VALUE_BLOCKS]
#define ROW_MAXIMA float row_max[ROW_BLOCKS][ROW_VALUES] // in units of q k
#define ROW_SUMS float row_sum[ROW_BLOCKS][ROW_VALUES]   // of an invocation's own probabilities

uint invocation;
float score_scale;   // |scale|: its sign is in q
float score_inverse; // 1 / |scale|

// The row of the tile that is row r of a subgroup's block m.
uint tile_row_of(uint m, uint r)
{
    return (gl_SubgroupID * ROW_BLOCKS + m) * MATRIX_M + r;
}

// What a subgroup has written to shared memory can be read by all of it.
void subgroup_sync()
{
    subgroupMemoryBarrierShared();
    subgroupBarrier();
}

// 8 elements of 16 bits as operands.
uvec4 load_operands(uvec2 address)
{
    uvec4 x;
    if (ALIGNED != 0)
        x = Quads(address).q[0];
    else {
        Words words = Words(uvec2(address.x & ~3u, address.y));
        [[unroll]] for (uint i = 0; i < 4; i++)
            x[i] = words.w[i];
        if ((address.x & 2u) != 0)
            x = uvec4(x.x >> 16 | x.y << 16, x.y >> 16 | x.z << 16, x.z >> 16 | x.w << 16, x.w >> 16 | words.w[4] << 16);
    }
    if (TYPE != OPERAND_TYPE) // bf16, whose range is larger, as f16
        [[unroll]] for (uint i = 0; i < 4; i++)
            x[i] = packHalf2x16(clamp(unpack_pair(TYPE, x[i]), -65504, 65504));
    return x;
}

// ---- slots: what is known of the keys of a tile, those of two tiles at a time ---------------------------------------------

shared uint slot_key[LISTED ? 2 * TILE_KEYS : 1];
shared ivec2 slot_life[LISTED ? 2 * TILE_KEYS : 1];
shared float slot_bias[2 * TILE_KEYS];

// A tile of keys: neighbours from `first` on, or those of a list in the slots from `first` on.
struct key_tile {
    uint first;
    bool partial; // some query does not see some key
    bool exists;
    uint slots; // where its slots are
};

uint tile_key(key_tile t, uint i)
{
    return LISTED ? slot_key[t.slots + i] : min(t.first + i, p.keys - 1);
}

ivec2 tile_life(key_tile t, uint i)
{
    return LISTED ? slot_life[t.slots + i] : key_life(t.first + i);
}

bool tile_hides(key_tile t, uint i)
{
    return LISTED ? !lives_in_tile(slot_life[t.slots + i]) : key_is_hidden(t.first + i);
}

// A bias in units of q k. Finite where it was, so that nothing becomes NaN.
float score_bias(float bias)
{
    return bias == MINUS_INFINITY ? bias : clamp(bias * score_inverse, -3e38, 3e38);
}

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
