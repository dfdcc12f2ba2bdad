/* SPDX-License-Identifier: MIT
 * Charts drawn as SVG. */
#ifndef DMATTN_BENCH_SVG_H
#define DMATTN_BENCH_SVG_H

#include "chart.h"

#include <stdio.h>

typedef enum svg_use {
    SVG_FILE,  /* by itself, with its title and style */
    SVG_WIDE,  /* in a page that has svg_style(), with the legend beside it */
    SVG_NARROW /* likewise for a phone, with the legend below */
} svg_use;

void svg_write(FILE *stream, const chart *c, svg_use use);

/* The style sheet of every chart, light and dark, for a page. */
extern const char svg_style[];

/* A text, with what means something in XML and HTML escaped. */
void xml_text(FILE *stream, const char *text);

#endif
