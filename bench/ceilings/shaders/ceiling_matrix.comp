// SPDX-License-Identifier: MIT
// The device's maximum rate of cooperative matrix products: each subgroup holds ROWS matrices A and COLUMNS matrices B
// in registers and accumulates the product of each pair (A, B) in a separate sum, also in registers.
//
//     repeat: C[i][j] = A[i] B[j] + C[i][j]
//     out = sum of all C[i][j]
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#ifdef BF16
#extension GL_EXT_bfloat16 : require
#define OPERAND bfloat16_t
#else
#define OPERAND float16_t
#endif

#include "ceiling.h"
#include "../../../shaders/lib/memory.glsl"

CEILING_MATRIX_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    CEILING_PARAMS
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

#define MATRIX_A coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA>
#define MATRIX_B coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB>
#define MATRIX_C coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
#define BY_ROWS gl_CooperativeMatrixLayoutRowMajor

const uint SUBGROUPS = WORKGROUP / SUBGROUP;
// The unit is 16 bytes: 8 operands, or 4 sums.
const uint A_UNITS = MATRIX_M * MATRIX_K / 8, B_UNITS = MATRIX_K * MATRIX_N / 8;

void main()
{
    const uint subgroup = gl_WorkGroupID.x * SUBGROUPS + gl_SubgroupID;
    const uint first_a = subgroup % CEILING_MATRIX_WINDOWS * (ROWS * A_UNITS + COLUMNS * B_UNITS);
    const uint first_b = first_a + ROWS * A_UNITS;
    MATRIX_A a[ROWS];
    MATRIX_B b[COLUMNS];
    MATRIX_C c[ROWS][COLUMNS];
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        coopMatLoad(a[i], Quads(p.from).q, first_a + i * A_UNITS, MATRIX_K / 8, BY_ROWS);
    [[unroll]] for (uint j = 0; j < COLUMNS; j++)
        coopMatLoad(b[j], Quads(p.from).q, first_b + j * B_UNITS, MATRIX_N / 8, BY_ROWS);
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        [[unroll]] for (uint j = 0; j < COLUMNS; j++)
            c[i][j] = MATRIX_C(0);

    for (uint r = 0; r < p.repeats; r++)
        [[unroll]] for (uint i = 0; i < ROWS; i++)
            [[unroll]] for (uint j = 0; j < COLUMNS; j++)
                c[i][j] = coopMatMulAdd(a[i], b[j], c[i][j]);

    MATRIX_C sum = MATRIX_C(0);
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        [[unroll]] for (uint j = 0; j < COLUMNS; j++)
            sum += c[i][j];
    const uvec2 place = advance(p.to, subgroup, uvec2(4 * MATRIX_M * MATRIX_N, 0));
    coopMatStore(sum, Quads(place).q, 0, MATRIX_N / 4, BY_ROWS);
}
