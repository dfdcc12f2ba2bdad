/* SPDX-License-Identifier: MIT */
#include "chart.h"

#include "results/neighbours.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const chart_kind chart_kinds[CHART_KINDS] = {
    [CHART_TIME] =
        {"time", "N (keys)", "ms",
         "Lower is better. The exponent of each line is k of the fit ms = a N^k: 2 if the work is proportional to all "
         "pairs, 1 if it is proportional to N.",
         AXIS_SIZE, true},
    [CHART_TOKENS] =
        {"tokens", "context (tokens of a sequence)", "tokens/s",
         "Higher is better. New tokens of one layer: of all sequences for decode, of the chunk for prefill. "
         "Each line is a format of the cache.",
         AXIS_SIZE, true},
    [CHART_SPEEDUP] =
        {"speedup", "visible pairs, % of dense attention's", "speedup over dense attention",
         "Higher is better. The falling line is the speedup if the time were proportional to the visible pairs.",
         AXIS_PERCENT, false},
    [CHART_ROOFLINE] =
        {"roofline", "flop per byte", "TFLOP/s",
         "Higher is better. The grey lines are the measured ceilings of the device. Bytes are inputs and "
         "outputs, each once; data in caches can exceed the copy ceiling.",
         AXIS_DECIMAL, false},
};

enum { TITLE_SIZE = sizeof((chart *)0)->title, LABEL_SIZE = sizeof((chart_series *)0)->label };

/* ---- time over N --------------------------------------------------------------------------------------------- */

/* Whether a and b agree in everything but N and the mask. */
static bool same_but_n(const case_result *a, const case_result *b)
{
    return !strcmp(a->type, b->type) && !strcmp(a->pass, b->pass) && a->batch == b->batch && a->heads == b->heads
           && a->kv_heads == b->kv_heads && a->head_dim == b->head_dim && a->value_dim == b->value_dim
           && result_same_source(a->run, b->run) && !strcmp(a->peer, b->peer) && !strcmp(a->level, b->level)
           && (a->queries == b->queries || (a->queries == a->keys && b->queries == b->keys));
}

/* A series has one mask. If no other N has the same mask, its window depends on N; then the series has one kind of
 * mask. */
static void mask_of_series(const results *all, const case_result *r, char mask[64])
{
    const int kind = (int)strcspn(r->mask, ":");
    bool other_n = false, other_mask = false;
    for (size_t i = 0; i < all->count; i++) {
        const case_result *o = &all->items[i];
        if (!result_is_ok(o) || o->keys == r->keys || !same_but_n(o, r) || strncmp(o->mask, r->mask, (size_t)kind + 1))
            continue;
        other_n = other_n || !strcmp(o->mask, r->mask);
        other_mask = true;
    }
    if (other_n || !other_mask)
        snprintf(mask, 64, "%.60s", r->mask);
    else
        snprintf(mask, 64, "%.*s of any size", kind < 40 ? kind : 40, r->mask);
}

static void place_time(const results *all, const case_result *r, char *title, char *label, point *p)
{
    char heads[SIZES_TEXT_SIZE], dims[SIZES_TEXT_SIZE], queries[32] = "", mask[64], who[RESULT_NAME_SIZE];
    two_sizes(r->heads, r->kv_heads, heads);
    two_sizes(r->head_dim, r->value_dim, dims);
    if (r->queries != r->keys)
        snprintf(queries, sizeof queries, ", queries %.0f", r->queries);
    mask_of_series(all, r, mask);
    result_who(r, who);
    snprintf(title, TITLE_SIZE, "Time over N: %.48s%s%.16s, %.8s, B %.0f, H %s, D %s%s", r->model,
             *r->model ? ", " : "", r->pass, r->type, r->batch, heads, dims, queries);
    snprintf(label, LABEL_SIZE, "%.60s, %.90s", mask, who);
    *p = (point){r->keys, r->median_ms};
}

/* ---- tokens/s over the context ----------------------------------------------------------------------------------- */

static bool is_serving(const case_result *r)
{
    return !strcmp(r->run->suite, "serving");
}

static void place_tokens(const case_result *r, char *title, char *label, point *p)
{
    char who[RESULT_NAME_SIZE], queries[48] = "";
    result_who(r, who);
    if (!strcmp(r->pass, "prefill"))
        snprintf(queries, sizeof queries, ", chunks of %.0f", r->queries);
    snprintf(title, TITLE_SIZE, "Tokens/s over the context: %.48s, %.16s, %.40s, %.0f sequence%s%s", r->model, r->pass,
             r->mask, r->batch, r->batch > 1 ? "s" : "", queries);
    snprintf(label, LABEL_SIZE, "%.16s, %.90s", *r->kv_format ? r->kv_format : r->type, who);
    *p = (point){r->keys, is_serving(r) && !(r->other_keys > 0) ? r->tokens_per_second : NAN};
}

/* ---- speedup over visible pairs ------------------------------------------------------------------------------ */

static void place_speedup(const neighbours *n, const case_result *r, char *title, char *label, point *p)
{
    char who[RESULT_NAME_SIZE];
    result_who(r, who);
    snprintf(title, TITLE_SIZE, "Speedup over sparsity: %.16s", r->pass);
    snprintf(label, LABEL_SIZE, "%.*s, D %.0f, %.90s", (int)strcspn(r->mask, ":"), r->mask, r->head_dim, who);
    *p = (point){r->visible_pairs / result_dense_pairs(r), neighbours_speedup(n, r)};
}

