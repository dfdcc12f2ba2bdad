/* SPDX-License-Identifier: MIT
 * Cases of block lists. */
#ifndef DMATTN_RUN_BLOCK_LISTS_H
#define DMATTN_RUN_BLOCK_LISTS_H

#include "options.h"
#include "safetensors.h"

/* Whether a file is such a case: its metadata "op" is "block_lists". */
bool is_block_lists(const safetensors_file *file);

/* Runs the case, prints what ran, and writes and checks the lists. Returns an exit status. */
int run_block_lists(const run_options *o, const safetensors_file *file);

#endif
