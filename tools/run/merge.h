/* SPDX-License-Identifier: MIT
 * Cases of merging two results of attention. */
#ifndef DMATTN_RUN_MERGE_H
#define DMATTN_RUN_MERGE_H

#include "options.h"
#include "safetensors.h"

/* Whether a file is such a case: its metadata "op" is "merge". */
bool is_merge(const safetensors_file *file);

/* Runs the case, prints what ran, and writes and checks the results. Returns an exit status. */
int run_merge(const run_options *o, const safetensors_file *file);

#endif
