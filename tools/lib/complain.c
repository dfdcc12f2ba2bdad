/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "complain.h"

#include <stdarg.h>
#include <stdio.h>

static const char *program = "dmattn";

#if defined(_WIN32)
static void keep_standard_descriptors(void)
{
}
#else
#include <errno.h>
#include <fcntl.h>

/* Opens descriptors 0, 1 and 2 if they are closed. Otherwise the next file gets such a number, for example an output
 * file or a file of a driver, and messages are written into it. Reading from, or writing to, these descriptors fails as
 * before. */
static void keep_standard_descriptors(void)
{
    for (int i = 0; i < 3; i++)
        if (fcntl(i, F_GETFD) < 0 && errno == EBADF)
            open("/dev/null", i ? O_RDONLY : O_WRONLY); /* gets the lowest free number, which is i */
}
#endif

void complain_as(const char *name)
{
    keep_standard_descriptors();
    program = name;
}

int complain(int status, const char *format, ...)
{
    char text[4096];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    dmattn_make_one_line(text);
    fprintf(stderr, "%s: %s\n", program, text);
    return status;
}

void error_log_keep(void *log, dmattn_severity severity, const char *text)
{
    error_log *l = log;
    if (severity == DMATTN_SEVERITY_ERROR && !l->ignores)
        snprintf(l->text, sizeof l->text, "%s", text);
}

const char *error_log_sentence(const error_log *log, dmattn_status status)
{
    return *log->text ? log->text : dmattn_status_string(status);
}
