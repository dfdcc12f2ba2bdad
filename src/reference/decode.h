/* SPDX-License-Identifier: MIT
 * The CPU reference of decoding: attention over the whole sequence, by definition and without a cache. */
#ifndef DMATTN_REFERENCE_DECODE_H
#define DMATTN_REFERENCE_DECODE_H

#include <dmattn/dmattn.h>

/* A sequence from its first token on, in the types of the descriptor, before rows are stored in other formats: k
 * [tokens, Hk, D] and v [tokens, Hk, Dv], whose batch strides are ignored, and importance [Hk, importance_stride],
 * ignored if the descriptor has no importance. */
typedef struct reference_sequence {
    const void *k, *v;
    dmattn_strides k_strides, v_strides;
    const float *importance;
    uint64_t importance_stride;
    const float *sink, *slopes; /* [H], ignored if the descriptor has none */
} reference_sequence;

/* Computes out[Dv] and *lse of one query, of query head `head` at `position`, which sees the tokens at and before its
 * position, as rows of the formats of the cache. `desc` must be resolved. `q` is the row of the query; `mask` is
 * its row of the dense mask, uint8, or its list of selected keys, int32; `bias` its row of the bias. Either may be NULL
 * if the descriptor has none. Errors: OUT_OF_MEMORY. */
dmattn_status reference_decode_row(const dmattn_decode_desc *desc, const reference_sequence *sequence, const void *q,
                                   uint32_t head, uint32_t position, const void *mask, const void *bias, double *out,
                                   double *lse);

#endif
