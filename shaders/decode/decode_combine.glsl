// SPDX-License-Identifier: MIT
// The end of a step of decoding. SEQUENCE_SPLITS workgroups share the keys of a sequence and kv head; the last one to
// arrive combines the partial results. It does so in the order of the splits, so the result does not depend on which
// workgroup is last.
#ifndef LIB_DECODE_COMBINE_GLSL
#define LIB_DECODE_COMBINE_GLSL

const uint SPLITS_AHEAD = 2 * LOADS_AHEAD; // splits that are loaded at a time

shared bool is_last;

// Whether this workgroup is the last of `workgroups` ones to call this. Then it can read what the others have written,
// and they do not read the cache any more.
bool is_last_of(uint counter, uint workgroups)
{
    memoryBarrierBuffer();
    barrier();
    if (invocation == 0)
        is_last = atomicAdd(SharedWords(header_of(state, kv_head)).w[counter], 1u) == workgroups - 1;
    barrier();
    memoryBarrierBuffer();
    return is_last;
}

// Adds SPLITS_AHEAD splits from `first` on to the sum of a row and column, and to the row's maximum and sum.
void add_splits(uint first, uint row, uint column, inout vec4 sum, inout vec2 softmax)
{
    vec4 x[SPLITS_AHEAD];
    vec2 s[SPLITS_AHEAD];
    [[unroll]] for (uint n = 0; n < SPLITS_AHEAD; n++) {
        x[n] = uintBitsToFloat(SharedQuads(partial_row(min(first + n, SEQUENCE_SPLITS - 1), row)).q[column]);
        s[n] = uintBitsToFloat(SharedPairs(partial_softmax(min(first + n, SEQUENCE_SPLITS - 1), row)).p[0]);
    }
    float largest = softmax.x;
    [[unroll]] for (uint n = 0; n < SPLITS_AHEAD; n++)
        largest = max(largest, s[n].x);
    const float shrink = exp2((softmax.x - largest) * LOG2_E);
    sum *= shrink;
    softmax = vec2(largest, softmax.y * shrink);
    [[unroll]] for (uint n = 0; n < SPLITS_AHEAD; n++) {
        const float weight = first + n < SEQUENCE_SPLITS ? exp2((s[n].x - largest) * LOG2_E) : 0;
        sum += weight * x[n];
        softmax.y += weight * s[n].y;
    }
}

// Stores 4 columns of a row of the output, and, with the first ones, lse. `sum`: of values, each weighted by
// exp(score - softmax.x); softmax.y: the sum of these weights.
void store_output(uint row, uint column, vec4 sum, vec2 softmax)
{
    if (SINK != 0)
        sum *= add_sink(load_sink(SINK_ADDRESS, row_head(row)), softmax.x, softmax.y);
    const float inverse = softmax_inverse(softmax.y);
    store_4(OUT_TYPE, ALIGNED != 0, out_row(row), column, broken ? vec4(NOT_A_NUMBER) : sum * inverse);
    if (LSE != 0 && column == 0)
        Words(advance(p.lse, sequence * KV_HEADS * GROUP + row_head(row), uvec2(4 * TOKENS, 0))).w[row_query(row)] =
            floatBitsToUint(broken ? NOT_A_NUMBER : softmax_lse(softmax.x, softmax.y));
}

// Combines the splits as combine_splits.comp does. m_i is the largest score of split i, and l_i is the sum of exp(score
// - m_i) over its keys: m = max m_i; w_i = exp(m_i - m); out = sum w_i out_i / sum w_i l_i; lse = m + ln sum w_i l_i.
// Here, out_i are not yet divided by l_i. An invocation computes 4 columns of a row. m is updated after each group of
// SPLITS_AHEAD splits.
void combine(uint first_row)
{
    for (uint i = invocation; i < BLOCK_ROWS * VALUE_DIM / 4; i += WORKGROUP) {
        const uint row = first_row + i / (VALUE_DIM / 4), column = i % (VALUE_DIM / 4);
        if (!row_exists(row))
            continue;
        vec4 sum = vec4(0);
        vec2 softmax = vec2(LOWEST, 0);
        if (FEW_REGISTERS)
            [[dont_unroll]] for (uint first = 0; first < SEQUENCE_SPLITS; first += SPLITS_AHEAD)
                add_splits(first, row, column, sum, softmax);
        else
            for (uint first = 0; first < SEQUENCE_SPLITS; first += SPLITS_AHEAD)
                add_splits(first, row, column, sum, softmax);
        store_output(row, column, sum, softmax);
    }
}

#endif
