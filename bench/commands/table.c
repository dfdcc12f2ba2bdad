/* SPDX-License-Identifier: MIT
 * vkbench table: results as Markdown and CSV. */
#include "report/table.h"
#include "commands.h"
#include "results/output.h"

static const char usage[] = "Usage: vkbench table A.json ... [--markdown FILE] [--csv FILE]\n"
                            "\n"
                            "Prints the results of all files as Markdown, one table per device. Results of\n"
                            "the same sizes and mask are next to each other, those of vkbench first.\n"
                            "--markdown writes the tables to FILE instead. --csv writes one line per result,\n"
                            "with every field of docs/results.md. FILE may be \"-\", the standard output.\n";

static int write_tables(const command_line *line)
{
    results all = {0};
    int status = command_read(line, 0, &all);
    if (status)
        return status;
    if (line->csv)
        status = output_write(line->csv, csv_write, &all);
    if (!status && (line->markdown || !line->csv))
        status = markdown_save(line->markdown ? line->markdown : "-", &all);
    results_destroy(&all);
    return status;
}

const command table_command = {"table", usage, TAKES_TABLES, 1, write_tables};
