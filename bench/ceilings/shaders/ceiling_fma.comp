// SPDX-License-Identifier: MIT
// As many f32 multiply-adds as the device can do: each invocation turns PAIRS of numbers in circles (ellipses, to be exact).
//
//     repeat: TURNS times x = x + a y;  y = y - a x
//
// Both lines add to what they overwrite, as the sums of a matrix product do, for which some devices have faster
// instructions. Every operand but a changes all the time, so that nothing can be taken out of the loop, and the numbers
// neither grow nor vanish, however long it goes on.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#include "ceiling.h"
#include "../../../shaders/lib/memory.glsl"

PEAK_FMA_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    PEAK_PARAMS
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

void main()
{
    const uint invocation = gl_WorkGroupID.x * WORKGROUP + gl_LocalInvocationIndex;
    const uint first = invocation % PEAK_FMA_WINDOWS * PAIRS * 3;
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
