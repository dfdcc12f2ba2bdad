// SPDX-License-Identifier: MIT
// Operands in shared memory of which each invocation reads the elements that it holds, 8 at a time. On Intel (ANV),
// coopMatLoad() makes an access for each 2 of them, and its accesses limit kernels (docs/notes/experiments.md).
//
// Vulkan does not say which elements an invocation holds, only that it depends on nothing but the matrix type. So the
// kernel finds out once whether they are those of a column (find_lane_columns()), and uses coopMatLoad() if not. All
// subgroups of a workgroup have the same size and run the same code, so they find the same.
//
// The includer defines `staged`, shared memory in which each subgroup has a slice of SLICE_UNITS units.
#ifndef LIB_LANES_GLSL
#define LIB_LANES_GLSL

#include "fragment_layout.h"
#include "matrix.glsl"

#ifdef BF16
#extension GL_EXT_spirv_intrinsics : require
spirv_instruction(id = 124) bf16vec2 as_pair(uint x); // OpBitcast
spirv_instruction(id = 124) uint as_word(bf16vec2 x);
#define PAIR bf16vec2
#else
#define PAIR f16vec2
#define as_pair unpackFloat2x16
#define as_word packFloat2x16
#endif

// Units of an operand that an invocation holds.
const uint A_UNITS = MATRIX_M * MATRIX_K / (8 * SUBGROUP);
const uint B_UNITS = MATRIX_K / 8;

// If this is 0, invocation n may hold column n of a MATRIX_B, in its order.
const uint UNEVEN_LANES = (MATRIX_N > SUBGROUP ? MATRIX_N - SUBGROUP : SUBGROUP - MATRIX_N) + MATRIX_K % 8
                          + MATRIX_M * MATRIX_K % (8 * SUBGROUP)
                          + (MATRIX_N * B_UNITS > BLOCK_UNITS ? 1 : 0);

// The elements of an operand, 8 in a unit.
#define SET_UNIT(operand, first, unit)                                                  \
    [[unroll]] for (uint w = 0; w < 4; w++) {                                           \
        const PAIR pair = as_pair((unit)[w]);                                           \
        operand[(first) + 2 * w] = pair.x;                                              \
        operand[(first) + 2 * w + 1] = pair.y;                                          \
    }
#define WORD_OF(x, e) as_word(PAIR(x[e], x[(e) + 1]))
#define UNIT_OF(x, first)                                                               \
    uvec4(WORD_OF(x, first), WORD_OF(x, (first) + 2), WORD_OF(x, (first) + 4), WORD_OF(x, (first) + 6))

// Whether invocation n does hold column n. Loads a matrix whose elements all differ, and compares.
bool find_lane_columns()
{
    MATRIX_A a;
    MATRIX_B b;
    if (UNEVEN_LANES != 0 || a.length() != 8 * A_UNITS || b.length() != 8 * B_UNITS)
        return false;
    const uint slice = gl_SubgroupID * SLICE_UNITS, column = slice + gl_SubgroupInvocationID * B_UNITS;
    [[unroll]] for (uint u = 0; u < B_UNITS; u++) {
        const uint first = 0x3c003c00u + 0x10001u * (8 * (gl_SubgroupInvocationID * B_UNITS + u)) + 0x10000u;
        staged[column + u] = uvec4(first, first + 0x20002u, first + 0x40004u, first + 0x60006u);
    }
    subgroup_sync();
    coopMatLoad(b, staged, slice, B_UNITS, BY_COLUMNS);
    bool same = true;
    [[unroll]] for (uint u = 0; u < B_UNITS; u++)
        same = same && UNIT_OF(b, 8 * u) == staged[column + u];
    subgroup_sync();
    return subgroupAll(same);
}

// Puts an operand whose columns begin `pitch` units apart, from staged[at] on, in the order in which invocations hold
// it, in place, if it exists. All subgroups then read it so. All subgroups must call this equally often, because some
// devices (lavapipe) take a barrier of a subgroup for one of the workgroup.
void order_columns(bool exists, uint at, uint pitch)
{
    MATRIX_B b;
    if (exists)
        coopMatLoad(b, staged, at, pitch, BY_COLUMNS);
    subgroup_sync();
    [[unroll]] for (uint u = 0; u < B_UNITS; u++)
        if (exists)
            staged[at + gl_SubgroupInvocationID * pitch + u] = UNIT_OF(b, 8 * u);
}

// Loads such an operand.
MATRIX_B load_columns(uint at, uint pitch)
{
    MATRIX_B b;
    [[unroll]] for (uint u = 0; u < B_UNITS; u++) {
        const uvec4 unit = staged[at + gl_SubgroupInvocationID * pitch + u];
        SET_UNIT(b, 8 * u, unit)
    }
    return b;
}

#endif
