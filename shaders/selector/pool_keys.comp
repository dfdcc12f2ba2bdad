// SPDX-License-Identifier: MIT
// The mean of each block of keys, in f32, rounded to TYPE. Keys that an item does not have do not count. A block that
// has no keys has a mean of 0.
//
// Workgroup (x, y, z): UNIT_LANES units of 8 columns, from x * UNIT_LANES on, of block y of item z. The columns of all
// heads of a key are one row. An invocation adds up every n-th key of the block; then the sums are added in order.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#include "selector.h"
#include "../lib/memory.glsl"

POOL_CONSTANTS(DMATTN_CONSTANT)
#ifdef PAGED
POOL_PAGED_CONSTANTS(DMATTN_CONSTANT)
#endif

layout(push_constant, std430) uniform Params {
    POOL_PARAMS
#ifdef PAGED
    POOL_PAGED_PARAMS
#endif
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

#ifdef PAGED
#include "pages.glsl"
#endif

const uint HEAD_UNITS = HEAD_DIM / 8, ROW_UNITS = KV_HEADS * HEAD_UNITS, KEY_LANES = WORKGROUP / UNIT_LANES;

shared vec4 sums[2 * WORKGROUP];

uint item_keys(uint item)
{
    return COUNTS == 0 ? p.keys : uint(clamp(int(Words(p.counts).w[2 * item + 1]), 0, int(p.keys)));
}

void main()
{
    const uint unit_lane = gl_LocalInvocationIndex % UNIT_LANES, key_lane = gl_LocalInvocationIndex / UNIT_LANES;
    const uint unit = WORKGROUP_ID.x * UNIT_LANES + unit_lane, number = WORKGROUP_ID.y, item = WORKGROUP_ID.z;
    const uint head = unit / HEAD_UNITS, keys = item_keys(item);
    const uint begin = min(number << p.shift, keys), end = min(begin + (1u << p.shift), keys);
    const uvec2 sequence = uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH);
#ifdef PAGED
    const uvec2 base = advance(p.k, min(head, KV_HEADS - 1), uvec2(K_HEAD_LOW, K_HEAD_HIGH));
#define KEY_ROW(key) paged_row(base, item, key, uvec2(K_BATCH_LOW, K_BATCH_HIGH), sequence)
#else
    const uvec2 base = head_base(p.k, item, p.keys, min(head, KV_HEADS - 1), DERIVED_STRIDES != 0,
                                 uvec2(K_BATCH_LOW, K_BATCH_HIGH), sequence, uvec2(K_HEAD_LOW, K_HEAD_HIGH));
#define KEY_ROW(key) advance(base, key, sequence)
#endif
    vec4 x = vec4(0), y = vec4(0);
    if (unit < ROW_UNITS)
        for (uint key = begin + key_lane; key < end; key += KEY_LANES) {
            vec4 a, b;
            load_8(TYPE, ALIGNED != 0, KEY_ROW(key), unit % HEAD_UNITS, a, b);
            x += a;
            y += b;
        }
    sums[2 * gl_LocalInvocationIndex] = x;
    sums[2 * gl_LocalInvocationIndex + 1] = y;
    barrier();
    if (key_lane != 0 || unit >= ROW_UNITS)
        return;
    for (uint lane = 1; lane < KEY_LANES; lane++) {
        x += sums[2 * (lane * UNIT_LANES + unit_lane)];
        y += sums[2 * (lane * UNIT_LANES + unit_lane) + 1];
    }
    const float divisor = float(max(end - begin, 1));
    const uint size = element_size(TYPE) * HEAD_DIM;
    const uvec2 of_item = advance(advance(p.means, item * p.numbers + number, uvec2(KV_HEADS * size, 0)), head,
                                  uvec2(size, 0));
    store_4(TYPE, true, of_item, 2 * (unit % HEAD_UNITS), x / divisor);
    store_4(TYPE, true, of_item, 2 * (unit % HEAD_UNITS) + 1, y / divisor);
}
