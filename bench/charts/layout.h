/* SPDX-License-Identifier: MIT
 * Where the parts of a chart are: axes, lines and texts of the legend. No text is between the axes, where it would hide
 * points, and none is cut off. */
#ifndef DMATTN_BENCH_LAYOUT_H
#define DMATTN_BENCH_LAYOUT_H

#include "chart.h"

typedef enum svg_use {
    SVG_FILE,  /* a file, with title and style */
    SVG_WIDE,  /* in a page that includes svg_style, with the legend beside the chart */
    SVG_NARROW /* the same for a phone, with the legend below the chart */
} svg_use;

enum { LAYOUT_LINE = 18, LAYOUT_SERIES = 256 }; /* distance of lines in the legend; the most series */

typedef struct layout {
    axis x, y;
    double width, height, legend_x, legend_y;
    bool narrow;
    size_t order[LAYOUT_SERIES]; /* series in the order of the legend */
    size_t count;
    size_t line_length; /* of the legend, in characters; longer labels continue in the next line */
    double key_y;       /* of the part of the legend below the series: guides and the mark of throttled points */
    size_t key_rows;
} layout;

layout layout_make(const chart *c, svg_use use);

/* The label of the mark of throttled points. */
extern const char layout_throttled_label[];

/* Where the line of a label ends that begins at `start` and has at most `most` characters: before a space if possible.
 */
size_t layout_line_end(const char *label, size_t start, size_t most);

/* The number of lines that a series takes in the legend. Its note is in the last. */
size_t layout_lines(const chart_series *s, size_t most);

/* The height of the right end of a line. */
double layout_last_y(const chart_series *s);

#endif
