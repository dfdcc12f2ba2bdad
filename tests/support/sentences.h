/* SPDX-License-Identifier: MIT
 * Keeps the messages of functions that take a messenger. */
#ifndef DMATTN_TESTS_SENTENCES_H
#define DMATTN_TESTS_SENTENCES_H

#include "message.h"

#include <stdio.h>

typedef struct sentences {
    unsigned count;
    dmattn_severity severity;
    char text[512]; /* the last one */
} sentences;

static inline void sentences_keep(void *user, dmattn_severity severity, const char *text)
{
    sentences *s = user;
    s->count++;
    s->severity = severity;
    snprintf(s->text, sizeof s->text, "%s", text);
}

#endif
