/* SPDX-License-Identifier: MIT
 * Tile lists for intervals from the app. They are made in the workspace, unless the app also has the lists. */
#ifndef DMATTN_OPERATORS_INTERVAL_LISTS_H
#define DMATTN_OPERATORS_INTERVAL_LISTS_H

#include "../mask/lists.h"
#include "../plan.h"

typedef struct interval_lists {
    lists_stage stage; /* without pipelines if the app has the lists */
    uint64_t lists_at; /* offset in the workspace */
} interval_lists;

/* `bound`: the number of keys that a query sees. */
dmattn_status dmattn_interval_lists_plan(interval_lists *lists, dmattn_plan *plan, const dmattn_attention_desc *desc,
                                         uint32_t list_queries, keys_bound bound);

/* Makes a copy of the lists of a plan with `lengths` those of a shorter run, whose descriptor is resolved. */
void dmattn_interval_lists_shorten(interval_lists *lists, const dmattn_attention_desc *run, keys_bound bound);

/* Sets r->tensor[TENSOR_LISTS]. `reuse`: the workspace has the lists from an earlier call. */
void dmattn_interval_lists_record(const interval_lists *lists, recorder *r, bool reuse);

#endif
