/* SPDX-License-Identifier: MIT */
#include "tune_tiles.h"

#include "measure/planning.h"

#include <stdio.h>
#include <string.h>

#define WHY 200

dmattn_status tuned_problem_of(const bench_case *c, const messenger *m, tuned_problem *p)
{
    *p = (tuned_problem){.pass = c->pass, .cache = case_has_cache(c)};
    return p->cache ? dmattn_decode_desc_resolve(&c->decode, &p->decode, m) : case_resolve(c, m, &p->backward);
}

static const attention_tile *tile_of(const tuned_tile *t)
{
    return t->kernel == TUNED_FORWARD ? &t->forward : t->kernel == TUNED_QUERIES ? &t->tiles.query : &t->tiles.key;
}

/* ---- the tiles ------------------------------------------------------------------------------------------------- */

#define MAX_FORWARD 2048

/* Adds a tile, unless an equal one is there: a row says everything that differs between the tiles of a table. */
static uint32_t add(const tuned_problem *p, const tuned_tile *x, tuned_tile *tiles, uint32_t count, uint32_t max)
{
    char row[TILE_ROW], other[TILE_ROW], table[TILE_TABLE], other_table[TILE_TABLE];
    tuned_tile_row(x, p, row);
    tuned_tile_table(x, table);
    for (uint32_t i = 0; i < count; i++) {
        tuned_tile_row(&tiles[i], p, other);
        tuned_tile_table(&tiles[i], other_table);
        if (!strcmp(row, other) && !strcmp(table, other_table))
            return count;
    }
    if (count < max)
        tiles[count++] = *x;
    return count;
}

static uint32_t forward_tiles(const capabilities *caps, const tuned_problem *p, dmattn_level level, tuned_tile *tiles,
                              uint32_t max)
{
    static attention_tile found[MAX_FORWARD];
    const dmattn_attention_desc *d = &p->backward.attention;
    char why[WHY];
    uint32_t count = 0, n = dmattn_tile_candidates(caps, d, level, found, MAX_FORWARD, why, sizeof why);
    for (uint32_t i = 0; i < n; i++)
        count = add(p, &(tuned_tile){.kernel = TUNED_FORWARD, .chosen = !i, .forward = found[i]}, tiles, count, max);
    n = dmattn_tile_search(caps, d, level, found, MAX_FORWARD);
    for (uint32_t i = 0; i < n; i++)
        count = add(p, &(tuned_tile){.kernel = TUNED_FORWARD, .forward = found[i]}, tiles, count, max);
    return count;
}

/* Tiles of queries or of keys. */
static uint32_t gradient_tiles(const capabilities *caps, const tuned_problem *p, dmattn_level level, bool of_keys,
                               tuned_tile *tiles, uint32_t max)
{
    attention_tile found[BACKWARD_CANDIDATES];
    tuned_tile t = {.kernel = of_keys ? TUNED_KEYS : TUNED_QUERIES};
    char why[WHY];
    if (!dmattn_backward_tiles_choose(caps, &p->backward, level, &t.tiles, why, sizeof why))
        return 0;
    const uint32_t n =
        dmattn_backward_candidates(caps, &p->backward, level, of_keys, found, BACKWARD_CANDIDATES, why, sizeof why);
    const tile_form form = t.tiles.query.form; /* of both */
    bool marked = false;                       /* plans choose the first tile of this form */
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        *(of_keys ? &t.tiles.key : &t.tiles.query) = found[i];
        t.chosen = !marked && found[i].form == form;
        marked = marked || t.chosen;
        count = add(p, &t, tiles, count, max);
    }
    return count;
}

static uint32_t step_tiles(const capabilities *caps, const tuned_problem *p, dmattn_level level, tuned_tile *tiles,
                           uint32_t max)
{
    decode_tile found[16];
    char why[WHY];
    const uint32_t n = dmattn_decode_tile_candidates(caps, &p->decode, level, found, 16, why, sizeof why);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        count = add(p, &(tuned_tile){.kernel = TUNED_DECODE, .chosen = !i, .decode = found[i]}, tiles, count, max);
    return count;
}

