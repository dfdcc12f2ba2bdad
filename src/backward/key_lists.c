/* SPDX-License-Identifier: MIT */
#include "key_lists.h"

#include "../mask/lists.h"
#include "../shape.h"

static uint32_t words(uint32_t bits)
{
    return dmattn_ceil_div(bits, 32);
}

static uint32_t tiles(const key_lists_desc *d)
{
    return dmattn_ceil_div(d->keys, d->tile_keys);
}

/* The most tiles that have keys of a number. */
static uint32_t tiles_of_number(const key_lists_desc *d)
{
    return d->tile_keys % d->block ? dmattn_ceil_div(d->block, d->tile_keys) + 1 : 1;
}

uint64_t dmattn_key_lists_entries(const key_lists_desc *d)
{
    const uint64_t numbers = dmattn_product(d->count, tiles_of_number(d));
    return dmattn_product(d->planes, d->queries, numbers < tiles(d) ? numbers : tiles(d));
}

uint64_t dmattn_key_lists_bytes(const key_lists_desc *d)
{
    const uint64_t entries = dmattn_product(4 * (1 + words(d->tile_keys)), dmattn_key_lists_entries(d));
    return dmattn_add(dmattn_product(16, d->planes, tiles(d)), entries);
}

static grid grid_of(const key_lists_desc *d)
{
    return (grid){tiles(d), d->planes, 1};
}

static dmattn_status build(pipeline_set *set, const key_lists_desc *d, bool final, VkPipeline *pipeline)
{
    const capabilities *caps = &set->ctx->caps;
    const uint32_t constants[KEY_LISTS_CONSTANT_COUNT] = {
        [KEY_LISTS_WORKGROUP] = dmattn_lists_workgroup(caps, false),
        [KEY_LISTS_CAUSAL] = d->causal,
        [KEY_LISTS_MEMBER_WORDS] = words(d->list_queries),
        [KEY_LISTS_TILE_KEYS] = d->tile_keys,
        [KEY_LISTS_FINAL] = final,
    };
    const kernel_values values = {constants, KEY_LISTS_CONSTANT_COUNT, dmattn_capabilities_subgroup_size(caps)};
    return dmattn_pipelines_add(set, "key_lists", DMATTN_LEVEL_PORTABLE, &values, pipeline);
}

dmattn_status dmattn_key_lists_plan(key_lists *l, pipeline_set *set, const key_lists_desc *d)
{
    l->desc = *d;
    TRY(dmattn_check_grid(set->ctx, "the lists of the gradient of keys", grid_of(d)));
    if (dmattn_key_lists_entries(d) > UINT32_MAX)
        return dmattn_fail(&set->ctx->messenger, DMATTN_ERROR_UNSUPPORTED,
                           "the lists of the gradient of keys have more than 2^32 entries");
    TRY(build(set, d, false, &l->count));
    return build(set, d, true, &l->store);
}

void dmattn_key_lists_record(const key_lists *l, recorder *r)
{
    const key_lists_desc *d = &l->desc;
    const key_lists_params params = {
        .lists = r->tensor[TENSOR_LISTS],
        .key_lists = r->workspace + l->at,
        .queries = d->queries,
        .keys = d->keys,
        .planes = d->planes,
        .list_queries = d->list_queries,
    };
    dmattn_recorder_dispatch(r, l->count, &params, sizeof params, grid_of(d));
    dmattn_recorder_dispatch(r, l->store, &params, sizeof params, grid_of(d));
}
