/* SPDX-License-Identifier: MIT */
#include "tile.h"

#include "../shape.h"
#include "../tensor.h"
#include "desc.h"

#include "../../shaders/lib/lists.h"

#include <stddef.h>
#include <stdio.h>

#define MANY         UINT32_MAX
#define MAX_PORTABLE 20 /* portable candidates */

/* If a row of q is wider than this, matrix kernels need the registers of half a band for it. */
#define WIDE_HEAD 320

uint32_t dmattn_tile_columns(const attention_tile *t, uint32_t dim)
{
    return t->band && t->band < dim ? t->band : dim;
}

uint32_t dmattn_tile_bands(const attention_tile *t, uint32_t dim)
{
    return dmattn_ceil_div(dim, dmattn_tile_columns(t, dim));
}

uint32_t dmattn_tile_queries(const attention_tile *t)
{
    return t->rows / t->heads_per_tile;
}

/* A list for 16 queries holds at most 15 more keys than one for a single query. */
uint32_t dmattn_tile_list_queries(const attention_tile *t)
{
    const uint32_t queries = dmattn_tile_queries(t);
    return queries * ((16 + queries - 1) / queries);
}

static const char *const form_names[] = {
    [FORM_PORTABLE] = "", [FORM_SHARED] = "shared", [FORM_REDUCED] = "reduced", [FORM_FRAGMENTS] = "fragments"};

void dmattn_tile_kernel(const attention_tile *t, const char *stem, char name[KERNEL_NAME])
{
    if (t->form == FORM_PORTABLE)
        snprintf(name, KERNEL_NAME, "%s", stem);
    else
        snprintf(name, KERNEL_NAME, "%s_%s_%s", stem, form_names[t->form], dmattn_type_string(t->operands));
}

void dmattn_attention_kernel(const attention_tile *t, const dmattn_attention_desc *d, char name[KERNEL_NAME])
{
    dmattn_tile_kernel(t,
                       d->mask == DMATTN_MASK_SELECTED && d->counts ? "attention_selected_counted"
                       : d->mask == DMATTN_MASK_SELECTED            ? "attention_selected"
                       : d->total_queries                           ? "attention_packed"
                       : d->counts                                  ? "attention_counted"
                       : dmattn_attention_tells_rows(d)             ? "attention_additive"
                                                                    : "attention",
                       name);
}

void dmattn_tile_describe(const attention_tile *t, dmattn_type type, char text[KERNEL_NAME])
{
    const bool converted = t->form != FORM_PORTABLE && type != t->operands;
    snprintf(text, KERNEL_NAME, "%s%s%s %s%s%s", dmattn_level_string(t->level), t->form == FORM_PORTABLE ? "" : "/",
             form_names[t->form], dmattn_type_string(type), converted ? " as " : "",
             converted ? dmattn_type_string(t->operands) : "");
}

/* ---- shared memory: what the shaders declare ------------------------------------------------------------------- */

/* `staged` and `weights` of attention.comp, in units of 16 bytes, `listed_keys` and `listed_ranges`. */
static uint32_t portable_shared_memory(const attention_tile *t, const dmattn_attention_desc *d)
{
    const uint32_t value_columns = dmattn_ceil_div(dmattn_tile_columns(t, d->value_dim) / 4, t->key_lanes);
    const uint32_t qk = (t->rows + t->keys) * (t->depth / 4 + 1);
    const uint32_t values = t->value_keys * value_columns * t->key_lanes;
    const uint32_t probabilities = t->rows * (t->keys / 4 + 1);
    return 16 * (dmattn_max(qk, values) + probabilities) + (d->mask == DMATTN_MASK_SELECTED ? 12 : 4) * t->keys;
}

