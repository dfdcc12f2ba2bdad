/* SPDX-License-Identifier: MIT
 * Formats numbers and paragraphs for the terminal. Pure functions, except for the printing. */
#ifndef DMATTN_BENCH_FORMAT_H
#define DMATTN_BENCH_FORMAT_H

#include <stdio.h>

#define PAGE_WIDTH 80

typedef struct number_text {
    char text[32];
} number_text;

/* Four significant digits without an exponent; fewer if they do not fit in `width` characters. */
number_text number(double value, int width);

/* "2.3x"; without the decimal from 10 on. */
number_text speedup_text(double speedup);

/* Prints a paragraph in lines of PAGE_WIDTH. The first line follows `first`, the others are indented by its length. */
void print_paragraph(FILE *stream, const char *first, const char *text);

#endif
