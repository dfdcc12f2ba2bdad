/* SPDX-License-Identifier: MIT */
#include "sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- files --------------------------------------------------------------------------------------------------- */

static const char *base_of(const char *path, size_t *length)
{
    const char *base = path;
    for (const char *c = path; *c; c++)
        if (*c == '/' || *c == '\\')
            base = c + 1;
    const char *dot = strrchr(base, '.');
    *length = dot && dot > base ? (size_t)(dot - base) : strlen(base);
    return base;
}

void source_name(const results *all, const result_run *run, char name[SOURCE_NAME_SIZE])
{
    size_t length, other_length;
    const char *base = base_of(run->file, &length);
    for (const result_run *other = all->runs; other; other = other->next) {
        const char *of_other = base_of(other->file, &other_length);
        if (strcmp(other->file, run->file) && length == other_length && !strncmp(base, of_other, length)) {
            base = run->file;
            length = strlen(base);
        }
    }
    if (length >= SOURCE_NAME_SIZE) { /* the ends of paths differ more than their beginnings */
        base += length - (SOURCE_NAME_SIZE - 1);
        length = SOURCE_NAME_SIZE - 1;
    }
    snprintf(name, SOURCE_NAME_SIZE, "%.*s", (int)length, base);
}

bool sources_have_files(const results *all)
{
    for (const result_run *run = all->runs; run; run = run->next)
        if (strcmp(run->file, all->runs->file))
            return true;
    return false;
}

bool source_has_builds(const results *all, const result_run *run)
{
    for (const result_run *other = all->runs; other; other = other->next)
        if (!strcmp(other->file, run->file) && !strcmp(other->program, run->program)
            && strcmp(other->commit, run->commit))
            return true;
    return false;
}

/* ---- groups -------------------------------------------------------------------------------------------------- */

static bool same_group(const result_run *a, const result_run *b)
{
    return result_same_source(a, b) && !strcmp(a->device, b->device) && !strcmp(a->driver, b->driver);
}

static void add_run(run_group *g, const result_run *run)
{
    if (*run->date && (!*g->from || strcmp(run->date, g->from) < 0)) /* ISO 8601 sorts as text */
        g->from = run->date;
    if (strcmp(run->date, g->to) > 0)
        g->to = run->date;
    g->interrupted += run->interrupted;
    g->count++;
}

run_group *runs_group(const results *all, size_t *count)
{
    size_t runs = 0;
    *count = 0;
    for (const result_run *run = all->runs; run; run = run->next)
        runs++;
    run_group *groups = runs ? calloc(runs, sizeof *groups) : NULL;
    for (const result_run *run = all->runs; run && groups; run = run->next) {
        size_t i = 0;
        while (i < *count && !same_group(groups[i].run, run))
            i++;
        if (i == *count)
            groups[(*count)++] = (run_group){.run = run, .from = "", .to = ""};
        add_run(&groups[i], run);
    }
    return groups;
}

void run_group_text(const run_group *g, char text[RUN_TEXT_SIZE])
{
    const result_run *run = g->run;
    const bool days = strlen(g->from) >= 10 && strlen(g->to) >= 10; /* of several runs, only the days */
    const bool same = !strncmp(g->from, g->to, 10);
    char count[64] = "", dates[128] = "", interrupted[64] = "";
    if (g->count > 1)
        snprintf(count, sizeof count, ", %zu runs", g->count);
    if (g->count > 1 && days)
        snprintf(dates, sizeof dates, ", %.10s%s%.10s", g->from, same ? "" : " to ", same ? "" : g->to);
    else if (*g->from)
        snprintf(dates, sizeof dates, ", %.60s", g->from);
    if (g->interrupted && g->count > 1)
        snprintf(interrupted, sizeof interrupted, ", %zu interrupted", g->interrupted);
    else if (g->interrupted)
        snprintf(interrupted, sizeof interrupted, ", interrupted");
    snprintf(text, RUN_TEXT_SIZE, "%.60s %.60s%s%.60s%s%.100s%s%s%s", run->program, run->version,
             *run->commit ? ", commit " : "", run->commit, *run->driver ? ", " : "", run->driver, count, dates,
             interrupted);
}
