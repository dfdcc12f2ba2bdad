/* SPDX-License-Identifier: MIT
 * Draws charts as SVG. */
#ifndef DMATTN_BENCH_SVG_H
#define DMATTN_BENCH_SVG_H

#include "chart.h"

#include <stdio.h>

typedef enum svg_use {
    SVG_FILE,  /* a file, with title and style */
    SVG_WIDE,  /* in a page that includes svg_style, with the legend beside the chart */
    SVG_NARROW /* the same for a phone, with the legend below the chart */
} svg_use;

void svg_write(FILE *stream, const chart *c, svg_use use);

/* The style sheet of all charts, for light and dark mode. */
extern const char svg_style[];

/* Writes a text with the special characters of XML and HTML escaped. */
void xml_text(FILE *stream, const char *text);

#endif
