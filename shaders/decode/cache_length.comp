// SPDX-License-Identifier: MIT
// Sets the length of a sequence with pages, before cache_copy.comp fills them. One workgroup for each kv head.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#include "fill.glsl"

void main()
{
    if (gl_LocalInvocationIndex != 0)
        return;
    const uvec2 header = header_of(sequence_state(p.state, p.sequence), WORKGROUP_ID.x);
    const uint kept = kept_tokens(Quads(header).q[0]);
    for (uint i = 0; i < HEADER_WORDS / 4; i++)
        Quads(header).q[i] = i == 0 ? uvec4(kept + p.keys, 0, 0, 0) : uvec4(0);
}
