/* SPDX-License-Identifier: MIT
 * Reads result files; docs/results.md describes every field. */
#ifndef DMATTN_BENCH_RESULTS_H
#define DMATTN_BENCH_RESULTS_H

#include "result.h"

/* The newest schema that is read; it is also the one that is written. */
enum { RESULTS_SCHEMA = 2 };

/* Appends the results of a file: JSON of one run, a merged file of several runs, or the output of ggml's
 * test-backend-ops. On false, `why` names the file and says what is wrong; earlier results stay. */
#define RESULTS_WHY_SIZE 1024
bool results_read(results *all, const char *path, char why[RESULTS_WHY_SIZE]);

/* The same from a document in memory, whose ownership is taken, also on failure. `path` is only for messages. */
bool results_add(results *all, cJSON *document, const char *path, char why[RESULTS_WHY_SIZE]);

/* Writes the message for missing memory, and returns false. */
bool results_no_memory(results *all, const char *path, char why[RESULTS_WHY_SIZE]);

void results_destroy(results *all);

#endif