uint32_t tuned_tiles(const capabilities *caps, const tuned_problem *p, dmattn_level level, tuned_tile *tiles,
                     uint32_t max)
{
    uint32_t count = 0;
    if (p->cache)
        return step_tiles(caps, p, level, tiles, max);
    if (p->pass & (PASS_FORWARD | PASS_DECODE))
        count += forward_tiles(caps, p, level, tiles, max);
    for (int of_keys = 0; of_keys < 2 && p->pass & PASS_BACKWARD; of_keys++)
        count += gradient_tiles(caps, p, level, of_keys, tiles + count, max - count);
    return count;
}

/* ---- how they are written -------------------------------------------------------------------------------------- */

dmattn_level tuned_tile_level(const tuned_tile *t)
{
    return t->kernel == TUNED_DECODE ? t->decode.level : tile_of(t)->level;
}

void tuned_tile_kernel(const tuned_tile *t, const tuned_problem *p, char name[KERNEL_NAME])
{
    if (t->kernel == TUNED_DECODE)
        dmattn_decode_tile_kernel(&t->decode, &p->decode, name);
    else if (t->kernel == TUNED_FORWARD)
        dmattn_attention_kernel(tile_of(t), &p->backward.attention, name);
    else
        dmattn_backward_kernel(tile_of(t), &p->backward.attention, t->kernel == TUNED_KEYS, name);
}

static tile_form form_of(const tuned_tile *t)
{
    return t->kernel == TUNED_DECODE ? t->decode.form : tile_of(t)->form;
}

void tuned_tile_table(const tuned_tile *t, char name[TILE_TABLE])
{
    static const char *const kernels[] = {"forward", "gradients of queries", "gradients of keys", "decode"};
    static const char *const forms[] = {"", " shared", " reduced", " fragments"};
    snprintf(name, TILE_TABLE, "%s %s%s%s", kernels[t->kernel], dmattn_level_string(tuned_tile_level(t)),
             forms[form_of(t)], t->kernel == TUNED_FORWARD && t->forward.sums_shared ? "_sums" : "");
}

const char *tuned_tile_columns(const tuned_tile *t)
{
    const bool portable = form_of(t) == FORM_PORTABLE;
    switch (t->kernel) {
    case TUNED_FORWARD:
        return portable ? "src/attention/tile.c: {max_rows, max_value_dim, tile}"
                        : "src/attention/tile.c: {max_rows, max_keys, max_dim, subgroups, blocks, keys, "
                          "shared_queries, guarded, source, min_workgroups}";
    case TUNED_QUERIES:
        if (portable) /* there is one table for both */
            return "src/attention/tile.c: {max_rows, max_value_dim, tile}";
        return "src/backward/tile.c: {max_dim, subgroups, blocks, columns, shared, tile_buffers}";
    case TUNED_KEYS:
        return portable ? "src/backward/tile.c: {max_dim, tile}"
                        : "src/backward/tile.c: {max_dim, subgroups, blocks, columns, shared, tile_buffers}";
    default:
        return portable ? "src/decode/tile.c: computed by choose_portable()"
                        : "src/decode/tile.c: {form, workgroup, block_keys, most}";
    }
}

