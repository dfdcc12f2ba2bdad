/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const table_column table_columns[TABLE_COLUMNS] = {
    [CELL_MODEL] = {"shape", "the model that the sizes are of", false},
    [CELL_TYPE] = {"type", "of q, k, v and out", false},
    [CELL_BATCH] = {"B", "batch items", true},
    [CELL_HEADS] = {"H", "query heads / key and value heads", true},
    [CELL_N] = {"N", "queries / keys", true},
    [CELL_D] = {"D", "dimension of q and k / of v", true},
    [CELL_MASK] = {"mask", "which pairs of a query and a key see each other", false},
    [CELL_PASS] = {"pass", "what is timed", false},
    [CELL_WHO] = {"by", "program and level of its kernel, or its backend", false},
    [CELL_MS] = {"ms", "median time of a run; * where something disturbed it", true},
    [CELL_SPREAD] = {"± %", "half the median's interval of 95 % confidence, as a part of it", true},
    [CELL_TFLOPS] = {"TFLOP/s", "arithmetic of visible pairs", true},
    [CELL_GBYTES] = {"GB/s", "every input read once, every output written once", true},
    [CELL_VISIBLE] = {"visible %", "pairs that the mask leaves", true},
    [CELL_DENSE] = {"× dense", "times faster than dense causal attention of the same sizes by the same program", true},
    [CELL_PEER] = {"× peer", "times faster than the fastest other program with the same mask", true},
    [CELL_BOUND] = {"of bound %", "least time that the device's ceilings allow, as a part of the time", true},
};

void table_number(double value, char text[CELL_TEXT_SIZE])
{
    const int decimals = value > 0 ? 3 - (int)floor(log10(value)) : 0;
    *text = 0;
    if (value > 0 && isfinite(value))
        snprintf(text, CELL_TEXT_SIZE, "%.*f", decimals < 0 ? 0 : decimals > 9 ? 9 : decimals, value);
}

static void two_sizes(double a, double b, char text[CELL_TEXT_SIZE])
{
    snprintf(text, CELL_TEXT_SIZE, a == b ? "%.0f" : "%.0f/%.0f", a, b);
}

static void fixed(double value, int decimals, char text[CELL_TEXT_SIZE])
{
    if (isfinite(value))
        snprintf(text, CELL_TEXT_SIZE, "%.*f", decimals, value);
}

/* The fastest other program's, of the same sizes and mask on the same device. */
static const case_result *fastest_peer(const results *all, const case_result *r)
{
    const case_result *best = NULL;
    for (size_t i = 0; i < all->count; i++) {
        const case_result *p = &all->items[i];
        if (*p->peer && !*r->peer && result_is_ok(p) && result_same_sizes(p, r) && !strcmp(p->mask, r->mask)
            && !strcmp(p->run->device, r->run->device) && (!best || p->median_ms < best->median_ms))
            best = p;
    }
    return best;
}

static void fill_row(const results *all, const case_result *r, table_row *row)
{
    char who[RESULT_NAME_SIZE], number[CELL_TEXT_SIZE];
    *row = (table_row){.result = r};
    result_who(r, who);
    snprintf(row->cell[CELL_MODEL], CELL_TEXT_SIZE, "%.63s", r->model);
    snprintf(row->cell[CELL_TYPE], CELL_TEXT_SIZE, "%s", r->type);
    snprintf(row->cell[CELL_BATCH], CELL_TEXT_SIZE, "%.0f", r->batch);
    two_sizes(r->heads, r->kv_heads, row->cell[CELL_HEADS]);
    two_sizes(r->queries, r->keys, row->cell[CELL_N]);
    two_sizes(r->head_dim, r->value_dim, row->cell[CELL_D]);
    snprintf(row->cell[CELL_MASK], CELL_TEXT_SIZE, "%.48s%s", r->mask, result_has_bias(r) ? "+bias" : "");
    snprintf(row->cell[CELL_PASS], CELL_TEXT_SIZE, "%s", r->pass);
    snprintf(row->cell[CELL_WHO], CELL_TEXT_SIZE, "%.63s", who);
    if (!result_is_ok(r)) {
        snprintf(row->cell[CELL_MS], CELL_TEXT_SIZE, "%s", r->status);
        return;
    }
    const case_result *peer = fastest_peer(all, r);
    table_number(r->median_ms, number);
    snprintf(row->cell[CELL_MS], CELL_TEXT_SIZE, "%.32s%s", number, r->throttled ? " *" : "");
    fixed(50 * (r->high_ms - r->low_ms) / r->median_ms, 1, row->cell[CELL_SPREAD]);
    table_number(r->tflops, row->cell[CELL_TFLOPS]);
    table_number(r->gbytes_s, row->cell[CELL_GBYTES]);
    fixed(100 * r->visible_pairs / result_all_pairs(r), 2, row->cell[CELL_VISIBLE]);
    fixed(result_speedup(all, r), 2, row->cell[CELL_DENSE]);
    fixed(100 * r->roofline_share, 1, row->cell[CELL_BOUND]);
    if (peer)
        snprintf(row->cell[CELL_PEER], CELL_TEXT_SIZE, "%.2f (%s)", peer->median_ms / r->median_ms, peer->peer);
}

/* Rows are taken in the order of the file, each with those that belong beside it. */
static bool belongs(const case_result *first, const case_result *r, int pass)
{
    const bool same_mask = result_same_sizes(first, r) && !strcmp(first->mask, r->mask);
    return pass == 0 ? same_mask && !*r->peer : pass == 1 ? same_mask : result_same_sizes(first, r);
}

static bool is_taken(const table *t, const case_result *r)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].result == r)
            return true;
    return false;
}

/* `r` and those of the same sizes and mask, ours first. */
static void take_mask(const results *all, const case_result *r, table *t)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < all->count; i++) {
            const case_result *other = &all->items[i];
            if (!strcmp(other->run->device, t->device) && belongs(r, other, pass) && !is_taken(t, other))
                fill_row(all, other, &t->rows[t->count++]);
        }
}

static void fill_table(const results *all, table *t)
{
    for (size_t i = 0; i < all->count; i++) {
        const case_result *r = &all->items[i];
        if (strcmp(r->run->device, t->device) || is_taken(t, r))
            continue;
        for (size_t k = i; k < all->count; k++)
            if (!strcmp(all->items[k].run->device, t->device) && belongs(r, &all->items[k], 2)
                && !is_taken(t, &all->items[k]))
                take_mask(all, &all->items[k], t);
    }
    for (size_t i = 0; i < t->count; i++)
        for (int c = 0; c < TABLE_COLUMNS; c++)
            t->shown[c] = t->shown[c] || *t->rows[i].cell[c];
}

static bool has_table(const table_list *list, const char *device)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->tables[i].device, device))
            return true;
    return false;
}

bool tables_make(const results *all, table_list *list)
{
    *list = (table_list){.results = all};
    for (size_t i = 0; i < all->count; i++) {
        const char *device = all->items[i].run->device;
        if (has_table(list, device))
            continue;
        table *more = realloc(list->tables, (list->count + 1) * sizeof *more);
        if (!more)
            return false;
        list->tables = more;
        table *t = &more[list->count];
        *t = (table){.device = device, .rows = malloc(all->count * sizeof *t->rows)};
        if (!t->rows)
            return false;
        list->count++;
        fill_table(all, t);
    }
    return true;
}

void tables_destroy(table_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->tables[i].rows);
    free(list->tables);
    *list = (table_list){0};
}
