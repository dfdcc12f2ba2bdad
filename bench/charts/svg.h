/* SPDX-License-Identifier: MIT
 * Draws charts as SVG. */
#ifndef DMATTN_BENCH_SVG_H
#define DMATTN_BENCH_SVG_H

#include "layout.h"

#include <stdio.h>

void svg_write(FILE *stream, const chart *c, svg_use use);

/* The style sheet of all charts, for light and dark mode. */
extern const char svg_style[];

/* Writes a text with the special characters of XML and HTML escaped. */
void xml_text(FILE *stream, const char *text);

#endif
