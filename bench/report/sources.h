/* SPDX-License-Identifier: MIT
 * Where results come from: short names of files, and runs of the same build put together. Pure functions. */
#ifndef DMATTN_BENCH_SOURCES_H
#define DMATTN_BENCH_SOURCES_H

#include "results/result.h"

enum { SOURCE_NAME_SIZE = 64 };

/* The name of a run's file without folders and extension; the end of its path if another file has the same name. */
void source_name(const results *all, const result_run *run, char name[SOURCE_NAME_SIZE]);

/* Whether the results are from several files; whether the run's file has other builds of its program. */
bool sources_have_files(const results *all);
bool source_has_builds(const results *all, const result_run *run);

/* Runs of the same file, device, driver, program, version and commit. */
typedef struct run_group {
    const result_run *run; /* the first one */
    const char *from, *to; /* the first and the last date; "" if unknown */
    size_t count, interrupted;
} run_group;

/* Returns the groups in the order of their first runs, or NULL if out of memory or without runs. The caller frees them.
 */
run_group *runs_group(const results *all, size_t *count);

/* "vkbench 0.1.0, commit abc, NVIDIA 580, 5 runs, 2026-01-02 to 2026-01-03": a group without its device and file. */
enum { RUN_TEXT_SIZE = 512 };
void run_group_text(const run_group *group, char text[RUN_TEXT_SIZE]);

#endif
