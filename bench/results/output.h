/* SPDX-License-Identifier: MIT
 * Writes a text to stdout or to a file, which is replaced only if everything was written. */
#ifndef DMATTN_BENCH_OUTPUT_H
#define DMATTN_BENCH_OUTPUT_H

#include <stdio.h>

/* Calls write() with the stream of `path` ("-": stdout) and `user`. Returns 0, or complains and returns 1. */
int output_write(const char *path, void (*write)(FILE *stream, const void *user), const void *user);

/* Says on stderr that a file was written, unless `path` is "-". `what`: what it contains. */
void output_tell(const char *path, const char *what);

/* The same as output_write(), but it is an error if the file exists. */
int output_write_new(const char *path, void (*write)(FILE *stream, const void *user), const void *user);

#endif
