/* SPDX-License-Identifier: MIT
 * Files of results, and vkbench's commands that read them. */
#include "fuzz.h"

#include "commands/commands.h"
#include "results/results.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The commands are too slow for more results. */
#define MOST_RESULTS 200

static int run(int count, const char *const *words)
{
    char *arguments[8] = {0};
    for (int i = 0; i < count; i++)
        arguments[i] = (char *)words[i];
    const int status = command_run(command_find(words[1]), count, arguments);
    FUZZ_CHECK(status >= COMMAND_FINE && status <= COMMAND_BAD);
    return status;
}

/* The merged file can be read and holds the results of both files. */
static void check_merge(const char *path, size_t results_of_one)
{
    char out[64], why[RESULTS_WHY_SIZE];
    results all = {0};
    snprintf(out, sizeof out, "/dev/shm/dmattn-fuzz-%ld.json", (long)getpid());
    unlink(out);
    if (run(5, (const char *[]){"vkbench", "merge", out, path, path}) == COMMAND_FINE)
        FUZZ_CHECK(results_read(&all, out, why) && all.count == 2 * results_of_one);
    results_destroy(&all);
    unlink(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = fuzz_file(data, size);
    char why[RESULTS_WHY_SIZE];
    results all = {0};
    memset(why, 1, sizeof why);
    const bool ok = results_read(&all, path, why);
    const size_t count = all.count;
    results_destroy(&all);
    FUZZ_CHECK(ok || fuzz_is_sentence(why, sizeof why));
    if (!ok || count > MOST_RESULTS)
        return 0;
    /* One command for each input: they take most of the time. */
    switch (data[size / 2] % 8) {
    case 0: check_merge(path, count); break;
    case 1:
    case 2: run(4, (const char *[]){"vkbench", "compare", path, path}); break;
    case 3: FUZZ_CHECK(!run(5, (const char *[]){"vkbench", "table", path, "--csv", "-"})); break;
    case 4: FUZZ_CHECK(!run(4, (const char *[]){"vkbench", "table", path, path})); break;
    case 5: FUZZ_CHECK(!run(5, (const char *[]){"vkbench", "table", path, "--markdown", "-"})); break;
    default: FUZZ_CHECK(!run(6, (const char *[]){"vkbench", "plot", path, path, "-o", "-"})); break;
    }
    return 0;
}
