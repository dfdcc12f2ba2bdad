// SPDX-License-Identifier: MIT
// Copies rows of k and v of a prompt to the cache: the rows of the keys in its slots, or, if PAGED, all rows. Workgroup
// (x, y) copies WORKGROUP / COPY_LANES rows of kv head y at a time.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#include "cache.glsl"

layout(push_constant, std430) uniform Params {
    FILL_PARAMS
    PART_PARAM
} p;

void copy(uint key, uvec2 to_k, uvec2 to_v, uint lane)
{
    const uint kv_head = WORKGROUP_ID.y;
    copy_row(to_k, advance(advance(p.k, key, p.k_sequence), kv_head, p.k_head), p.aligned != 0, KEY_BYTES, lane,
             COPY_LANES);
    copy_row(to_v, advance(advance(p.v, key, p.v_sequence), kv_head, p.v_head), p.aligned != 0, VALUE_BYTES, lane,
             COPY_LANES);
}

#ifdef PAGED
void copy_to(uint key, uvec2 state, uint kv_head, uint lane)
{
    const uvec2 page = page_of(p.pages, p.table, p.sequence, key);
    if (key == 0 && lane < HEADER_WORDS / 4)
        Quads(header_of(state, kv_head)).q[lane] = lane == 0 ? uvec4(p.keys, 0, 0, 0) : uvec4(0);
    if (lane == 0 && BIAS != 0)
        Words(page_importance(page, kv_head, key)).w[0] =
            floatBitsToUint(clean(uintBitsToFloat(Words(advance(p.importance, kv_head, uvec2(4 * p.keys, 0))).w[key])));
    copy(key, page_key(page, kv_head, key), page_value(page, kv_head, key), lane);
}
#else
void copy_to(uint slot, uvec2 state, uint kv_head, uint lane)
{
    const uint key = Quads(slots_of(state, kv_head)).q[slot].x - 1;
    if (key < p.keys)
        copy(key, advance(keys_of(state, kv_head), slot, uvec2(KEY_BYTES, 0)),
             advance(values_of(state, kv_head), slot, uvec2(VALUE_BYTES, 0)), lane);
}
#endif

void main()
{
    const uint rows_here = WORKGROUP / COPY_LANES, lane = gl_LocalInvocationIndex % COPY_LANES;
    const uint rows = CACHE == CACHE_PAGED ? p.keys : CAPACITY;
    const uvec2 state = sequence_state(p.state, p.sequence);
    for (uint row = WORKGROUP_ID.x * rows_here + gl_LocalInvocationIndex / COPY_LANES; row < rows;
         row += gl_NumWorkGroups.x * rows_here)
        copy_to(row, state, WORKGROUP_ID.y, lane);
}
