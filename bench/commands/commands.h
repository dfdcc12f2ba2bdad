/* SPDX-License-Identifier: MIT
 * vkbench's commands on files of results: compare, merge, plot, table. They need no device. */
#ifndef DMATTN_BENCH_COMMANDS_H
#define DMATTN_BENCH_COMMANDS_H

#include "results/results.h"

/* As main() returns them; of compare, SLOWER says that something is. */
enum { COMMAND_FINE = 0, COMMAND_SLOWER = 1, COMMAND_FAILED = 1, COMMAND_BAD = 2 };

/* Options that a command may take: -o; --csv and --markdown; --threshold. */
enum { TAKES_OUTPUT = 1, TAKES_TABLES = 2, TAKES_THRESHOLD = 4 };

/* A command's line. */
typedef struct command_line {
    const char **files; /* argv's, but for the options; owned */
    size_t file_count;
    const char *output, *csv, *markdown; /* NULL: not named */
    double threshold;                    /* of compare, a part of the time */
} command_line;

typedef struct command {
    const char *name, *usage;
    unsigned options; /* TAKES_… */
    size_t least_files;
    int (*run)(const command_line *line);
} command;

extern const command compare_command, merge_command, plot_command, table_command;

/* The command of this name, or NULL. */
const command *command_find(const char *name);

/* argv[1] is its name. Returns main()'s status. */
int command_run(const command *c, int argc, char **argv);

/* Reads the files from `first` on; complains where one cannot be read. */
bool command_read(const command_line *line, size_t first, results *all);

#endif
