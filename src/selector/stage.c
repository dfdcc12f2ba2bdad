/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include "../mask/lists.h"
#include "desc.h"

#include <stdio.h>
#include <string.h>

/* Invocations of pool_keys.comp, and how many of them are beside each other in a row of k. */
#define MEANS_WORKGROUP 128
#define MEANS_LANES     16

/* Invocations have LONG_ROW_LOADS loads of a row of more numbers in flight at a time. For a short row, most of them
 * would be behind its end. */
#define LONG_ROW       8192
#define LONG_ROW_LOADS 4

/* Each round is two dispatches, and recording must not take seconds. */
#define MOST_ROUNDS (1u << 16)

/* ---- without a device ------------------------------------------------------------------------------------------ */

static grid pool_grid(const dmattn_selector_desc *d)
{
    const uint64_t units = dmattn_product(d->kv_heads, d->head_dim / 8);
    return (grid){dmattn_workgroups((units - 1) / MEANS_LANES + 1), dmattn_selector_numbers(d), d->batch};
}

static uint32_t tiles_of_round(const selector_layout *l, uint32_t round)
{
    const uint64_t left = l->tiles - (uint64_t)round * l->round_tiles;
    return left < l->round_tiles ? (uint32_t)left : l->round_tiles;
}

static grid scores_grid(const selector_stage *s, uint32_t round)
{
    return (grid){s->layout.row_words / s->tile.keys, tiles_of_round(&s->layout, round), 1};
}

static grid select_grid(const selector_stage *s, uint32_t round)
{
    return (grid){s->tile.queries, tiles_of_round(&s->layout, round), 1};
}

/* Whether the kernel of scores reads pages. With blocks, it reads their means. */
static bool scores_pages(const dmattn_selector_desc *d)
{
    return d->page_size && d->block == 1;
}

static bool choose_tile(void *stage, const capabilities *caps, dmattn_level level, level_kernels *kernels, char *why,
                        size_t size)
{
    selector_stage *s = stage;
    if (!dmattn_selector_tile_choose(caps, &s->desc, level, &s->tile, why, size))
        return false;
    dmattn_selector_tile_kernel(&s->tile, scores_pages(&s->desc), kernels->name[0]);
    return true;
}

static dmattn_status check_layout(const selector_stage *s, const dmattn_context *ctx)
{
    const messenger *m = &ctx->messenger;
    const selector_layout *l = &s->layout;
    const dmattn_selector_desc *d = &s->desc;
    const uint64_t most = UINT64_C(256) << 30;
    if (l->tiles > UINT32_MAX || dmattn_product(d->batch, dmattn_selector_numbers(d)) > UINT32_MAX)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED,
                           "there are more than 2^32 tiles of queries or numbers to select");
    if (l->round_bytes > most || l->means_bytes > most)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED, "the scores or means of a selector need more than 256 GiB");
    if (l->rounds > MOST_ROUNDS)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED, "a selector would need %u rounds, but %u are the most",
                           l->rounds, MOST_ROUNDS);
    if (d->block > 1)
        TRY(dmattn_check_grid(ctx, "the means of blocks", pool_grid(d)));
    TRY(dmattn_check_grid(ctx, "the scores of a selector", scores_grid(s, 0)));
    return dmattn_check_grid(ctx, "the lists of a selector", select_grid(s, 0));
}

dmattn_status dmattn_selector_stage_choose(selector_stage *s, const dmattn_context *ctx, const dmattn_selector_desc *d,
                                           const selector_tile *tile)
{
    s->desc = *d;
    if (tile)
        s->tile = *tile;
    else
        TRY(dmattn_level_choose(ctx, d->level, d->max_level, "a selector cannot run", choose_tile, s, s->why_not));
    s->layout = dmattn_selector_layout(d, &s->tile);
    snprintf(s->name, sizeof s->name, "%s %s selector %ux%u d%u", dmattn_level_string(s->tile.level),
             dmattn_type_string(d->type), s->tile.queries, s->tile.keys, d->head_dim);
    return check_layout(s, ctx);
}

/* Rounds have as many tiles as those of the plan, so their scores fit. */
void dmattn_selector_stage_shorten(selector_stage *s, const dmattn_selector_desc *run)
{
    const selector_layout l = dmattn_selector_layout(run, &s->tile);
    s->desc = *run;
    s->layout.tiles = l.tiles;
    s->layout.row_words = l.row_words;
    s->layout.rounds = (uint32_t)((l.tiles - 1) / s->layout.round_tiles + 1);
}

