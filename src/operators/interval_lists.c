/* SPDX-License-Identifier: MIT */
#include "interval_lists.h"

static lists_desc lists_of(const dmattn_attention_desc *d, uint32_t list_queries, keys_bound bound)
{
    return (lists_desc){
        .batch = d->mask_shape.batch,
        .heads = d->mask_shape.heads,
        .queries = d->queries,
        .keys = d->keys,
        .batch_stride = 4 * d->mask_shape.batch_stride,
        .head_stride = 4 * d->mask_shape.head_stride,
        .causal = d->causal,
        .bound = bound,
        .list_queries = list_queries,
        .capacity = dmattn_list_capacity(bound, d->keys, list_queries, d->list_capacity),
        .lengths = d->lengths,
    };
}

dmattn_status dmattn_interval_lists_plan(interval_lists *l, dmattn_plan *plan, const dmattn_attention_desc *d,
                                         uint32_t list_queries, keys_bound bound)
{
    const lists_desc desc = lists_of(d, list_queries, bound);
    if (d->lists) { /* their size is only in their headers; here, it is the minimum, the size of the headers */
        const uint64_t headers = dmattn_product(desc.batch, desc.heads, dmattn_ceil_div(d->queries, list_queries));
        plan->tensor[TENSOR_LISTS] = (plan_tensor){.bytes = dmattn_product(16, headers), .alignment = 16};
        return DMATTN_SUCCESS;
    }
    TRY(dmattn_lists_stage_plan(&l->stage, &plan->pipelines, &desc));
    l->lists_at = dmattn_plan_reserve(plan, dmattn_lists_bytes(&l->stage.layout));
    l->stage.scratch_at = dmattn_plan_reserve(plan, l->stage.layout.scratch_bytes);
    return DMATTN_SUCCESS;
}

void dmattn_interval_lists_shorten(interval_lists *l, const dmattn_attention_desc *run, keys_bound bound)
{
    const lists_desc desc = lists_of(run, l->stage.desc.list_queries, bound);
    dmattn_lists_stage_shorten(&l->stage, &desc);
}

void dmattn_interval_lists_record(const interval_lists *l, recorder *r, bool reuse)
{
    if (!l->stage.final)
        return;
    r->tensor[TENSOR_LISTS] = r->workspace + l->lists_at;
    r->bytes[TENSOR_LISTS] = dmattn_lists_bytes(&l->stage.layout);
    if (!reuse)
        dmattn_lists_stage_record(&l->stage, r);
}
