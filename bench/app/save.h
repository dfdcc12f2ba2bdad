/* SPDX-License-Identifier: MIT
 * Writes the results of a run to the files that the options name. */
#ifndef DMATTN_BENCH_SAVE_H
#define DMATTN_BENCH_SAVE_H

#include "options.h"
#include "results/json.h"

/* Whether any output file is requested. */
bool save_is_wanted(const bench_options *o);

/* Checks that the files can be created, before minutes are spent on the results; complains and returns false if not.
 * If a file is "-", everything else that is printed to stdout goes to stderr from now on. */
bool save_begin(const bench_options *o);

/* Writes the files. On failure complains and returns false. */
bool save_results(const bench_options *o, const json_report *json);

#endif
