// SPDX-License-Identifier: MIT
// Adds up partial results of workgroups, always in the same order:
//
//     out[o, i] = sum over r of in[o, r, i]
//
// Workgroup (x, y): WORKGROUP sums of plane y, from x * WORKGROUP on.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#include "memory.glsl"
#include "sum_partials.h"

SUM_PARTIALS_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    SUM_PARTIALS_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

const uint BESIDE = 8;

void main()
{
    const uint i = WORKGROUP_ID.x * WORKGROUP + gl_LocalInvocationIndex, plane = WORKGROUP_ID.y;
    const uvec2 row = uvec2(p.inner << 2, p.inner >> 30);
    if (i >= p.inner)
        return;
    float sum = 0;
    for (uint first = 0; first < p.partials; first += BESIDE) {
        float x[BESIDE]; // loaded together: if there are few sums, the kernel mostly waits for loads
        [[unroll]] for (uint n = 0; n < BESIDE; n++) {
            const uint partial = min(first + n, p.partials - 1);
            x[n] = uintBitsToFloat(Words(advance(p.in_, plane * p.partials + partial, row)).w[i]);
        }
        [[unroll]] for (uint n = 0; n < BESIDE; n++)
            sum += first + n < p.partials ? x[n] : 0;
    }
    Words(advance(p.out_, plane, row)).w[i] = floatBitsToUint(sum);
}
