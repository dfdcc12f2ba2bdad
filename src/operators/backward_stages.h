/* SPDX-License-Identifier: MIT
 * The stages of attention's gradients, for attention and for dynamic mask attention: lists, then the gradients. */
#ifndef DMATTN_OPERATORS_BACKWARD_STAGES_H
#define DMATTN_OPERATORS_BACKWARD_STAGES_H

#include "../backward/backward.h"
#include "interval_lists.h"
#include "selected_lists.h"

typedef struct backward_stages {
    interval_lists lists; /* without pipelines if dq does not need lists */
    selected_lists selected;
    backward_stage backward;
} backward_stages;

/* Plans the stages of a resolved descriptor, and adds their tensors, memory, name and costs to the plan. `bound`: the
 * number of keys that a query sees. */
dmattn_status dmattn_backward_stages_plan(backward_stages *stages, dmattn_plan *plan,
                                          const dmattn_attention_backward_desc *desc, keys_bound bound,
                                          const backward_tiles *tiles);
void dmattn_backward_stages_record(const backward_stages *stages, recorder *r);
void dmattn_backward_stages_describe(const backward_stages *stages, dmattn_plan_info *info);

#endif
