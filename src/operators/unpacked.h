/* SPDX-License-Identifier: MIT
 * Keys and values in a format of their own, in the plans of operators. */
#ifndef DMATTN_OPERATORS_UNPACKED_H
#define DMATTN_OPERATORS_UNPACKED_H

#include "../attention/unpack.h"
#include "../plan.h"

/* Adds the stage's pipelines and workspace to a plan; the arguments are those of dmattn_unpack_stage_plan(). */
dmattn_status dmattn_unpack_plan(unpack_stage *stage, dmattn_plan *plan, const dmattn_attention_desc *desc,
                                 uint32_t given_strides, bool importance);

/* Sets the alignment of the tensors that the stage reads. */
void dmattn_unpack_align(dmattn_plan *plan, const dmattn_attention_desc *desc);

#endif
