// SPDX-License-Identifier: MIT
// Writes the next token: the index of the largest number in the last row of the run in source[positions, width]. If
// several are equal, the first one counts. Then it advances the position, so that the same commands can be submitted
// for the next token. One workgroup.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

shared uint best[gl_WorkGroupSize.x];

void main()
{
    const uint lane = gl_LocalInvocationID.x, next = p.sequence.position + p.rows, row = (next - 1) * p.width;
    uint mine = min(lane, p.width - 1);
    for (uint i = lane; i < p.width; i += gl_WorkGroupSize.x)
        mine = p.source.v[row + i] > p.source.v[row + mine] ? i : mine;
    best[lane] = mine;
    barrier();
    if (lane == 0) {
        for (uint i = 1; i < gl_WorkGroupSize.x; i++) {
            const float a = p.source.v[row + best[i]], b = p.source.v[row + mine];
            mine = a > b || (a == b && best[i] < mine) ? best[i] : mine;
        }
        p.sequence.token[next] = mine;
        p.sequence.position = next;
    }
}