/* `staged`, `q_rows` and `scores` of attention_matrix.comp and its includes, and the slots. */
static uint32_t matrix_shared_memory(const attention_tile *t, const dmattn_attention_desc *d)
{
    const matrix_shape *x = &t->matrix;
    const uint32_t subgroups = t->workgroup / t->subgroup_size;
    const uint32_t head_blocks = dmattn_ceil_div(d->head_dim, x->k);
    const uint32_t value_blocks = dmattn_ceil_div(dmattn_tile_columns(t, d->value_dim), x->n);
    const uint32_t key_pitch = head_blocks * x->k / 8 + 1;
    const uint32_t values = t->sums_shared ? value_blocks * x->n * (t->keys / 8 + 1) /* columns, else rows */
                                           : t->keys * (value_blocks * x->n / 8 + 1);
    const uint32_t block = x->m * (dmattn_max(x->k / 8, x->n / 4) + 1);
    uint32_t units = dmattn_max(t->keys * key_pitch + values, subgroups * block);
    const uint32_t shared_blocks = head_blocks - t->query_blocks;
    units += shared_blocks ? t->rows * (shared_blocks * x->k / 8 + 1) : 1;
    if (t->form == FORM_SHARED) {
        const uint32_t sum_units = dmattn_ceil_div(x->m * x->n / t->subgroup_size, 4);
        units += subgroups * x->m * (t->keys / 4 + 1) + (t->sums_shared ? value_blocks * sum_units * t->workgroup : 1);
    }
    const uint32_t sets = t->form == FORM_SHARED ? 2 : 3;
    const uint32_t slots = dmattn_attention_has_lists(d) ? sets * t->keys : 1;
    return 16 * units + 12 * slots + 4 * sets * t->keys;
}

uint32_t dmattn_tile_shared_memory(const attention_tile *t, const dmattn_attention_desc *d)
{
    return t->form == FORM_PORTABLE ? portable_shared_memory(t, d) : matrix_shared_memory(t, d);
}

/* ---- fitting --------------------------------------------------------------------------------------------------- */

static bool portable_fits(const attention_tile *t)
{
    /* the lanes of a row must be in one subgroup */
    return t->key_lanes <= t->subgroup_size;
}

/* Each query of a tile has a bit in the entries of a list of selected keys. */
static bool members_fit(const attention_tile *t, const dmattn_attention_desc *d)
{
    return d->mask != DMATTN_MASK_SELECTED || dmattn_tile_queries(t) <= SELECTED_MAX_QUERIES;
}

bool dmattn_tile_matrix_fits(const attention_tile *t, const capabilities *caps, uint32_t rows, uint32_t columns)
{
    const matrix_shape *x = &t->matrix;
    /* all invocations of a subgroup have the same number of rows and elements */
    if (!x->m || x->m > t->subgroup_size || t->subgroup_size % x->m || x->m * x->n % t->subgroup_size)
        return false;
    if (columns % x->n || columns % x->k)
        return false;
    switch (t->form) {
    case FORM_SHARED: /* a lane's columns are whole units of 16 bytes */
        return rows == t->workgroup / t->subgroup_size * x->m && columns % (t->subgroup_size / x->m * 8) == 0;
    case FORM_REDUCED: /* accumulators become operands */ return x->n == x->k;
    default:
        return caps->fragment_layout != LAYOUT_UNKNOWN && t->subgroup_size == 32 && x->m == 16 && x->n == 16
               && x->k == 16;
    }
}

bool dmattn_tile_fits(const attention_tile *t, const capabilities *caps, const dmattn_attention_desc *desc)
{
    return t->workgroup <= caps->max_invocations
           /* each invocation loads at most one key of a list */
           && t->keys <= t->workgroup
           /* all subgroups are full */
           && t->workgroup % t->subgroup_size == 0 && members_fit(t, desc)
           && (t->form == FORM_PORTABLE ? portable_fits(t) : dmattn_tile_matrix_fits(t, caps, t->rows, t->keys))
           /* this comes last, because it divides by numbers that are checked before */
           && dmattn_tile_shared_memory(t, desc) <= caps->shared_memory;
}

/* ---- choice ---------------------------------------------------------------------------------------------------- */

/* The heads that share a tile: all of a group, unless their masks differ. */
static uint32_t shared_heads(const dmattn_attention_desc *d)
{
    const bool differs = d->mask != DMATTN_MASK_NONE && d->mask_shape.heads == d->heads;
    return differs ? 1 : d->heads / d->kv_heads;
}

uint32_t dmattn_tile_heads_per_tile(const dmattn_attention_desc *d, uint32_t rows)
{
    const uint32_t heads = shared_heads(d);
    return heads < rows ? heads : rows;
}

#define LEAST_SHARE 4
#define MOST_SPLITS 64

/* If there are fewer workgroups, several of them share the keys of a tile, so that a large device has enough to do.
 * Tiles of few rows wait for memory, so there may be more of them (docs/notes/experiments.md). */
#define FEW_ROWS 32

static uint64_t filling_workgroups(const dmattn_attention_desc *d, const attention_tile *t)
{
    const bool few = t->form == FORM_PORTABLE ? t->rows <= 16 && t->workgroup <= 64
                                              : (uint64_t)d->queries * shared_heads(d) <= FEW_ROWS
                                                    && dmattn_max(d->head_dim, d->value_dim) <= BAND;
    return few ? 256 : 128;
}

