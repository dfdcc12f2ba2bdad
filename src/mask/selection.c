/* SPDX-License-Identifier: MIT */
#include "selection.h"

#define WORKGROUP 256

selection_layout dmattn_selection_layout(const dmattn_mask_desc *d)
{
    selection_layout l = {0};
    if (!dmattn_selection_sorts(&d->selection))
        return l;
    const uint64_t planes = (uint64_t)d->batch * d->kv_heads;
    l.padded = dmattn_ceil_div(d->keys, TREE_BLOCK) * TREE_BLOCK;
    for (l.levels = TREE_BLOCK_LEVELS; UINT64_C(1) << l.levels < l.padded;)
        l.levels++;
    l.sorted_bytes = 8 * planes * l.padded;
    l.tree_bytes = 8 * planes * l.levels * (l.padded / 32);
    return l;
}

uint64_t dmattn_selection_scratch_bytes(const selection_layout *l)
{
    return 2 * l->sorted_bytes + l->tree_bytes;
}

dmattn_status dmattn_selection_stage_plan(selection_stage *s, const dmattn_context *ctx, VkPipelineLayout layout,
                                          const dmattn_mask_desc *d)
{
    const dmattn_selection *selection = &d->selection;
    const uint32_t workgroup = ctx->facts.max_invocations < WORKGROUP ? WORKGROUP / 2 : WORKGROUP;
    const uint64_t planes = (uint64_t)d->batch * d->kv_heads;
    const uint32_t y = planes > UINT32_MAX ? UINT32_MAX : (uint32_t)planes;
    s->desc = *d;
    s->layout = dmattn_selection_layout(d);
    s->blocks_grid = (grid){s->layout.padded / TREE_BLOCK, y, 1};
    s->intervals_grid = (grid){dmattn_ceil_div(s->layout.padded ? s->layout.padded : d->keys, workgroup), y, 1};
    TRY(dmattn_check_grid(ctx, "the selection", s->intervals_grid));
    if (planes * s->layout.levels > UINT32_MAX)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED, "the selection has too many heads and items");

    uint32_t constants[SELECTION_CONSTANT_COUNT] = {
        [SELECTION_WORKGROUP] = workgroup,
        [SELECTION_SELECTION] = selection->select,
        [SELECTION_CAUSAL] = selection->causal,
        [SELECTION_KEY_VALID] = selection->key_valid,
        [SELECTION_DOCUMENTS] = selection->documents > 0,
    };
    const kernel_values values = {constants, SELECTION_CONSTANT_COUNT, 0};
    const dmattn_level level = DMATTN_LEVEL_PORTABLE;
    if (s->layout.padded) {
        TRY(dmattn_kernel_build(ctx, "sort_blocks", level, layout, &values, &s->sort_blocks));
        TRY(dmattn_kernel_build(ctx, "merge_runs", level, layout, &values, &s->merge_runs));
    }
    return dmattn_kernel_build(ctx, "intervals", level, layout, &values, &s->intervals);
}

void dmattn_selection_stage_destroy(selection_stage *s, const dmattn_context *ctx)
{
    ctx->vk.DestroyPipeline(ctx->device, s->sort_blocks, ctx->allocator);
    ctx->vk.DestroyPipeline(ctx->device, s->merge_runs, ctx->allocator);
    ctx->vk.DestroyPipeline(ctx->device, s->intervals, ctx->allocator);
}

void dmattn_selection_stage_record(const selection_stage *s, recorder *r)
{
    const dmattn_selection *selection = &s->desc.selection;
    VkDeviceAddress from = r->scratch, to = r->scratch + s->layout.sorted_bytes;
    selection_params params = {
        .importance = r->tensor[TENSOR_IMPORTANCE],
        .key_valid = r->tensor[TENSOR_KEY_VALID],
        .query_offsets = r->tensor[TENSOR_QUERY_OFFSETS],
        .key_offsets = r->tensor[TENSOR_KEY_OFFSETS],
        .tree = r->scratch + 2 * s->layout.sorted_bytes,
        .begin = r->tensor[TENSOR_BEGIN],
        .end = r->tensor[TENSOR_END],
        .queries = s->desc.queries,
        .keys = s->desc.keys,
        .heads = s->desc.kv_heads,
        .levels = s->layout.levels,
        .documents = selection->documents,
        .window = selection->window,
        .threshold = selection->threshold,
        .sinks = selection->sinks,
        .recent = selection->recent,
        .sliding = selection->sliding,
    };
    if (s->sort_blocks) {
        params.sorted_out = from;
        dmattn_recorder_dispatch(r, s->sort_blocks, &params, sizeof params, s->blocks_grid);
        for (params.level = TREE_BLOCK_LEVELS; params.level < s->layout.levels; params.level++) {
            params.sorted_in = from;
            params.sorted_out = to;
            dmattn_recorder_dispatch(r, s->merge_runs, &params, sizeof params, s->blocks_grid);
            to = from;
            from = params.sorted_out;
        }
        params.sorted_in = from;
    }
    dmattn_recorder_dispatch(r, s->intervals, &params, sizeof params, s->intervals_grid);
}
