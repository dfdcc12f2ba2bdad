// SPDX-License-Identifier: MIT
// How a tile of pairs is divided into cooperative matrices. The includer defines PAIR_ROWS and PAIR_COLUMNS, the size
// of the tile.
//
// A subgroup has ROW_BLOCKS * MATRIX_M rows of the tile. Its columns are divided into blocks of MATRIX_N. For sums over
// columns, they are divided into blocks of MATRIX_K.
#ifndef LIB_MATRIX_GLSL
#define LIB_MATRIX_GLSL

#include "operand_type.glsl"
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
const uint ELEMENTS = MATRIX_M * MATRIX_N / SUBGROUP; // elements of an accumulator in an invocation

// The unit of shared memory is 16 bytes: 8 elements, or 4 sums. There is an unused unit after each row, so that rows
// start in different banks. BLOCK_UNITS units hold one block of operands or of sums.
const uint BLOCK_UNITS = MATRIX_M * (MATRIX_K / 8 > MATRIX_N / 4 ? MATRIX_K / 8 + 1 : MATRIX_N / 4 + 1);

uint invocation;

// Converts row r of the subgroup's block m to a row of the tile.
uint tile_row_of(uint m, uint r)
{
    return (gl_SubgroupID * ROW_BLOCKS + m) * MATRIX_M + r;
}

// Loads 8 elements of 16 bits as operands.
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
            x = uvec4(x.x >> 16 | x.y << 16, x.y >> 16 | x.z << 16, x.z >> 16 | x.w << 16,
                      x.w >> 16 | words.w[4] << 16);
    }
    return as_operands(x);
}

#endif
