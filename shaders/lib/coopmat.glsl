// SPDX-License-Identifier: MIT
// Cooperative matrices: types, and elements on their way to them. Before it is included, TYPE is the tensors' type, and
// MATRIX_M, MATRIX_N and MATRIX_K are the device's sizes.
#ifndef LIB_COOPMAT_GLSL
#define LIB_COOPMAT_GLSL

#ifdef BF16
#define OPERAND bfloat16_t
#define OPERAND_TYPE TYPE_BF16
#else
#define OPERAND float16_t
#define OPERAND_TYPE TYPE_F16
#endif
#ifdef MATRIX2
#define CONVERT_ACCUMULATORS
#endif

#define MATRIX_A coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA>
#define MATRIX_B coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB>
#define MATRIX_C coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
#define BY_ROWS gl_CooperativeMatrixLayoutRowMajor
#define BY_COLUMNS gl_CooperativeMatrixLayoutColumnMajor

// What a subgroup has written to shared memory can be read by all of it.
void subgroup_sync()
{
    subgroupMemoryBarrierShared();
    subgroupBarrier();
}

// 8 elements of TYPE as operands.
uvec4 as_operands(uvec4 x)
{
    if (TYPE != OPERAND_TYPE) // bf16, whose range is larger, as f16
        [[unroll]] for (uint i = 0; i < 4; i++)
            x[i] = packHalf2x16(clamp(unpack_halves(TYPE, x[i]), -65504, 65504));
    return x;
}

// Two numbers as operands, to nearest even as by the hardware that has matrices.
uint pack_operands(vec2 x)
{
    return OPERAND_TYPE == TYPE_F16 ? packFloat2x16(f16vec2(x)) : pack_halves(OPERAND_TYPE, x);
}

#endif
