// SPDX-License-Identifier: MIT
// The type of the elements of cooperative matrices. Its extension must come before all code, so a kernel includes this
// file first.
#ifndef LIB_OPERAND_TYPE_GLSL
#define LIB_OPERAND_TYPE_GLSL

#ifdef BF16
#extension GL_EXT_bfloat16 : require
#define OPERAND bfloat16_t
#define OPERAND_TYPE TYPE_BF16
#else
#define OPERAND float16_t
#define OPERAND_TYPE TYPE_F16
#endif

#endif
