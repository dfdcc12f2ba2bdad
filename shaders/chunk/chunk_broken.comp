// SPDX-License-Identifier: MIT
// After attention of a chunk to a bounded cache: sets its results to NaN if more tokens were taken back than the cache
// allows, because keys that are needed are lost. Otherwise, it does nothing. Workgroups share the rows of kv head y.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#include "../decode/cache.glsl"

layout(push_constant, std430) uniform Params {
    CHUNK_BROKEN_PARAMS
    PART_PARAM
} p;

void main()
{
    const uint kv_head = WORKGROUP_ID.y;
    const uvec4 header = Quads(header_of(sequence_state(p.state, p.sequence), kv_head)).q[0];
    if ((header[HEADER_FLAGS] & FLAG_BROKEN) == 0)
        return;
    const uint quads = VALUE_DIM / 4, step = gl_NumWorkGroups.x * WORKGROUP;
    for (uint t = 0; t < p.keys; t++)
        for (uint i = WORKGROUP_ID.x * WORKGROUP + gl_LocalInvocationIndex; i < GROUP * quads; i += step) {
            const uint head = kv_head * GROUP + i / quads;
            store_4(OUT_TYPE, false, advance(advance(p.out_, t, p.out_sequence), head, p.out_head), i % quads,
                    vec4(NOT_A_NUMBER));
            if (LSE != 0 && i % quads == 0)
                Words(advance(p.lse, head, uvec2(4 * p.keys, 0))).w[t] = floatBitsToUint(NOT_A_NUMBER);
        }
}
