/* SPDX-License-Identifier: MIT
 * Result documents for the tests of results, and functions to read and write them. */
#ifndef DMATTN_TESTS_BENCH_RESULT_DOCUMENTS_H
#define DMATTN_TESTS_BENCH_RESULT_DOCUMENTS_H

#include "results/results.h"

#include <stdbool.h>
#include <stdio.h>

/* A document: HEAD, results with commas between them, "]}". n is the number of queries and of keys. */
#define HEAD                                                                                                         \
    "{\"schema\":2,\"program\":\"vkbench\",\"version\":\"1.2.3\",\"commit\":\"abc\",\"date\":\"2026-01-02\","        \
    "\"device\":{\"name\":\"Card <1>\",\"driver\":\"d\",\"type\":\"discrete\"},"                                     \
    "\"ceilings\":{\"copy\":{\"gbytes_s\":1000},\"f32_fma\":{\"tflops\":50},\"f16_matrices\":{\"missing\":\"no\"}}," \
    "\"results\":["
#define SIZES(n)                                                                                                  \
    "\"type\":\"f16\",\"batch\":1,\"heads\":4,\"kv_heads\":2,\"queries\":" #n ",\"keys\":" #n ",\"head_dim\":64," \
    "\"value_dim\":64,\"bias\":false,\"pass\":\"forward\",\"requested_level\":\"best\",\"reuse_mask\":false,"
#define DENSE(n, ms)                                                                                                  \
    "{" SIZES(n) "\"mask\":\"causal\",\"causal\":true,\"status\":\"ok\",\"level\":\"matrix\",\"median_ms\":" #ms      \
                 ",\"tflops\":2,\"gbytes_s\":100,\"visible_pairs\":1000,\"samples_ms\":[" #ms "," #ms "," #ms "," #ms \
                 "," #ms "]}"
#define SPARSE(n, ms)                                                                                          \
    "{\"bias\":true," SIZES(n) "\"mask\":\"topw:8\",\"status\":\"ok\",\"level\":\"matrix\",\"median_ms\":" #ms \
                               ",\"tflops\":1,"                                                                \
                               "\"gbytes_s\":100,\"visible_pairs\":500,\"stages_ms\":{\"attention\":0.25}}"

/* Reads a document from memory. If it is refused, `why` (of RESULTS_WHY_SIZE bytes) has the reason. */
bool add_document(results *all, const char *text, char *why);

/* Returns the text that write() writes; the caller frees it. */
char *written_text(void (*write)(FILE *stream, const void *user), const void *user);

/* Returns how often `part` occurs in `text`. */
size_t count_of(const char *text, const char *part);

void make_file(const char *path, const char *text);

#endif
