// SPDX-License-Identifier: MIT
// The row and column of each element of an accumulator. All accumulators of a shape have the same layout. So an
// invocation keeps the values of those rows whose elements it holds: ROW_VALUES values for a block. ROW_VALUE(e) is the
// index of the value for element e. IS_ROW_VALUE(e) tells whether e is the first element with this value.
//     FRAGMENTS  FRAGMENT_LAYOUT is the known layout (fragment_layout.h). An element has the same position in an
//                operand as in an accumulator. ROW_INVOCATIONS neighbours share a row.
//     otherwise  The layout is unknown. An accumulator whose elements are their own positions is loaded once.
//
// The includer defines `staged`, shared memory in which each subgroup has a slice of SLICE_UNITS units.
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

// These values are for LAYOUT_QUAD_ROWS, the only layout so far.
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

// Whether matrices have this layout. Loads matrices whose elements are their own positions and compares. If the layout
// is another one, the caller sets its scale to NaN. Then all results are NaN, never a wrong number.
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