uint32_t dmattn_tile_heads(const dmattn_attention_desc *d, const attention_tile *t)
{
    return d->kv_heads * dmattn_ceil_div(d->heads / d->kv_heads, t->heads_per_tile);
}

/* Without splits. */
static uint64_t count_workgroups(const dmattn_attention_desc *d, const attention_tile *t)
{
    const row_shape q = dmattn_query_rows(d);
    return (uint64_t)q.batch * dmattn_tile_heads(d, t) * dmattn_ceil_div(q.rows, dmattn_tile_queries(t));
}

/* Packed items: about as many workgroups share all work, so that the last ones to end are short. As few keys are worth
 * a workgroup. */
#define PACKED_WORKGROUPS 512
#define LEAST_KEY_TILES   8

uint32_t dmattn_tile_least_keys(const attention_tile *t)
{
    return LEAST_KEY_TILES * t->keys;
}

uint32_t dmattn_tile_shares(const dmattn_attention_desc *d, const attention_tile *t)
{
    const uint32_t shares = PACKED_WORKGROUPS / dmattn_tile_heads(d, t);
    return d->total_queries && shares > 1 && d->keys / dmattn_tile_least_keys(t) > 1 ? shares : 0;
}

uint32_t dmattn_tile_splits(const dmattn_attention_desc *d, const attention_tile *t)
{
    if (d->total_queries)
        return 1;
    const uint64_t workgroups = count_workgroups(d, t);
    const uint64_t wanted = workgroups ? filling_workgroups(d, t) / workgroups : 1;
    const uint32_t keys = dmattn_attention_seen_keys(d, dmattn_tile_queries(t));
    const uint64_t shares = dmattn_ceil_div(keys, t->keys) / LEAST_SHARE;
    const uint64_t splits = wanted < shares ? wanted : shares;
    return splits < 2 ? 1 : splits < MOST_SPLITS ? (uint32_t)splits : MOST_SPLITS;
}

uint64_t dmattn_tile_most_partial_rows(const dmattn_attention_desc *d, const attention_tile *t)
{
    const uint64_t rows = dmattn_product(MOST_SPLITS, d->batch, d->queries, d->heads);
    const uint64_t of_splits = dmattn_product(filling_workgroups(d, t), t->rows);
    return rows < of_splits ? rows : of_splits;
}

bool dmattn_tile_by_unit(const capabilities *caps)
{
    return dmattn_capabilities_registers(caps) <= FEW_REGISTERS;
}

/* Adds a tile if it fits. */
static uint32_t add(const capabilities *caps, const dmattn_attention_desc *d, attention_tile tile,
                    attention_tile *tiles, uint32_t count, uint32_t max)
{
    tile.heads_per_tile = dmattn_tile_heads_per_tile(d, tile.rows);
    tile.splits = dmattn_tile_splits(d, &tile);
    if (count < max && dmattn_tile_fits(&tile, caps, d))
        tiles[count++] = tile;
    return count;
}

/* Moves the tiles that need too many registers behind the others, those that need the fewest first. */
static void prefer_few_registers(const capabilities *caps, const dmattn_attention_desc *d, registers_fn *needed,
                                 attention_tile *tiles, uint32_t count)
{
    const uint32_t most = dmattn_capabilities_registers(caps);
    uint32_t excess[MAX_PORTABLE];
    for (uint32_t i = 0; i < count; i++) {
        const attention_tile tile = tiles[i];
        const uint32_t need = needed(caps, &tile, d), over = need > most ? need - most : 0;
        uint32_t at = i;
        for (; at > 0 && excess[at - 1] > over; at--) {
            tiles[at] = tiles[at - 1];
            excess[at] = excess[at - 1];
        }
        tiles[at] = tile;
        excess[at] = over;
    }
}

