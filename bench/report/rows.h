/* SPDX-License-Identifier: MIT
 * The rows of results: of a suite's page, and of a grid as its cases are done. */
#ifndef DMATTN_BENCH_ROWS_H
#define DMATTN_BENCH_ROWS_H

#include "cases/case_list.h"
#include "measure/outcome.h"

#include <stdio.h>

typedef struct row_table {
    FILE *stream;
    const outcomes *outcomes;
    uint32_t repeats; /* rows show the median of this many repeats; 0: each row shows one repeat */
    bool cold;        /* with a column for runs with cold caches */
    bool details;     /* with the kernel and other details below each row */
    int mask_width, size_width;
    bench_case group; /* of the last row that was printed */
    bool has_group;   /* whether a row was printed */
} row_table;

/* Sets the widths that the cases need. */
void rows_fit(row_table *t, const case_list *cases);

/* Prints a row; before it the title and the column heads of its group, if that is a new one. */
void rows_print(row_table *t, const outcome *x);

/* Prints the cells that all tables have: time, precision, rate and share of the roofline limit. Returns the median over
 * the repeats, in seconds. */
double rows_print_time(const row_table *t, const outcome *x);

/* Prints the name, the heads and the dimensions of a case. */
void rows_print_heads(FILE *stream, const bench_case *c);

#endif
