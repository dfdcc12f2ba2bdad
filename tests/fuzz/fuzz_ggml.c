/* SPDX-License-Identifier: MIT
 * The output of ggml's test-backend-ops. */
#include "fuzz.h"

#include "results/ggml_results.h"
#include "results/results.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), why[RESULTS_WHY_SIZE];
    results all = {0};
    memset(why, 1, sizeof why);
    is_ggml_output(text);
    if (!results_add(&all, ggml_results(text), "input", why))
        FUZZ_CHECK(fuzz_is_sentence(why, sizeof why));
    results_destroy(&all);
    free(text);
    return 0;
}
