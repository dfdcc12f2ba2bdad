/* SPDX-License-Identifier: MIT
 * Results as tables: CSV, which has every field, and rows to read, as Markdown or in a page. */
#ifndef DMATTN_BENCH_TABLE_H
#define DMATTN_BENCH_TABLE_H

#include "results/results.h"

#include <stdio.h>

enum {
    CELL_MODEL,
    CELL_TYPE,
    CELL_BATCH,
    CELL_HEADS,
    CELL_N,
    CELL_D,
    CELL_MASK,
    CELL_PASS,
    CELL_WHO,
    CELL_MS,
    CELL_SPREAD,
    CELL_TFLOPS,
    CELL_GBYTES,
    CELL_VISIBLE,
    CELL_DENSE,
    CELL_PEER,
    CELL_BOUND,
    TABLE_COLUMNS
};

/* A column's head, and what it means. */
typedef struct table_column {
    const char *head, *meaning;
    bool is_number;
} table_column;
extern const table_column table_columns[TABLE_COLUMNS];

/* "" where a cell has nothing to say. A result that is not ok has its status in CELL_MS. */
#define CELL_TEXT_SIZE 64
typedef struct table_row {
    const case_result *result;
    char cell[TABLE_COLUMNS][CELL_TEXT_SIZE];
} table_row;

/* The results of one device: those of the same sizes and mask side by side, ours before others'. */
typedef struct table {
    const char *device;
    table_row *rows;
    size_t count;
    bool shown[TABLE_COLUMNS]; /* some row has something in it */
} table;

typedef struct table_list {
    const results *results;
    table *tables; /* in the order of their devices' first results */
    size_t count;
} table_list;

/* A table of each device. False without memory; *list is to be destroyed in any case. */
bool tables_make(const results *all, table_list *list);
void tables_destroy(table_list *list);

/* "0.7402": four significant digits, without an exponent; "" where there is nothing above 0. */
void table_number(double value, char text[CELL_TEXT_SIZE]);

/* To a stream; `all` is a const results *, `list` a const table_list *. */
void csv_write(FILE *stream, const void *all);
void markdown_write(FILE *stream, const void *list);

/* All tables to a file, as output_write() does. */
int markdown_save(const char *path, const results *all);

#endif
