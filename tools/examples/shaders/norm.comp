// SPDX-License-Identifier: MIT
// RMSNorm, a workgroup for each row: target[rows, width] = weight * source / sqrt(mean(source^2) + epsilon)
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

shared float sums[gl_WorkGroupSize.x];

void main()
{
    const uint lane = gl_LocalInvocationID.x, row = gl_WorkGroupID.x * p.width;
    float sum = 0;
    for (uint i = lane; i < p.width; i += gl_WorkGroupSize.x)
        sum += p.source.v[row + i] * p.source.v[row + i];
    sums[lane] = sum;
    barrier();
    for (uint half_way = gl_WorkGroupSize.x / 2; half_way > 0; half_way /= 2) {
        if (lane < half_way)
            sums[lane] += sums[lane + half_way];
        barrier();
    }
    const float scale = 1 / sqrt(sums[0] / p.width + p.epsilon);
    for (uint i = lane; i < p.width; i += gl_WorkGroupSize.x)
        p.target.v[row + i] = p.weight.v[i] * (p.source.v[row + i] * scale);
}
