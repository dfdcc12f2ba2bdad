// SPDX-License-Identifier: MIT
// target[rows, width] = the rows of weight that the tokens select
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

void main()
{
    const uint i = gl_GlobalInvocationID.x;
    if (i >= p.rows * p.width)
        return;
    const uint token = p.sequence.token[p.sequence.position + i / p.width];
    p.target.v[i] = p.weight.v[token * p.width + i % p.width];
}
