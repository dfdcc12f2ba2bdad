// SPDX-License-Identifier: MIT
// target[rows, columns] = source[rows, width] * weight[columns, width]^T. An invocation computes one column of four
// rows. Option 1: target = other[columns] * target + product, which is a residual. Option 2: the target has a row for
// every position of the sequence.
#version 460
#extension GL_GOOGLE_include_directive : require
#define OPERAND Vectors
#include "common.glsl"

const uint ROWS = 4;

void main()
{
    const uint column = gl_GlobalInvocationID.x, first = gl_WorkGroupID.y * ROWS, width = p.width / 4;
    if (column >= p.columns)
        return;
    const uint rows = min(ROWS, p.rows - first);
    float sums[ROWS] = float[ROWS](0, 0, 0, 0);
    for (uint i = 0; i < width; i++) {
        const vec4 w = p.weight.v[column * width + i];
        for (uint r = 0; r < rows; r++)
            sums[r] += dot(w, p.source.v[(first + r) * width + i]);
    }
    const uint start = p.option == 2 ? p.sequence.position : 0;
    for (uint r = 0; r < rows; r++) {
        const uint at = (start + first + r) * p.columns + column;
        p.target.v[at] = p.option == 1 ? p.other.v[column] * p.target.v[at] + sums[r] : sums[r];
    }
}
