/* SPDX-License-Identifier: MIT
 * The descriptor of a dynamic mask: defaults, checks and sizes. Pure functions, no device. */
#ifndef DMATTN_MASK_DESC_H
#define DMATTN_MASK_DESC_H

#include "../message.h"
#include "../tensor.h"

#define ALL_STAGES ((uint32_t)(DMATTN_STAGE_IMPORTANCE | DMATTN_STAGE_INTERVALS | DMATTN_STAGE_LISTS))

/* Checks `desc` and writes it to *resolved with every default filled in: stages, strides, list_capacity; a selection
 * that is equivalent to a simpler one becomes it. Members that the stages do not need become 0. */
dmattn_status dmattn_mask_desc_resolve(const dmattn_mask_desc *desc, dmattn_mask_desc *resolved,
                                       const messenger *messenger);

/* Returns INVALID if a member of `selection` is wrong, or is set but not used. */
dmattn_status dmattn_selection_check(const messenger *messenger, const dmattn_selection *selection);

/* From here on, `desc` must be resolved. */

/* Bytes of an input or result. All are contiguous except v. 0 if the stages neither read nor write it. */
uint64_t dmattn_mask_tensor_bytes(const dmattn_mask_desc *desc, tensor_id tensor);

/* Whether the selection sorts keys. */
bool dmattn_selection_sorts(const dmattn_selection *selection);

/* Sets the SELECT_CONSTANTS of shaders/mask/selection.h. */
void dmattn_selection_constants(const dmattn_selection *selection, uint32_t *constants);

/* A bound for the number of keys that a query sees. */
typedef struct keys_bound {
    uint32_t keys; /* the maximum, or a guess if it is not exact */
    bool exact;    /* also for tiles: the queries of a tile see at most this many keys, and one more per query after the
                      first */
} keys_bound;
keys_bound dmattn_selection_bound(const dmattn_selection *selection, uint32_t keys);

/* The capacity of a list for `list_queries` queries, in words: `wanted`, or the default if that is 0. */
uint32_t dmattn_list_capacity(keys_bound bound, uint32_t keys, uint32_t list_queries, uint32_t wanted);

#endif