static uint32_t greater(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static void write_portable(const tuned_tile *t, const dmattn_attention_desc *d, char row[TILE_ROW])
{
    const attention_tile *x = tile_of(t);
    char most[32];
    if (t->kernel == TUNED_KEYS)
        snprintf(most, sizeof most, "%u", dmattn_tile_columns(x, greater(d->head_dim, d->value_dim)));
    else /* the sums of a row of queries are as many as its elements of dq */
        snprintf(most, sizeof most, "MANY, %u",
                 dmattn_tile_columns(x, t->kernel == TUNED_QUERIES ? d->head_dim : d->value_dim));
    snprintf(row, TILE_ROW, "{%s, {.workgroup=%u, .rows=%u, .keys=%u, .key_lanes=%u, .depth=%u, .value_keys=%u}},",
             most, x->workgroup, x->rows, x->keys, x->key_lanes, x->depth, x->value_keys);
}

/* Elements of a row in shared memory, of which `held` blocks are in registers. */
static uint32_t shared_elements(const attention_tile *x, uint32_t dim, uint32_t held)
{
    return ((dim + x->matrix.k - 1) / x->matrix.k - held) * x->matrix.k;
}

/* In the tables, columns are those of matrices with N = 16. */
static uint32_t table_columns(const attention_tile *x, uint32_t columns)
{
    return columns * 16 / x->matrix.n;
}

static void write_matrix(const tuned_tile *t, const dmattn_attention_desc *d, char row[TILE_ROW])
{
    const attention_tile *x = tile_of(t);
    const uint32_t dim = greater(d->head_dim, dmattn_tile_columns(x, d->value_dim));
    const uint32_t subgroups = x->workgroup / x->subgroup_size;
    const bool of_keys = t->kernel == TUNED_KEYS;
    const uint32_t blocks = (of_keys ? x->keys : x->rows) / (subgroups * x->matrix.m);
    const uint32_t columns = table_columns(x, of_keys ? x->rows : x->keys);
    const uint32_t shared = shared_elements(x, d->head_dim, x->query_blocks);
    if (t->kernel == TUNED_FORWARD)
        snprintf(row, TILE_ROW, "{MANY, MANY, %u, %u, %u, %u, %u, %s, ANY_KEYS, 0},", dim, subgroups, blocks, columns,
                 shared, x->guarded ? "true" : "false");
    else
        snprintf(row, TILE_ROW, "{%u, %u, %u, %u, {%u, %u}, %u},", dim, subgroups, blocks, columns, shared,
                 shared_elements(x, d->value_dim, x->dout_blocks), x->tile_buffers);
}

static void write_decode(const decode_tile *x, char row[TILE_ROW])
{
    if (x->form == FORM_PORTABLE)
        snprintf(row, TILE_ROW,
                 "workgroup %u, key_lanes %u, block_rows %u, block_keys %u, loads_ahead %u, row_blocks %u, splits %u",
                 x->workgroup, x->key_lanes, x->block_rows, x->block_keys, x->loads_ahead, x->row_blocks, x->splits);
    else if (x->form == FORM_FRAGMENTS) /* with pages, block_keys is computed */
        snprintf(row, TILE_ROW,
                 "{FORM_FRAGMENTS, %u, FRAGMENT_KEYS, ANY}, /* block_keys %u, row_blocks %u, splits %u */",
                 x->workgroup, x->block_keys, x->row_blocks, x->splits);
    else
        snprintf(row, TILE_ROW, "{FORM_SHARED, %u, %u, ANY}, /* row_blocks %u, splits %u */", x->workgroup,
                 x->block_keys, x->row_blocks, x->splits);
}

void tuned_tile_row(const tuned_tile *t, const tuned_problem *p, char row[TILE_ROW])
{
    if (t->kernel == TUNED_DECODE)
        write_decode(&t->decode, row);
    else if (form_of(t) == FORM_PORTABLE)
        write_portable(t, &p->backward.attention, row);
    else
        write_matrix(t, &p->backward.attention, row);
}

double tuned_tile_flops(const tuned_tile *t, const tuned_problem *p)
{
    const dmattn_attention_desc *d = p->cache ? &p->decode.attention : &p->backward.attention;
    const double head = d->head_dim, value = d->value_dim;
    switch (t->kernel) {
    case TUNED_QUERIES: return 2 * (2 * head + value);  /* scores, dP and dq */
    case TUNED_KEYS: return 2 * (2 * head + 2 * value); /* scores, dP, dk and dv */
    default: return 2 * (head + value);
    }
}
