/* SPDX-License-Identifier: MIT */
#include "schedule.h"

#include "desc.h"

#define WORKGROUP 128

/* ---- without a device ------------------------------------------------------------------------------------------ */

static uint32_t least(uint64_t a, uint64_t b)
{
    return dmattn_workgroups(a < b ? a : b);
}

schedule_items_params dmattn_schedule_params(const dmattn_attention_desc *d, const attention_tile *tile)
{
    if (!d->total_queries)
        return (schedule_items_params){0};
    const uint32_t tile_queries = dmattn_tile_queries(tile);
    const uint64_t of_rows = (uint64_t)d->total_queries / tile_queries + d->batch;
    const uint64_t of_items = (uint64_t)d->batch * dmattn_ceil_div(d->queries, tile_queries);
    schedule_items_params p = {.items = d->batch,
                               .queries = d->queries,
                               .keys = d->keys,
                               .rows = d->total_queries,
                               .key_rows = d->total_keys,
                               .tile_queries = tile_queries,
                               .unit_keys = tile->keys,
                               .most_parts = dmattn_tile_shares(d, tile),
                               .most_tiles = least(least(of_rows, of_items), d->total_queries)};
    while ((uint64_t)p.most_tiles * dmattn_ceil_div(d->keys, p.unit_keys) > UINT32_MAX) /* the kernel adds up units */
        p.unit_keys *= 2;
    p.least_units = dmattn_ceil_div(dmattn_tile_least_keys(tile), p.unit_keys);
    return p;
}

uint64_t dmattn_schedule_parts(const schedule_items_params *p)
{
    return (uint64_t)ITEM_BYTES * p->items;
}

uint64_t dmattn_schedule_tiles(const schedule_items_params *p)
{
    return dmattn_schedule_parts(p) + (uint64_t)ENTRY_BYTES * p->most_parts;
}

uint64_t dmattn_schedule_bytes(const schedule_items_params *p)
{
    return dmattn_schedule_tiles(p) + (uint64_t)ENTRY_BYTES * p->most_tiles;
}

/* ---- the stage ------------------------------------------------------------------------------------------------- */

dmattn_status dmattn_schedule_plan(item_schedule *s, pipeline_set *set, const dmattn_attention_desc *d,
                                   const attention_tile *tile)
{
    s->params = dmattn_schedule_params(d, tile);
    if (!s->params.items)
        return DMATTN_SUCCESS;
    return dmattn_pipelines_add(set, "schedule_items", DMATTN_LEVEL_PORTABLE,
                                &(kernel_values){(const uint32_t[]){WORKGROUP}, 1, 0}, &s->pipeline);
}

void dmattn_schedule_record(const item_schedule *s, recorder *r)
{
    if (!s->params.items)
        return;
    schedule_items_params params = s->params;
    params.counts = r->tensor[TENSOR_COUNTS];
    params.results = r->workspace + s->at;
    dmattn_recorder_dispatch(r, s->pipeline, &params, sizeof params, (grid){1, 1, 1});
}
