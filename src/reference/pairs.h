/* SPDX-License-Identifier: MIT
 * Pairs of a query and a key, for the reference: where their elements are, whether the query sees the key, its score.
 */
#ifndef DMATTN_REFERENCE_PAIRS_H
#define DMATTN_REFERENCE_PAIRS_H

#include "reference.h"

/* In all of these `desc` is resolved and `head` is a query head. */

/* Where a row of q, k, v, … begins. */
uint64_t reference_row(const dmattn_strides *strides, uint32_t batch, uint32_t sequence, uint32_t head);

/* The key and value head that a query head reads. */
uint32_t reference_kv_head(const dmattn_attention_desc *desc, uint32_t head);

/* Where element (batch, head, query, key) of a broadcast tensor is. */
uint64_t reference_score_at(const dmattn_attention_desc *desc, const dmattn_score_shape *shape, uint32_t batch,
                            uint32_t head, uint32_t query, uint32_t key);

/* Of a pair that is hidden -infinity. *slope: the score's derivative by scale * (q . k); may be NULL. */
double reference_score(const dmattn_attention_desc *desc, const reference_inputs *in, uint32_t batch, uint32_t head,
                       uint32_t query, uint32_t key, double *slope);

#endif
