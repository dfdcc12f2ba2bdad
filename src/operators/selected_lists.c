/* SPDX-License-Identifier: MIT */
#include "selected_lists.h"

/* Lists for several batch items that have their own numbers of queries and keys are those of the largest numbers, and
 * attention leaves out what an item does not have. */
static union_lists_desc lists_of(const dmattn_attention_desc *d, uint32_t list_queries)
{
    const dmattn_score_shape *m = &d->mask_shape;
    const bool of_items = m->batch == d->batch;
    return (union_lists_desc){
        .batch = m->batch,
        .heads = m->heads,
        .queries = d->queries,
        .keys = d->keys,
        .batch_stride = 4 * m->batch_stride,
        .head_stride = 4 * m->head_stride,
        .query_stride = m->queries > 1 ? 4 * m->query_stride : 0,
        .count = d->selected_count,
        .block = d->selected_block,
        .causal = d->causal && (!d->counts || of_items),
        .counts = d->counts && of_items,
        .list_queries = list_queries,
    };
}

dmattn_status dmattn_selected_lists_plan(selected_lists *l, dmattn_plan *plan, const dmattn_attention_desc *d,
                                         uint32_t list_queries)
{
    const union_lists_desc desc = lists_of(d, list_queries);
    TRY(dmattn_union_lists_plan(&l->stage, &plan->pipelines, &desc));
    l->lists_at = dmattn_plan_reserve(plan, dmattn_union_lists_bytes(&desc));
    return DMATTN_SUCCESS;
}

void dmattn_selected_lists_shorten(selected_lists *l, const dmattn_attention_desc *run)
{
    l->stage.desc = lists_of(run, l->stage.desc.list_queries);
}

void dmattn_selected_lists_record(const selected_lists *l, recorder *r, bool reuse)
{
    if (!l->stage.pipeline)
        return;
    r->tensor[TENSOR_LISTS] = r->workspace + l->lists_at;
    r->bytes[TENSOR_LISTS] = dmattn_union_lists_bytes(&l->stage.desc);
    if (!reuse)
        dmattn_union_lists_record(&l->stage, r);
}
