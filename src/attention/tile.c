/* SPDX-License-Identifier: MIT */
#include "tile.h"

#include <stddef.h>

#define MANY UINT32_MAX

uint32_t dmattn_tile_rows(const attention_tile *t)
{
    return t->workgroup / t->key_lanes * t->lane_rows;
}

uint32_t dmattn_tile_queries(const attention_tile *t)
{
    return dmattn_tile_rows(t) / t->pack;
}

/* A list for 16 queries holds at most 15 more keys than one for a single query. */
uint32_t dmattn_tile_list_queries(const attention_tile *t)
{
    const uint32_t queries = dmattn_tile_queries(t);
    return queries * ((16 + queries - 1) / queries);
}

uint32_t dmattn_tile_keys(const attention_tile *t)
{
    return t->key_lanes * t->lane_keys;
}

/* The arrays `staged` and `probabilities` of attention_forward.comp, in units of 16 bytes, and `listed_keys`. */
uint32_t dmattn_tile_shared_memory(const attention_tile *t, uint32_t value_dim)
{
    uint32_t value_columns = (value_dim / 4 + t->key_lanes - 1) / t->key_lanes;
    uint32_t qk = (dmattn_tile_rows(t) + dmattn_tile_keys(t)) * (t->depth / 4 + 1);
    uint32_t values = t->value_keys * value_columns * t->key_lanes;
    uint32_t probabilities = dmattn_tile_rows(t) * (dmattn_tile_keys(t) / 4 + 1);
    return 16 * ((qk > values ? qk : values) + probabilities) + 4 * dmattn_tile_keys(t);
}

bool dmattn_tile_fits(const attention_tile *t, const device_facts *facts, uint32_t value_dim)
{
    return t->workgroup <= facts->max_invocations
           && dmattn_tile_shared_memory(t, value_dim) <= facts->shared_memory
           /* each fetches at most one key of a list */
           && dmattn_tile_keys(t) <= t->workgroup
           /* a row's lanes shuffle among themselves, and no subgroup may be partly filled */
           && t->key_lanes <= t->subgroup_size && t->workgroup % t->subgroup_size == 0;
}

/* How many heads of a group may share tiles: all, but for a mask that differs from head to head. */
static uint32_t shared_heads(const dmattn_attention_desc *d)
{
    const bool differs = d->mask != DMATTN_MASK_NONE && d->mask_shape.heads == d->heads;
    return differs ? 1 : d->heads / d->kv_heads;
}

bool dmattn_tile_choose(const device_facts *facts, const dmattn_attention_desc *desc, attention_tile *tile)
{
    /* Best first. A row's accumulators lie in registers: lane_rows * value_dim / key_lanes of them. */
    static const struct candidate {
        uint32_t max_rows, max_value_dim;
        attention_tile tile; /* without the subgroup's size */
    } candidates[] = {
        /* few queries: rows that none fills would be computed for nothing */
        {16, 256, {.workgroup = 64, .key_lanes = 8, .lane_rows = 2, .lane_keys = 4, .depth = 32, .value_keys = 8}},
        /* 64 x 32, 64 accumulators: twice the keys halve the reads of shared memory for each product, but leave room
           for fewer workgroups to hide each other's waiting, and lost a fifth on the H200 (docs/performance.md) */
        {MANY, 128, {.workgroup = 128, .key_lanes = 8, .lane_rows = 4, .lane_keys = 4, .depth = 32, .value_keys = 16}},
        /* wide values: twice the lanes to a row, so that accumulators stay at 64 */
        {MANY, 256, {.workgroup = 128, .key_lanes = 16, .lane_rows = 4, .lane_keys = 4, .depth = 32, .value_keys = 8}},
        /* the same where a subgroup has but 8 lanes */
        {MANY, 256, {.workgroup = 128, .key_lanes = 8, .lane_rows = 4, .lane_keys = 4, .depth = 32, .value_keys = 8}},
        /* 16 KiB of shared memory, the least that Vulkan promises */
        {MANY, 256, {.workgroup = 64, .key_lanes = 8, .lane_rows = 4, .lane_keys = 4, .depth = 16, .value_keys = 8}},
        /* the same in subgroups of 128 */
        {MANY, 256, {.workgroup = 128, .key_lanes = 8, .lane_rows = 2, .lane_keys = 4, .depth = 16, .value_keys = 8}},
        /* subgroups of 4 */
        {MANY, 256, {.workgroup = 64, .key_lanes = 4, .lane_rows = 2, .lane_keys = 8, .depth = 16, .value_keys = 8}},
    };
    const uint32_t heads = shared_heads(desc);
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        const struct candidate *c = &candidates[i];
        if ((uint64_t)desc->queries * heads > c->max_rows || desc->value_dim > c->max_value_dim)
            continue;
        *tile = c->tile;
        tile->pack = heads < dmattn_tile_rows(tile) ? heads : dmattn_tile_rows(tile);
        tile->subgroup_size = dmattn_device_facts_subgroup_size(facts, 32);
        if (dmattn_tile_fits(tile, facts, desc->value_dim))
            return true;
    }
    return false;
}
