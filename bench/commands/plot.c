/* SPDX-License-Identifier: MIT
 * vkbench plot: charts of results. */
#define _POSIX_C_SOURCE 200809L
#include "charts/html.h"
#include "charts/svg.h"
#include "commands.h"
#include "complain.h"
#include "new_file.h"
#include "results/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] = "Usage: vkbench plot A.json ... -o FOLDER|FILE.html\n"
                            "\n"
                            "Draws the results of all files: time over N with the exponent of each line,\n"
                            "speedup over sparsity, and the roofline (with the ceilings of --ceilings).\n"
                            "FOLDER, created if necessary, receives index.html, a self-contained page with\n"
                            "all charts and tables, and each chart as an SVG file. FILE.html receives only\n"
                            "the page; \"-\" is the standard output.\n"
                            "\n"
                            "Options:\n"
                            "  -o PATH     the folder or page to write\n"
                            "  -h, --help  print this text and exit\n";

static void write_svg(FILE *stream, const void *c)
{
    svg_write(stream, c, SVG_FILE);
}

static void tell(const char *path, const html_page *page, bool with_files)
{
    char what[128];
    const size_t charts = page->charts->count, tables = page->tables->count;
    snprintf(what, sizeof what, "%zu chart%s%s, %zu table%s", charts, charts == 1 ? "" : "s",
             with_files ? ", also as SVG files" : "", tables, tables == 1 ? "" : "s");
    output_tell(path, what);
}

static int write_page(const char *path, const html_page *page)
{
    const int status = output_write(path, html_write, page);
    if (!status)
        tell(path, page, false);
    return status;
}

static int write_folder(const char *folder, const html_page *page)
{
    const size_t size = strlen(folder) + 64;
    char *path = malloc(size);
    const char *why = "no memory";
    if (!path || !new_folder(folder, &why)) {
        free(path);
        return complain(COMMAND_FAILED, "the folder %s cannot be created: %s", folder, why);
    }
    int status = COMMAND_FINE;
    for (size_t i = 0; i < page->charts->count && !status; i++) {
        snprintf(path, size, "%s/%s.svg", folder, page->charts->charts[i].name);
        status = output_write(path, write_svg, &page->charts->charts[i]);
    }
    snprintf(path, size, "%s/index.html", folder);
    if (!status)
        status = output_write(path, html_write, page);
    if (!status)
        tell(path, page, true);
    free(path);
    return status;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && !strcmp(text + length - end_length, end);
}

static int plot(const command_line *line)
{
    results all = {0};
    chart_list charts = {0};
    table_list tables = {0};
    if (!line->output)
        return complain(COMMAND_BAD, "plot needs -o FOLDER or -o FILE.html; see vkbench plot --help");
    int status = command_read(line, 0, &all);
    if (status)
        return status;
    if (!charts_make(&all, &charts) || !tables_make(&all, &tables))
        status = complain(COMMAND_FAILED, "no memory for the charts and tables");
    const html_page page = {&all, &charts, &tables};
    if (!status && (ends_with(line->output, ".html") || !strcmp(line->output, "-")))
        status = write_page(line->output, &page);
    else if (!status)
        status = write_folder(line->output, &page);
    charts_destroy(&charts);
    tables_destroy(&tables);
    results_destroy(&all);
    return status;
}

const command plot_command = {"plot", usage, TAKES_OUTPUT, 1, plot};
