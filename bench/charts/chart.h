/* SPDX-License-Identifier: MIT
 * The content of charts; svg.h draws them. */
#ifndef DMATTN_BENCH_CHART_H
#define DMATTN_BENCH_CHART_H

#include "axis.h"
#include "results/results.h"

/* The points of one line or one kind of mark. */
typedef struct chart_series {
    char label[160], note[32]; /* note: the exponent of the fit, or "" */
    const result_run *run;
    point *points;          /* in order of x */
    const case_result **of; /* the result of each point */
    size_t count;
} chart_series;

/* A line y = factor x^exponent, from one x to another. */
typedef struct chart_guide {
    double factor, exponent, from, to;
    char label[64];
} chart_guide;

enum { CHART_GUIDES = 8 };

typedef enum chart_id { CHART_TIME, CHART_TOKENS, CHART_SPEEDUP, CHART_ROOFLINE, CHART_KINDS } chart_id;

typedef struct chart_kind {
    const char *name, *x_label, *y_label, *how_to_read;
    axis_kind x_kind;
    bool lines; /* through the points */
} chart_kind;
extern const chart_kind chart_kinds[CHART_KINDS];

typedef struct chart {
    chart_id id;
    char name[32]; /* of its file, without ".svg" */
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

/* Makes the charts: time over N if there is more than one N, or for the suite `serving` tokens/s over the context;
 * speedup over visible pairs; rooflines. False if out of memory. The caller destroys *list in any case. */
bool charts_make(const results *all, chart_list *list);
void charts_destroy(chart_list *list);

/* Makes labels unique and adds exponents and guides. */
void chart_finish(const results *all, chart *c);

#endif
