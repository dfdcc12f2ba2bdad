/* SPDX-License-Identifier: MIT
 * Charts of results: what is drawn, not how. */
#ifndef DMATTN_BENCH_CHART_H
#define DMATTN_BENCH_CHART_H

#include "axis.h"
#include "results/results.h"

/* Points that belong together; of `results`, where they have more to say. */
typedef struct chart_series {
    char label[160], note[32]; /* what it is; the exponent of its fit, or "" */
    const result_run *run;
    point *points; /* in order of x */
    const case_result **of;
    size_t count;
} chart_series;

/* A line y = factor x^exponent, from one x to another. */
typedef struct chart_guide {
    double factor, exponent, from, to;
    char label[64];
} chart_guide;

enum { CHART_GUIDES = 8 };

typedef enum chart_id { CHART_TIME, CHART_SPEEDUP, CHART_ROOFLINE, CHART_KINDS } chart_id;

typedef struct chart_kind {
    const char *name, *x_label, *y_label, *how_to_read;
    axis_kind x_kind;
    bool lines; /* through the points */
} chart_kind;
extern const chart_kind chart_kinds[CHART_KINDS];

typedef struct chart {
    chart_id id;
    char name[32]; /* of its file */
    char title[256], device[160];
    chart_series *series;
    size_t series_count;
    chart_guide guides[CHART_GUIDES];
    size_t guide_count;
} chart;

typedef struct chart_list {
    chart *charts;
    size_t count;
} chart_list;

/* Time over N where there is more than one N, speed-up over visible pairs, rooflines. False without memory; *list is to
 * be destroyed in any case. */
bool charts_make(const results *all, chart_list *list);
void charts_destroy(chart_list *list);

/* Fills in what follows from its points. */
void chart_finish(const results *all, chart *c);

#endif
