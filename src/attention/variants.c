/* SPDX-License-Identifier: MIT */
#include "variants.h"

#include "desc.h"

/* Numbers of keys up to which the table of fragments has other tiles, and rows of a group up to which it has them. */
static const struct {
    uint32_t keys, rows;
} samples[] = {{UINT32_MAX, UINT32_MAX}, {4096, 64}, {256, 1024}};

static bool same_tile(const attention_tile *a, const attention_tile *b)
{
    return a->level == b->level && a->form == b->form && a->workgroup == b->workgroup && a->rows == b->rows
           && a->keys == b->keys && a->band == b->band && a->heads_per_tile == b->heads_per_tile
           && a->subgroup_size == b->subgroup_size && a->key_lanes == b->key_lanes && a->depth == b->depth
           && a->value_keys == b->value_keys && a->by_unit == b->by_unit && a->matrix.m == b->matrix.m
           && a->matrix.n == b->matrix.n && a->matrix.k == b->matrix.k && a->operands == b->operands
           && a->query_blocks == b->query_blocks && a->guarded == b->guarded && a->sums_shared == b->sums_shared
           && a->fragment_layout == b->fragment_layout;
}

static const attention_variant *find(const attention_variants *v, const attention_tile *tile)
{
    for (uint32_t i = 0; i < v->count; i++)
        if (same_tile(&v->of[i].tile, tile))
            return &v->of[i];
    return NULL;
}

static bool is_built(const attention_tile *tile, const dmattn_attention_desc *d)
{
    char name[KERNEL_NAME];
    dmattn_attention_kernel(tile, d, name);
    return dmattn_kernel_find(name, tile->level);
}

/* Adds what runs of these keys need, of these queries down to half of them. Returns their variant, or NULL. */
static const attention_variant *add(attention_variants *v, const capabilities *caps, const dmattn_attention_desc *run)
{
    dmattn_attention_desc half = *run;
    half.queries = run->queries / 2 + 1;
    attention_tile tile = v->of[0].tile;
    char why[224];
    if (!dmattn_attention_has_lists(run) && !dmattn_tile_choose(caps, run, tile.level, &tile, why, sizeof why))
        return NULL;
    const attention_variant *known = find(v, &tile);
    const bool same_kernel = tile.form == v->of[0].tile.form && tile.operands == v->of[0].tile.operands;
    if (!known && (v->count == MOST_VARIANTS || !(same_kernel || is_built(&tile, run))))
        return NULL;
    attention_variant *variant = &v->of[known ? (uint32_t)(known - v->of) : v->count++];
    if (!known)
        variant->tile = tile;
    variant->splits |= dmattn_tile_splits(&half, &tile) > 1;
    variant->tile.splits = 1;
    return variant;
}

/* The same for all numbers of queries between two, which are `queries` halved `few` and `many` times. Their variants
 * are known. If they are the same, so are nearly always all between them: a tile is for all numbers up to one, or from
 * one on. A tile whose numbers are all between two halvings may be missed; its runs then take the first variant. And
 * what splits the keys of some queries splits those of fewer queries. */
static void add_between(attention_variants *v, const capabilities *caps, dmattn_attention_desc *run, uint32_t queries,
                        uint32_t few, uint32_t many, const attention_variant *of_few, const attention_variant *of_many)
{
    if (many - few < 2 || of_few == of_many)
        return;
    const uint32_t middle = (few + many) / 2;
    run->queries = queries >> middle;
    const attention_variant *of_middle = add(v, caps, run);
    add_between(v, caps, run, queries, few, middle, of_few, of_middle);
    add_between(v, caps, run, queries, middle, many, of_middle, of_many);
}

attention_variants dmattn_attention_variants(const capabilities *caps, const dmattn_attention_desc *d,
                                             const attention_tile *tile, bool given)
{
    attention_variants v = {.count = 1,
                            .of = {{.tile = *tile, .splits = tile->splits > 1 || dmattn_tile_shares(d, tile)}}};
    v.of[0].tile.splits = 1;
    if (!d->lengths || given)
        return v;
    dmattn_attention_desc run = *d;
    uint32_t halvings = 0;
    while (d->queries >> halvings > 1)
        halvings++;
    const size_t count = tile->form == FORM_FRAGMENTS ? sizeof samples / sizeof *samples : 1;
    for (size_t i = 0; i < count; i++) {
        const uint32_t most = samples[i].rows / dmattn_tile_heads_per_tile(d, samples[i].rows);
        uint32_t few = 0; /* with more queries, the tiles are those of all keys */
        while (few < halvings && d->queries >> (few + 1) >= most)
            few++;
        run.keys = d->keys < samples[i].keys ? d->keys : samples[i].keys;
        run.queries = d->queries >> few;
        const attention_variant *of_many = add(&v, caps, &run);
        run.queries = d->queries >> halvings;
        const attention_variant *of_one = add(&v, caps, &run);
        add_between(&v, caps, &run, d->queries, few, halvings, of_many, of_one);
    }
    return v;
}

const attention_variant *dmattn_attention_variant_for(const attention_variants *v, const capabilities *caps,
                                                      const dmattn_attention_desc *run, attention_tile *tile)
{
    const attention_variant *variant = NULL;
    char why[224];
    if (v->count > 1 && dmattn_tile_choose(caps, run, v->of[0].tile.level, tile, why, sizeof why))
        variant = find(v, tile);
    if (!variant)
        variant = &v->of[0];
    *tile = variant->tile;
    tile->splits = variant->splits ? dmattn_tile_splits(run, tile) : 1;
    return variant;
}
