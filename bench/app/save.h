/* SPDX-License-Identifier: MIT
 * What a run ends with: its results in the files that its options name. */
#ifndef DMATTN_BENCH_SAVE_H
#define DMATTN_BENCH_SAVE_H

#include "options.h"
#include "results/json.h"

/* Whether results are to be kept. */
bool save_is_wanted(const bench_options *o);

/* Whether the files can be made, before minutes are spent on what goes into them; complains if not. If one is stdout,
 * from now on everything else that is printed there goes to stderr. */
bool save_begin(const bench_options *o);

/* Writes them. False after a complaint. */
bool save_results(const bench_options *o, const json_report *json);

#endif
