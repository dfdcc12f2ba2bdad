/* SPDX-License-Identifier: MIT
 * Compares computed results with those in a case's file. */
#ifndef DMATTN_RUN_CHECK_H
#define DMATTN_RUN_CHECK_H

#include "results.h"

/* Whether the file has results, with the right types and shapes. Returns RUN_DONE, or complains and returns
 * RUN_BAD_INPUT (options.h). */
int check_is_possible(const result_tensors *results, const safetensors_file *file, const char *path);

/* Prints the line of a result whose elements may differ by `allowed` from those that are wanted, absolutely or relative
 * to them. Returns whether it agrees. */
bool check_tensor(const safetensors_tensor *got, const safetensors_tensor *want, double allowed, bool relative);

/* Prints a line per result; dmattn-run --help shows its form. Returns an exit status. */
int check_results(const problem *p, const case_results *r, const result_tensors *got, const safetensors_file *file);

#endif
