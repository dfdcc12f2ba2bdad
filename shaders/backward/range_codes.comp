// SPDX-License-Identifier: MIT
// A number for each key, by which keys are sorted so that neighbours live at about the same time: the place of (begin, end) on
// a Hilbert curve (Hilbert 1891), which leaves no quarter of a square before all of it is visited. Keys that are never seen
// come last.
//
// The numbers are floats, as what sorts them sorts importance, the largest first: 1 + place as a float's bits.
//
// Workgroup (x, y): keys x * WORKGROUP and on of plane y.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#include "range_codes.h"
#include "../lib/memory.glsl"

RANGE_CODES_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    RANGE_CODES_PARAMS
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

// Bits of a coordinate.
const uint BITS = 15;

uint place_on_curve(uvec2 at)
{
    uint place = 0;
    for (uint bit = 1u << (BITS - 1); bit != 0; bit >>= 1) {
        const bvec2 far = notEqual(at & bit, uvec2(0));
        place = place << 2 | (far.x ? far.y ? 2 : 3 : far.y ? 1 : 0);
        // The curve within the quarter is turned.
        if (!far.y) {
            if (far.x)
                at = (1u << BITS) - 1 - at;
            at = at.yx;
        }
    }
    return place;
}

void main()
{
    const uint key = gl_WorkGroupID.x * WORKGROUP + gl_LocalInvocationIndex, plane = gl_WorkGroupID.y;
    if (key >= p.keys)
        return;
    const uvec2 begin = advance(advance(p.begin, plane / p.heads, p.batch_stride), plane % p.heads, p.head_stride);
    const uvec2 end = advance(advance(p.end, plane / p.heads, p.batch_stride), plane % p.heads, p.head_stride);
    ivec2 life = clamp(ivec2(Words(begin).w[key], Words(end).w[key]), 0, int(p.queries));
    if (CAUSAL != 0)
        life.x = max(life.x, int(key) + int(p.queries) - int(p.keys));
    const uint code = life.x < life.y ? 1 + place_on_curve(uvec2(life) >> p.shift) : 0;
    Words(advance(p.codes, plane, uvec2(4 * p.keys, 0))).w[key] = code;
}
