// SPDX-License-Identifier: MIT
// Copies rows of k and v of new tokens to the cache: those that have slots, or, if PAGED, all rows. With FORMATS, they
// are made in the formats of the cache. Workgroup (x, y) copies WORKGROUP / COPY_LANES rows of kv head y at a time.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#include "fill.glsl"

#ifdef FORMATS
#include "rows.glsl"

void make_row(uint format, uvec2 to, uvec2 scale, uvec2 from, uint dim, uint lane)
{
    for (uint unit = lane; unit < dim / 8; unit += COPY_LANES) {
        uvec4 low, high;
        make_unit(format, from, p.aligned != 0, unit, find_scale(format, from, p.aligned != 0, dim, unit), low, high);
        store_unit(format, to, scale, unit, low, high);
    }
}
#endif

// Copies the rows of new token `i`. `k_scale`, `v_scale`: where their scales go, if the formats have any.
void copy(uint i, uvec2 to_k, uvec2 to_v, uvec2 k_scale, uvec2 v_scale, uint lane)
{
    const uint kv_head = WORKGROUP_ID.y;
    const uvec2 k = advance(advance(p.k, i, p.k_sequence), kv_head, p.k_head);
    const uvec2 v = advance(advance(p.v, i, p.v_sequence), kv_head, p.v_head);
#ifdef FORMATS
    make_row(K_FORMAT, to_k, k_scale, k, HEAD_DIM, lane);
    make_row(V_FORMAT, to_v, v_scale, v, VALUE_DIM, lane);
#else
    copy_row(to_k, k, p.aligned != 0, KEY_BYTES, lane, COPY_LANES);
    copy_row(to_v, v, p.aligned != 0, VALUE_BYTES, lane, COPY_LANES);
#endif
}

// `first`: the position of the first new token.
#ifdef PAGED
void copy_to(uint i, uint first, uvec2 state, uint kv_head, uint lane)
{
    const uint key = first + i;
    const uvec2 page = page_of(p.pages, p.table, p.sequence, key);
    if (lane == 0 && BIAS != 0)
        Words(page_number(page, PAGE_IMPORTANCE_AT, kv_head, key)).w[0] = floatBitsToUint(new_importance(kv_head, i));
    copy(i, page_key(page, kv_head, key), page_value(page, kv_head, key),
         page_number(page, PAGE_KEY_SCALES_AT, kv_head, key), page_number(page, PAGE_VALUE_SCALES_AT, kv_head, key),
         lane);
}
#else
void copy_to(uint slot, uint first, uvec2 state, uint kv_head, uint lane)
{
    const uint i = Quads(slots_of(state, kv_head)).q[slot].x - 1 - first;
    if (i < p.keys)
        copy(i, advance(keys_of(state, kv_head), slot, uvec2(KEY_BYTES, 0)),
             advance(values_of(state, kv_head), slot, uvec2(VALUE_BYTES, 0)),
             advance(key_scales_of(state, kv_head), slot, uvec2(4, 0)),
             advance(value_scales_of(state, kv_head), slot, uvec2(4, 0)), lane);
}
#endif

void main()
{
    const uint rows_here = WORKGROUP / COPY_LANES, lane = gl_LocalInvocationIndex % COPY_LANES;
    const uint rows = CACHE == CACHE_PAGED ? p.keys : CAPACITY, kv_head = WORKGROUP_ID.y;
    const uvec2 state = sequence_state(p.state, p.sequence);
    const uint first = Quads(header_of(state, kv_head)).q[0][HEADER_LENGTH] - p.keys;
    for (uint row = WORKGROUP_ID.x * rows_here + gl_LocalInvocationIndex / COPY_LANES; row < rows;
         row += gl_NumWorkGroups.x * rows_here)
        copy_to(row, first, state, kv_head, lane);
}
