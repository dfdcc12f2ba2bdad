/* SPDX-License-Identifier: MIT */
#include "selection.h"

uint64_t dmattn_selection_scratch_bytes(const dmattn_mask_desc *d)
{
    const sort_layout l = dmattn_sort_layout((uint64_t)d->batch * d->kv_heads, d->keys);
    return dmattn_selection_sorts(&d->selection) ? dmattn_sort_scratch_bytes(&l) : 0;
}

static grid grid_of(const selection_stage *s)
{
    const uint32_t keys = dmattn_selection_sorts(&s->desc.selection) ? s->sort.layout.padded : s->desc.keys;
    return (grid){dmattn_ceil_div(keys, s->workgroup),
                  dmattn_workgroups(dmattn_product(s->desc.batch, s->desc.kv_heads)), 1};
}

dmattn_status dmattn_selection_stage_plan(selection_stage *s, pipeline_set *set, const dmattn_mask_desc *d, bool cached)
{
    const dmattn_context *ctx = set->ctx;
    const dmattn_selection *selection = &d->selection;
    const uint64_t planes = dmattn_product(d->batch, d->kv_heads);
    s->workgroup = dmattn_sort_workgroup(&ctx->caps, planes, d->keys);
    uint32_t constants[SELECTION_CONSTANT_COUNT] = {
        [SELECTION_WORKGROUP] = s->workgroup,         [SELECTION_CAUSAL] = selection->causal,
        [SELECTION_KEY_VALID] = selection->key_valid, [SELECTION_DOCUMENTS] = selection->documents > 0,
        [SELECTION_TIE_BREAK] = selection->tie_break,
    };
    s->desc = *d;
    if (dmattn_selection_sorts(selection))
        TRY(dmattn_key_sort_plan(&s->sort, set, planes, d->keys, constants));
    s->intervals_grid = grid_of(s);
    TRY(dmattn_check_grid(ctx, "the selection", s->intervals_grid));
    dmattn_selection_constants(selection, constants); /* not before: sorts of all selections share their pipelines */
    const kernel_values values = {constants, SELECTION_CONSTANT_COUNT, 0};
    return dmattn_pipelines_add(set, cached ? "intervals_cached" : "intervals", DMATTN_LEVEL_PORTABLE, &values,
                                &s->intervals);
}

void dmattn_selection_stage_shorten(selection_stage *s, const dmattn_mask_desc *run)
{
    s->desc = *run;
    if (dmattn_selection_sorts(&run->selection))
        s->sort.layout = dmattn_sort_layout(dmattn_product(run->batch, run->kv_heads), run->keys);
    s->intervals_grid = grid_of(s);
}

void dmattn_selection_stage_record(const selection_stage *s, recorder *r)
{
    sort_params sort = {
        .importance = r->tensor[TENSOR_IMPORTANCE],
        .key_valid = r->tensor[TENSOR_KEY_VALID],
        .keys = s->desc.keys,
        .heads = s->desc.kv_heads,
    };
    VkDeviceAddress sorted = 0;
    if (s->sort.blocks)
        sorted = dmattn_key_sort_record(&s->sort, r, r->workspace + s->scratch_at, &sort);
    const intervals_params params = {
        .sorted = sorted,
        .query_offsets = r->tensor[TENSOR_QUERY_OFFSETS],
        .key_offsets = r->tensor[TENSOR_KEY_OFFSETS],
        .begin = r->tensor[TENSOR_BEGIN],
        .end = r->tensor[TENSOR_END],
        .importance = sort.importance,
        .key_valid = sort.key_valid,
        .tree = sort.tree,
        .keys = sort.keys,
        .heads = sort.heads,
        .levels = sort.levels,
        .queries = s->desc.queries,
        .documents = s->desc.selection.documents,
    };
    dmattn_recorder_dispatch(r, s->intervals, &params, sizeof params, s->intervals_grid);
}
