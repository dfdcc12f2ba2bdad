// SPDX-License-Identifier: MIT
// Copies the state of a sequence of a cache, 16 bytes an invocation at a time.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#include "decode.h"
#include "../lib/memory.glsl"

DECODE_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    COPY_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

void main()
{
    const uint step = gl_NumWorkGroups.x * WORKGROUP;
    for (uint i = WORKGROUP_ID.x * WORKGROUP + gl_LocalInvocationIndex; i < p.quads; i += step)
        Quads(advance(p.to, i, uvec2(16, 0))).q[0] = Quads(advance(p.from, i, uvec2(16, 0))).q[0];
}
