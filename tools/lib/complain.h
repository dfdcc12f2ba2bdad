/* SPDX-License-Identifier: MIT
 * What the programs say when something goes wrong: one line. */
#ifndef DMATTN_TOOLS_COMPLAIN_H
#define DMATTN_TOOLS_COMPLAIN_H

#include "message.h"

/* The program's name, with which its lines begin; the first thing that main() does. `name` must stay. */
void complain_as(const char *name);

/* Prints one line on stderr, whatever names in it hold, and returns `status`. */
int complain(int status, const char *format, ...) DMATTN_PRINTF(2, 3);

/* The last error's sentence. */
typedef struct error_log {
    char text[512];
} error_log;

/* A dmattn_message_fn whose `user` is an error_log. */
void error_log_keep(void *log, dmattn_severity severity, const char *text);

/* The sentence, or the status's name if there was none. */
const char *error_log_sentence(const error_log *log, dmattn_status status);

#endif