uint32_t dmattn_tile_portable_candidates(const capabilities *caps, const dmattn_attention_desc *d, registers_fn *need,
                                         attention_tile *tiles, uint32_t max, char *why, size_t size)
{
    /* The best one first. Accumulators are in registers: rows * value_dim / workgroup registers per invocation. */
    static const struct candidate {
        uint32_t max_rows, max_value_dim;
        attention_tile tile; /* without the subgroup size */
    } candidates[] = {
        /* few queries: larger tiles would compute empty rows */
        {16, 256, {.workgroup = 64, .rows = 16, .keys = 32, .key_lanes = 8, .depth = 32, .value_keys = 8}},
        /* 64 x 32, 64 accumulators. With 64 keys, there are half as many reads of shared memory per product, but fewer
         * workgroups run at the same time. It was a fifth slower on the H200 (docs/notes/experiments.md).
         */
        {MANY, 128, {.workgroup = 128, .rows = 64, .keys = 32, .key_lanes = 8, .depth = 32, .value_keys = 16}},
        /* 128 registers and few values: four rows and four keys in a lane, or two rows */
        {MANY, 64, {.workgroup = 256, .rows = 64, .keys = 64, .key_lanes = 16, .depth = 32, .value_keys = 32}},
        {MANY, 64, {.workgroup = 256, .rows = 64, .keys = 32, .key_lanes = 8, .depth = 32, .value_keys = 32}},
        /* wide values: twice as many lanes per row, so that there are still 64 accumulators */
        {MANY, 256, {.workgroup = 128, .rows = 32, .keys = 64, .key_lanes = 16, .depth = 32, .value_keys = 8}},
        /* the same for subgroups of 8 */
        {MANY, 256, {.workgroup = 128, .rows = 64, .keys = 32, .key_lanes = 8, .depth = 32, .value_keys = 8}},
        /* 128 registers and more values: two rows and four keys in a lane. By ANV's estimate, 16 lanes per row are
         * best, and parts of 32 elements better than of 16 (docs/notes/compilers.md). */
        {16, 256, {.workgroup = 128, .rows = 16, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8}},
        {MANY, 128, {.workgroup = 256, .rows = 32, .keys = 64, .key_lanes = 16, .depth = 32, .value_keys = 16}},
        {MANY, 256, {.workgroup = 256, .rows = 32, .keys = 64, .key_lanes = 16, .depth = 32, .value_keys = 8}},
        /* the same for subgroups of 8; with wide values, one row in a lane */
        {MANY, 128, {.workgroup = 256, .rows = 64, .keys = 32, .key_lanes = 8, .depth = 32, .value_keys = 16}},
        {MANY, 128, {.workgroup = 256, .rows = 64, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 16}},
        {MANY, 256, {.workgroup = 256, .rows = 32, .keys = 32, .key_lanes = 8, .depth = 32, .value_keys = 16}},
        {MANY, 256, {.workgroup = 256, .rows = 32, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8}},
        /* 16 KiB of shared memory, which Vulkan guarantees */
        {MANY, 256, {.workgroup = 64, .rows = 32, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8}},
        /* the same in subgroups of 128 */
        {MANY, 256, {.workgroup = 128, .rows = 32, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8}},
        /* subgroups of 4 */
        {MANY, 256, {.workgroup = 64, .rows = 32, .keys = 32, .key_lanes = 4, .depth = 16, .value_keys = 8}},
        /* few registers, 128 invocations */
        {MANY, 256, {.workgroup = 128, .rows = 16, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8}},
    };
    const uint64_t rows = (uint64_t)d->queries * shared_heads(d);
    attention_tile fitting[MAX_PORTABLE];
    _Static_assert(sizeof candidates / sizeof *candidates <= MAX_PORTABLE, "too many candidates");
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        const struct candidate *c = &candidates[i];
        attention_tile tile = c->tile;
        tile.band = BAND;
        if (rows > c->max_rows || dmattn_tile_columns(&tile, d->value_dim) > c->max_value_dim)
            continue;
        tile.level = DMATTN_LEVEL_PORTABLE;
        tile.subgroup_size = dmattn_capabilities_subgroup_size(caps);
        tile.by_unit = dmattn_tile_by_unit(caps);
        const uint32_t before = count;
        count = add(caps, d, tile, fitting, count, MAX_PORTABLE);
        /* the first one with enough registers comes first */
        if (max == 1 && count > before && need(caps, &fitting[before], d) <= dmattn_capabilities_registers(caps)) {
            tiles[0] = fitting[before];
            return 1;
        }
    }
    prefer_few_registers(caps, d, need, fitting, count);
    for (uint32_t i = 0; i < count && i < max; i++)
        tiles[i] = fitting[i];
    if (!count)
        snprintf(why, size,
                 "no tile for value_dim %u fits a device of subgroup size %u, %u invocations and %u bytes of "
                 "shared memory",
                 d->value_dim, caps->subgroup_size, caps->max_invocations, caps->shared_memory);
    return count < max ? count : max;
}

