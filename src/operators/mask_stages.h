/* SPDX-License-Identifier: MIT
 * The stages of a dynamic mask, for mask plans and for dynamic mask attention: importance, intervals, lists. */
#ifndef DMATTN_OPERATORS_MASK_STAGES_H
#define DMATTN_OPERATORS_MASK_STAGES_H

#include "../mask/importance.h"
#include "../mask/lists.h"
#include "../mask/selection.h"
#include "../plan.h"

typedef struct mask_stages { /* a stage that desc->stages leaves out has no pipelines */
    importance_stage importance;
    selection_stage selection;
    lists_stage lists;
} mask_stages;

/* Plans the stages of a resolved descriptor, and adds their tensors and scratch memory to the plan. */
dmattn_status dmattn_mask_stages_plan(mask_stages *stages, dmattn_plan *plan, const dmattn_mask_desc *desc);

/* `reuse`: bits of dmattn_mask_stage; these stages are left out. */
void dmattn_mask_stages_record(const mask_stages *stages, recorder *r, uint32_t reuse);

#endif
