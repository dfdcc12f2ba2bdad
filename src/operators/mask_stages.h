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

/* What a plan of attention with `lengths` adds. */
typedef struct mask_lengths {
    bool any;             /* desc->queries and desc->keys are the largest of all runs */
    bool given_v_strides; /* v_strides are the same in every run */
    bool cached;          /* the first keys are those of a bounded cache: dmattn_selection_stage_plan() */
} mask_lengths;

/* Plans the stages of a resolved descriptor, and adds their tensors and scratch memory to the plan. */
dmattn_status dmattn_mask_stages_plan(mask_stages *stages, dmattn_plan *plan, const dmattn_mask_desc *desc,
                                      mask_lengths lengths);

/* Makes a copy of the stages ones for a shorter run, which has the same selection. */
void dmattn_mask_stages_shorten(mask_stages *stages, const capabilities *caps, const dmattn_mask_desc *run);

/* `reuse`: bits of dmattn_mask_stage; these stages are left out. */
void dmattn_mask_stages_record(const mask_stages *stages, recorder *r, uint32_t reuse);

#endif