/* What a candidate is for: tiles of neighbouring keys, of listed keys, or both; or of selected keys, which are listed
 * keys of at most SELECTED_MAX_QUERIES queries. */
typedef enum key_source { ANY_KEYS, NEIGHBOURS, LISTS, SELECTION } key_source;

/* Candidates for tiles of attention_matrix.comp. A subgroup has `blocks` times M rows. `keys` is for matrices with N =
 * 16; other matrices have the same number of blocks. */
typedef struct matrix_candidate {
    uint32_t max_rows, max_keys; /* maximum rows of a group, and keys, of the problem */
    uint32_t max_dim;            /* maximum head_dim, and columns of a band; above 256 only for wider heads */
    uint32_t subgroups, blocks, keys;
    uint32_t shared_queries; /* elements of a row of q in shared memory instead of registers */
    bool guarded;
    key_source source;
    uint32_t min_workgroups; /* minimum number of workgroups that the problem has with this tile */
} matrix_candidate;

/* For NVIDIA's layout, with 255 registers per invocation. Measured on the H200 (docs/notes/experiments.md), the best
 * one first. With 32 rows, a subgroup reads shared memory half as often, but a device runs fewer workgroups at a time,
 * so there must be many. The first candidates are for few queries, which do not fill more subgroups, or for few keys,
 * which do not fill more workgroups. */
static const matrix_candidate fragments[] = {
    {FEW_ROWS, MANY, 64, 2, 1, 64, 0, true, ANY_KEYS, 0},
    {FEW_ROWS, MANY, 128, 4, 1, 32, 0, false, ANY_KEYS, 0},
    {FEW_ROWS, MANY, 256, 4, 1, 16, 48, false, ANY_KEYS, 0},
    {64, 4096, 256, 2, 1, 16, 192, false, ANY_KEYS, 0},
    {1024, 256, 256, 2, 1, 16, 192, false, ANY_KEYS, 0},
    {MANY, MANY, 64, 4, 2, 48, 0, false, LISTS, 0},
    {MANY, MANY, 64, 4, 2, 64, 0, false, NEIGHBOURS, 1024},
    {MANY, MANY, 96, 8, 1, 64, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 128, 8, 1, 64, 0, false, SELECTION, 0},
    {MANY, 16384, 128, 8, 1, 48, 0, false, LISTS, 0},
    {MANY, MANY, 128, 8, 2, 32, 48, false, NEIGHBOURS, 512},
    {MANY, MANY, 128, 8, 1, 64, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 128, 8, 1, 32, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 128, 4, 1, 32, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 192, 8, 1, 32, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 256, 8, 1, 16, 48, false, ANY_KEYS, 0},
    {MANY, MANY, 256, 4, 1, 32, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 256, 4, 1, 16, 0, false, ANY_KEYS, 0},
    /* wide heads: by the registers and the shared memory that they leave, not measured */
    {FEW_ROWS, MANY, 320, 2, 1, 16, 256, false, ANY_KEYS, 0},
    {MANY, MANY, 320, 8, 1, 16, 96, false, ANY_KEYS, 0},
    {FEW_ROWS, MANY, 576, 2, 1, 16, 384, false, ANY_KEYS, 0},
    {64, MANY, 576, 4, 1, 16, 192, false, ANY_KEYS, 0},
    {MANY, MANY, 576, 8, 1, 16, 80, false, ANY_KEYS, 0},
    /* wide heads for selected keys, if each kv head has one query head */
    {MANY, MANY, 320, 4, 1, 16, 96, false, SELECTION, 0},
    {MANY, MANY, 576, 4, 1, 16, 192, false, SELECTION, 0},
};

/* None for wide heads: compilers need many minutes for their unrolled products. */
static const matrix_candidate reduced[] = {
    {MANY, MANY, 128, 8, 1, 64, 0, false, ANY_KEYS, 0}, {MANY, MANY, 128, 4, 1, 32, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 256, 4, 1, 32, 0, false, ANY_KEYS, 0}, {MANY, MANY, 256, 4, 1, 16, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 256, 2, 1, 16, 0, false, ANY_KEYS, 0},
};

/* A part of a row of q is in shared memory: the 256 registers of RDNA3 do not hold all of it beside 128 or 192
 * dimensions of output, and even less of it with options. */
