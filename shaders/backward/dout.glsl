// SPDX-License-Identifier: MIT
// dout, lse and D of the rows of a tile of queries, for the backward kernels.
#ifndef LIB_DOUT_GLSL
#define LIB_DOUT_GLSL

#ifndef SOFTMAX_SETS // the number of tiles of queries whose lse and D are in shared memory at a time
#define SOFTMAX_SETS 1
#endif

uvec2 dout_item;
// lse and D from backward_preprocess.comp; lse is +infinity if the row does not exist
shared vec2 row_softmax[SOFTMAX_SETS * TILE_ROWS];

void find_dout()
{
    dout_item = head_base(p.dout, batch, p.queries, 0, is_derived(DERIVED_DOUT), uvec2(DOUT_BATCH_LOW, DOUT_BATCH_HIGH),
                          uvec2(DOUT_SEQUENCE_LOW, DOUT_SEQUENCE_HIGH), uvec2(DOUT_HEAD_LOW, DOUT_HEAD_HIGH));
}

uvec2 dout_row(uint row)
{
    return advance(advance(dout_item, row_query(row), uvec2(DOUT_SEQUENCE_LOW, DOUT_SEQUENCE_HIGH)), row_head(row),
                   uvec2(DOUT_HEAD_LOW, DOUT_HEAD_HIGH));
}

vec2 softmax_of(uint row)
{
    const uvec2 head = advance(p.workspace, batch * HEADS + row_head(row), uvec2(8 * p.queries, 0));
    const vec2 known = uintBitsToFloat(Pairs(head).p[row_query(row)]);
    return row_exists(row) ? known : vec2(PLUS_INFINITY, 0);
}

// Whether the probabilities of a row follow from its lse alone: 0, because it sees no key, or NaN. q and dout of these
// rows count as 0 in the gradients of keys: 0 * NaN would be NaN, and would reach keys that the row does not see.
bool row_is_dropped(float lse)
{
    return !is_finite(lse);
}

// Loads lse and D of the current queries and heads. They can be read after the next barrier.
void load_row_softmax()
{
    for (uint row = invocation; row < TILE_ROWS; row += WORKGROUP)
        row_softmax[row] = softmax_of(row);
}

#endif
