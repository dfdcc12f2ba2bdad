/* SPDX-License-Identifier: MIT
 * Error messages of the programs: one line each. */
#ifndef DMATTN_TOOLS_COMPLAIN_H
#define DMATTN_TOOLS_COMPLAIN_H

#include "message.h"

/* Sets the name of the program, with which its messages begin. main() calls it first; `name` must stay valid. If stdout
 * or stderr is closed, no file that is opened later takes its place. */
void complain_as(const char *name);

/* Prints one line on stderr and returns `status`. Control characters are replaced, so the line is one line. */
int complain(int status, const char *format, ...) DMATTN_PRINTF(2, 3);

/* The message of the last error. */
typedef struct error_log {
    char text[512];
    bool ignores; /* messages are not kept */
} error_log;

/* A dmattn_message_fn; its `user` is an error_log. */
void error_log_keep(void *log, dmattn_severity severity, const char *text);

/* The last message, or the name of `status` if there was none. */
const char *error_log_sentence(const error_log *log, dmattn_status status);

#endif
