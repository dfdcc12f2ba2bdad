/* SPDX-License-Identifier: MIT
 * Ctrl-C: the first one asks to stop, so that what is finished is kept; a second one ends the program at once. */
#ifndef DMATTN_BENCH_INTERRUPT_H
#define DMATTN_BENCH_INTERRUPT_H

#include <stdbool.h>

/* The exit status of a program that was asked to stop, as shells have it. */
#define INTERRUPTED_STATUS 130

/* From now on. Where SIGINT is ignored, as in the background of some shells, it stays so. */
void interrupt_watch(void);

bool interrupted(void);

/* Goes on when nobody reads what is printed any more, as in `vkbench | head`: writing fails then, and that is all. */
void interrupt_ignore_readers(void);

#endif
