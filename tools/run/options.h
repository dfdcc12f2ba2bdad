/* SPDX-License-Identifier: MIT
 * The command line of dmattn-run. */
#ifndef DMATTN_RUN_OPTIONS_H
#define DMATTN_RUN_OPTIONS_H

#include <dmattn/dmattn.h>

#include <stdbool.h>

/* Exit statuses. RUN_GO_ON is none: there is no reason to exit. */
enum { RUN_DONE = 0, RUN_WRONG = 1, RUN_FAILED = 1, RUN_BAD_INPUT = 2, RUN_GO_ON = -1 };

typedef struct run_options {
    const char *in, *out; /* out: NULL if only a check is wanted */
    const char *device;   /* NULL selects the best */
    dmattn_level level;
    bool cpu, check;
} run_options;

/* Parses the command line, and prints the help text or the version. Returns RUN_GO_ON, or an exit status. */
int run_options_parse(int argc, char **argv, run_options *o);

/* Flushes stdout. Returns RUN_DONE, or complains and returns RUN_FAILED. */
int run_end_output(void);

#endif
