/* SPDX-License-Identifier: MIT */
#include "neighbours.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_numbers(double a, double b)
{
    return (a > b) - (a < b);
}

/* The sizes that result_same_sizes() compares. */
static int compare_sizes(const case_result *a, const case_result *b)
{
    const double x[] = {a->batch, a->heads, a->kv_heads, a->queries, a->keys, a->head_dim, a->value_dim};
    const double y[] = {b->batch, b->heads, b->kv_heads, b->queries, b->keys, b->head_dim, b->value_dim};
    int order = strcmp(a->type, b->type);
    order = order ? order : strcmp(a->pass, b->pass);
    for (size_t i = 0; i < sizeof x / sizeof *x && !order; i++)
        order = compare_numbers(x[i], y[i]);
    return order;
}

/* Results of vkbench are compared at the same requested level, peers within their program. */
static const char *way(const case_result *r)
{
    return *r->peer ? r->run->program : r->requested_level;
}

/* Orders results by device, sizes, mask and way. *common: how many of these four agree before the first difference. */
static int compare_results(const case_result *a, const char *mask, const case_result *b, int *common)
{
    int order = strcmp(a->run->device, b->run->device);
    *common = 0;
    if (!order && ++*common)
        order = compare_sizes(a, b);
    if (!order && ++*common)
        order = strcmp(mask, b->mask);
    if (!order && ++*common)
        order = (*a->peer != 0) - (*b->peer != 0);
    if (!order)
        order = strcmp(way(a), way(b));
    *common += !order;
    return order;
}

static int by_sizes(const void *a, const void *b)
{
    const case_result *x = ((const neighbour *)a)->result, *y = ((const neighbour *)b)->result;
    int common;
    const int order = compare_results(x, x->mask, y, &common);
    return order ? order : (x > y) - (x < y);
}

static int by_table(const void *a, const void *b)
{
    const neighbour *x = a, *y = b;
    for (int i = 0; i < 3; i++)
        if (x->first[i] != y->first[i])
            return x->first[i] < y->first[i] ? -1 : 1;
    const int order = (*x->result->peer != 0) - (*y->result->peer != 0);
    return order ? order : (x->result > y->result) - (x->result < y->result);
}

static const case_result *faster(const case_result *a, const case_result *b)
{
    return !b || !result_is_ok(b) || (a && a->median_ms <= b->median_ms) ? a : b;
}

/* Sets the fields that all results with the same first `level` of device, sizes, mask and way share. */
static void spread(neighbour *from, const neighbour *end, int level)
{
    const case_result *first = from->result, *fastest = NULL, *peer = NULL;
    for (const neighbour *n = from; n < end; n++) {
        first = n->result < first ? n->result : first;
        fastest = faster(fastest, n->result);
        peer = *n->result->peer ? faster(peer, n->result) : peer;
    }
    for (neighbour *n = from; n < end; n++) {
        if (level < 4)
            n->first[level - 1] = first;
        else
            n->fastest = fastest;
        if (level == 3)
            n->fastest_peer = peer;
    }
}

bool neighbours_make(const results *all, neighbours *n)
{
    *n = (neighbours){.item = calloc(all->count + 1, sizeof *n->item),
                      .sorted = calloc(all->count + 1, sizeof *n->sorted),
                      .count = all->count};
    if (!n->item || !n->sorted) {
        neighbours_destroy(n);
        return false;
    }
    for (size_t i = 0; i < n->count; i++)
        n->sorted[i].result = &all->items[i];
    if (!n->count)
        return true;
    qsort(n->sorted, n->count, sizeof *n->sorted, by_sizes);
    for (int level = 1; level <= 4; level++)
        for (size_t from = 0, to; from < n->count; from = to) {
            const case_result *r = n->sorted[from].result;
            int common = level;
            for (to = from + 1; to < n->count; to++) {
                compare_results(r, r->mask, n->sorted[to].result, &common);
                if (common < level)
                    break;
            }
            spread(n->sorted + from, n->sorted + to, level);
        }
    memcpy(n->item, n->sorted, n->count * sizeof *n->item);
    qsort(n->item, n->count, sizeof *n->item, by_table);
    return true;
}

void neighbours_destroy(neighbours *n)
{
    free(n->item);
    free(n->sorted);
    *n = (neighbours){0};
}

const case_result *neighbours_dense(const neighbours *n, const case_result *r)
{
    const char *mask = strcmp(r->pass, "decode") ? "causal" : "none";
    size_t low = 0, high = n->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        int common;
        const int order = compare_results(r, mask, n->sorted[middle].result, &common);
        if (!order)
            return n->sorted[middle].fastest;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

double neighbours_speedup(const neighbours *n, const case_result *r)
{
    if (!result_is_ok(r) || !strcmp(r->mask, "causal") || !strcmp(r->mask, "none"))
        return NAN;
    if (isfinite(r->speedup_over_dense))
        return r->speedup_over_dense;
    const case_result *dense = neighbours_dense(n, r);
    return dense ? dense->median_ms / r->median_ms : NAN;
}