static const matrix_candidate shared[] = {
    {MANY, MANY, 64, 8, 1, 32, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 128, 8, 1, 32, 32, false, ANY_KEYS, 0},
    {MANY, MANY, 128, 4, 1, 32, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 192, 4, 1, 16, 64, false, ANY_KEYS, 0},
    {MANY, MANY, 192, 4, 1, 16, 96, false, ANY_KEYS, 0},
    {MANY, MANY, 256, 4, 1, 16, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 256, 2, 1, 16, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 256, 1, 1, 16, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 256, 4, 1, 64, 0, false, ANY_KEYS, 0},
    /* lists that few queries share: two subgroups, and as much of a row of q as the registers hold */
    {MANY, MANY, 192, 2, 1, 16, 64, false, SELECTION, 0},
    {MANY, MANY, 192, 2, 1, 16, 112, false, SELECTION, 0},
    /* 256 registers: most of q is in shared memory, as much as the device has */
    {MANY, MANY, 256, 4, 1, 16, 240, false, ANY_KEYS, 0},
    {MANY, MANY, 256, 4, 1, 16, 192, false, ANY_KEYS, 0},
    /* wide heads: many invocations, of which each holds few rows of the next keys */
    {MANY, MANY, 576, 4, 1, 16, 448, false, ANY_KEYS, 0},
    {MANY, MANY, 576, 3, 1, 16, 384, false, ANY_KEYS, 0},
    {MANY, MANY, 576, 2, 1, 16, 448, false, ANY_KEYS, 0},
    {MANY, MANY, 576, 1, 1, 16, 448, false, ANY_KEYS, 0},
    {MANY, MANY, 576, 4, 1, 16, 0, false, ANY_KEYS, 0},
    {MANY, MANY, 576, 1, 1, 16, 0, false, ANY_KEYS, 0},
};

/* With the output in shared memory, for 128 registers; all of q except a block is there, too. If N is 8, the tile has
 * half as many keys. Other devices than Intel's have these tiles only where none before them fits. Eight subgroups
 * share the work of loading k and v, but have no loop over the loads of up to 32 dimensions, which then need more
 * registers. Xe3 has 256, but takes fewer of ANV's cycles with these tiles than with the output in registers: 38
 * instead of 77 for a pair with 64 dimensions, 76 instead of 121 with 128 (docs/notes/experiments.md). */
static const matrix_candidate shared_sums[] = {
    {MANY, MANY, 64, 4, 1, 64, 48, false, ANY_KEYS, 0},     {MANY, MANY, 64, 4, 1, 48, 48, false, ANY_KEYS, 0},
    {FEW_ROWS, MANY, 64, 4, 1, 32, 48, false, ANY_KEYS, 0}, {MANY, MANY, 32, 4, 1, 32, 48, false, ANY_KEYS, 0},
    {MANY, MANY, 64, 8, 1, 32, 48, false, ANY_KEYS, 0},     {MANY, MANY, 64, 4, 1, 32, 48, false, ANY_KEYS, 0},
    {MANY, MANY, 128, 4, 1, 32, 112, false, ANY_KEYS, 0},   {MANY, MANY, 128, 4, 1, 16, 112, false, ANY_KEYS, 0},
    {MANY, MANY, 256, 2, 1, 16, 240, false, ANY_KEYS, 0},   {MANY, MANY, 256, 2, 1, 32, 240, false, ANY_KEYS, 0},
    {MANY, MANY, 576, 2, 1, 16, 560, false, ANY_KEYS, 0},
};

/* Whether a candidate is for such a problem, if it has enough workgroups. `rows`: of a group; `dim`: the wider one of
 * head_dim and of a band's columns; `source`: of its keys. */
static bool is_for(const matrix_candidate *c, const dmattn_attention_desc *d, uint64_t rows, uint32_t dim,
                   key_source source)
{
    return dim <= c->max_dim && (c->max_dim <= BAND || d->head_dim > BAND) && rows <= c->max_rows
           && d->keys <= c->max_keys
           && (c->source == ANY_KEYS || c->source == source
               || (c->source == SELECTION && d->mask == DMATTN_MASK_SELECTED));
}

static bool has_registers(const capabilities *caps, const attention_tile *t, const dmattn_attention_desc *d)
{
    return dmattn_tile_matrix_registers(caps, t, d)
           <= (t->sums_shared ? dmattn_capabilities_registers(caps) : dmattn_capabilities_matrix_registers(caps));
}

