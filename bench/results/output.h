/* SPDX-License-Identifier: MIT
 * A text that goes to a file, whole or not at all, or to stdout. */
#ifndef DMATTN_BENCH_OUTPUT_H
#define DMATTN_BENCH_OUTPUT_H

#include <stdio.h>

/* Calls write() with the stream of `path`, "-" being stdout, and `user`. Returns 0, or complains and returns 1. */
int output_write(const char *path, void (*write)(FILE *stream, const void *user), const void *user);

/* The same, but a file that is already there is an error. */
int output_write_new(const char *path, void (*write)(FILE *stream, const void *user), const void *user);

#endif
