// SPDX-License-Identifier: MIT
// Copies memory in pieces of 16 bytes. Workgroup x copies block x of WORKGROUP * PIECES pieces. An invocation issues
// all its reads before its first write.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#include "ceiling.h"
#include "../../../shaders/lib/memory.glsl"

CEILING_COPY_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    CEILING_PARAMS
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

void main()
{
    const uvec2 block = uvec2(16 * WORKGROUP * PIECES, 0);
    Quads from = Quads(advance(p.from, gl_WorkGroupID.x, block)), to = Quads(advance(p.to, gl_WorkGroupID.x, block));
    uvec4 piece[PIECES];
    [[unroll]] for (uint i = 0; i < PIECES; i++)
        piece[i] = from.q[i * WORKGROUP + gl_LocalInvocationIndex];
    [[unroll]] for (uint i = 0; i < PIECES; i++)
        to.q[i * WORKGROUP + gl_LocalInvocationIndex] = piece[i];
}
