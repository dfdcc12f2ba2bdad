/* SPDX-License-Identifier: MIT
 * vkbench table: results as Markdown and CSV. */
#include "report/table.h"
#include "commands.h"
#include "results/output.h"

static const char usage[] = "Usage: vkbench table A.json ... [--markdown FILE] [--csv FILE]\n"
                            "\n"
                            "Prints the results of all files, one table per device. Results of the same\n"
                            "sizes and mask are next to each other, those of vkbench first. Lines have at\n"
                            "most 80 columns, so that some columns of the table may be left out.\n"
                            "\n"
                            "Options:\n"
                            "  --markdown FILE  write the tables as Markdown instead, with all columns\n"
                            "  --csv FILE       write one line per result instead, with every field of\n"
                            "                   docs/results.md\n"
                            "  -h, --help       print this text and exit\n"
                            "\n"
                            "FILE may be \"-\", the standard output.\n";

static int write_tables(const command_line *line)
{
    results all = {0};
    int status = command_read(line, 0, &all);
    if (status)
        return status;
    if (line->csv)
        status = output_write(line->csv, csv_write, &all);
    if (line->csv && !status)
        output_tell(line->csv, "all results as CSV");
    if (!status && (line->markdown || !line->csv))
        status = line->markdown ? tables_save(line->markdown, &all, markdown_write)
                                : tables_save("-", &all, table_text_write);
    if (line->markdown && !status)
        output_tell(line->markdown, "tables in Markdown");
    results_destroy(&all);
    return status;
}

const command table_command = {"table", usage, TAKES_TABLES, 1, write_tables};