static uint32_t add_matrix(const capabilities *caps, const dmattn_attention_desc *d, attention_tile tile,
                           const matrix_candidate *candidates, size_t candidate_count, attention_tile *tiles,
                           uint32_t count, uint32_t max)
{
    const uint32_t head_blocks = dmattn_ceil_div(d->head_dim, tile.matrix.k);
    const uint64_t rows = (uint64_t)d->queries * shared_heads(d);
    const key_source source = dmattn_attention_has_lists(d) ? LISTS : NEIGHBOURS;
    tile.band = d->head_dim > WIDE_HEAD ? BAND / 2 : BAND;
    const uint32_t dim = dmattn_max(d->head_dim, dmattn_tile_columns(&tile, d->value_dim));
    for (size_t i = 0; i < candidate_count && count < max; i++) {
        const matrix_candidate *c = &candidates[i];
        if (!is_for(c, d, rows, dim, source))
            continue;
        const uint32_t shared_blocks = c->shared_queries / tile.matrix.k;
        tile.workgroup = c->subgroups * tile.subgroup_size;
        tile.rows = c->subgroups * c->blocks * tile.matrix.m;
        tile.keys = c->keys * tile.matrix.n / 16;
        tile.query_blocks = shared_blocks < head_blocks ? head_blocks - shared_blocks : 1;
        tile.guarded = c->guarded;
        tile.heads_per_tile = dmattn_tile_heads_per_tile(d, tile.rows);
        if ((!c->min_workgroups || count_workgroups(d, &tile) >= c->min_workgroups)
            && (tile.form != FORM_SHARED || has_registers(caps, &tile, d)))
            count = add(caps, d, tile, tiles, count, max);
    }
    return count;
}
#define TABLE(name) name, sizeof name / sizeof *name

/* Mesa 26.1 has been tried, and Mesa 25.0, with which the output was in memory. */
#define RADV_WITH_WIDE_MATRICES VK_MAKE_API_VERSION(0, 26, 1, 0)

bool dmattn_tile_begin_matrix(const capabilities *caps, const dmattn_attention_desc *d, dmattn_level level,
                              attention_tile *tile, char *why, size_t size)
{
    *tile = (attention_tile){.level = level, .subgroup_size = dmattn_capabilities_subgroup_size(caps)};
    if (d->type == DMATTN_TYPE_F32) {
        snprintf(why, size, "matrices have elements of 16 bits, but the type is f32");
        return false;
    }
    tile->matrix = dmattn_capabilities_matrix(caps, d->type, &tile->operands);
    tile->fragment_layout = caps->fragment_layout;
    if (!tile->matrix.m) {
        snprintf(why, size, "the device has no matrices of %s", dmattn_type_string(tile->operands));
        return false;
    }
    if (caps->driver == VK_DRIVER_ID_MESA_RADV && dmattn_max(d->head_dim, d->value_dim) > 128
        && caps->driver_version < RADV_WITH_WIDE_MATRICES) {
        snprintf(why, size, "before Mesa 26.1, RADV keeps the matrices of dimensions beyond 128 in memory");
        return false;
    }
    /* As f16, bf16 numbers above 65504 and below 2^-24 lose their value. So this happens only on request. */
    if (d->type != tile->operands && d->level != level) {
        snprintf(why, size, "the device has no matrices of %s; as %s it is computed only if the level is asked for",
                 dmattn_type_string(d->type), dmattn_type_string(tile->operands));
        return false;
    }
    return true;
}

const tile_form *dmattn_level_forms(dmattn_level level)
{
    static const tile_form forms[][LEVEL_FORMS] = {{FORM_FRAGMENTS, FORM_SHARED}, {FORM_FRAGMENTS, FORM_REDUCED}};
    return forms[level == DMATTN_LEVEL_MATRIX2];
}

