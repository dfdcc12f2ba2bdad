/* SPDX-License-Identifier: MIT
 * For each operator: a descriptor from choices, and the sizes of its plan, computed a second time in 128 bits. */
#ifndef DMATTN_FUZZED_H
#define DMATTN_FUZZED_H

#include "choices.h"

#include "operators/operators.h"
#include "plan.h"

typedef unsigned __int128 wide;

typedef struct fuzzed_operator {
    /* Chooses a descriptor and makes its plan. */
    dmattn_status (*plan)(dmattn_context *context, dmattn_plan **plan);

    /* Checks the sizes of that plan; may be NULL. */
    void (*check)(const dmattn_plan *plan, const dmattn_plan_info *info);

    /* The work by which the dispatches of that plan are cut into slices; NULL: `flops`, which is info.flops. */
    double (*work)(double flops);

    const operator_type *type;
} fuzzed_operator;

extern const fuzzed_operator fuzzed_attention, fuzzed_backward, fuzzed_mask, fuzzed_dma, fuzzed_dma_backward,
    fuzzed_decode, fuzzed_merge, fuzzed_selector, fuzzed_block_lists;

/* The last descriptor that fuzzed_decode has chosen. */
extern dmattn_decode_desc drawn_decode;

/* ---- parts of descriptors ---------------------------------------------------------------------------------------- */

dmattn_score_shape any_score_shape(const dmattn_attention_desc *d, bool one_query);
dmattn_selection any_selection(uint32_t keys);
dmattn_importance any_importance(void);

/* All but masks and biases; with them. */
void draw_sizes(dmattn_attention_desc *d);
void draw_attention(dmattn_attention_desc *d);
void draw_gradient_strides(const dmattn_attention_desc *a, dmattn_strides *dout, dmattn_strides *dq, dmattn_strides *dk,
                           dmattn_strides *dv);

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

/* The elements from the first to the last one of a tensor. */
wide span(const dmattn_strides *s, wide batch, wide sequence, wide heads, wide dim);

/* The size of a tensor of attention. */
wide attention_bytes(const dmattn_attention_desc *resolved, tensor_id t);

#endif
