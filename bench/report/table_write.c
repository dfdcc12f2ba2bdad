/* SPDX-License-Identifier: MIT
 * Writes tables as CSV and as Markdown. */
#include "table.h"

#include "complain.h"
#include "results/output.h"
#include "results/result_fields.h"
#include "sources.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- CSV ----------------------------------------------------------------------------------------------------- */

/* Quotes the text if necessary. */
static void csv_text(FILE *stream, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, stream);
        return;
    }
    putc('"', stream);
    for (; *text; text++)
        fputs(*text == '"' ? "\"\"" : (const char[]){*text, 0}, stream);
    putc('"', stream);
}

static void csv_field(FILE *stream, const result_field *f, const void *from)
{
    const void *member = (const char *)from + f->offset;
    if (f->kind == FIELD_TEXT)
        csv_text(stream, *(const char *const *)member);
    else if (f->kind == FIELD_FLAG)
        fputs(*(const bool *)member ? "true" : "false", stream);
    else if (isfinite(*(const double *)member))
        fprintf(stream, "%.10g", *(const double *)member);
}

void csv_write(FILE *stream, const void *user)
{
    const results *all = user;
    const char *comma = "";
    for (const result_field *f = result_fields; f->name; f++, comma = ",")
        fprintf(stream, "%s%s", comma, f->name);
    for (const result_field *f = run_fields; f->name; f++)
        fprintf(stream, ",%s", f->name);
    fputs("\n", stream);
    for (size_t i = 0; i < all->count; i++) {
        for (const result_field *f = result_fields; f->name; f++) {
            csv_field(stream, f, &all->items[i]);
            putc(',', stream);
        }
        for (const result_field *f = run_fields; f->name; f++) {
            csv_field(stream, f, all->items[i].run);
            putc(f[1].name ? ',' : '\n', stream);
        }
    }
}

/* ---- Markdown ------------------------------------------------------------------------------------------------ */

static void markdown_text(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (strchr("|\\`*_<[", *text))
            putc('\\', stream);
        putc(*text, stream);
    }
}

/* The runs that a table is made of. */
static void markdown_runs(FILE *stream, const results *all, const char *device)
{
    char text[RUN_TEXT_SIZE];
    size_t count;
    run_group *groups = runs_group(all, &count);
    for (size_t i = 0; groups && i < count; i++)
        if (!strcmp(groups[i].run->device, device)) {
            run_group_text(&groups[i], text);
            fputs("- ", stream);
            markdown_text(stream, text);
            fputs("\n", stream);
        }
    free(groups);
    fputs("\n", stream);
}

static void markdown_table(FILE *stream, const table *t)
{
    for (int c = 0; c < TABLE_COLUMNS; c++)
        if (t->shown[c])
            fprintf(stream, "| %s ", table_columns[c].head);
    fputs("|\n", stream);
    for (int c = 0; c < TABLE_COLUMNS; c++)
        if (t->shown[c])
            fputs(table_columns[c].is_number ? "|--:" : "|---", stream);
    fputs("|\n", stream);
    for (size_t i = 0; i < t->count; i++) {
        for (int c = 0; c < TABLE_COLUMNS; c++) {
            if (!t->shown[c])
                continue;
            fputs("| ", stream);
            markdown_text(stream, t->rows[i].cell[c]);
            putc(' ', stream);
        }
        fputs("|\n", stream);
    }
    for (size_t i = 0; i < t->count; i++)
        if (!result_is_ok(t->rows[i].result)) {
            fprintf(stream, "\n%s: ", t->rows[i].result->status);
            markdown_text(stream, t->rows[i].result->identity);
            fputs(": ", stream);
            markdown_text(stream, t->rows[i].result->sentence);
            fputs("\n", stream);
        }
}

void markdown_write(FILE *stream, const void *user)
{
    const table_list *list = user;
    for (size_t i = 0; i < list->count; i++) {
        const table *t = &list->tables[i];
        fputs(i ? "\n### " : "### ", stream);
        markdown_text(stream, *t->device ? t->device : "unnamed device");
        fputs("\n\n", stream);
        markdown_runs(stream, list->results, t->device);
        markdown_table(stream, t);
    }
}

int tables_save(const char *path, const results *all, void (*write)(FILE *stream, const void *list))
{
    table_list list;
    const int status =
        tables_make(all, &list) ? output_write(path, write, &list) : complain(1, "no memory for the tables");
    tables_destroy(&list);
    return status;
}
