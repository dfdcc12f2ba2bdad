// SPDX-License-Identifier: MIT
// The importance of a key, from the values of all kv heads: a small matrix product and an activation.
//
//     z[j,h]          = sum over i of v[j,i] dt_weight[h,i], + dt_bias[h]
//     importance[h,j] = exp(a[h] softplus(z)), or a[h] softplus(z)   NaN becomes -infinity, +infinity becomes FLT_MAX
//
// BACKWARD: from the gradient g of the importance, the gradient of z and the terms whose sum is the gradient of a[h]
//
//     dz[h,j]       = g importance a[h] sigmoid(z), or g a[h] sigmoid(z)      0 if the importance is not finite in f32
//     da_terms[h,j] = g importance softplus(z), or g softplus(z)              or g is 0
//
// Workgroup (x, y, z): TILE_KEYS keys, LANE_HEADS heads, batch item z. COLUMN_LANES neighbouring invocations read a row
// of v once. Each invocation reads pieces of 8 elements. The weights of DEPTH pieces are in shared memory.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "importance.h"
#include "activation.glsl"
#include "../lib/memory.glsl"

IMPORTANCE_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
#ifdef BACKWARD
    IMPORTANCE_TERMS_PARAMS
#else
    IMPORTANCE_PARAMS
#endif
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

const uint ROW_LANES = WORKGROUP / COLUMN_LANES;
const uint TILE_KEYS = ROW_LANES * LANE_KEYS;
const uint HEAD_PIECES = VALUE_DIM / 8;
const uint PIECES = KV_HEADS * HEAD_PIECES;
const uint DEPTH = 32;
const uint OUTPUTS = LANE_KEYS * LANE_HEADS;

// [head][half of a piece][piece], so that neighbouring invocations read neighbouring elements.
shared vec4 weights[LANE_HEADS * 2 * DEPTH];

void stage_weights(uint invocation, uint first_head, uint first_piece)
{
    for (uint i = invocation; i < LANE_HEADS * DEPTH * 8; i += WORKGROUP) {
        uint h = i / (DEPTH * 8), element = i % (DEPTH * 8), piece = element / 8;
        bool inside = first_head + h < KV_HEADS && first_piece + piece < PIECES;
        uvec2 row = advance(p.dt_weight, first_head + h, uvec2(element_size(PARAMETER_TYPE) * PIECES * 8, 0));
        weights[(2 * h + element / 4 % 2) * DEPTH + piece][element % 4] =
            inside ? load_element(PARAMETER_TYPE, row, first_piece * 8 + element) : 0;
    }
}

#ifdef BACKWARD
void store_term(uvec2 terms, uint plane, uint key, float term)
{
    if (terms != uvec2(0))
        Words(advance(terms, plane, uvec2(4 * p.keys, 0))).w[key] = floatBitsToUint(term);
}

// v of a key that no query sees may hold anything, even NaN. Its g is 0, and its terms must be 0.
void store_terms(float z, uint plane, uint head, uint key)
{
    if (DT_BIAS != 0)
        z += load_element(PARAMETER_TYPE, p.dt_bias, head);
    const float a = load_element(PARAMETER_TYPE, p.a, head), s = softplus(z), x = a * s;
    const float g = uintBitsToFloat(Words(advance(p.dimportance, plane, uvec2(4 * p.keys, 0))).w[key]);
    const float by_x = ACTIVATION == ACTIVATION_EXP_SOFTPLUS ? accurate_exp(x) : 1, scale = g * by_x;
    const bool none = g == 0 || is_nan(z) || !is_finite(x) || !is_finite(by_x);
    store_term(p.dz, plane, key, none ? 0 : scale * a * sigmoid(z));
    store_term(p.da_terms, plane, key, none ? 0 : scale * s);
}
#else
float importance_of(float z, uint head)
{
    if (DT_BIAS != 0)
        z += load_element(PARAMETER_TYPE, p.dt_bias, head);
    return activate(z, load_element(PARAMETER_TYPE, p.a, head), ACTIVATION == ACTIVATION_EXP_SOFTPLUS);
}
#endif

void main()
{
    const uint invocation = gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID;
    const uint row_lane = invocation / COLUMN_LANES, column_lane = invocation % COLUMN_LANES;
    const uint first_key = WORKGROUP_ID.x * TILE_KEYS + row_lane, first_head = WORKGROUP_ID.y * LANE_HEADS;
    const uint batch = WORKGROUP_ID.z;
    const uvec2 head_stride = uvec2(V_HEAD_LOW, V_HEAD_HIGH), sequence_stride = uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH);
    const uvec2 item = head_base(p.v, batch, p.keys, 0, DERIVED_STRIDES != 0, uvec2(V_BATCH_LOW, V_BATCH_HIGH),
                                 sequence_stride, head_stride);

    uvec2 row[LANE_KEYS];
    float z[LANE_KEYS][LANE_HEADS];
    [[unroll]] for (uint r = 0; r < LANE_KEYS; r++) {
        row[r] = advance(item, min(first_key + r * ROW_LANES, p.keys - 1), sequence_stride);
        [[unroll]] for (uint h = 0; h < LANE_HEADS; h++)
            z[r][h] = 0;
    }
    for (uint first_piece = 0; first_piece < PIECES; first_piece += DEPTH) {
        barrier();
        stage_weights(invocation, first_head, first_piece);
        barrier();
        for (uint piece = column_lane; piece < min(DEPTH, PIECES - first_piece); piece += COLUMN_LANES) {
            const uint head = (first_piece + piece) / HEAD_PIECES, column = (first_piece + piece) % HEAD_PIECES;
            vec4 low[LANE_KEYS], high[LANE_KEYS];
            [[unroll]] for (uint r = 0; r < LANE_KEYS; r++)
                load_8(TYPE, ALIGNED != 0, advance(row[r], head, head_stride), column, low[r], high[r]);
            [[unroll]] for (uint h = 0; h < LANE_HEADS; h++) {
                const vec4 a = weights[2 * h * DEPTH + piece], b = weights[(2 * h + 1) * DEPTH + piece];
                [[unroll]] for (uint r = 0; r < LANE_KEYS; r++)
                    [[unroll]] for (uint i = 0; i < 4; i++)
                        z[r][h] = fma(b[i], high[r][i], fma(a[i], low[r][i], z[r][h]));
            }
        }
    }

    [[unroll]] for (uint r = 0; r < LANE_KEYS; r++)
        [[unroll]] for (uint h = 0; h < LANE_HEADS; h++)
            [[unroll]] for (uint lane = 1; lane < COLUMN_LANES; lane *= 2)
                z[r][h] += subgroupShuffleXor(z[r][h], lane);

    // The invocations of a row share its results: each one stores some of them.
    [[unroll]] for (uint first = 0; first < OUTPUTS; first += COLUMN_LANES) {
        const uint output_ = first + column_lane;
        const uint key = first_key + output_ / LANE_HEADS * ROW_LANES, head = first_head + output_ % LANE_HEADS;
        float sum = 0;
        [[unroll]] for (uint i = 0; i < OUTPUTS; i++)
            sum = i == output_ ? z[i / LANE_HEADS][i % LANE_HEADS] : sum;
        if (output_ < OUTPUTS && key < p.keys && head < KV_HEADS) {
#ifdef BACKWARD
            store_terms(sum, batch * KV_HEADS + head, head, key);
#else
            uvec2 plane = advance(p.importance, batch * KV_HEADS + head, uvec2(4 * p.keys, 0));
            Words(plane).w[key] = floatBitsToUint(importance_of(sum, head));
#endif
        }
    }
}
