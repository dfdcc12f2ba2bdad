/* SPDX-License-Identifier: MIT
 * Reads result files; docs/results.md describes every field. */
#ifndef DMATTN_BENCH_RESULTS_H
#define DMATTN_BENCH_RESULTS_H

#include "result.h"

/* The newest schema that is read; it is also the one that is written. */
enum { RESULTS_SCHEMA = 2 };

/* Reads a file of results, of several runs put together, or what ggml's test-backend-ops printed, behind those that are
 * there. If not, `why` names the file and what is wrong with it. What was read before stays. */
#define RESULTS_WHY_SIZE 1024
bool results_read(results *all, const char *path, char why[RESULTS_WHY_SIZE]);

/* Likewise from a document in memory, which is taken over whatever comes of it. */
bool results_add(results *all, cJSON *document, const char *path, char why[RESULTS_WHY_SIZE]);

/* Says so, and returns false. */
bool results_no_memory(results *all, const char *path, char why[RESULTS_WHY_SIZE]);

void results_destroy(results *all);

#endif
