/* SPDX-License-Identifier: MIT
 * The CPU reference of decoding: attention over the whole sequence, from the definition, knowing nothing of a cache. */
#ifndef DMATTN_REFERENCE_DECODE_H
#define DMATTN_REFERENCE_DECODE_H

#include <dmattn/dmattn.h>

/* A sequence from its first token on, of a descriptor's types: k [tokens, Hk, D], v [tokens, Hk, Dv], of whose strides
 * that of batch is not used, and importance [Hk, importance_stride], which is not looked at if there is none. */
typedef struct reference_sequence {
    const void *k, *v;
    dmattn_strides k_strides, v_strides;
    const float *importance;
    uint64_t importance_stride;
} reference_sequence;

/* The result of the query of query head `head` at `position`, which sees the tokens at and before it: out[Dv] and *lse.
 * `desc` is resolved; `q`: its row; `mask`: its row of the dense mask, or NULL. OUT_OF_MEMORY. */
dmattn_status reference_decode_row(const dmattn_decode_desc *desc, const reference_sequence *sequence, const void *q,
                                   uint32_t head, uint32_t position, const uint8_t *mask, double *out, double *lse);

#endif
