/* SPDX-License-Identifier: MIT */
#include "table.h"

#include "results/neighbours.h"
#include "sources.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const table_column table_columns[TABLE_COLUMNS] = {
    [CELL_MODEL] = {"shape", "model that has these sizes", false},
    [CELL_TYPE] = {"type", "element type of q, k, v and out", false},
    [CELL_BATCH] = {"B", "batch items", true},
    [CELL_HEADS] = {"H", "query heads / kv heads", true},
    [CELL_N] = {"N", "queries / keys", true},
    [CELL_D] = {"D", "dimension of q and k / dimension of v", true},
    [CELL_MASK] = {"mask", "which keys a query sees", false},
    [CELL_PASS] = {"pass", "what is timed", false},
    [CELL_WHO] = {"by", "program with its level or backend", false},
    [CELL_FROM] = {"from", "file of the result; commit if the file has results of several", false},
    [CELL_MS] = {"ms", "median time of a run; * if the device was throttled", true},
    [CELL_SPREAD] = {"± %", "half the width of the median's 95 % confidence interval, in percent of the median", true},
    [CELL_TFLOPS] = {"TFLOP/s", "arithmetic on visible pairs", true},
    [CELL_GBYTES] = {"GB/s", "each input read once and each output written once", true},
    [CELL_VISIBLE] = {"visible %", "visible pairs, in percent of all pairs", true},
    [CELL_DENSE] = {"vs dense", "speedup over dense attention of the same sizes by the same program", true},
    [CELL_PEER] = {"vs peer", "speedup over the fastest other program with the same mask", true},
    [CELL_ROOF] = {"roof%", "percent of the roofline limit that the device's ceilings give", true},
    [CELL_TOKENS] = {"tokens/s", "new tokens of one layer, of all batch items", true},
    [CELL_CACHE] = {"B/token", "bytes of a layer's cache for each token of the context", true},
};

void table_number(double value, char text[CELL_TEXT_SIZE])
{
    const int decimals = value > 0 ? 3 - (int)floor(log10(value)) : 0;
    *text = 0;
    if (value > 0 && isfinite(value))
        snprintf(text, CELL_TEXT_SIZE, "%.*f", decimals < 0 ? 0 : decimals > 9 ? 9 : decimals, value);
}

static void fixed(double value, int decimals, char text[CELL_TEXT_SIZE])
{
    if (isfinite(value))
        snprintf(text, CELL_TEXT_SIZE, "%.*f", decimals, value);
}

static void speedup(double value, char text[CELL_TEXT_SIZE])
{
    if (isfinite(value))
        snprintf(text, CELL_TEXT_SIZE, "%.2fx", value);
}

/* Which of several files, and which of several builds in its file, a result is from. */
static void fill_from(const results *all, const case_result *r, char text[CELL_TEXT_SIZE])
{
    const bool files = sources_have_files(all), builds = source_has_builds(all, r->run);
    char name[SOURCE_NAME_SIZE] = "";
    if (files)
        source_name(all, r->run, name);
    snprintf(text, CELL_TEXT_SIZE, "%s%s%.40s", name, files && builds ? " " : "", builds ? r->run->commit : "");
}

bool table_is_size(int column)
{
    return column <= CELL_PASS && column != CELL_MASK;
}

void table_sizes(const table_row *row, char text[TABLE_SIZES_SIZE])
{
    const char *model = row->cell[CELL_MODEL];
    snprintf(text, TABLE_SIZES_SIZE, "%s%s%s, %s, B %s, H %s, N %s, D %s", model, *model ? ": " : "",
             row->cell[CELL_PASS], row->cell[CELL_TYPE], row->cell[CELL_BATCH], row->cell[CELL_HEADS],
             row->cell[CELL_N], row->cell[CELL_D]);
}

