/* SPDX-License-Identifier: MIT */
#include "backward.h"

#include <stdio.h>

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* ---- shared memory: what the shaders declare ------------------------------------------------------------------- */

/* `staged` and `weights` of lib/products.glsl: a tile of rows x columns, of which sums have `dim` elements. */
static uint32_t products_shared_memory(const attention_tile *t, uint32_t rows, uint32_t columns, uint32_t dim)
{
    const uint32_t units = dmattn_ceil_div(dim / 4, t->key_lanes);
    const uint32_t factors = (rows + columns) * (t->depth / 4 + 1), summands = t->value_keys * t->key_lanes * units;
    return 16 * (max_u32(factors, summands) + rows * (columns / 4 + 1));
}

/* And listed_keys, and row_softmax. */
uint32_t dmattn_backward_query_shared_memory(const attention_tile *t, const dmattn_attention_desc *d)
{
    return products_shared_memory(t, t->rows, t->keys, d->head_dim) + 4 * t->keys + 8 * t->rows;
}

/* And tile_keys, tile_lives and row_softmax; or, of backward_bias.comp, any_is_seen. */
uint32_t dmattn_backward_key_shared_memory(const attention_tile *t, const dmattn_attention_desc *d)
{
    const uint32_t keys =
        products_shared_memory(t, t->keys, t->rows, max_u32(d->head_dim, d->value_dim)) + 12 * t->keys + 8 * t->rows;
    const uint32_t bias = products_shared_memory(t, t->rows, t->keys, 4 * t->key_lanes) + 4 * t->keys + 8 * t->rows + 4;
    return max_u32(keys, bias);
}

/* ---- choice ---------------------------------------------------------------------------------------------------- */

static bool choose_query_tile(const device_facts *facts, const dmattn_attention_desc *d, attention_tile *tile,
                              char *why, size_t size)
{
    /* A row has as many sums as it has elements of dq. */
    dmattn_attention_desc of_dq = *d;
    of_dq.value_dim = d->head_dim;
    attention_tile tiles[16];
    const uint32_t count = dmattn_tile_candidates(facts, &of_dq, DMATTN_LEVEL_PORTABLE, tiles, 16, why, size);
    for (uint32_t i = 0; i < count; i++)
        if (dmattn_backward_query_shared_memory(&tiles[i], d) <= facts->shared_memory) {
            *tile = tiles[i];
            tile->splits = 1;
            return true;
        }
    if (count)
        snprintf(why, size, "no tile of queries fits %u bytes of shared memory", facts->shared_memory);
    return false;
}

/* Heads share a tile unless they see different keys, or each has a dbias of its own. */
static uint32_t key_pack(const dmattn_attention_backward_desc *b, uint32_t rows)
{
    const dmattn_attention_desc *d = &b->attention;
    const bool differs = d->mask != DMATTN_MASK_NONE && d->mask_shape.heads == d->heads;
    const uint32_t group = d->heads / d->kv_heads;
    return differs || !dmattn_backward_sums_group(b) ? 1 : group < rows ? group : rows;
}

static bool choose_key_tile(const device_facts *facts, const dmattn_attention_backward_desc *b, attention_tile *tile,
                            char *why, size_t size)
{
    /* Best first. `rows` are those of queries. A key's dk and dv lie in registers: keys * (head_dim + value_dim) /
     * workgroup of them. */
    static const struct candidate {
        uint32_t max_dim;
        attention_tile tile; /* without the subgroup's size */
    } candidates[] = {
        /* 128 registers for dk and dv of 128 dimensions */
        {128, {.workgroup = 128, .rows = 32, .keys = 64, .key_lanes = 8, .depth = 32, .value_keys = 16}},
        /* and for 256: twice the lanes to a key */
        {256, {.workgroup = 128, .rows = 32, .keys = 32, .key_lanes = 16, .depth = 32, .value_keys = 8}},
        /* 16 KiB of shared memory, or a subgroup of 8 */
        {256, {.workgroup = 64, .rows = 32, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8}},
        /* the same in subgroups of 128 */
        {256, {.workgroup = 128, .rows = 32, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8}},
        /* subgroups of 4 */
        {256, {.workgroup = 64, .rows = 32, .keys = 32, .key_lanes = 4, .depth = 16, .value_keys = 8}},
    };
    const dmattn_attention_desc *d = &b->attention;
    const uint32_t subgroup = dmattn_device_facts_subgroup_size(facts, 32);
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        attention_tile t = candidates[i].tile;
        t.level = DMATTN_LEVEL_PORTABLE;
        t.subgroup_size = subgroup;
        t.splits = 1;
        t.pack = key_pack(b, t.rows);
        if (max_u32(d->head_dim, d->value_dim) <= candidates[i].max_dim && t.workgroup <= facts->max_invocations
            && t.key_lanes <= subgroup && t.workgroup % subgroup == 0
            && dmattn_backward_key_shared_memory(&t, d) <= facts->shared_memory) {
            *tile = t;
            return true;
        }
    }
    snprintf(
        why, size,
        "no tile of keys for head_dim %u and value_dim %u fits a device of subgroup size %u, %u invocations and %u "
        "bytes of shared memory",
        d->head_dim, d->value_dim, subgroup, facts->max_invocations, facts->shared_memory);
    return false;
}

bool dmattn_backward_tiles_choose(const device_facts *facts, const dmattn_attention_backward_desc *b,
                                  backward_tiles *tiles, char *why, size_t size)
{
    return choose_query_tile(facts, &b->attention, &tiles->query, why, size)
           && choose_key_tile(facts, b, &tiles->key, why, size);
}

bool dmattn_backward_tiles_least(const device_facts *facts, const dmattn_attention_backward_desc *b,
                                 backward_tiles *tiles)
{
    char why[200];
    attention_tile t = {.level = DMATTN_LEVEL_PORTABLE,
                        .workgroup = 32,
                        .rows = 16,
                        .keys = 16,
                        .key_lanes = 4,
                        .depth = 8,
                        .value_keys = 8,
                        .splits = 1,
                        .subgroup_size = dmattn_device_facts_subgroup_size(facts, 32)};
    if (t.workgroup % t.subgroup_size || !choose_query_tile(facts, &b->attention, &tiles->query, why, sizeof why))
        return false;
    t.pack = tiles->query.pack < t.rows ? tiles->query.pack : t.rows;
    tiles->query = t;
    t.pack = key_pack(b, t.rows);
    tiles->key = t;
    return true;
}
