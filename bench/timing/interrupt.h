/* SPDX-License-Identifier: MIT
 * Ctrl-C (SIGINT) and SIGTERM. The first signal asks the program to stop, so that finished results are kept. A later
 * one ends the program at once. */
#ifndef DMATTN_BENCH_INTERRUPT_H
#define DMATTN_BENCH_INTERRUPT_H

#include <stdbool.h>

/* The exit status of an interrupted program: 128 + SIGINT, as in shells. */
#define INTERRUPTED_STATUS 130

/* A second signal within this time counts as a duplicate of the first. */
#define PATIENCE_SECONDS 2

/* Installs the signal handlers. A signal that is ignored (as for some shells' background jobs) stays ignored. */
void interrupt_watch(void);

/* Whether a signal asked the program to stop. */
bool interrupted(void);

/* Ignores SIGPIPE: when the reader of the output is gone, as in `vkbench | head`, writes fail and the program goes on.
 */
void interrupt_ignore_readers(void);

#endif
