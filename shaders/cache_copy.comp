// SPDX-License-Identifier: MIT
// Copies rows of k and v of a prompt to the cache: those of its slots, or, PAGED, all. WORKGROUP / COPY_LANES rows of kv head y
// are a workgroup's.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#include "lib/cache.glsl"

layout(push_constant, std430) uniform Params {
    FILL_PARAMS
} p;

void main()
{
    const uint row = gl_WorkGroupID.x * (WORKGROUP / COPY_LANES) + gl_LocalInvocationIndex / COPY_LANES;
    const uint lane = gl_LocalInvocationIndex % COPY_LANES, kv_head = gl_WorkGroupID.y;
    const uvec2 state = sequence_state(p.state, p.sequence);
#ifdef PAGED
    if (row == 0 && lane < HEADER_WORDS / 4)
        Quads(header_of(state, kv_head)).q[lane] = lane == 0 ? uvec4(p.keys, 0, 0, 0) : uvec4(0);
    if (row >= p.keys)
        return;
    const uint key = row;
    const uvec2 page = page_of(p.pages, p.table, p.sequence, key);
    const uvec2 to_k = page_key(page, kv_head, key), to_v = page_value(page, kv_head, key);
    if (lane == 0 && BIAS != 0)
        Words(page_importance(page, kv_head, key)).w[0] =
            floatBitsToUint(clean(uintBitsToFloat(Words(advance(p.importance, kv_head, uvec2(4 * p.keys, 0))).w[key])));
#else
    if (row >= CAPACITY)
        return;
    const uint key = Quads(slots_of(state, kv_head)).q[row].x - 1;
    if (key == NONE)
        return;
    const uvec2 to_k = advance(keys_of(state, kv_head), row, uvec2(KEY_BYTES, 0));
    const uvec2 to_v = advance(values_of(state, kv_head), row, uvec2(VALUE_BYTES, 0));
#endif
    copy_row(to_k, advance(advance(p.k, key, p.k_sequence), kv_head, p.k_head), p.aligned != 0, KEY_BYTES, lane, COPY_LANES);
    copy_row(to_v, advance(advance(p.v, key, p.v_sequence), kv_head, p.v_head), p.aligned != 0, VALUE_BYTES, lane, COPY_LANES);
}
