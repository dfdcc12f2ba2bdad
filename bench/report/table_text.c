/* SPDX-License-Identifier: MIT
 * Writes tables as text in lines of PAGE_WIDTH. */
#include "format.h"
#include "sources.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

typedef struct text_columns {
    bool shown[TABLE_COLUMNS];
    int width[TABLE_COLUMNS];
} text_columns;

/* The number of characters of UTF-8. */
static int length_of(const char *text)
{
    int length = 0;
    for (; *text; text++)
        length += ((unsigned char)*text & 0xc0) != 0x80;
    return length;
}

static int total_width(const text_columns *c)
{
    int width = -1;
    for (int i = 0; i < TABLE_COLUMNS; i++)
        width += c->shown[i] ? c->width[i] + 1 : 0;
    return width;
}

/* The columns for some rows. Leaves out columns, the least important first, until the others fit. */
static text_columns fit(const table *t, size_t first, size_t end)
{
    static const int less_important[] = {CELL_VISIBLE, CELL_GBYTES, CELL_SPREAD, CELL_ROOF, CELL_PEER, CELL_TFLOPS};
    text_columns c = {0};
    for (int i = 0; i < TABLE_COLUMNS; i++) {
        c.width[i] = length_of(table_columns[i].head);
        for (size_t row = first; row < end; row++) {
            c.shown[i] = c.shown[i] || (*t->rows[row].cell[i] && !table_is_size(i));
            const int length = length_of(t->rows[row].cell[i]);
            c.width[i] = length > c.width[i] ? length : c.width[i];
        }
    }
    for (size_t i = 0; i < sizeof less_important / sizeof *less_important && total_width(&c) > PAGE_WIDTH; i++)
        c.shown[less_important[i]] = false;
    return c;
}

static void print_cell(FILE *stream, const text_columns *c, int column, const char *text, bool first)
{
    const int padding = c->width[column] - length_of(text);
    if (table_columns[column].is_number)
        fprintf(stream, "%s%*s%s", first ? "" : " ", padding, "", text);
    else
        fprintf(stream, "%s%s%*s", first ? "" : " ", text, padding, "");
}

static void print_heads(FILE *stream, const text_columns *c)
{
    bool first = true;
    for (int i = 0; i < TABLE_COLUMNS; i++)
        if (c->shown[i]) {
            print_cell(stream, c, i, table_columns[i].head, first);
            first = false;
        }
    fputs("\n", stream);
}

static void print_row(FILE *stream, const text_columns *c, const table_row *row)
{
    bool first = true;
    for (int i = 0; i < TABLE_COLUMNS; i++)
        if (c->shown[i]) {
            print_cell(stream, c, i, row->cell[i], first);
            first = false;
        }
    fputs("\n", stream);
}

/* Prints the rows in groups of the same sizes. Sets left_out[] for columns with values that did not fit. */
static void print_groups(FILE *stream, const table *t, bool left_out[TABLE_COLUMNS])
{
    char sizes[TABLE_SIZES_SIZE];
    for (size_t first = 0, end; first < t->count; first = end) {
        for (end = first + 1; end < t->count && result_same_sizes(t->rows[first].result, t->rows[end].result);)
            end++;
        const text_columns c = fit(t, first, end);
        table_sizes(&t->rows[first], sizes);
        fputs("\n", stream);
        print_paragraph(stream, "", sizes);
        print_heads(stream, &c);
        for (size_t row = first; row < end; row++) {
            print_row(stream, &c, &t->rows[row]);
            for (int i = 0; i < TABLE_COLUMNS; i++)
                left_out[i] = left_out[i] || (*t->rows[row].cell[i] && !c.shown[i] && !table_is_size(i));
        }
    }
}

static void print_notes(FILE *stream, const table *t, const bool left_out[TABLE_COLUMNS])
{
    char text[RESULT_NAME_SIZE + 1024], names[256] = "";
    for (int i = 0; i < TABLE_COLUMNS; i++)
        if (left_out[i]) {
            strncat(names, *names ? ", " : "", sizeof names - strlen(names) - 1);
            strncat(names, table_columns[i].head, sizeof names - strlen(names) - 1);
        }
    if (*names) {
        snprintf(text, sizeof text, "Left out of some rows to fit %d columns: %s. --markdown and --csv have them.",
                 PAGE_WIDTH, names);
        fputs("\n", stream);
        print_paragraph(stream, "", text);
    }
    bool throttled = false;
    for (size_t i = 0; i < t->count; i++)
        throttled = throttled || t->rows[i].result->throttled;
    if (throttled)
        print_paragraph(stream, "* ", "measured while the device was throttled");
    for (size_t i = 0; i < t->count; i++) {
        const case_result *r = t->rows[i].result;
        if (!result_is_ok(r)) {
            snprintf(text, sizeof text, "%.32s: %s: %.900s", r->status, r->identity, r->sentence);
            print_paragraph(stream, "", text);
        }
    }
}

static void print_runs(FILE *stream, const results *all, const char *device)
{
    char run[RUN_TEXT_SIZE], name[SOURCE_NAME_SIZE], text[RUN_TEXT_SIZE + SOURCE_NAME_SIZE + 8];
    size_t count;
    run_group *groups = runs_group(all, &count);
    for (size_t i = 0; groups && i < count; i++)
        if (!strcmp(groups[i].run->device, device)) {
            run_group_text(&groups[i], run);
            source_name(all, groups[i].run, name);
            snprintf(text, sizeof text, "%s: %s", name, run);
            print_paragraph(stream, "  ", text);
        }
    free(groups);
}

void table_text_write(FILE *stream, const void *user)
{
    const table_list *list = user;
    for (size_t i = 0; i < list->count; i++) {
        const table *t = &list->tables[i];
        bool left_out[TABLE_COLUMNS] = {false};
        if (i)
            fputs("\n", stream);
        print_paragraph(stream, "", *t->device ? t->device : "unnamed device");
        print_runs(stream, list->results, t->device);
        print_groups(stream, t, left_out);
        print_notes(stream, t, left_out);
    }
}
