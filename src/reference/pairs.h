/* SPDX-License-Identifier: MIT
 * Pairs of a query and a key: the offsets of their elements, and their score, for the reference. */
#ifndef DMATTN_REFERENCE_PAIRS_H
#define DMATTN_REFERENCE_PAIRS_H

#include "reference.h"

/* In all functions below `desc` must be resolved, and `head` is a query head. */

/* The offset of a row of q, k, v, out or dout, in elements. */
uint64_t reference_row(const dmattn_strides *strides, uint32_t batch, uint32_t sequence, uint32_t head);

/* Where the queries (`keys` is 0) or the keys (1) of a batch item are in their tensors: item `batch` of the strides,
 * and there `count` rows from row `first` on. */
typedef struct item_rows {
    uint32_t batch, first, count;
} item_rows;
item_rows reference_item(const dmattn_attention_desc *desc, const reference_inputs *in, uint32_t batch, int keys);

/* The kv head that a query head reads. */
uint32_t reference_kv_head(const dmattn_attention_desc *desc, uint32_t head);

/* The offset of element (batch, head, query, key) of a tensor that may be broadcast. */
uint64_t reference_score_at(const dmattn_attention_desc *desc, const dmattn_score_shape *shape, uint32_t batch,
                            uint32_t head, uint32_t query, uint32_t key);

/* Whether the query sees the key, by causality and the mask. */
bool reference_sees(const dmattn_attention_desc *desc, const reference_inputs *in, uint32_t batch, uint32_t head,
                    uint32_t query, uint32_t key);

/* The score of a pair; -infinity if the query does not see the key. The score is infinite where the product, the scaled
 * product or the sum with the bias is beyond the range of f32, as in the kernels. *slope receives the derivative of the
 * score with respect to scale * (q . k), unless `slope` is NULL. */
double reference_score(const dmattn_attention_desc *desc, const reference_inputs *in, uint32_t batch, uint32_t head,
                       uint32_t query, uint32_t key, double *slope);

/* The sink of a query head; -infinity if there are none. */
double reference_sink(const dmattn_attention_desc *desc, const reference_inputs *in, uint32_t head);

#endif
