/* SPDX-License-Identifier: MIT
 * Tables of results: rows of cells for Markdown and HTML, and CSV with every field. */
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
    CELL_FROM,
    CELL_MS,
    CELL_SPREAD,
    CELL_TFLOPS,
    CELL_GBYTES,
    CELL_VISIBLE,
    CELL_DENSE,
    CELL_PEER,
    CELL_ROOF,
    CELL_TOKENS,
    CELL_CACHE,
    TABLE_COLUMNS
};

/* A column's head and its explanation. */
typedef struct table_column {
    const char *head, *meaning;
    bool is_number;
} table_column;
extern const table_column table_columns[TABLE_COLUMNS];

/* Cells without a value are "". A result that is not ok has its status in CELL_MS. */
#define CELL_TEXT_SIZE 128
typedef struct table_row {
    const case_result *result;
    char cell[TABLE_COLUMNS][CELL_TEXT_SIZE];
} table_row;

/* The results of one device. Rows of the same sizes and mask are next to each other, those of vkbench first. */
typedef struct table {
    const char *device;
    table_row *rows;
    size_t count;
    bool shown[TABLE_COLUMNS]; /* whether any row has a value in the column */
} table;

typedef struct table_list {
    const results *results;
    table *tables; /* in order of the first result of each device */
    size_t count;
} table_list;

/* Makes a table per device. False if out of memory. The caller destroys *list in any case. */
bool tables_make(const results *all, table_list *list);
void tables_destroy(table_list *list);

/* Four significant digits without an exponent, such as "0.7402"; "" if the value is not positive. */
void table_number(double value, char text[CELL_TEXT_SIZE]);

/* Columns that the tables of HTML and text show once above the rows of the same sizes, as in table_sizes(). */
bool table_is_size(int column);

/* "llama-3-8b: forward, f16, B 1, H 32/8, N 16384, D 128" */
enum { TABLE_SIZES_SIZE = 8 * CELL_TEXT_SIZE };
void table_sizes(const table_row *row, char text[TABLE_SIZES_SIZE]);

/* `all` is a const results *, `list` a const table_list *. The text has lines of at most 80 columns; columns that do
 * not fit are left out. */
void csv_write(FILE *stream, const void *all);
void markdown_write(FILE *stream, const void *list);
void table_text_write(FILE *stream, const void *list);

/* Writes all tables to a file with output_write(), by markdown_write() or table_text_write(); returns its status. */
int tables_save(const char *path, const results *all, void (*write)(FILE *stream, const void *list));

#endif
