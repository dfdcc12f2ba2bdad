// SPDX-License-Identifier: MIT
// The device's maximum rate of f32 multiply-adds: each invocation moves PAIRS points (x, y) along ellipses.
//
//     repeat: TURNS times x = x + a y;  y = y - a x
//
// Both lines accumulate in place, as a matrix product does, because some devices have faster instructions for that. All
// operands except a change in each turn, so that a compiler can move nothing out of the loop. The numbers stay bounded
// and do not vanish, for any number of turns.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#include "ceiling.h"
#include "../../../shaders/lib/memory.glsl"

CEILING_FMA_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    CEILING_PARAMS
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

void main()
{
    const uint invocation = gl_WorkGroupID.x * WORKGROUP + gl_LocalInvocationIndex;
    const uint first = invocation % CEILING_FMA_WINDOWS * PAIRS * 3;
    Words from = Words(p.from);
    float x[PAIRS], y[PAIRS], a[PAIRS], minus_a[PAIRS];
    [[unroll]] for (uint i = 0; i < PAIRS; i++) {
        x[i] = uintBitsToFloat(from.w[first + 3 * i]);
        y[i] = uintBitsToFloat(from.w[first + 3 * i + 1]);
        a[i] = uintBitsToFloat(from.w[first + 3 * i + 2]);
        minus_a[i] = -a[i];
    }
    for (uint r = 0; r < p.repeats; r++)
        [[unroll]] for (uint turn = 0; turn < TURNS; turn++) {
            [[unroll]] for (uint i = 0; i < PAIRS; i++)
                x[i] = fma(a[i], y[i], x[i]);
            [[unroll]] for (uint i = 0; i < PAIRS; i++)
                y[i] = fma(minus_a[i], x[i], y[i]);
        }
    float sum = 0;
    [[unroll]] for (uint i = 0; i < PAIRS; i++)
        sum += x[i] + y[i];
    Words(p.to).w[invocation] = floatBitsToUint(sum);
}
