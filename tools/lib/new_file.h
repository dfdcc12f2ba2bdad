/* SPDX-License-Identifier: MIT
 * Replaces a file completely or not at all: writes a temporary file in the same folder, flushes it to the disk, and
 * renames it. Signals that end the program, such as SIGINT, remove unfinished files. */
#ifndef DMATTN_TOOLS_NEW_FILE_H
#define DMATTN_TOOLS_NEW_FILE_H

#include <stdbool.h>
#include <stdio.h>

typedef struct new_file {
    FILE *stream;          /* write here */
    char *name;            /* of the unfinished file */
    char *target;          /* the file to replace: `path`, or the target of `path` if it is a symbolic link */
    bool replace;          /* whether an existing file may be replaced */
    struct new_file *next; /* in the list of open files */
} new_file;

/* Opens the temporary file. *file must not be moved until it is closed. With `replace`, an existing file is replaced
 * and its mode kept; without, it is an error. On failure nothing needs to be closed, and *why is the reason. */
bool new_file_open(new_file *file, const char *path, bool replace, const char **why);

/* Closes the file and, if `is_whole`, renames it. If it is not whole or cannot be renamed, removes it and returns
 * false; *why is then the reason, from errno if it is not whole. Without `replace`, only one of several processes with
 * the same path succeeds. */
bool new_file_close(new_file *file, bool is_whole, const char **why);

/* Removes all unfinished files. For handlers of signals that end the program. */
void new_file_remove_unfinished(void);

/* Whether both paths lead to the same existing file. */
bool new_file_is_same(const char *a, const char *b);

/* Makes a folder unless it exists. On failure *why is the reason. */
bool new_folder(const char *path, const char **why);

#endif
