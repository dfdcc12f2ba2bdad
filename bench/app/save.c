/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "save.h"

#include "complain.h"
#include "report/table.h"
#include "results/output.h"
#include "timing/interrupt.h"

#include <string.h>
#include <unistd.h>

/* The original stdout while stderr replaces it; -1: not replaced. */
static int standard_output = -1;

static bool is_stdout(const char *path)
{
    return path && !strcmp(path, "-");
}

bool save_is_wanted(const bench_options *o)
{
    return o->json || o->csv || o->markdown;
}

bool save_begin(const bench_options *o)
{
    const char *const paths[] = {o->json, o->csv, o->markdown}, *why = "";
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (paths[i] && !is_stdout(paths[i]) && !json_can_write(paths[i], &why)) {
            complain(1, "%s cannot be written: %s", paths[i], why);
            return false;
        }
    if (save_is_wanted(o)) /* the files are written even if nobody reads stdout */
        interrupt_ignore_readers();
    if (!is_stdout(o->json) && !is_stdout(o->csv) && !is_stdout(o->markdown))
        return true;
    fflush(stdout);
    standard_output = dup(STDOUT_FILENO);
    if (standard_output >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
        return true;
    complain(1, "stdout cannot be redirected to stderr");
    return false;
}

/* Undoes the redirection. */
static void give_stdout_back(void)
{
    if (standard_output < 0)
        return;
    fflush(stdout);
    dup2(standard_output, STDOUT_FILENO);
    close(standard_output);
    standard_output = -1;
}

bool save_results(const bench_options *o, const json_report *json)
{
    char text[RESULTS_WHY_SIZE];
    results all = {0};
    give_stdout_back();
    bool ok = !o->json || json_write(json, o->json);
    if ((o->csv || o->markdown) && !json_read_back(json, &all, text)) {
        complain(1, "the table cannot be written: %s", text);
        ok = false;
    } else {
        ok = (!o->csv || !output_write(o->csv, csv_write, &all)) && ok;
        ok = (!o->markdown || !tables_save(o->markdown, &all, markdown_write)) && ok;
    }
    results_destroy(&all);
    if (ok && o->json)
        output_tell(o->json, "all results with their samples");
    if (ok && o->csv)
        output_tell(o->csv, "all results as CSV");
    if (ok && o->markdown)
        output_tell(o->markdown, "tables in Markdown");
    return ok;
}
