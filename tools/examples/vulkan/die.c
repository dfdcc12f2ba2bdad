/* SPDX-License-Identifier: MIT */
#include "die.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void say(const char *format, va_list list)
{
    fprintf(stderr, "dmattn-generate: ");
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
}

void die(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say(format, list);
    va_end(list);
    exit(1);
}

void refuse(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say(format, list);
    va_end(list);
    exit(2);
}
