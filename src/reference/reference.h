/* SPDX-License-Identifier: MIT
 * The CPU reference: the formulas of the operator in double, slow and simple on purpose. Every kernel is checked
 * against it, and it is checked against tests/golden. */
#ifndef DMATTN_REFERENCE_H
#define DMATTN_REFERENCE_H

#include "../attention/desc.h"

/* Inputs in host memory, with the types and strides of the descriptor; those that it does not use are ignored. */
typedef struct reference_inputs {
    const void *q, *k, *v;
#define REFERENCE_INPUT(id, name) const void *name;
    SCORE_TENSORS(REFERENCE_INPUT)
#undef REFERENCE_INPUT
    const int32_t *counts;
} reference_inputs;

/* Computes out[Dv] and *lse of one query. `desc` must be resolved; `scores` is scratch of desc->keys doubles. */
void reference_attention_row(const dmattn_attention_desc *desc, const reference_inputs *in, uint32_t batch,
                             uint32_t head, uint32_t query, double *scores, double *out, double *lse);

/* Computes out [B, Sq, H, Dv] and lse [B, H, Sq], both contiguous; lse may be NULL. Packed, out is [total_queries, H,
 * Dv] and lse [H, total_queries]; in rows of no item, out is 0 and lse -infinity. Errors: OUT_OF_MEMORY. */
dmattn_status reference_attention(const dmattn_attention_desc *desc, const reference_inputs *in, double *out,
                                  double *lse);

#endif
