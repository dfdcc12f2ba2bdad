// SPDX-License-Identifier: MIT
// Normalises and rotates queries and keys in place in target[rows, width], one invocation for each row and head:
// RMSNorm over the head with `weight` (queries, the first `option` heads) or `other` (keys, the other heads), then the
// rotation by position. source[positions, dim] holds the cosines and sines. They are computed on the CPU, because
// shaders may compute them inaccurately.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

void main()
{
    const uint row = gl_GlobalInvocationID.x / p.columns, head = gl_GlobalInvocationID.x % p.columns;
    if (row >= p.rows)
        return;
    const uint at = row * p.width + head * p.dim, angle = (p.sequence.position + row) * p.dim;
    float sum = 0;
    for (uint i = 0; i < p.dim; i++)
        sum += p.target.v[at + i] * p.target.v[at + i];
    const float scale = 1 / sqrt(sum / p.dim + p.epsilon);
    for (uint i = 0; i < p.dim / 2; i++) {
        const uint j = i + p.dim / 2;
        const float cosine = p.source.v[angle + i], sine = p.source.v[angle + j];
        const float wi = head < p.option ? p.weight.v[i] : p.other.v[i];
        const float wj = head < p.option ? p.weight.v[j] : p.other.v[j];
        const float x = wi * (p.target.v[at + i] * scale), y = wj * (p.target.v[at + j] * scale);
        p.target.v[at + i] = x * cosine - y * sine;
        p.target.v[at + j] = y * cosine + x * sine;
    }
}
