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
// a row. p.partials holds out_i as f32 [B, SPLITS, Sq, H, Dv], p.sums (m_i, l_i) [B, SPLITS, H, Sq].
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#define PARAMS COMBINE_PARAMS
#include "../lib/attention.glsl"
#include "../lib/score.glsl"

vec2 split_softmax(uint item, uint split, uint head, uint query)
{
    const uint plane = (item * SPLITS + split) * HEADS + head;
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
    for (uint split = 0; split < SPLITS; split++)
        largest = max(largest, split_softmax(item, split, head, query).x);
    vec4 o = vec4(0);
    for (uint split = 0; split < SPLITS; split++) {
        const vec2 softmax = split_softmax(item, split, head, query);
        const float weight = softmax.y * exp2((softmax.x - largest) * LOG2_E);
        const uvec2 rows = advance(p.partials, (item * SPLITS + split) * p.queries, uvec2(4 * VALUE_DIM * HEADS, 0));
        o += weight * uintBitsToFloat(Quads(advance(rows, row, uvec2(4 * VALUE_DIM, 0))).q[column]);
        sum += weight;
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
