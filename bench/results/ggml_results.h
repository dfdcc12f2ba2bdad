/* SPDX-License-Identifier: MIT
 * What ggml's `test-backend-ops perf -o FLASH_ATTN_EXT` prints, on the console or with --output sql, as our results. */
#ifndef DMATTN_BENCH_GGML_RESULTS_H
#define DMATTN_BENCH_GGML_RESULTS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Whether the text has lines of that. Its csv has none: it leaves the times out. */
bool ggml_results_are_there(const char *text);

/* The document; cuts the text into lines. NULL without memory. Lines of other operations, and of types that we have
 * not, are passed over. */
cJSON *ggml_results(char *text);

#endif
