/* SPDX-License-Identifier: MIT */
#include "mask_stages.h"

static uint64_t alignment_of(const dmattn_mask_desc *d, tensor_id tensor)
{
    switch (tensor) {
    case TENSOR_V: return dmattn_importance_is_aligned(d) ? 16 : dmattn_type_size(d->type);
    case TENSOR_DT_WEIGHT:
    case TENSOR_A:
    case TENSOR_DT_BIAS: return dmattn_type_size(d->importance.parameter_type);
    case TENSOR_KEY_VALID: return 1;
    default: return 4;
    }
}

static lists_desc lists_of(const dmattn_mask_desc *d, bool lengths)
{
    const uint64_t plane = UINT64_C(4) * d->keys;
    return (lists_desc){
        .batch = d->batch,
        .heads = d->kv_heads,
        .queries = d->queries,
        .keys = d->keys,
        .batch_stride = plane * d->kv_heads,
        .head_stride = plane,
        /* Documents have their own positions, so positions in the whole sequence tell nothing about causality. */
        .causal = d->selection.causal && !d->selection.documents,
        .bound = dmattn_selection_bound(&d->selection, d->keys),
        .list_queries = d->list_queries,
        .capacity = d->list_capacity,
        .lengths = lengths,
    };
}

dmattn_status dmattn_mask_stages_plan(mask_stages *s, dmattn_plan *plan, const dmattn_mask_desc *d,
                                      mask_lengths lengths)
{
    uint64_t scratch = 0; /* intervals and lists use the same scratch memory, one after the other */
    if (d->stages & DMATTN_STAGE_IMPORTANCE)
        TRY(dmattn_importance_stage_plan(&s->importance, &plan->pipelines, d, lengths.given_v_strides));
    if (d->stages & DMATTN_STAGE_INTERVALS) {
        TRY(dmattn_selection_stage_plan(&s->selection, &plan->pipelines, d, lengths.cached));
        scratch = dmattn_selection_scratch_bytes(d);
    }
    if (d->stages & DMATTN_STAGE_LISTS) {
        const lists_desc lists = lists_of(d, lengths.any);
        TRY(dmattn_lists_stage_plan(&s->lists, &plan->pipelines, &lists));
        const lists_layout *l = &s->lists.layout;
        plan->tensor[TENSOR_LISTS] = (plan_tensor){.bytes = dmattn_lists_bytes(l), .alignment = 16};
        scratch = l->scratch_bytes > scratch ? l->scratch_bytes : scratch;
    }
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        const uint64_t bytes = dmattn_mask_tensor_bytes(d, t);
        if (bytes)
            plan->tensor[t] = (plan_tensor){.bytes = bytes, .alignment = alignment_of(d, t)};
    }
    s->selection.scratch_at = s->lists.scratch_at = dmattn_plan_reserve(plan, scratch);
    return DMATTN_SUCCESS;
}

void dmattn_mask_stages_shorten(mask_stages *s, const capabilities *caps, const dmattn_mask_desc *run)
{
    const lists_desc lists = lists_of(run, true);
    if (run->stages & DMATTN_STAGE_IMPORTANCE)
        dmattn_importance_stage_shorten(&s->importance, caps, run);
    dmattn_selection_stage_shorten(&s->selection, run);
    dmattn_lists_stage_shorten(&s->lists, &lists);
}

void dmattn_mask_stages_record(const mask_stages *s, recorder *r, uint32_t reuse)
{
    if (s->importance.pipeline && !(reuse & DMATTN_STAGE_IMPORTANCE))
        dmattn_importance_stage_record(&s->importance, r);
    if (s->selection.intervals && !(reuse & DMATTN_STAGE_INTERVALS))
        dmattn_selection_stage_record(&s->selection, r);
    if (s->lists.final && !(reuse & DMATTN_STAGE_LISTS))
        dmattn_lists_stage_record(&s->lists, r);
}