/* ---- rooflines ----------------------------------------------------------------------------------------------- */

static void place_roofline(const case_result *r, char *title, char *label, point *p)
{
    char who[RESULT_NAME_SIZE];
    result_who(r, who);
    snprintf(title, TITLE_SIZE, "Roofline");
    snprintf(label, LABEL_SIZE, "%.16s, %.8s, %.90s", r->pass, r->type, who);
    *p = (point){r->tflops * 1e3 / r->gbytes_s, r->tflops};
}

/* The chart's title, the series' label and the point of a result. The point may not be finite. */
static void place(const results *all, const neighbours *n, const case_result *r, chart_id id, char *title, char *label,
                  point *p)
{
    if (id == CHART_TIME)
        place_time(all, r, title, label, p);
    else if (id == CHART_TOKENS)
        place_tokens(r, title, label, p);
    else if (id == CHART_SPEEDUP)
        place_speedup(n, r, title, label, p);
    else
        place_roofline(r, title, label, p);
}

/* ---- lists ---------------------------------------------------------------------------------------------------- */

static chart *find_chart(chart_list *list, chart_id id, const char *title, const char *device)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->charts[i].title, title) && !strcmp(list->charts[i].device, device))
            return &list->charts[i];
    chart *more = realloc(list->charts, (list->count + 1) * sizeof *more);
    if (!more)
        return NULL;
    list->charts = more;
    chart *c = &more[list->count++];
    *c = (chart){.id = id};
    snprintf(c->title, sizeof c->title, "%s", title);
    snprintf(c->device, sizeof c->device, "%s", device);
    return c;
}

static chart_series *find_series(chart *c, const char *label, const result_run *run)
{
    for (size_t i = 0; i < c->series_count; i++)
        if (!strcmp(c->series[i].label, label) && result_same_source(c->series[i].run, run))
            return &c->series[i];
    chart_series *more = realloc(c->series, (c->series_count + 1) * sizeof *more);
    if (!more)
        return NULL;
    c->series = more;
    chart_series *s = &more[c->series_count++];
    *s = (chart_series){.run = run};
    snprintf(s->label, sizeof s->label, "%s", label);
    return s;
}

/* Inserts a point in order of x, then of y. */
static bool add_point(chart_series *s, point p, const case_result *r)
{
    point *points = realloc(s->points, (s->count + 1) * sizeof *points);
    if (points)
        s->points = points;
    const case_result **of = realloc(s->of, (s->count + 1) * sizeof *of);
    if (of)
        s->of = of;
    if (!points || !of)
        return false;
    size_t at = s->count++;
    for (; at && (points[at - 1].x > p.x || (points[at - 1].x == p.x && points[at - 1].y > p.y)); at--) {
        points[at] = points[at - 1];
        of[at] = of[at - 1];
    }
    points[at] = p;
    of[at] = r;
    return true;
}

static bool add_result(const results *all, const neighbours *n, const case_result *r, chart_id id, chart_list *list)
{
    char title[TITLE_SIZE], label[LABEL_SIZE];
    point p;
    if (!result_is_ok(r) || (id == CHART_TIME && is_serving(r)))
        return true;
    place(all, n, r, id, title, label, &p);
    if (!axis_takes(p.x) || !axis_takes(p.y))
        return true;
    chart *c = find_chart(list, id, title, *r->run->device ? r->run->device : "unnamed device");
    chart_series *s = c ? find_series(c, label, r->run) : NULL;
    return s && add_point(s, p, r);
}

static void destroy_series(chart_series *s)
{
    free(s->points);
    free((void *)s->of);
}

static void destroy_chart(chart *c)
{
    for (size_t i = 0; i < c->series_count; i++)
        destroy_series(&c->series[i]);
    free(c->series);
}

void charts_destroy(chart_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        destroy_chart(&list->charts[i]);
    free(list->charts);
    *list = (chart_list){0};
}

/* Drops series with a single N, which show no more than the table. */
static void drop_single_lengths(chart *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->series_count; i++) {
        chart_series *s = &c->series[i];
        if (s->points[0].x < s->points[s->count - 1].x)
            c->series[kept++] = *s;
        else
            destroy_series(s);
    }
    c->series_count = kept;
}

static void drop_empty_charts(chart_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        chart *c = &list->charts[i];
        if (c->id == CHART_TIME || c->id == CHART_TOKENS)
            drop_single_lengths(c);
        if (c->series_count)
            list->charts[kept++] = *c;
        else
            destroy_chart(c);
    }
    list->count = kept;
}

bool charts_make(const results *all, chart_list *list)
{
    neighbours n;
    *list = (chart_list){0};
    bool ok = neighbours_make(all, &n);
    for (int id = 0; id < CHART_KINDS && ok; id++)
        for (size_t i = 0; i < all->count && ok; i++)
            ok = add_result(all, &n, &all->items[i], (chart_id)id, list);
    neighbours_destroy(&n);
    if (!ok)
        return false;
    drop_empty_charts(list);
    size_t of_kind[CHART_KINDS] = {0};
    for (size_t i = 0; i < list->count; i++) {
        chart *c = &list->charts[i];
        snprintf(c->name, sizeof c->name, "%s-%zu", chart_kinds[c->id].name, ++of_kind[c->id]);
        chart_finish(all, c);
    }
    return true;
}
