// SPDX-License-Identifier: MIT
// Preprocesses out and dout for the backward kernels. For each query and head, it stores lse and, beside it,
//
//     D = sum over i of out[i] dout[i]        minus the gradient of lse, if there is one
//
// A query that sees no key gets lse = +infinity, so that its probabilities are 0, and D = 0. A query whose lse
// or D is not finite gets NaN for both, so that its gradients are NaN.
//
// With a sink, the lse of a query that sees no key is the sink, and its q may hold anything. If q is not finite and lse
// is, all probabilities of the query are 0: a score that is not -infinity would have made lse NaN. So its lse becomes
// +infinity, too. It keeps D, which the gradient of the sink needs.
//
// Workgroup (x, y, z): WORKGROUP / LANES queries from x * WORKGROUP / LANES on, head y, batch item z. LANES
// neighbouring invocations share a row.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#define PARAMS PREPROCESS_PARAMS
#include "../lib/attention.glsl"
#include "../lib/math.glsl"

#define LANES KEY_LANES

bool are_finite(vec4 x)
{
    return is_finite(x.x) && is_finite(x.y) && is_finite(x.z) && is_finite(x.w);
}

// Whether all elements of a row of q are finite. All lanes of the row call this.
bool row_is_finite(uint batch, uint head, uint query, uint lane)
{
    const uvec2 sequence = uvec2(Q_SEQUENCE_LOW, Q_SEQUENCE_HIGH);
    const uvec2 row = advance(head_base(p.q, batch, p.queries, head, is_derived(DERIVED_Q),
                                        uvec2(Q_BATCH_LOW, Q_BATCH_HIGH), sequence, uvec2(Q_HEAD_LOW, Q_HEAD_HIGH)),
                              query, sequence);
    uint others = 0; // the number of units with an element that is not finite
    for (uint i = lane; i < HEAD_DIM / 8; i += LANES) {
        vec4 a, b;
        load_8(TYPE, ALIGNED != 0, row, i, a, b);
        others += are_finite(a) && are_finite(b) ? 0 : 1;
    }
    [[unroll]] for (uint other = 1; other < LANES; other *= 2)
        others += subgroupShuffleXor(others, other);
    return others == 0;
}

void main()
{
    const uint invocation = gl_SubgroupID * gl_SubgroupSize + gl_SubgroupInvocationID, lane = invocation % LANES;
    const uint query = WORKGROUP_ID.x * (WORKGROUP / LANES) + invocation / LANES, head = WORKGROUP_ID.y;
    const uint batch = WORKGROUP_ID.z, loaded = min(query, p.queries - 1);
    const uvec2 out_sequence = uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH);
    const uvec2 out_head = uvec2(OUT_HEAD_LOW, OUT_HEAD_HIGH);
    const uvec2 dout_sequence = uvec2(DOUT_SEQUENCE_LOW, DOUT_SEQUENCE_HIGH);
    const uvec2 dout_head = uvec2(DOUT_HEAD_LOW, DOUT_HEAD_HIGH);
    const uvec2 out_row = advance(head_base(p.out_, batch, p.queries, head, is_derived(DERIVED_OUT),
                                            uvec2(OUT_BATCH_LOW, OUT_BATCH_HIGH), out_sequence, out_head),
                                  loaded, out_sequence);
    const uvec2 dout_row = advance(head_base(p.dout, batch, p.queries, head, is_derived(DERIVED_DOUT),
                                             uvec2(DOUT_BATCH_LOW, DOUT_BATCH_HIGH), dout_sequence, dout_head),
                                   loaded, dout_sequence);
    float sum = 0;
    for (uint i = lane; i < VALUE_DIM / 8; i += LANES) {
        vec4 a, b, c, d;
        load_8(TYPE, ALIGNED != 0, out_row, i, a, b);
        load_8(TYPE, ALIGNED != 0, dout_row, i, c, d);
        sum += dot(a, c) + dot(b, d);
    }
    [[unroll]] for (uint other = 1; other < LANES; other *= 2)
        sum += subgroupShuffleXor(sum, other);
    const bool q_is_finite = SINK == 0 || row_is_finite(batch, head, loaded, lane);
    if (lane != 0 || query >= p.queries)
        return;
    const uint plane = batch * HEADS + head;
    const float lse = uintBitsToFloat(Words(advance(p.lse, plane, uvec2(4 * p.queries, 0))).w[query]);
    if (LSE_GRADIENT != 0)
        sum -= uintBitsToFloat(Words(advance(p.dlse, plane, uvec2(4 * p.queries, 0))).w[query]);
    const bool sees_nothing = floatBitsToUint(lse) == floatBitsToUint(MINUS_INFINITY);
    const vec2 known = is_finite(lse) && is_finite(sum) ? vec2(lse, sum) : vec2(NOT_A_NUMBER);
    vec2 softmax = sees_nothing ? vec2(PLUS_INFINITY, 0) : known;
    if (!q_is_finite && is_finite(softmax.x))
        softmax.x = PLUS_INFINITY;
    Pairs(advance(p.workspace, plane, uvec2(8 * p.queries, 0))).p[query] = floatBitsToUint(softmax);
    if (!is_finite(softmax.x) && p.work_at != NO_WORK) // row_is_dropped() of dout.glsl
        atomicOr(Words(WORKSPACE(p.work_at + DROPPED_ROWS)).w[0], 1);
}
