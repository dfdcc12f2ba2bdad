/* SPDX-License-Identifier: MIT
 * Cases of selectors. */
#ifndef DMATTN_RUN_SELECTOR_H
#define DMATTN_RUN_SELECTOR_H

#include "options.h"
#include "safetensors.h"

/* Whether a file is such a case: its metadata "op" is "selector". */
bool is_selector(const safetensors_file *file);

/* Runs the case, prints what ran, and writes and checks the lists. Returns an exit status. */
int run_selector(const run_options *o, const safetensors_file *file);

#endif
