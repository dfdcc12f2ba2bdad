/* SPDX-License-Identifier: MIT
 * Several files of results in one. */
#include "commands.h"
#include "complain.h"
#include "results/json_writer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "Usage: vkbench merge OUT.json A.json B.json ...\n"
    "\n"
    "Writes one file with the runs of all, as they are, for compare, plot and table: ours and other programs', or\n"
    "several devices'. Each may be vkbench's JSON, bench/peers/peers.py's, a merged file, or what ggml's\n"
    "\"test-backend-ops perf -o FLASH_ATTN_EXT\" printed (console or --output sql; its csv has no times).\n"
    "OUT.json must not be there yet.\n";

/* Takes the trees out of the runs. */
static cJSON *merged(results *all)
{
    cJSON *document = cJSON_CreateObject();
    bool ok = cJSON_AddNumberToObject(document, "schema", RESULTS_SCHEMA);
    cJSON *runs = cJSON_AddArrayToObject(document, "runs");
    for (result_run *run = all->runs; run && ok; run = run->next) {
        ok = cJSON_AddItemToArray(runs, run->tree);
        if (ok)
            run->tree = NULL;
    }
    if (ok && runs)
        return document;
    cJSON_Delete(document);
    return NULL;
}

static int merge(const command_line *line)
{
    const char *path = line->files[0];
    FILE *there = fopen(path, "rb");
    results all = {0};
    if (!there && errno != ENOENT) /* it may be there, and not be for us to read */
        return complain(COMMAND_BAD, "%s cannot be written: %s", path, strerror(errno));
    if (there) {
        fclose(there);
        return complain(COMMAND_BAD, "%s is there already, and merge overwrites nothing", path);
    }
    if (!command_read(line, 1, &all))
        return COMMAND_BAD;
    cJSON *document = merged(&all);
    const int status = json_write_tree(path, document);
    cJSON_Delete(document);
    results_destroy(&all);
    return status;
}

const command merge_command = {"merge", usage, 0, 3, merge};
