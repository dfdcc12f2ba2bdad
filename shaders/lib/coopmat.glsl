// SPDX-License-Identifier: MIT
// Cooperative matrices: their types, and conversion of elements to operands. The includer defines TYPE, the tensors'
// type, and MATRIX_M, MATRIX_N and MATRIX_K, the device's sizes. It includes operand_type.glsl before.
#ifndef LIB_COOPMAT_GLSL
#define LIB_COOPMAT_GLSL

#ifdef MATRIX2
#define CONVERT_ACCUMULATORS
#endif

#define MATRIX_A coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA>
#define MATRIX_B coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB>
#define MATRIX_C coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
#define BY_ROWS gl_CooperativeMatrixLayoutRowMajor
#define BY_COLUMNS gl_CooperativeMatrixLayoutColumnMajor

// Makes what the subgroup has written to shared memory visible to all its invocations.
void subgroup_sync()
{
    subgroupMemoryBarrierShared();
    subgroupBarrier();
}

// 8 elements of TYPE as operands.
uvec4 as_operands(uvec4 x)
{
    if (TYPE != OPERAND_TYPE) // bf16 operands as f16, whose range is smaller
        [[unroll]] for (uint i = 0; i < 4; i++)
            x[i] = packHalf2x16(clamp(unpack_halves(TYPE, x[i]), -65504, 65504));
    return x;
}

// Packs two numbers as operands. Hardware with matrices rounds to nearest even, so the conversion does, too.
uint pack_operands(vec2 x)
{
    return OPERAND_TYPE == TYPE_F16 ? packFloat2x16(f16vec2(x)) : pack_halves(OPERAND_TYPE, x);
}

#endif
