/* SPDX-License-Identifier: MIT
 * A file that takes its place whole or not at all: it is written beside it under another name, flushed to the disk, and
 * then renamed. SIGINT, SIGTERM and SIGHUP remove what is not finished. */
#ifndef DMATTN_TOOLS_NEW_FILE_H
#define DMATTN_TOOLS_NEW_FILE_H

#include <stdbool.h>
#include <stdio.h>

typedef struct new_file {
    FILE *stream;          /* to write to */
    char *name;            /* of the unfinished file */
    char *target;          /* its place: `path`, or where `path` points as a symbolic link */
    bool replace;          /* whether it may take the place of another file */
    struct new_file *next; /* of those that are open */
} new_file;

/* Opens it; *file must stay where it is until it is closed. With `replace`, an older file in its place is replaced,
 * whose mode is kept; without, an older file is an error. On failure there is nothing to close, and *why says why. */
bool new_file_open(new_file *file, const char *path, bool replace, const char **why);

/* Closes it and puts it in its place, if it `is_whole`; otherwise, or if that fails, removes it and returns false. *why
 * then says why; if it was not whole, by errno. Without `replace`, of several processes with one path one succeeds. */
bool new_file_close(new_file *file, bool is_whole, const char **why);

/* Removes the files that are open. For handlers of signals that end the program. */
void new_file_remove_unfinished(void);

/* Makes a folder, if it is not there. If that fails, *why says why. */
bool new_folder(const char *path, const char **why);

#endif
