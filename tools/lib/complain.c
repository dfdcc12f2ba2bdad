/* SPDX-License-Identifier: MIT */
#include "complain.h"

#include <stdarg.h>
#include <stdio.h>

static const char *program = "dmattn";

void complain_as(const char *name)
{
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
    if (severity == DMATTN_SEVERITY_ERROR)
        snprintf(((error_log *)log)->text, sizeof((error_log *)log)->text, "%s", text);
}

const char *error_log_sentence(const error_log *log, dmattn_status status)
{
    return *log->text ? log->text : dmattn_status_string(status);
}
