/* SPDX-License-Identifier: MIT */
#include "interrupt.h"

#include "new_file.h"

#include <signal.h>
#include <time.h>

static volatile sig_atomic_t asked;
static time_t asked_at;

/* `timeout` sends its signal twice: to the program and to its process group. */
static void stop(int number)
{
    const time_t now = time(NULL);
    if (asked && now - asked_at >= PATIENCE_SECONDS) {
        new_file_remove_unfinished(); /* NOLINT(bugprone-signal-handler): it calls unlink() only */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    signal(number, stop);
    asked_at = asked ? asked_at : now;
    asked = 1;
}

void interrupt_watch(void)
{
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signal(signals[i], stop) == SIG_IGN)
            signal(signals[i], SIG_IGN);
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
