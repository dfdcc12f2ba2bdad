// SPDX-License-Identifier: MIT
// The gradient of the sinks. A sink is a score of no key. So its probability in a row is exp(sink - lse), and dP is 0:
//
//     dsink[h] = sum over batch items and queries of exp(sink[h] - lse) (0 - D)       D: backward_preprocess.comp
//
// Workgroup x: head x. The order of the additions follows from the sizes alone.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#define PARAMS SINK_GRADIENT_PARAMS
#include "../lib/attention.glsl"
#include "../lib/score.glsl"

const uint BESIDE = 8; // rows that are loaded together, because this kernel mostly waits for loads

shared float sums[WORKGROUP];

void main()
{
    const uint head = WORKGROUP_ID.x;
    const float sink = load_sink(p.sink, head);
    float sum = 0;
    for (uint item = 0; item < p.batches; item++) {
        const uvec2 lse = advance(p.lse, item * HEADS + head, uvec2(4 * p.queries, 0));
        const uvec2 rows = advance(p.workspace, item * HEADS + head, uvec2(8 * p.queries, 0));
        for (uint first = gl_LocalInvocationIndex; first < p.queries; first += BESIDE * WORKGROUP) {
            vec2 row[BESIDE]; // lse and D
            [[unroll]] for (uint n = 0; n < BESIDE; n++) {
                const uint query = min(first + n * WORKGROUP, p.queries - 1);
                row[n] = uintBitsToFloat(uvec2(Words(lse).w[query], Pairs(rows).p[query].y));
            }
            [[unroll]] for (uint n = 0; n < BESIDE; n++)
                if (first + n * WORKGROUP < p.queries && floatBitsToUint(row[n].x) != floatBitsToUint(MINUS_INFINITY))
                    sum -= exp2((sink - row[n].x) * LOG2_E) * row[n].y;
        }
    }
    sums[gl_LocalInvocationIndex] = sum;
    barrier();
    for (uint half_ = WORKGROUP / 2; half_ > 0; half_ /= 2) {
        if (gl_LocalInvocationIndex < half_)
            sums[gl_LocalInvocationIndex] += sums[gl_LocalInvocationIndex + half_];
        barrier();
    }
    // A sink of -infinity has no part in any row, even if its lse is NaN.
    const bool counts = floatBitsToUint(sink) != floatBitsToUint(MINUS_INFINITY);
    if (gl_LocalInvocationIndex == 0)
        Words(p.dsink).w[head] = floatBitsToUint(counts ? sums[0] : 0);
}
