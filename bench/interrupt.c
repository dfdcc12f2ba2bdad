/* SPDX-License-Identifier: MIT */
#include "interrupt.h"

#include <signal.h>

static volatile sig_atomic_t asked;

static void stop(int number)
{
    asked = 1;
    signal(number, SIG_DFL);
}

void interrupt_watch(void)
{
    if (signal(SIGINT, stop) == SIG_IGN)
        signal(SIGINT, SIG_IGN);
}

void interrupt_ignore_readers(void)
{
#ifdef SIGPIPE
    signal(SIGPIPE, SIG_IGN);
#endif
}

bool interrupted(void)
{
    return asked;
}
