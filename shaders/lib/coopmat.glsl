// SPDX-License-Identifier: MIT
// Cooperative matrices: their types, and conversion of elements to operands. The includer defines TYPE, the tensors'
// type, and MATRIX_M, MATRIX_N and MATRIX_K, the device's sizes. It includes operand_type.glsl before.
#ifndef LIB_COOPMAT_GLSL
#define LIB_COOPMAT_GLSL

#include "math.glsl"

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

// The range of f16 is smaller than that of bf16. NaN and infinity stay as they are.
float within_f16(float x)
{
    return is_finite(x) ? clamp(x, -65504, 65504) : x;
}

// 8 elements of TYPE as operands.
uvec4 as_operands(uvec4 x)
{
    if (TYPE != OPERAND_TYPE) // bf16 to f16
        [[unroll]] for (uint i = 0; i < 4; i++) {
            const vec2 pair = unpack_halves(TYPE, x[i]);
            x[i] = packHalf2x16(vec2(within_f16(pair.x), within_f16(pair.y)));
        }
    return x;
}

// 8 elements of a row of f32 as operands, rounded.
uvec4 load_f32_operands(uvec2 row, uint unit)
{
    vec4 a, b;
    load_8(TYPE_F32, ALIGNED != 0, row, unit, a, b);
    [[unroll]] for (uint i = 0; i < 4 && OPERAND_TYPE == TYPE_F16; i++) {
        a[i] = within_f16(a[i]);
        b[i] = within_f16(b[i]);
    }
    return uvec4(pack_halves(OPERAND_TYPE, a.xy), pack_halves(OPERAND_TYPE, a.zw), pack_halves(OPERAND_TYPE, b.xy),
                 pack_halves(OPERAND_TYPE, b.zw));
}

// Packs two numbers as operands. Hardware with matrices rounds to nearest even, so the conversion does, too.
uint pack_operands(vec2 x)
{
    return OPERAND_TYPE == TYPE_F16 ? packFloat2x16(f16vec2(x)) : pack_halves(OPERAND_TYPE, x);
}

#endif
