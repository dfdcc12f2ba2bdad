/* SPDX-License-Identifier: MIT
 * Tile lists for selected keys, in the workspace. */
#ifndef DMATTN_OPERATORS_SELECTED_LISTS_H
#define DMATTN_OPERATORS_SELECTED_LISTS_H

#include "../mask/union_lists.h"
#include "../plan.h"

typedef struct selected_lists {
    union_lists_stage stage; /* without a pipeline if the plan has no such lists */
    uint64_t lists_at;       /* offset in the workspace */
} selected_lists;

/* `list_queries`: those of a tile. */
dmattn_status dmattn_selected_lists_plan(selected_lists *lists, dmattn_plan *plan, const dmattn_attention_desc *desc,
                                         uint32_t list_queries);

/* Makes a copy of the lists of a plan with `lengths` those of a shorter run, whose descriptor is resolved. */
void dmattn_selected_lists_shorten(selected_lists *lists, const dmattn_attention_desc *run);

/* Sets r->tensor[TENSOR_LISTS], if there are such lists. `reuse`: the workspace has the lists from an earlier call. */
void dmattn_selected_lists_record(const selected_lists *lists, recorder *r, bool reuse);

#endif
