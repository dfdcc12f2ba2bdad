/* SPDX-License-Identifier: MIT
 * The CPU reference: the operator straight from its formulas, in double. Slow and plain on purpose; every kernel is
 * checked against it, and it is checked against tests/golden. */
#ifndef DMATTN_REFERENCE_H
#define DMATTN_REFERENCE_H

#include "../attention/desc.h"

/* A problem's inputs in host memory, of the descriptor's types and strides; those that it does not have are ignored. */
typedef struct reference_inputs {
    const void *q, *k, *v;
    const uint8_t *mask;
    const int32_t *begin, *end;
    const void *bias;
} reference_inputs;

/* One query's result: out[Dv] and *lse. `desc` is resolved; `scores` is scratch for desc->keys doubles. */
void reference_attention_row(const dmattn_attention_desc *desc, const reference_inputs *in, uint32_t batch,
                             uint32_t head, uint32_t query, double *scores, double *out, double *lse);

/* All of them: out [B, Sq, H, Dv] and lse [B, H, Sq], contiguous; lse may be NULL. OUT_OF_MEMORY. */
dmattn_status reference_attention(const dmattn_attention_desc *desc, const reference_inputs *in, double *out,
                                  double *lse);

#endif
