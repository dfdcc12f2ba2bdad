/* SPDX-License-Identifier: MIT
 * vkbench's commands on result files: compare, merge, plot, table. They need no device. */
#ifndef DMATTN_BENCH_COMMANDS_H
#define DMATTN_BENCH_COMMANDS_H

#include "results/results.h"

/* Exit statuses. SLOWER: compare found a slower or broken case; UNCLEAR: with --strict, all verdicts are unclear. */
enum { COMMAND_FINE = 0, COMMAND_SLOWER = 1, COMMAND_FAILED = 1, COMMAND_BAD = 2, COMMAND_UNCLEAR = 3 };

/* Options that a command takes: -o; --csv and --markdown; --threshold and --strict. */
enum { TAKES_OUTPUT = 1, TAKES_TABLES = 2, TAKES_THRESHOLD = 4 };

/* The parsed arguments of a command. */
typedef struct command_line {
    const char **files; /* the array is owned, its strings belong to argv */
    size_t file_count;
    const char *output, *csv, *markdown; /* NULL: not given */
    double threshold;                    /* of compare, a fraction of the time */
    bool strict;                         /* of compare */
} command_line;

typedef struct command {
    const char *name, *usage;
    unsigned options; /* TAKES_… */
    size_t least_files;
    int (*run)(const command_line *line);
} command;

extern const command compare_command, merge_command, plot_command, table_command;

/* NULL if there is no command of this name. */
const command *command_find(const char *name);

/* Parses the arguments after argv[1], the command's name, and runs it. Returns the exit status. */
int command_run(const command *c, int argc, char **argv);

/* Reads the result files from `first` on. Returns COMMAND_FINE, or another status after a complaint. */
int command_read(const command_line *line, size_t first, results *all);

#endif
