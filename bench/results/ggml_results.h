/* SPDX-License-Identifier: MIT
 * Converts the output of ggml's `test-backend-ops perf -o FLASH_ATTN_EXT` (console or --output sql) to result JSON. */
#ifndef DMATTN_BENCH_GGML_RESULTS_H
#define DMATTN_BENCH_GGML_RESULTS_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Whether the text looks like such output. Its csv output is not supported because it lacks the times. */
bool is_ggml_output(const char *text);

/* The JSON document. Modifies the text. Ignores lines of other operations and of other types. NULL if out of memory. */
cJSON *ggml_results(char *text);

#endif
