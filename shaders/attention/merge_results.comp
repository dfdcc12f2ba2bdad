// SPDX-License-Identifier: MIT
// Merges the results of attention of the same queries to two sets of keys:
//
//     m = max(lse_a, lse_b);  w_i = exp(lse_i - m);  out = (w_a out_a + w_b out_b) / (w_a + w_b)
//     lse = m + ln(w_a + w_b)
//
// Workgroup (x, y, z): WORKGROUP / (VALUE_DIM / 8) queries of head y of batch item z; an invocation merges 8 columns of
// a row. A row is read by one workgroup before the same workgroup writes it, so a merge can be in place.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#include "merge_results.h"
#include "../lib/memory.glsl"
#include "../lib/math.glsl"

MERGE_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    MERGE_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

const uint UNITS = VALUE_DIM / 8, ROWS = WORKGROUP / UNITS;

uvec2 tensor_row(uvec2 base, uint bit, uvec2 batch, uvec2 sequence, uvec2 head, uint query)
{
    const bool derived = (DERIVED_STRIDES & bit) != 0;
    return advance(head_base(base, WORKGROUP_ID.z, p.queries, WORKGROUP_ID.y, derived, batch, sequence, head), query,
                   sequence);
}

// lse [B, H, Sq] of this head
uvec2 lse_plane(uvec2 base)
{
    return advance(base, WORKGROUP_ID.z * HEADS + WORKGROUP_ID.y, uvec2(4 * p.queries, 0));
}

float load_lse(uvec2 base, uint query)
{
    return uintBitsToFloat(Words(lse_plane(base)).w[query]);
}

bool is_minus_infinity(float x)
{
    return floatBitsToUint(x) == 0xff800000u;
}

// The weight of a result whose lse is `lse`, if `largest` is the largest lse.
float weight_of(float lse, float largest)
{
    return is_minus_infinity(lse) ? 0 : exp2((lse - largest) * LOG2_E);
}

// A result of weight 0 does not count, even if it is not finite.
vec4 weighted(float weight, vec4 x)
{
    return weight == 0 ? vec4(0) : weight * x;
}

void main()
{
    const uint unit = gl_LocalInvocationIndex % UNITS, local_row = gl_LocalInvocationIndex / UNITS;
    const uint query = WORKGROUP_ID.x * ROWS + local_row;
    const bool exists = local_row < ROWS && query < p.queries;
    vec4 x = vec4(0), y = vec4(0);
    float largest = MINUS_INFINITY, sum = 0;
    bool known = true;
    if (exists) {
        const float lse_a = load_lse(p.lse_a, query), lse_b = load_lse(p.lse_b, query);
        known = (is_finite(lse_a) || is_minus_infinity(lse_a)) && (is_finite(lse_b) || is_minus_infinity(lse_b));
        largest = max(lse_a, lse_b);
        const float weight_a = weight_of(lse_a, largest), weight_b = weight_of(lse_b, largest);
        sum = weight_a + weight_b;
        vec4 a_x, a_y, b_x, b_y;
        load_8(TYPE, ALIGNED != 0,
               tensor_row(p.out_a, MERGE_DERIVED_A, uvec2(A_BATCH_LOW, A_BATCH_HIGH),
                          uvec2(A_SEQUENCE_LOW, A_SEQUENCE_HIGH), uvec2(A_HEAD_LOW, A_HEAD_HIGH), query),
               unit, a_x, a_y);
        load_8(TYPE, ALIGNED != 0,
               tensor_row(p.out_b, MERGE_DERIVED_B, uvec2(B_BATCH_LOW, B_BATCH_HIGH),
                          uvec2(B_SEQUENCE_LOW, B_SEQUENCE_HIGH), uvec2(B_HEAD_LOW, B_HEAD_HIGH), query),
               unit, b_x, b_y);
        const float inverse = sum == 0 ? 0 : 1 / sum;
        x = (weighted(weight_a, a_x) + weighted(weight_b, b_x)) * inverse;
        y = (weighted(weight_a, a_y) + weighted(weight_b, b_y)) * inverse;
    }
    barrier(); // everything is read before something is written
    if (!exists)
        return;
    const uvec2 row = tensor_row(p.out_, MERGE_DERIVED_OUT, uvec2(OUT_BATCH_LOW, OUT_BATCH_HIGH),
                                 uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH), uvec2(OUT_HEAD_LOW, OUT_HEAD_HIGH), query);
    store_4(TYPE, ALIGNED != 0, row, 2 * unit, known ? x : vec4(NOT_A_NUMBER));
    store_4(TYPE, ALIGNED != 0, row, 2 * unit + 1, known ? y : vec4(NOT_A_NUMBER));
    if (LSE != 0 && unit == 0)
        Words(lse_plane(p.lse)).w[query] =
            floatBitsToUint(!known     ? NOT_A_NUMBER
                            : sum == 0 ? MINUS_INFINITY
                                       : largest + log2(sum) * LN_2);
}