/* ---- pipelines ------------------------------------------------------------------------------------------------- */

static dmattn_status build_pool(selector_stage *s, pipeline_set *set)
{
    const dmattn_selector_desc *d = &s->desc;
    uint32_t c[POOL_CONSTANT_COUNT] = {
        [POOL_WORKGROUP] = MEANS_WORKGROUP, [POOL_TYPE] = d->type,     [POOL_KV_HEADS] = d->kv_heads,
        [POOL_HEAD_DIM] = d->head_dim,      [POOL_COUNTS] = d->counts, [POOL_UNIT_LANES] = MEANS_LANES,
    };
    c[POOL_ALIGNED] =
        d->page_size
        || dmattn_strides_aligned(&d->k_strides, d->batch, d->keys, d->kv_heads, dmattn_type_size(d->type));
    c[POOL_DERIVED_STRIDES] = dmattn_selector_put_k_strides(d, c, POOL_K_BATCH_LOW, 1);
    if (s->keeps_k && c[POOL_DERIVED_STRIDES]) {
        dmattn_put_stride(c, POOL_K_BATCH_LOW, d->batch, d->k_strides.batch, dmattn_type_size(d->type));
        c[POOL_DERIVED_STRIDES] = 0;
    }
    c[POOL_PAGE_SIZE] = d->page_size;
    c[POOL_PAGES] = d->pages;
    c[POOL_TABLE_PAGES] = dmattn_selector_table_pages(d);
    return dmattn_pipelines_add(set, d->page_size ? "pool_keys_paged" : "pool_keys", DMATTN_LEVEL_PORTABLE,
                                &(kernel_values){c, POOL_CONSTANT_COUNT, 0}, &s->pool);
}

/* What the kernel of scores sees: means of blocks are contiguous keys. */
static dmattn_selector_desc scored(const dmattn_selector_desc *d)
{
    dmattn_selector_desc of_means = *d;
    if (d->block > 1) {
        of_means.page_size = 0;
        of_means.keys = dmattn_selector_numbers(d);
        of_means.k_strides.head = d->head_dim;
        of_means.k_strides.sequence = (uint64_t)d->kv_heads * d->head_dim;
        of_means.k_strides.batch = of_means.keys * of_means.k_strides.sequence;
    }
    return of_means;
}

/* Strides that the app gave do not follow from the lengths of a run, even if they are those of the largest lengths. */
static void keep_strides(const selector_stage *s, uint32_t c[SCORES_CONSTANT_COUNT])
{
    const dmattn_selector_desc *d = &s->desc;
    const uint32_t size = dmattn_type_size(d->type),
                   kept = (s->keeps_q ? SCORES_DERIVED_Q : 0u) | (s->keeps_k && d->block == 1 ? SCORES_DERIVED_K : 0u);
    const uint32_t derived = kept & c[SCORES_DERIVED_STRIDES];
    if (derived & SCORES_DERIVED_Q)
        dmattn_put_stride(c, SCORES_Q_BATCH_LOW, d->batch, d->q_strides.batch, size);
    if (derived & SCORES_DERIVED_K)
        dmattn_put_stride(c, SCORES_K_BATCH_LOW, d->batch, d->k_strides.batch, size);
    c[SCORES_DERIVED_STRIDES] &= ~derived;
}

static dmattn_status build_scores(selector_stage *s, pipeline_set *set)
{
    const dmattn_selector_desc d = scored(&s->desc);
    uint32_t constants[SCORES_CONSTANT_COUNT];
    char name[KERNEL_NAME];
    dmattn_selector_constants(&d, &s->tile, constants);
    keep_strides(s, constants);
    dmattn_selector_tile_kernel(&s->tile, scores_pages(&s->desc), name);
    return dmattn_pipelines_add(set, name, s->tile.level,
                                &(kernel_values){constants, SCORES_CONSTANT_COUNT, s->tile.subgroup_size}, &s->scores);
}

