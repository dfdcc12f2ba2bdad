// SPDX-License-Identifier: MIT
// target[rows, columns] = SiLU(gate) * up, where a source row is gate[columns], then up[columns]
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

void main()
{
    const uint i = gl_GlobalInvocationID.x;
    if (i >= p.rows * p.columns)
        return;
    const uint from = i / p.columns * 2 * p.columns + i % p.columns;
    const float gate = p.source.v[from];
    p.target.v[i] = gate / (1 + exp(-gate)) * p.source.v[from + p.columns];
}
