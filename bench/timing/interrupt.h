/* SPDX-License-Identifier: MIT
 * Ctrl-C, or SIGTERM: the first one asks to stop, so that what is finished is kept; another one some time after it ends
 * the program at once. */
#ifndef DMATTN_BENCH_INTERRUPT_H
#define DMATTN_BENCH_INTERRUPT_H

#include <stdbool.h>

/* The exit status of a program that was asked to stop, as shells have it. */
#define INTERRUPTED_STATUS 130

/* After which another signal is not taken for an echo of the first. */
#define PATIENCE_SECONDS 2

/* From now on. Where a signal is ignored, as in the background of some shells, it stays so. */
void interrupt_watch(void);

bool interrupted(void);

/* Goes on when nobody reads what is printed any more, as in `vkbench | head`: writing fails then, and that is all. */
void interrupt_ignore_readers(void);

#endif