static dmattn_status build_select(selector_stage *s, pipeline_set *set)
{
    const dmattn_selector_desc *d = &s->desc;
    const capabilities *caps = &set->ctx->caps;
    const uint32_t c[SELECT_NUMBERS_CONSTANT_COUNT] = {
        [SELECT_NUMBERS_WORKGROUP] = dmattn_lists_workgroup(caps, false),
        [SELECT_NUMBERS_CAUSAL] = d->causal,
        [SELECT_NUMBERS_COUNTS] = d->counts,
        [SELECT_NUMBERS_LISTS] = d->list_heads,
        [SELECT_NUMBERS_TILE_QUERIES] = s->tile.queries,
        [SELECT_NUMBERS_LOADS] = dmattn_selector_numbers(d) > LONG_ROW ? LONG_ROW_LOADS : 1,
    };
    const kernel_values values = {c, SELECT_NUMBERS_CONSTANT_COUNT, dmattn_capabilities_subgroup_size(caps)};
    return dmattn_pipelines_add(set, "select_numbers", DMATTN_LEVEL_PORTABLE, &values, &s->select);
}

dmattn_status dmattn_selector_stage_build(selector_stage *s, pipeline_set *set)
{
    if (s->desc.block > 1)
        TRY(build_pool(s, set));
    TRY(build_scores(s, set));
    return build_select(s, set);
}

/* ---- recording ------------------------------------------------------------------------------------------------- */

static uint32_t shift_of(uint32_t block)
{
    uint32_t shift = 0;
    while (block >> shift > 1)
        shift++;
    return shift;
}

static void record_pool(const selector_stage *s, recorder *r)
{
    const pool_params params = {
        .k = r->tensor[s->desc.page_size ? TENSOR_PAGES : TENSOR_K],
        .table = r->tensor[TENSOR_TABLE],
        .counts = r->tensor[TENSOR_COUNTS],
        .means = r->workspace + s->at.means,
        .keys = s->desc.keys,
        .shift = shift_of(s->desc.block),
        .numbers = dmattn_selector_numbers(&s->desc),
    };
    dmattn_recorder_dispatch(r, s->pool, &params, sizeof params, pool_grid(&s->desc));
}

static void record_scores(const selector_stage *s, recorder *r, uint32_t round)
{
    const dmattn_selector_desc *d = &s->desc;
    const scores_params params = {
        .q = r->tensor[TENSOR_Q],
        .k = d->block > 1 ? r->workspace + s->at.means : r->tensor[d->page_size ? TENSOR_PAGES : TENSOR_K],
        .table = r->tensor[TENSOR_TABLE],
        .weights = r->tensor[TENSOR_WEIGHTS],
        .counts = r->tensor[TENSOR_COUNTS],
        .scores = r->workspace + s->at.scores[round % 2],
        .queries = d->queries,
        .keys = d->keys,
        .shift = shift_of(d->block),
        .numbers = dmattn_selector_numbers(d),
        .first_tile = round * s->layout.round_tiles,
        .row_words = s->layout.row_words,
    };
    const grid g = scores_grid(s, round);
    const uint32_t group = d->heads / d->list_heads;
    const double flops = 2.0 * d->head_dim * group * g.y * s->tile.queries * s->layout.row_words;
    dmattn_recorder_dispatch_slices(r, s->scores, &params, sizeof params, g, dmattn_grid_slice(g, flops));
}

static void record_select(const selector_stage *s, recorder *r, uint32_t round)
{
    const dmattn_selector_desc *d = &s->desc;
    const select_numbers_params params = {
        .scores = r->workspace + s->at.scores[round % 2],
        .counts = r->tensor[TENSOR_COUNTS],
        .selected = r->tensor[TENSOR_SELECTED],
        .queries = d->queries,
        .keys = d->keys,
        .shift = shift_of(d->block),
        .first_tile = round * s->layout.round_tiles,
        .row_words = s->layout.row_words,
        .count = d->count,
        .first = d->first,
        .recent = d->recent,
    };
    dmattn_recorder_dispatch(r, s->select, &params, sizeof params, select_grid(s, round));
}

/* The lists of a round and the scores of the next one need not wait for each other: a barrier for both. */
void dmattn_selector_stage_record(const selector_stage *s, recorder *r)
{
    if (s->desc.block > 1)
        record_pool(s, r);
    record_scores(s, r, 0);
    for (uint32_t round = 0; round < s->layout.rounds; round++) {
        record_select(s, r, round);
        if (round + 1 < s->layout.rounds) {
            dmattn_recorder_beside(r);
            record_scores(s, r, round + 1);
        }
    }
}
