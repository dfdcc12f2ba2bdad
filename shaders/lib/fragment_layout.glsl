// SPDX-License-Identifier: MIT
// Which row and column of an accumulator an element belongs to. All accumulators of a shape have the same layout, so values for
// a row are kept where its elements are: each invocation has ROW_VALUES values for the rows of a block. ROW_VALUE(e) is the one
// of element e, and IS_ROW_VALUE(e) tells whether e is the first element with it.
//
//     FRAGMENTS  the layout is known, FRAGMENT_LAYOUT says which one (fragment_layout.h): an element has the same position in an
//                operand as in an accumulator, and ROW_INVOCATIONS neighbours share a row
//     otherwise  the layout is unknown: an accumulator whose elements are their own positions is loaded once
//
// Before this file is included, each subgroup has a slice of SLICE_UNITS units of shared memory in `staged`.
#ifndef LIB_FRAGMENT_LAYOUT_GLSL
#define LIB_FRAGMENT_LAYOUT_GLSL

#include "matrix.glsl"

// An accumulator whose elements are their own positions, row * MATRIX_N + column.
const uint NUMBER_PITCH = MATRIX_N / 4 + 1;

MATRIX_C load_numbers()
{
    const uint slice = gl_SubgroupID * SLICE_UNITS;
    for (uint i = gl_SubgroupInvocationID; i < MATRIX_M * MATRIX_N / 4; i += SUBGROUP)
        staged[slice + i / (MATRIX_N / 4) * NUMBER_PITCH + i % (MATRIX_N / 4)] =
            floatBitsToUint(vec4(4 * i) + vec4(0, 1, 2, 3));
    subgroup_sync();
    MATRIX_C c;
    coopMatLoad(c, staged, slice, NUMBER_PITCH, BY_ROWS);
    subgroup_sync();
    return c;
}

#ifdef FRAGMENTS

// These are of LAYOUT_QUAD_ROWS, the only layout so far.
const uint ROW_VALUES = 2, ROW_INVOCATIONS = 4;
#define ROW_VALUE(e) ((e) >> 2)
#define IS_ROW_VALUE(e) (((e) & 3) == 0)

// Row and column of an element.
uvec2 element_position(uint e)
{
    const uvec2 quad_rows =
        uvec2(gl_SubgroupInvocationID / 4 + 8 * (e >> 2), gl_SubgroupInvocationID % 4 * 2 + (e & 1) + 4 * (e & 2));
    return FRAGMENT_LAYOUT == LAYOUT_QUAD_ROWS ? quad_rows : uvec2(0);
}

// Whether matrices have this layout. It loads matrices whose elements are their own positions. If they are elsewhere, the caller
// makes its scale NaN, so that a device with another layout gives NaN and never a wrong number.
bool layout_is_right()
{
    const MATRIX_C c = load_numbers();
    const uint pitch = NUMBER_PITCH, slice = gl_SubgroupID * SLICE_UNITS;
    for (uint i = gl_SubgroupInvocationID; i < MATRIX_M * MATRIX_N / 8; i += SUBGROUP) {
        const uint row = i / (MATRIX_N / 8), column = i % (MATRIX_N / 8) * 8;
        [[unroll]] for (uint k = 0; k < 4; k++) // up to 255, which is exact in any type
            staged[slice + row * pitch + column / 8][k] =
                pack_halves(OPERAND_TYPE, vec2(row * MATRIX_N + column + 2 * k) + vec2(0, 1));
    }
    subgroup_sync();
    MATRIX_A a;
    coopMatLoad(a, staged, slice, pitch, BY_ROWS);
    subgroup_sync();
    bool known = true;
    [[unroll]] for (uint e = 0; e < ELEMENTS; e++) {
        const uvec2 position = element_position(e);
        const float number = float(position.x * MATRIX_N + position.y);
        known = known && c[e] == number && float(a[e]) == number;
    }
    return subgroupAll(known);
}

#else

const uint ROW_VALUES = ELEMENTS;
#define ROW_VALUE(e) (e)
#define IS_ROW_VALUE(e) true

uint element_index[ELEMENTS];

uvec2 element_position(uint e)
{
    return uvec2(element_index[e] / MATRIX_N, element_index[e] % MATRIX_N);
}

void find_positions()
{
    const MATRIX_C position = load_numbers();
    [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
        element_index[e] = uint(position[e]);
}

#endif

#endif
