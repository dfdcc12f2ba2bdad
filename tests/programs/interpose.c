/* SPDX-License-Identifier: MIT
 * For LD_PRELOAD: causes rare events in a program.
 *
 *     FAIL_AT=N    the N-th allocation, counted from 1, returns NULL
 *     SIGNAL=N     the program gets this signal when it renames or links a file, and the file is not renamed or linked
 *     MESSAGE=1    the program prints a line to stdout and to stderr when it flushes a file to the disk
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

static long fail_at = -1, allocations; /* -1: not read yet, 0: none fails */

static int fails(void)
{
    if (fail_at < 0) {
        const char *text = getenv("FAIL_AT");
        fail_at = text ? strtol(text, NULL, 10) : 0;
    }
    if (++allocations != fail_at)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return fails() ? NULL : __libc_realloc(memory, size);
}

static int get_signal(void)
{
    kill(getpid(), atoi(getenv("SIGNAL")));
    errno = EIO;
    return -1;
}

int rename(const char *from, const char *to)
{
    return getenv("SIGNAL") ? get_signal() : renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int link(const char *from, const char *to)
{
    return getenv("SIGNAL") ? get_signal() : linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int fsync(int descriptor)
{
    if (getenv("MESSAGE"))
        for (int i = 1; i < 3; i++)
            if (write(i, "message\n", 8) < 0)
                errno = 0; /* it is closed */
    return fdatasync(descriptor);
}
