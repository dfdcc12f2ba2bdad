/* SPDX-License-Identifier: MIT */
#include "stage.h"

#include "../attention/stage.h"
#include "../descriptors/format.h"
#include "../mask/desc.h"

#include <stdio.h>
#include <string.h>

/* The number of workgroups that fill a large device, which is doubled if each one still has many keys; and the number
 * of keys that is worth a workgroup. Measured on the H200 (docs/notes/experiments.md). */
#define FILLING_WORKGROUPS 128
#define MANY_KEYS          256
#define LEAST_KEYS         44
#define MOST_SPLITS        256

/* The maximum number of elements of q that an invocation holds in registers. */
#define QUERY_ELEMENTS 64

static uint32_t at_most(uint64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

/* The number of splits of the keys. Without splits, there are `workgroups` workgroups. */
static uint32_t choose_splits(uint64_t keys, uint64_t workgroups)
{
    uint64_t splits = (FILLING_WORKGROUPS + workgroups - 1) / workgroups;
    if (keys > splits * MANY_KEYS)
        splits = (2 * FILLING_WORKGROUPS + workgroups - 1) / workgroups;
    if (splits > keys / LEAST_KEYS)
        splits = keys / LEAST_KEYS;
    return splits ? at_most(splits, MOST_SPLITS) : 1;
}

/* Loads of a kind in flight, and the fewest that there should be while several rows share them. */
#define LOADS_AHEAD       8
#define LEAST_LOADS_AHEAD 4

/* What ANV needs beyond that. With pages: for a computed importance, for lanes that share a row unevenly, for pairs'
 * biases, and with several loads in flight for sums, whose old values it keeps. */
static uint32_t more_registers(const decode_tile *t, const dmattn_decode_desc *d, uint32_t units)
{
    const dmattn_attention_desc *a = &d->attention;
    if (d->cache == DMATTN_CACHE_BOUNDED)
        return a->type == DMATTN_TYPE_F32 && units > 1 ? 3 : 0;
    return (d->no_importance ? 0 : 5) + (units * t->key_lanes * 8 > a->head_dim ? 5 : 0) + (a->bias ? 3 : 0)
           + (t->loads_ahead > 1 ? 8 * t->block_rows - 2 : 10);
}

/* About how many 32-bit registers a lane of the portable kernel needs: rows of q and of the output, loads, and
 * addresses, which are more for a bounded cache. Fitted to the live values that ANV counts (docs/notes/experiments.md).
 */
uint32_t dmattn_decode_tile_registers(const capabilities *caps, const decode_tile *t, const dmattn_decode_desc *d)
{
    const bool bounded = d->cache == DMATTN_CACHE_BOUNDED;
    const uint32_t units = dmattn_ceil_div(d->attention.head_dim / 8, t->key_lanes);
    const uint32_t rows = t->block_rows * (8 * units + 8);
    return rows + t->loads_ahead * (bounded ? 10 : 8) + (bounded ? 83 : 50)
           + (dmattn_capabilities_is_intel(caps) ? more_registers(t, d, units) : 0);
}

static decode_tile choose_portable(const capabilities *caps, const dmattn_decode_desc *d)
{
    const dmattn_attention_desc *a = &d->attention;
    decode_tile t = {.level = DMATTN_LEVEL_PORTABLE,
                     .workgroup = 128,
                     .block_keys = 256,
                     .loads_ahead = dmattn_capabilities_is_cpu(caps) ? 1 : LOADS_AHEAD};
    t.subgroup_size = dmattn_capabilities_subgroup_size(caps);
    /* A lane has 8 or 16 elements of a row of k, and its part of q is in registers. There are at least as many lanes as
     * rows (sum_of_row()). */
    const uint32_t most_lanes = a->head_dim > BAND ? 32 : 16;
    for (t.key_lanes = 4;
         t.key_lanes < a->head_dim / 16 && t.key_lanes < most_lanes && 2 * t.key_lanes <= t.subgroup_size;)
        t.key_lanes *= 2;
    const uint32_t rows = a->queries * (a->heads / a->kv_heads);
    for (t.block_rows = 1; t.block_rows < rows && t.block_rows < 8 && t.block_rows < t.key_lanes
                           && 2 * t.block_rows * a->head_dim / t.key_lanes <= QUERY_ELEMENTS;)
        t.block_rows *= 2;
    const uint32_t most = dmattn_capabilities_registers(caps);
    while (dmattn_decode_tile_registers(caps, &t, d) > most)
        if (t.loads_ahead > LEAST_LOADS_AHEAD || (t.block_rows == 1 && t.loads_ahead > 1))
            t.loads_ahead /= 2;
        else if (t.block_rows > 1)
            t.block_rows /= 2;
        else
            break;
    return t;
}

/* The maximum number of columns of q, k or v with which all of an invocation's elements are in registers. */
#define FRAGMENTS_DIM 128

/* ---- by matrices ----------------------------------------------------------------------------------------------- */

/* Whether rows of k and v are of 8 or 4 bits, in whole pieces of 16 elements (fragments/formats.glsl). */
static bool has_pieces(const dmattn_decode_desc *d)
{
    return dmattn_attention_format(&d->attention, TENSOR_K) >= DMATTN_FORMAT_INT8
           && dmattn_attention_format(&d->attention, TENSOR_V) >= DMATTN_FORMAT_INT8 && d->attention.head_dim % 16 == 0
           && d->attention.value_dim % 16 == 0;
}

static bool has_blocks(const dmattn_decode_desc *d)
{
    return dmattn_format_block(dmattn_attention_format(&d->attention, TENSOR_K)) > 1
           || dmattn_format_block(dmattn_attention_format(&d->attention, TENSOR_V)) > 1;
}

/* Whether 32 bits tell where in the pool a row begins, in units of 16 bytes (fragments/lists.glsl). */
#define ROW_UNIT 16

static bool rows_have_numbers(const dmattn_decode_desc *d)
{
    return d->cache != DMATTN_CACHE_PAGED || has_blocks(d)
           || dmattn_decode_layout(d).pages_size / ROW_UNIT <= UINT32_MAX;
}

/* Whether registers hold a row of q, k, v and the output. */
static bool fits_registers(const dmattn_decode_desc *d)
{
    return d->attention.head_dim <= FRAGMENTS_DIM && d->attention.value_dim <= FRAGMENTS_DIM;
}

bool dmattn_decode_tile_fits(const decode_tile *t, const capabilities *caps, const dmattn_decode_desc *d)
{
    const matrix_shape *x = &t->matrix;
    if (t->workgroup > caps->max_invocations
        || dmattn_decode_tile_shared_memory(t, d) > caps->shared_memory
        /* all subgroups are full, and their invocations have the same number of elements */
        || t->workgroup % t->subgroup_size || x->m * x->n % t->subgroup_size)
        return false;
    const bool has_formats = dmattn_decode_has_formats(d);
    if (t->form == FORM_SHARED && (d->cache == DMATTN_CACHE_PAGED || has_formats))
        return false; /* with pages, this form was slower than the portable kernel; with formats, there is none */
    if (t->form == FORM_FRAGMENTS)
        return caps->fragment_layout == LAYOUT_QUAD_ROWS && t->subgroup_size == 32 && x->m == 16
               && x->n == t->block_rows
               && x->k == 16
               /* loaded elements are multiplied without conversion, or are numbers that f16 holds */
               && (has_formats ? has_pieces(d) && caps->narrow_matrices && rows_have_numbers(d)
                               : t->operands == d->attention.type)
               && fits_registers(d);
    /* an invocation's loads of wider rows do not fit in registers */
    if (d->attention.head_dim > BAND || d->attention.value_dim > BAND)
        return false;
    /* whole matrices of keys; at the end, the output is stored in place of the values */
    return t->block_keys % x->n == 0 && t->block_keys % x->k == 0 && t->block_keys >= 2 * x->m;
}

/* The number of keys that a subgroup multiplies at a time with fragments; splits are multiples of it. With pages, lists
 * are for larger blocks, with LISTED_KEYS keys per invocation, which it loads together. With formats, lists are so
 * small that the memory of a multiprocessor holds two workgroups; with TWO_LEAST_KEYS, two are still faster than one.
 * Lists have even fewer keys for blocks, whose lists are the workgroup's, for selected keys, and where a split then
 * needs less padding. */
#define FRAGMENT_KEYS       16
#define LISTED_KEYS         8
#define FORMATS_LISTED_KEYS 6
#define FEWER_LISTED_KEYS   4
#define TWO_LEAST_KEYS      3

/* With formats, matrices have so many columns, which are rows of q (fragments/attend_formats.glsl). Few steps have
 * more.
 */
#define FORMAT_ROWS 8

/* Candidates, the best one first. Each is for a maximum number of workgroups without splits. With formats, those with
 * fragments are for any number, but FORMATS_TWO is only for two workgroups on a multiprocessor. Measured on the H200
 * (docs/notes/experiments.md). */
#define ANY         UINT64_MAX
#define FORMATS_TWO 0
static const struct {
    tile_form form;
    uint32_t workgroup, block_keys;
    uint64_t most;
} matrix_tiles[] = {
    {FORM_SHARED, 256, 64, 4},
    {FORM_FRAGMENTS, 128, FRAGMENT_KEYS, FORMATS_TWO},
    {FORM_FRAGMENTS, 256, FRAGMENT_KEYS, 132},
    {FORM_FRAGMENTS, 128, FRAGMENT_KEYS, ANY},
    {FORM_SHARED, 256, 64, ANY},
    {FORM_SHARED, 256, 32, ANY},
    {FORM_SHARED, 128, 64, ANY},
    {FORM_SHARED, 128, 32, ANY},
    {FORM_SHARED, 128, 16, ANY},
};

/* With many sequences of few rows each, loads into registers without barriers are faster than whole blocks in shared
 * memory (docs/notes/experiments.md). */
#define MATRIX_ROWS    8
#define MATRIX_COLUMNS (16 * 128)

static bool matrix_pays(const decode_tile *t, const dmattn_attention_desc *a)
{
    const uint64_t dim = a->head_dim > a->value_dim ? a->head_dim : a->value_dim;
    return t->form == FORM_FRAGMENTS || a->queries * (a->heads / a->kv_heads) >= MATRIX_ROWS
           || a->batch * dim * a->kv_heads <= MATRIX_COLUMNS;
}

/* A split has a whole number of blocks, at least one for each subgroup with its own blocks. There are at most as many
 * workgroups as run at the same time (one on each multiprocessor of the H200, with formats perhaps two), because others
 * would have to wait. */
#define MATRIX_WORKGROUPS 132

/* An invocation reads the lengths of up to so many sequences. */
#define BALANCED_SEQUENCES 4

/* With formats, the invocations of a multiprocessor of the H200 have registers for one workgroup of 256 or two of
 * 128. But there, all workgroups of a multiprocessor together have only as much shared memory as one may have, and
 * each takes a kilobyte more. */
static bool fits_twice(const decode_tile *t, const capabilities *caps, const dmattn_decode_desc *d)
{
    return dmattn_decode_has_formats(d) && t->workgroup <= 128
           && 2 * (dmattn_decode_tile_shared_memory(t, d) + 1024) <= caps->shared_memory;
}

static uint64_t workgroups_at_once(const decode_tile *t, const capabilities *caps, const dmattn_decode_desc *d)
{
    return fits_twice(t, caps, d) ? 2 * MATRIX_WORKGROUPS : MATRIX_WORKGROUPS;
}

/* Two are faster, because one computes while the other begins or ends. Bounded caches with few workgroups are an
 * exception: they would have more splits, which take longer to combine. And the invocations of a workgroup read the
 * lengths of all sequences. */
static bool two_are_faster(const decode_tile *t, const capabilities *caps, const dmattn_decode_desc *d,
                           uint64_t workgroups)
{
    return fits_twice(t, caps, d)
           && (d->cache == DMATTN_CACHE_PAGED ? d->attention.batch <= BALANCED_SEQUENCES * t->workgroup
                                              : workgroups > MATRIX_WORKGROUPS);
}

/* One workgroup combines the splits. The time for this is proportional to rows * splits. The time of attention is
 * proportional to keys / (splits * subgroups). Beyond the number of splits at which both times are equal, more splits
 * cost more than they save. Measured only with fragments (docs/notes/experiments.md). */
#define JOINED_KEYS 16

static uint32_t choose_matrix_splits(const decode_tile *t, uint64_t keys, uint64_t workgroups, uint64_t at_once,
                                     uint32_t rows)
{
    const uint32_t unit = t->form == FORM_FRAGMENTS ? FRAGMENT_KEYS : t->block_keys;
    const uint64_t blocks = (keys + unit - 1) / unit, subgroups = t->workgroup / t->subgroup_size;
    const uint64_t least = t->form == FORM_FRAGMENTS ? subgroups : 1;
    uint64_t most = workgroups < at_once ? at_most(at_once / workgroups, MOST_SPLITS) : 1;
    while (t->form == FORM_FRAGMENTS && most > 1 && most * most * subgroups * rows > JOINED_KEYS * keys)
        most--;
    if (most > (blocks + least - 1) / least)
        most = (blocks + least - 1) / least;
    const uint64_t each = (blocks + most - 1) / most;
    return (uint32_t)((blocks + each - 1) / each);
}

/* ---- balance between sequences ----------------------------------------------------------------------------------- */

/* With fewer keys, the longest sequence does not take long. */
#define BALANCED_KEYS 256

/* The number of shares, for all kv heads together: 4 for each multiprocessor of the H200. With more, there are more
 * idle workgroups in a step of equal lengths, and with fewer, the last splits leave more of the device idle. */
#define ALL_SHARES 528

/* The most keys of a sequence that can be visible to a query or another in a step. */
static uint64_t visible_keys(const dmattn_decode_desc *d)
{
    const uint64_t slid = (uint64_t)d->selection.sinks + d->selection.sliding + d->attention.queries;
    const uint64_t selected = dmattn_decode_selected_keys(d, d->attention.queries);
    return d->selection.sliding && slid < selected ? slid : selected;
}

/* Whether a query sees the keys of a list, which are about as many for each sequence. */
static bool selects(const dmattn_decode_desc *d)
{
    return d->attention.mask == DMATTN_MASK_SELECTED;
}

/* Whether a step shares the keys of all sequences among its workgroups, instead of those of each sequence. It also
 * visits no keys before a sliding window. */
static bool is_balanced(const decode_tile *t, const dmattn_decode_desc *d)
{
    const uint64_t keys = visible_keys(d), sequences = d->attention.batch;
    return d->cache == DMATTN_CACHE_PAGED && !selects(d) && sequences <= BALANCED_SEQUENCES * t->workgroup
           && sequences * d->max_keys <= UINT32_MAX
           && ((sequences > 1 && keys >= BALANCED_KEYS) || 2 * keys <= d->max_keys);
}

/* Chooses the shares for sequences of different lengths. With matrices, there are at most as many as run at the same
 * time, if that is so without balance, or if caches have formats: their kernel needs so many registers that a
 * multiprocessor runs few workgroups, and does little else while one begins or ends. */
static void balance(decode_tile *t, const capabilities *caps, const dmattn_decode_desc *d)
{
    const uint64_t sequences = d->attention.batch, heads = (uint64_t)d->attention.kv_heads * t->row_blocks;
    const bool limited =
        t->level != DMATTN_LEVEL_PORTABLE && (sequences * heads <= MATRIX_WORKGROUPS || dmattn_decode_has_formats(d));
    const uint64_t shares = (limited ? workgroups_at_once(t, caps, d) : ALL_SHARES) / heads;
    const uint64_t least = t->splits > 1 ? sequences * t->splits : 1; /* balance.h needs so many */
    t->shares = (uint32_t)(shares < least ? least : shares);
    t->least_keys = t->form == FORM_FRAGMENTS ? FRAGMENT_KEYS * (t->workgroup / t->subgroup_size) : LEAST_KEYS;
}

uint64_t dmattn_decode_all_splits(const dmattn_decode_desc *d, const decode_tile *t)
{
    return t->shares ? (uint64_t)t->shares + d->attention.batch - 1 : (uint64_t)t->splits * d->attention.batch;
}

/* The number of workgroups that share the rows of a sequence and kv head. */
static uint32_t count_row_blocks(const decode_tile *t, const dmattn_attention_desc *a)
{
    return at_most(dmattn_ceil_div(a->queries * (a->heads / a->kv_heads), t->block_rows), DECODE_MAX_ROW_BLOCKS);
}

/* Whether each subgroup has lists of its own (fragments/lists.glsl). */
static bool has_subgroup_lists(const decode_tile *t, const dmattn_decode_desc *d)
{
    return t->form == FORM_FRAGMENTS && d->cache == DMATTN_CACHE_PAGED && dmattn_decode_has_formats(d)
           && !has_blocks(d);
}

/* Half of the keys of a list, a whole number for each invocation, because lists of subgroups have whole steps. */
static uint32_t halved(uint32_t keys, uint32_t workgroup)
{
    return keys / 2 / workgroup * workgroup;
}

static uint64_t padded(uint64_t keys, uint32_t list)
{
    return (keys + list - 1) / list * list;
}

/* Whether lists without new tokens have a loop of their own. It has no branches, but the kernel is longer, and short
 * steps take longer. So this is for workgroups with so many keys; and not for e4m3, where both lengths that were
 * measured on the H200 took longer (docs/notes/experiments.md). */
#define TWO_LOOPS_KEYS 1280

static bool two_loops_are_faster(const decode_tile *t, const dmattn_decode_desc *d, uint64_t keys)
{
    const dmattn_attention_desc *a = &d->attention;
    const uint64_t of_workgroup = t->shares ? keys * a->batch / t->shares : keys / t->splits;
    return t->form == FORM_FRAGMENTS && d->cache == DMATTN_CACHE_PAGED && dmattn_decode_has_formats(d)
           && dmattn_attention_format(a, TENSOR_K) != DMATTN_FORMAT_E4M3
           && dmattn_attention_format(a, TENSOR_V) != DMATTN_FORMAT_E4M3 && of_workgroup >= TWO_LOOPS_KEYS;
}

/* Chooses the rest: how many workgroups share the rows and the keys. False if the device has too little shared memory.
 */
static bool divide(const capabilities *caps, const dmattn_decode_desc *d, decode_tile *tile)
{
    const dmattn_attention_desc *a = &d->attention;
    tile->row_blocks = count_row_blocks(tile, a);
    const bool balanced = is_balanced(tile, d);
    const uint64_t keys = balanced || selects(d)           ? visible_keys(d)
                          : d->cache == DMATTN_CACHE_PAGED ? d->max_keys
                                                           : dmattn_cache_slots(d) + a->queries;
    const uint64_t workgroups = (uint64_t)a->batch * a->kv_heads * tile->row_blocks;
    const uint32_t rows = at_most(a->queries * (a->heads / a->kv_heads), tile->block_rows);
    tile->splits = tile->level == DMATTN_LEVEL_PORTABLE
                       ? choose_splits(keys, workgroups)
                       : choose_matrix_splits(tile, keys, workgroups, workgroups_at_once(tile, caps, d), rows);
    if (balanced)
        balance(tile, caps, d);
    /* A list is not larger than a split: otherwise, few invocations would handle several keys each. */
    const uint64_t part = (keys + tile->splits - 1) / tile->splits + FRAGMENT_KEYS;
    if (tile->form == FORM_FRAGMENTS && d->cache == DMATTN_CACHE_PAGED)
        while (tile->block_keys >= 2 * part && tile->block_keys >= 2 * tile->workgroup)
            tile->block_keys = halved(tile->block_keys, tile->workgroup);
    /* In each turn, every subgroup makes a list of its own. If few keys are left for the last turn, most subgroups are
     * idle. */
    const uint32_t fewer = FEWER_LISTED_KEYS * tile->workgroup;
    if (has_subgroup_lists(tile, d) && tile->block_keys > fewer && padded(part, fewer) < padded(part, tile->block_keys))
        tile->block_keys = fewer;
    tile->two_loops = two_loops_are_faster(tile, d, keys);
    return dmattn_decode_tile_shared_memory(tile, d) <= caps->shared_memory;
}

static uint32_t matrix_candidates(const capabilities *caps, const dmattn_decode_desc *d, decode_tile *tiles,
                                  uint32_t max, char *why, size_t size)
{
    attention_tile matrices;
    uint32_t count = 0;
    if (dmattn_decode_has_tree(d)) {
        snprintf(why, size, "a mask of the new tokens of a bounded cache has only a portable kernel");
        return 0;
    }
    dmattn_attention_desc operands = d->attention;
    if (dmattn_decode_has_formats(d) && d->attention.type != DMATTN_TYPE_F32)
        operands.type = DMATTN_TYPE_F16; /* in which all stored numbers are exact (fragments/formats.glsl) */
    if (!dmattn_tile_begin_matrix(caps, &operands, DMATTN_LEVEL_MATRIX, &matrices, why, size))
        return 0;
    const bool has_formats = dmattn_decode_has_formats(d);
    if (has_formats)
        matrices.matrix.n = FORMAT_ROWS;
    for (size_t i = 0; i < sizeof matrix_tiles / sizeof *matrix_tiles && count < max; i++) {
        decode_tile tile = {
            .level = DMATTN_LEVEL_MATRIX,
            .form = matrix_tiles[i].form,
            .workgroup = matrix_tiles[i].workgroup,
            .subgroup_size = matrices.subgroup_size,
            .block_rows = has_formats ? matrices.matrix.n : matrices.matrix.m,
            .block_keys = matrix_tiles[i].block_keys,
            .matrix = matrices.matrix,
            .operands = matrices.operands,
            .loads_ahead = LOADS_AHEAD,
        };
        if (d->cache == DMATTN_CACHE_PAGED) {
            tile.block_keys = tile.workgroup
                              * (!has_formats                  ? LISTED_KEYS
                                 : has_blocks(d) || selects(d) ? FEWER_LISTED_KEYS
                                                               : FORMATS_LISTED_KEYS);
            /* shared memory may be too small; with formats, new tokens and scales need some, too; and each subgroup has
             * lists of at least a whole step (fragments/lists.glsl) */
            const uint32_t least = has_formats ? tile.workgroup : tile.block_keys / 2;
            while (tile.block_keys > least && !dmattn_decode_tile_fits(&tile, caps, d))
                tile.block_keys = halved(tile.block_keys, tile.workgroup);
            /* Shorter lists, so that two workgroups fit. A single sequence would have more splits, which take longer to
             * combine; and for selected keys, lists are short already. */
            if (matrix_tiles[i].most == FORMATS_TWO && d->attention.batch > 1 && !selects(d))
                while (tile.block_keys > TWO_LEAST_KEYS * tile.workgroup && !fits_twice(&tile, caps, d))
                    tile.block_keys -= tile.workgroup;
        }
        const uint64_t workgroups =
            (uint64_t)d->attention.batch * d->attention.kv_heads * count_row_blocks(&tile, &d->attention);
        const uint64_t most = matrix_tiles[i].most;
        const bool is_for = !has_formats          ? workgroups <= most
                            : most == FORMATS_TWO ? two_are_faster(&tile, caps, d, workgroups)
                                                  : tile.form == FORM_FRAGMENTS;
        if (is_for && dmattn_decode_tile_fits(&tile, caps, d) && divide(caps, d, &tile))
            tiles[count++] = tile;
    }
    if (count) {
        const bool has_registers = dmattn_capabilities_registers(caps) > FEW_REGISTERS;
        if (d->attention.level || (has_registers && matrix_pays(tiles, &d->attention)))
            return count;
        snprintf(why, size,
                 has_registers ? "with many sequences of few rows, the portable kernel is faster"
                               : "a lane has too few registers for the loads of the kernel by matrices");
        return 0;
    }
    if (has_formats && has_pieces(d) && fits_registers(d) && caps->narrow_matrices
        && caps->fragment_layout == LAYOUT_QUAD_ROWS && !rows_have_numbers(d))
        snprintf(why, size,
                 "with formats, a pool of %llu bytes is too large for matrices, whose rows have numbers of 32 bits",
                 (unsigned long long)dmattn_decode_layout(d).pages_size);
    else if (has_formats)
        snprintf(why, size,
                 "for formats, matrices need a known fragment layout, k and v of 8 or 4 bits, and head and value "
                 "dimensions that are multiples of 16 up to %d",
                 FRAGMENTS_DIM);
    else if (d->cache == DMATTN_CACHE_PAGED)
        snprintf(why, size, "for pages, matrices need a known fragment layout, and head and value dimensions up to %d",
                 FRAGMENTS_DIM);
    else
        snprintf(why, size,
                 "no tile for head_dim %u and value_dim %u fits %ux%ux%u matrices in subgroups of %u and %u bytes of "
                 "shared memory",
                 d->attention.head_dim, d->attention.value_dim, matrices.matrix.m, matrices.matrix.n, matrices.matrix.k,
                 matrices.subgroup_size, caps->shared_memory);
    return 0;
}

uint32_t dmattn_decode_tile_candidates(const capabilities *caps, const dmattn_decode_desc *d, dmattn_level level,
                                       decode_tile *tiles, uint32_t max, char *why, size_t size)
{
    if (!dmattn_capabilities_can(caps, level, why, size))
        return 0;
    if (level == DMATTN_LEVEL_MATRIX2) {
        snprintf(why, size, "decoding has no kernels for it, because matrix is enough");
        return 0;
    }
    if (level == DMATTN_LEVEL_MATRIX)
        return matrix_candidates(caps, d, tiles, max, why, size);
    *tiles = choose_portable(caps, d);
    if (divide(caps, d, tiles))
        return 1;
    snprintf(why, size, "a step needs %u bytes of shared memory, but the device has %u",
             dmattn_decode_tile_shared_memory(tiles, d), caps->shared_memory);
    return 0;
}

bool dmattn_decode_tile_choose(const capabilities *caps, const dmattn_decode_desc *d, dmattn_level level,
                               decode_tile *tile, char *why, size_t size)
{
    return dmattn_decode_tile_candidates(caps, d, level, tile, 1, why, size) == 1;
}

static bool has_scales(const dmattn_attention_desc *a)
{
    return dmattn_format_has_scales(dmattn_attention_format(a, TENSOR_K))
           || dmattn_format_has_scales(dmattn_attention_format(a, TENSOR_V));
}

/* Bytes of the arrays of fragments/sums.glsl, with the scales of subgroups' lists, and of fragments/begin.glsl. */
static uint32_t fragments_shared_memory(const decode_tile *t, const dmattn_decode_desc *d)
{
    const dmattn_attention_desc *a = &d->attention;
    const uint32_t all_rows = a->queries * (a->heads / a->kv_heads), subgroups = t->workgroup / t->subgroup_size;
    const uint32_t rows = all_rows < t->block_rows ? all_rows : t->block_rows;
    const uint32_t sums = rows * (a->value_dim / 4 + 1), check = 16 * 5;
    const uint32_t list = has_subgroup_lists(t, d) && has_scales(a) ? (t->block_keys / subgroups + 1) / 2 : 0;
    return subgroups * (16 * dmattn_max(dmattn_max(sums, check), list) + 8 * rows);
}

/* Bytes of the arrays of decode_attend_matrix.glsl. */
static uint32_t matrix_shared_memory(const decode_tile *t, const dmattn_attention_desc *a)
{
    const matrix_shape *x = &t->matrix;
    const uint32_t key_pitch = dmattn_ceil_div(a->head_dim, x->k) * x->k / 8 + 1;
    const uint32_t value_pitch = dmattn_ceil_div(a->value_dim, x->n) * x->n / 8 + 1;
    const uint32_t row = key_pitch + t->block_keys / 4 + 1 + x->n / 4 + 1; /* of q, scores, factors */
    return 16 * (t->block_keys * (key_pitch + value_pitch) + t->block_rows * row) + 8 * t->block_rows;
}

/* Bytes of the arrays of decode_attend.glsl. */
static uint32_t portable_shared_memory(const decode_tile *t)
{
    const uint32_t sum_rows = t->block_rows < 2 ? 1 : 2;
    return 4 * t->block_rows * t->block_keys + 12 * t->block_rows + 32 * t->workgroup * sum_rows;
}

/* Bytes of the arrays of decode_rows.glsl: new tokens' rows, a quad for each 8 elements or two of f32, and scales; of
 * cache_paged.glsl: places. */
static uint32_t formats_shared_memory(const decode_tile *t, const dmattn_decode_desc *d)
{
    const dmattn_attention_desc *a = &d->attention;
    const dmattn_format k = dmattn_attention_format(&d->attention, TENSOR_K),
                        v = dmattn_attention_format(&d->attention, TENSOR_V);
    const uint32_t quads =
        a->head_dim / 8 * (k == DMATTN_FORMAT_F32 ? 2 : 1) + a->value_dim / 8 * (v == DMATTN_FORMAT_F32 ? 2 : 1);
    if (!dmattn_decode_has_formats(d))
        return 0;
    const uint32_t places = t->form == FORM_FRAGMENTS && d->cache == DMATTN_CACHE_PAGED ? 4 * t->block_keys : 0;
    const uint32_t scales = has_subgroup_lists(t, d) ? 0 : 8 * (has_scales(a) ? t->block_keys : 1);
    return places + 16 * a->queries * quads + scales;
}

uint32_t dmattn_decode_tile_shared_memory(const decode_tile *t, const dmattn_decode_desc *d)
{
    const uint32_t tree = dmattn_decode_has_tree(d) ? 24 * d->attention.queries + 8 : 0;
    /* decode.glsl, balance.glsl, decode_rows.glsl, decode_tokens.glsl, cache_*.glsl, scan.glsl, decode_combine.glsl */
    const uint32_t others = 12 * t->block_keys + 20 * t->workgroup / 4 + 12 * d->attention.queries + 4
                            + formats_shared_memory(t, d) + (d->cache == DMATTN_CACHE_PAGED ? 24 : 0) + tree;
    switch (t->form) {
    case FORM_PORTABLE: return others + portable_shared_memory(t);
    case FORM_FRAGMENTS: return others + fragments_shared_memory(t, d);
    default: return others + matrix_shared_memory(t, &d->attention);
    }
}

void dmattn_decode_tile_kernel(const decode_tile *t, const dmattn_decode_desc *d, char name[KERNEL_NAME])
{
    const attention_tile tile = {.form = t->form, .operands = t->operands};
    char source[KERNEL_NAME];
    snprintf(source, sizeof source, "decode_%s%s%s",
             selects(d)                       ? "selected"
             : t->shares                      ? "balanced"
             : d->cache == DMATTN_CACHE_PAGED ? "paged"
                                              : "bounded",
             t->form == FORM_FRAGMENTS && d->cache == DMATTN_CACHE_PAGED && has_blocks(d) ? "_blocks"
             : dmattn_decode_has_formats(d)                                               ? "_formats"
                                                                                          : "",
             dmattn_decode_has_tree(d) ? "_tree" : "");
    dmattn_tile_kernel(&tile, source, name);
}

/* Of selected keys, the strides are those of their lists' headers, which are 16 bytes each (lib/lists.h). */
static void put_mask(const dmattn_decode_desc *d, uint32_t c[DECODE_CONSTANT_COUNT])
{
    const dmattn_score_shape *m = &d->attention.mask_shape;
    const uint32_t size = selects(d) ? 16 : 1;
    c[DECODE_MASK] = d->attention.mask == DMATTN_MASK_DENSE;
    c[DECODE_MASK_HEADS] = m->heads ? m->heads : 1;
    dmattn_put_stride(c, DECODE_MASK_BATCH_LOW, m->batch, selects(d) ? m->heads : m->batch_stride, size);
    dmattn_put_stride(c, DECODE_MASK_HEAD_LOW, m->heads, selects(d) ? 1 : m->head_stride, size);
    dmattn_put_stride(c, DECODE_MASK_QUERY_LOW, m->queries, m->query_stride, size);
}

void dmattn_decode_constants(const dmattn_decode_desc *d, const decode_tile *t, bool aligned,
                             uint32_t c[DECODE_CONSTANT_COUNT])
{
    const dmattn_attention_desc *a = &d->attention;
    const dmattn_selection *s = &d->selection;
    const dmattn_score_shape *b = &a->bias_shape;
    const dmattn_cache_layout l = dmattn_decode_layout(d);
    const uint32_t group = a->heads / a->kv_heads;
    memset(c, 0, DECODE_CONSTANT_COUNT * sizeof *c);
    c[DECODE_WORKGROUP] = t->workgroup;
    c[DECODE_CACHE] = d->cache;
    c[DECODE_TYPE] = a->type;
    c[DECODE_Q_TYPE] = dmattn_attention_type(a, TENSOR_Q);
    c[DECODE_K_FORMAT] = dmattn_attention_format(&d->attention, TENSOR_K);
    c[DECODE_V_FORMAT] = dmattn_attention_format(&d->attention, TENSOR_V);
    c[DECODE_OUT_TYPE] = dmattn_attention_type(a, TENSOR_OUT);
    c[DECODE_TOKENS] = a->queries;
    c[DECODE_KV_HEADS] = a->kv_heads;
    c[DECODE_GROUP] = group;
    c[DECODE_HEAD_DIM] = a->head_dim;
    c[DECODE_VALUE_DIM] = a->value_dim;
    c[DECODE_KEY_LANES] = t->key_lanes;
    c[DECODE_BLOCK_ROWS] = t->block_rows;
    c[DECODE_BLOCK_KEYS] = t->block_keys;
    c[DECODE_SPLITS] = t->splits;
    c[DECODE_ROW_BLOCKS] = t->row_blocks;
    c[DECODE_SUBGROUP] = t->subgroup_size;
    c[DECODE_LOADS_AHEAD] = t->loads_ahead;
    c[DECODE_TWO_LOOPS] = t->two_loops;
    c[DECODE_MATRIX_M] = t->matrix.m;
    c[DECODE_MATRIX_N] = t->matrix.n;
    c[DECODE_MATRIX_K] = t->matrix.k;
    c[DECODE_COLUMN_LANES] = t->subgroup_size < 8 ? 4 : 8; /* as in importance.c */
    dmattn_score_constants(a, c);
    c[DECODE_LSE] = a->lse;
    c[DECODE_SINK] = a->sink;
    c[DECODE_ALIGNED] = aligned;
    c[DECODE_BIAS] = !d->no_importance;
    c[DECODE_IMPORTANCE_GIVEN] = d->importance_given;
    c[DECODE_PARAMETER_TYPE] = d->importance.parameter_type;
    c[DECODE_ACTIVATION] = d->importance.activation;
    c[DECODE_DT_BIAS] = d->importance.dt_bias;
    dmattn_selection_constants(s, c);
    c[DECODE_ROLLBACK] = d->rollback;
    c[DECODE_CAPACITY] = d->cache == DMATTN_CACHE_PAGED ? d->max_keys : l.slots;
    c[DECODE_PAGE_SIZE] = d->page_size ? d->page_size : 1;
    c[DECODE_PAGES] = d->pages ? d->pages : 1;
    put_mask(d, c);
    c[DECODE_PAIR_BIAS] = a->bias;
    c[DECODE_PAIR_BIAS_TYPE] = a->bias_type;
    c[DECODE_PAIR_BIAS_HEADS] = b->heads ? b->heads : 1;
    dmattn_put_stride(c, DECODE_PAIR_BIAS_BATCH_LOW, b->batch, b->batch_stride, dmattn_type_size(a->bias_type));
    dmattn_put_stride(c, DECODE_PAIR_BIAS_HEAD_LOW, b->heads, b->head_stride, dmattn_type_size(a->bias_type));
    dmattn_put_stride(c, DECODE_PAIR_BIAS_QUERY_LOW, b->queries, b->query_stride, dmattn_type_size(a->bias_type));
    c[DECODE_SLOPES] = a->slopes;
    const struct {
        uint32_t id, heads;
        const dmattn_strides *strides;
        tensor_id tensor;
    } tensors[] = {{DECODE_Q_BATCH_LOW, a->heads, &a->q_strides, TENSOR_Q},
                   {DECODE_K_BATCH_LOW, a->kv_heads, &a->k_strides, TENSOR_K},
                   {DECODE_V_BATCH_LOW, a->kv_heads, &a->v_strides, TENSOR_V},
                   {DECODE_OUT_BATCH_LOW, a->heads, &a->out_strides, TENSOR_OUT}};
    for (int i = 0; i < 4; i++) {
        const uint32_t size = dmattn_type_size(dmattn_attention_type(a, tensors[i].tensor));
        dmattn_put_stride(c, tensors[i].id, a->batch, tensors[i].strides->batch, size);
        dmattn_put_stride(c, tensors[i].id + 2, a->queries, tensors[i].strides->sequence, size);
        dmattn_put_stride(c, tensors[i].id + 4, tensors[i].heads, tensors[i].strides->head, size);
    }
    c[DECODE_BATCH] = a->batch;
    c[DECODE_SHARES] = t->shares;
    c[DECODE_LEAST_KEYS] = t->least_keys;
    c[DECODE_STATE_LOW] = (uint32_t)l.sequence_size;
    c[DECODE_STATE_HIGH] = (uint32_t)(l.sequence_size >> 32);
}
