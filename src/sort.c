/* SPDX-License-Identifier: MIT */
#include "sort.h"

/* An invocation of a large workgroup sorts one key of a block, which takes less time than four, but fewer workgroups
 * run at a time. So large workgroups are for few blocks. Measured on the H200 with 16, 32, 64 and 512 blocks: the mask
 * takes 0.051, 0.065, 0.088 and 0.440 ms with large workgroups, 0.062, 0.077, 0.101 and 0.413 ms with small ones. */
#define FEW_BLOCKS      64
#define LARGE_WORKGROUP 1024
#define WORKGROUP       256

sort_layout dmattn_sort_layout(uint64_t planes, uint32_t keys)
{
    sort_layout l = {.planes = dmattn_workgroups(planes), .levels = TREE_BLOCK_LEVELS};
    l.padded = dmattn_ceil_div(keys, TREE_BLOCK) * TREE_BLOCK;
    while (UINT64_C(1) << l.levels < l.padded)
        l.levels++;
    l.sorted_bytes = dmattn_product(8, planes, l.padded);
    l.tree_bytes = dmattn_product(8, planes, l.levels, l.padded / 32);
    return l;
}

uint64_t dmattn_sort_scratch_bytes(const sort_layout *l)
{
    return dmattn_add(dmattn_product(2, l->sorted_bytes), l->tree_bytes);
}

uint32_t dmattn_sort_workgroup(const capabilities *caps, uint64_t planes, uint32_t keys)
{
    const bool few = dmattn_product(planes, dmattn_ceil_div(keys, TREE_BLOCK)) <= FEW_BLOCKS;
    uint32_t workgroup = few ? LARGE_WORKGROUP : WORKGROUP;
    while (workgroup > caps->max_invocations)
        workgroup /= 2;
    return workgroup;
}

static grid blocks_grid(const sort_layout *l)
{
    return (grid){l->padded / TREE_BLOCK, l->planes, 1};
}

dmattn_status dmattn_key_sort_plan(key_sort *s, pipeline_set *set, uint64_t planes, uint32_t keys,
                                   const uint32_t constants[SELECTION_CONSTANT_COUNT])
{
    const kernel_values values = {constants, SELECTION_CONSTANT_COUNT, 0};
    s->layout = dmattn_sort_layout(planes, keys);
    const dmattn_context *ctx = set->ctx;
    TRY(dmattn_check_grid(ctx, "sorting keys", blocks_grid(&s->layout)));
    if (dmattn_product(planes, s->layout.levels) > UINT32_MAX)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED,
                           "there are too many heads and batch items to sort the keys of each");
    TRY(dmattn_pipelines_add(set, "sort_blocks", DMATTN_LEVEL_PORTABLE, &values, &s->blocks));
    return dmattn_pipelines_add(set, "merge_runs", DMATTN_LEVEL_PORTABLE, &values, &s->runs);
}

VkDeviceAddress dmattn_key_sort_record(const key_sort *s, recorder *r, VkDeviceAddress scratch, sort_params *params)
{
    const grid g = blocks_grid(&s->layout);
    VkDeviceAddress from = scratch, to = scratch + s->layout.sorted_bytes;
    params->tree = scratch + 2 * s->layout.sorted_bytes;
    params->levels = s->layout.levels;
    params->sorted_out = from;
    dmattn_recorder_dispatch(r, s->blocks, params, sizeof *params, g);
    for (params->level = TREE_BLOCK_LEVELS; params->level < s->layout.levels; params->level++) {
        params->sorted_in = from;
        params->sorted_out = to;
        dmattn_recorder_dispatch(r, s->runs, params, sizeof *params, g);
        to = from;
        from = params->sorted_out;
    }
    return from;
}