static uint32_t matrix_candidates(const capabilities *caps, const dmattn_attention_desc *d, dmattn_level level,
                                  attention_tile *tiles, uint32_t max, char *why, size_t size)
{
    static const struct {
        const matrix_candidate *list;
        size_t count;
    } tables[] = {
        [FORM_SHARED] = {TABLE(shared)}, [FORM_REDUCED] = {TABLE(reduced)}, [FORM_FRAGMENTS] = {TABLE(fragments)}};
    attention_tile tile;
    uint32_t count = 0;
    if (!dmattn_tile_begin_matrix(caps, d, level, &tile, why, size))
        return 0;
    for (int i = 0; i < LEVEL_FORMS; i++) {
        tile.form = dmattn_level_forms(level)[i];
        if (tile.form != FORM_SHARED || dmattn_capabilities_registers(caps) > FEW_REGISTERS)
            count = add_matrix(caps, d, tile, tables[tile.form].list, tables[tile.form].count, tiles, count, max);
    }
    if (tile.form == FORM_SHARED) {
        tile.sums_shared = true;
        if (dmattn_capabilities_is_intel(caps)) /* the kernel checks whether the device has this layout */
            tile.fragment_layout = LAYOUT_COLUMNS;
        count = add_matrix(caps, d, tile, TABLE(shared_sums), tiles, count, max);
    }
    if (!count)
        snprintf(why, size,
                 "no tile for head_dim %u and value_dim %u fits %ux%ux%u matrices in subgroups of %u, the registers "
                 "and %u bytes of shared memory",
                 d->head_dim, d->value_dim, tile.matrix.m, tile.matrix.n, tile.matrix.k, tile.subgroup_size,
                 caps->shared_memory);
    return count;
}

uint32_t dmattn_tile_search(const capabilities *caps, const dmattn_attention_desc *d, dmattn_level level,
                            attention_tile *tiles, uint32_t max)
{
    static const uint32_t subgroups[] = {1, 2, 4, 8, 12}, keys[] = {16, 32, 48, 64, 96};
    const uint32_t most = dmattn_max(d->head_dim, BAND);
    attention_tile tile;
    uint32_t count = 0;
    char why[200];
    if (level == DMATTN_LEVEL_PORTABLE || !dmattn_capabilities_can(caps, level, why, sizeof why)
        || !dmattn_tile_begin_matrix(caps, d, level, &tile, why, sizeof why))
        return 0;
    for (int i = 0; i < LEVEL_FORMS; i++)
        for (size_t s = 0; s < sizeof subgroups / sizeof *subgroups; s++)
            for (uint32_t blocks = 1; blocks <= 2; blocks++)
                for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
                    for (uint32_t queries = 0; queries < d->head_dim; queries += 16) /* in shared memory */
                        for (int guarded = 0; guarded < 2; guarded++) {
                            const matrix_candidate c = {MANY,    MANY,    most,    subgroups[s], blocks,
                                                        keys[k], queries, guarded, ANY_KEYS,     0};
                            tile.form = dmattn_level_forms(level)[i];
                            count = add_matrix(caps, d, tile, &c, 1, tiles, count, max);
                        }
    return count;
}

static uint32_t all_candidates(const capabilities *caps, const dmattn_attention_desc *d, dmattn_level level,
                               attention_tile *tiles, uint32_t max, char *why, size_t size)
{
    if (!dmattn_capabilities_can(caps, level, why, size))
        return 0;
    if (level != DMATTN_LEVEL_PORTABLE)
        return matrix_candidates(caps, d, level, tiles, max, why, size);
    return dmattn_tile_portable_candidates(caps, d, dmattn_tile_registers, tiles, max, why, size);
}

/* The number of queries by which a tile has too many for lists that few queries share. */
static uint32_t excess_queries(const dmattn_attention_desc *d, const attention_tile *t)
{
    const uint32_t queries = dmattn_tile_queries(t);
    return queries <= d->selected_queries ? 0 : queries - d->selected_queries;
}

#define MAX_CANDIDATES 64

uint32_t dmattn_tile_candidates(const capabilities *caps, const dmattn_attention_desc *d, dmattn_level level,
                                attention_tile *tiles, uint32_t max, char *why, size_t size)
{
    if (!d->selected_queries)
        return all_candidates(caps, d, level, tiles, max, why, size);
    attention_tile found[MAX_CANDIDATES];
    const uint32_t count = all_candidates(caps, d, level, found, MAX_CANDIDATES, why, size);
    /* the ones of the first form first, of these the ones with the fewest queries too many, else in their order */
    for (uint32_t i = 1; i < count; i++) {
        const attention_tile tile = found[i];
        uint32_t at = i;
        for (;
             at > 0 && found[at - 1].form == tile.form && excess_queries(d, &found[at - 1]) > excess_queries(d, &tile);
             at--)
            found[at] = found[at - 1];
        found[at] = tile;
    }
    for (uint32_t i = 0; i < count && i < max; i++)
        tiles[i] = found[i];
    return count < max ? count : max;
}

bool dmattn_tile_choose(const capabilities *caps, const dmattn_attention_desc *d, dmattn_level level,
                        attention_tile *tile, char *why, size_t size)
{
    return dmattn_tile_candidates(caps, d, level, tile, 1, why, size) == 1;
}
