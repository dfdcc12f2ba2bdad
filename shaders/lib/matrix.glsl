// SPDX-License-Identifier: MIT
// What a subgroup holds of a tile of pairs in cooperative matrices. Before it is included, the tile has PAIR_ROWS rows and
// PAIR_COLUMNS columns.
//
// A subgroup has ROW_BLOCKS * MATRIX_M rows of the tile; its columns are cut into blocks of MATRIX_N, or, where they are
// summed over, of MATRIX_K.
#ifndef LIB_MATRIX_GLSL
#define LIB_MATRIX_GLSL

#ifdef BF16
#extension GL_EXT_bfloat16 : require
#endif
#ifdef MATRIX2
#extension GL_NV_cooperative_matrix2 : require
#endif

#define INT64

#define SCALE_IN_EXPONENT
#include "tile.glsl"

#include "coopmat.glsl"

const uint SUBGROUPS = WORKGROUP / SUBGROUP;
const uint ROW_BLOCKS = PAIR_ROWS / (SUBGROUPS * MATRIX_M);
const uint COLUMN_BLOCKS = PAIR_COLUMNS / MATRIX_N;
const uint SUMMED_BLOCKS = PAIR_COLUMNS / MATRIX_K;
const uint HEAD_BLOCKS = (HEAD_DIM + MATRIX_K - 1) / MATRIX_K;
const uint VALUE_BLOCKS = (VALUE_DIM + MATRIX_N - 1) / MATRIX_N;
const uint ELEMENTS = MATRIX_M * MATRIX_N / SUBGROUP; // of an accumulator that an invocation holds

// Shared memory is in units of 16 bytes: 8 elements, or 4 sums. Rows lie one unit more apart than they are long, so that
// they start in different banks. This many units hold at least one block of a row of operands, or of sums.
const uint BLOCK_UNITS = MATRIX_M * (MATRIX_K / 8 > MATRIX_N / 4 ? MATRIX_K / 8 + 1 : MATRIX_N / 4 + 1);

uint invocation;

// The row of the tile that is row r of a subgroup's block m.
uint tile_row_of(uint m, uint r)
{
    return (gl_SubgroupID * ROW_BLOCKS + m) * MATRIX_M + r;
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
    return as_operands(x);
}

#endif
