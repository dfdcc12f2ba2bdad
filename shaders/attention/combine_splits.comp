// SPDX-License-Identifier: MIT
// Combines the partial results of the splits of the keys. m_i is the largest score of split i, and l_i is the sum of
// exp(score - m_i) over its keys:
//
//     m = max m_i;  w_i = l_i exp(m_i - m);  out = sum w_i out_i / sum w_i;  lse = m + ln sum w_i
//
// Except for rounding, the result is the same for any number of splits (Dao et al. 2023, "Flash-Decoding"). The lse of
// a split, m_i + ln l_i, is not enough: if m_i is large, rounding loses ln l_i. A sink is added to the sum at the end.
//
// Workgroup (x, y): WORKGROUP / (VALUE_DIM / 4) rows (query, head) of batch item y; an invocation computes 4 columns of
// a row. p.partials holds out_i as f32 [B, splits, Sq, H, Dv], p.sums (m_i, l_i) [B, splits, H, Sq].
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#define PARAMS COMBINE_PARAMS
#include "../lib/attention.glsl"
#include "../lib/score.glsl"

const uint BESIDE = 8; // splits that are loaded together: the kernel mostly waits for loads

// Of a split that does not exist, that of the last one.
vec2 split_softmax(uint item, uint split, uint head, uint query)
{
    const uint plane = (item * p.splits + min(split, p.splits - 1)) * HEADS + head;
    return uintBitsToFloat(Pairs(advance(p.sums, plane, uvec2(8 * p.queries, 0))).p[query]);
}

void main()
{
    const uint columns = VALUE_DIM / 4, rows_here = WORKGROUP / columns;
    const uint row = WORKGROUP_ID.x * rows_here + gl_LocalInvocationIndex / columns;
    const uint column = gl_LocalInvocationIndex % columns, item = WORKGROUP_ID.y;
    if (row >= p.queries * HEADS || gl_LocalInvocationIndex >= rows_here * columns)
        return;
    const uint query = row / HEADS, head = row % HEADS;

    float largest = LOWEST, sum = 0;
    for (uint first = 0; first < p.splits; first += BESIDE) {
        float x[BESIDE];
        [[unroll]] for (uint n = 0; n < BESIDE; n++)
            x[n] = split_softmax(item, first + n, head, query).x;
        [[unroll]] for (uint n = 0; n < BESIDE; n++)
            largest = max(largest, x[n]);
    }
    vec4 o = vec4(0);
    for (uint first = 0; first < p.splits; first += BESIDE) {
        vec2 softmax[BESIDE];
        vec4 x[BESIDE];
        [[unroll]] for (uint n = 0; n < BESIDE; n++) {
            const uint split = item * p.splits + min(first + n, p.splits - 1);
            const uvec2 rows = advance(p.partials, split * p.queries, uvec2(4 * VALUE_DIM * HEADS, 0));
            softmax[n] = split_softmax(item, first + n, head, query);
            x[n] = uintBitsToFloat(Quads(advance(rows, row, uvec2(4 * VALUE_DIM, 0))).q[column]);
        }
        [[unroll]] for (uint n = 0; n < BESIDE; n++)
            if (first + n < p.splits) {
                const float weight = softmax[n].y * exp2((softmax[n].x - largest) * LOG2_E);
                o += weight * x[n];
                sum += weight;
            }
    }
    if (SINK != 0)
        o *= add_sink(load_sink(p.sink, head), largest, sum);
    // A row that sees no key has weights of 0 only.
    const uvec2 sequence = uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH), heads = uvec2(OUT_HEAD_LOW, OUT_HEAD_HIGH);
    const uvec2 base = head_base(p.out_, item, p.queries, 0, is_derived(DERIVED_OUT),
                                 uvec2(OUT_BATCH_LOW, OUT_BATCH_HIGH), sequence, heads);
    store_4(OUT_TYPE, OUT_ALIGNED != 0, advance(advance(base, query, sequence), head, heads), column,
            sum == 0 ? vec4(0) : o / sum);
    if (LSE != 0 && column == 0)
        Words(advance(p.lse, item * HEADS + head, uvec2(4 * p.queries, 0))).w[query] =
            floatBitsToUint(softmax_lse(largest, sum));
}
