/* SPDX-License-Identifier: MIT
 * Numbers and sentences for people. Pure functions, but for what they print to. */
#ifndef DMATTN_BENCH_FORMAT_H
#define DMATTN_BENCH_FORMAT_H

#include <stdio.h>

#define PAGE_WIDTH 80

typedef struct number_text {
    char text[32];
} number_text;

/* Four significant digits, without an exponent, fewer where they do not fit in `width` characters. */
number_text number(double value, int width);

/* A paragraph in lines of PAGE_WIDTH, the first one behind `first`, the others as far to the right. */
void print_paragraph(FILE *stream, const char *first, const char *text);

#endif
