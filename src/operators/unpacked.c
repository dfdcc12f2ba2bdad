/* SPDX-License-Identifier: MIT */
#include "unpacked.h"

dmattn_status dmattn_unpack_plan(unpack_stage *s, dmattn_plan *plan, const dmattn_attention_desc *d,
                                 uint32_t given_strides, bool importance)
{
    s->at[0] = dmattn_plan_reserve(plan, dmattn_unpack_bytes(d, TENSOR_K));
    s->at[1] = dmattn_plan_reserve(plan, dmattn_unpack_bytes(d, TENSOR_V));
    return dmattn_unpack_stage_plan(s, &plan->pipelines, d, given_strides, importance);
}

void dmattn_unpack_align(dmattn_plan *plan, const dmattn_attention_desc *d)
{
    for (int t = 0; t < TENSOR_COUNT; t++) {
        const uint64_t alignment = dmattn_unpack_alignment(d, (tensor_id)t);
        if (alignment)
            plan->tensor[t].alignment = alignment;
    }
}
