/* SPDX-License-Identifier: MIT
 * The descriptor of a dynamic mask: defaults, checks and sizes. Pure functions, no device. */
#ifndef DMATTN_MASK_DESC_H
#define DMATTN_MASK_DESC_H

#include "../message.h"
#include "../tensor.h"

#define ALL_STAGES ((uint32_t)(DMATTN_STAGE_IMPORTANCE | DMATTN_STAGE_INTERVALS | DMATTN_STAGE_LISTS))

/* Checks `desc` and writes it to *resolved with every default filled in: stages, strides, list_capacity; a selection
 * that is equivalent to a simpler one becomes it. What the stages do not need is zeroed. */
dmattn_status dmattn_mask_desc_resolve(const dmattn_mask_desc *desc, dmattn_mask_desc *resolved,
                                       const messenger *messenger);

/* INVALID if a member of `selection` is wrong, or set although nothing uses it. */
dmattn_status dmattn_selection_check(const messenger *messenger, const dmattn_selection *selection);

/* From here on `desc` is a resolved one. */

/* Bytes of an input or product, contiguous but for v; 0 where the stages neither need nor make it. */
uint64_t dmattn_mask_tensor_bytes(const dmattn_mask_desc *desc, tensor_id tensor);

/* Whether the selection sorts keys. */
bool dmattn_selection_sorts(const dmattn_selection *selection);

/* What is known of how many keys a query sees. */
typedef struct keys_bound {
    uint32_t keys; /* not more than these, or a guess if it is not exact */
    bool
        exact; /* and so for every tile: its queries see at most as many, and one more for each query after the first */
} keys_bound;
keys_bound dmattn_selection_bound(const dmattn_selection *selection, uint32_t keys);

/* Words of a list for `list_queries` queries: the default where `wanted` is 0. */
uint32_t dmattn_list_capacity(keys_bound bound, uint32_t keys, uint32_t list_queries, uint32_t wanted);

#endif