static void fill_row(const results *from, const neighbours *all, const neighbour *n, table_row *row)
{
    const case_result *r = n->result;
    char who[RESULT_NAME_SIZE], number[CELL_TEXT_SIZE];
    *row = (table_row){.result = r};
    char options[RESULT_OPTIONS_SIZE];
    result_who(r, who);
    snprintf(row->cell[CELL_MODEL], CELL_TEXT_SIZE, "%.63s", r->model);
    snprintf(row->cell[CELL_TYPE], CELL_TEXT_SIZE, "%s", r->type);
    snprintf(row->cell[CELL_BATCH], CELL_TEXT_SIZE, "%.0f", r->batch);
    two_sizes(r->heads, r->kv_heads, row->cell[CELL_HEADS]);
    two_sizes(r->queries, r->keys, row->cell[CELL_N]);
    two_sizes(r->head_dim, r->value_dim, row->cell[CELL_D]);
    result_options(r, options);
    snprintf(row->cell[CELL_MASK], CELL_TEXT_SIZE, "%.48s%s", r->mask, options);
    snprintf(row->cell[CELL_PASS], CELL_TEXT_SIZE, "%s", r->pass);
    snprintf(row->cell[CELL_WHO], CELL_TEXT_SIZE, "%.63s", who);
    fill_from(from, r, row->cell[CELL_FROM]);
    if (!result_is_ok(r)) {
        snprintf(row->cell[CELL_MS], CELL_TEXT_SIZE, "%s", r->status);
        return;
    }
    const case_result *peer = *r->peer ? NULL : n->fastest_peer;
    table_number(r->median_ms, number);
    snprintf(row->cell[CELL_MS], CELL_TEXT_SIZE, "%.32s%s", number, r->throttled ? " *" : "");
    fixed(50 * (r->high_ms - r->low_ms) / r->median_ms, 1, row->cell[CELL_SPREAD]);
    table_number(r->tflops, row->cell[CELL_TFLOPS]);
    table_number(r->gbytes_s, row->cell[CELL_GBYTES]);
    fixed(100 * r->visible_pairs / result_all_pairs(r), 2, row->cell[CELL_VISIBLE]);
    speedup(neighbours_speedup(all, r), row->cell[CELL_DENSE]);
    fixed(100 * r->roofline_share, 1, row->cell[CELL_ROOF]);
    if (r->cache_bytes_per_token > 0)
        table_number(r->tokens_per_second, row->cell[CELL_TOKENS]);
    table_number(r->cache_bytes_per_token, row->cell[CELL_CACHE]);
    if (peer)
        snprintf(row->cell[CELL_PEER], CELL_TEXT_SIZE, "%.2fx (%s)", peer->median_ms / r->median_ms, peer->peer);
}

bool tables_make(const results *all, table_list *list)
{
    neighbours n;
    table *t = NULL;
    *list = (table_list){.results = all};
    bool ok = neighbours_make(all, &n);
    for (size_t i = 0; i < n.count && ok; i++) {
        const neighbour *of = &n.item[i];
        if (!i || of->first[0] != of[-1].first[0]) { /* another device */
            table *more = realloc(list->tables, (list->count + 1) * sizeof *more);
            list->tables = more ? more : list->tables;
            size_t rows = 0;
            while (i + rows < n.count && n.item[i + rows].first[0] == of->first[0])
                rows++;
            t = more ? &more[list->count] : NULL;
            if (t)
                *t = (table){.device = of->result->run->device, .rows = malloc(rows * sizeof *t->rows)};
            ok = t && t->rows;
            list->count += ok;
        }
        if (!ok)
            break;
        table_row *row = &t->rows[t->count++];
        fill_row(all, &n, of, row);
        for (int c = 0; c < TABLE_COLUMNS; c++)
            t->shown[c] = t->shown[c] || *row->cell[c];
    }
    neighbours_destroy(&n);
    return ok;
}

void tables_destroy(table_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->tables[i].rows);
    free(list->tables);
    *list = (table_list){0};
}
