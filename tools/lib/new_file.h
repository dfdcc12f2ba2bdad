/* SPDX-License-Identifier: MIT
 * A file that takes another's place whole or not at all: it is written beside it, and then renamed. */
#ifndef DMATTN_TOOLS_NEW_FILE_H
#define DMATTN_TOOLS_NEW_FILE_H

#include <stdbool.h>
#include <stdio.h>

typedef struct new_file {
    FILE *stream; /* to write to */
    char *name;   /* its own as long as it stands beside */
} new_file;

/* Opens it. On failure there is nothing to close, and *why says why. */
bool new_file_open(new_file *file, const char *path, const char **why);

/* Closes it and puts it in the place of `path`, if it `is_whole`; otherwise, or if that fails, removes it and returns
 * false. *why then says why; if it was not whole, by errno. */
bool new_file_close(new_file *file, const char *path, bool is_whole, const char **why);

/* Makes a folder, if it is not there. If that fails, *why says why. */
bool new_folder(const char *path, const char **why);

#endif
