// SPDX-License-Identifier: MIT
// A code for each key. If keys are sorted by it, neighbours have similar visible ranges [begin, end). The code is the
// position of (begin, end) on a Hilbert curve (Hilbert 1891). This curve visits all of a quarter of a square before it
// leaves the quarter. Keys that no query sees come last.
//
// The kernels that sort by importance also sort codes. They put the largest float first. So the code is the bits of a
// float: 1 + position, or 0 for keys that no query sees.
//
// Workgroup (x, y): WORKGROUP keys of plane y, from key x * WORKGROUP on.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#include "range_codes.h"
#include "../lib/memory.glsl"

RANGE_CODES_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    RANGE_CODES_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

// Bits of a coordinate.
const uint BITS = 15;

uint position_on_curve(uvec2 at)
{
    uint position = 0;
    for (uint bit = 1u << (BITS - 1); bit != 0; bit >>= 1) {
        const bvec2 far = notEqual(at & bit, uvec2(0));
        position = position << 2 | (far.x ? far.y ? 2 : 3 : far.y ? 1 : 0);
        // Within this quarter, the curve is mirrored.
        if (!far.y) {
            if (far.x)
                at = (1u << BITS) - 1 - at;
            at = at.yx;
        }
    }
    return position;
}

void main()
{
    const uint key = WORKGROUP_ID.x * WORKGROUP + gl_LocalInvocationIndex, plane = WORKGROUP_ID.y;
    if (key >= p.keys)
        return;
    const uvec2 begin = advance(advance(p.begin, plane / p.heads, p.batch_stride), plane % p.heads, p.head_stride);
    const uvec2 end = advance(advance(p.end, plane / p.heads, p.batch_stride), plane % p.heads, p.head_stride);
    ivec2 range = clamp(ivec2(Words(begin).w[key], Words(end).w[key]), 0, int(p.queries));
    if (CAUSAL != 0)
        range.x = max(range.x, int(key) + int(p.queries) - int(p.keys));
    const uint code = range.x < range.y ? 1 + position_on_curve(uvec2(range) >> p.shift) : 0;
    Words(advance(p.codes, plane, uvec2(4 * p.keys, 0))).w[key] = code;
}
