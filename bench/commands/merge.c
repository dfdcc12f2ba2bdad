/* SPDX-License-Identifier: MIT
 * vkbench merge: several result files in one. */
#include "commands.h"
#include "complain.h"
#include "results/json_writer.h"
#include "results/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char usage[] = "Usage: vkbench merge OUT.json A.json B.json ...\n"
                            "\n"
                            "Writes one file with the runs of all others, for compare, plot and table: runs\n"
                            "of vkbench and of other programs, or of several devices. Each file may be JSON\n"
                            "of vkbench or of bench/peers/peers.py, a merged file, or the output of ggml's\n"
                            "\"test-backend-ops perf -o FLASH_ATTN_EXT\" (console or --output sql; its csv has\n"
                            "no times). OUT.json must not exist.\n"
                            "\n"
                            "Options:\n"
                            "  -h, --help  print this text and exit\n";

/* A document with the JSON trees of all runs, which are moved out of them. NULL without memory. */
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

static void tell(const char *path, const results *all)
{
    char what[96];
    size_t runs = 0;
    for (const result_run *run = all->runs; run; run = run->next)
        runs++;
    snprintf(what, sizeof what, "%zu run%s, %zu result%s", runs, runs == 1 ? "" : "s", all->count,
             all->count == 1 ? "" : "s");
    output_tell(path, what);
}

static int merge(const command_line *line)
{
    const char *path = line->files[0];
    FILE *there = fopen(path, "rb");
    results all = {0};
    if (!there && errno != ENOENT) /* it may exist but not be readable */
        return complain(COMMAND_FAILED, "%s cannot be written: %s", path, strerror(errno));
    if (there) {
        fclose(there);
        return complain(COMMAND_BAD, "%s already exists, and merge does not overwrite files", path);
    }
    int status = command_read(line, 1, &all);
    if (status)
        return status;
    cJSON *document = merged(&all);
    status = json_write_tree(path, document, false);
    cJSON_Delete(document);
    if (!status)
        tell(path, &all);
    results_destroy(&all);
    return status;
}

const command merge_command = {"merge", usage, 0, 3, merge};
