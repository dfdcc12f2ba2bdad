/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE   200809L
#define _FILE_OFFSET_BITS 64
#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <direct.h>
#include <windows.h>

/* rename() replaces no file here. */
static int replace(const char *from, const char *to)
{
    if (MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING))
        return 0;
    errno = EACCES;
    return -1;
}

static int make_folder(const char *path)
{
    return mkdir(path);
}
#else
#define O_BINARY 0

static int replace(const char *from, const char *to)
{
    return rename(from, to);
}

static int make_folder(const char *path)
{
    return mkdir(path, 0777);
}
#endif

bool new_file_open(new_file *file, const char *path, const char **why)
{
    const size_t size = strlen(path) + 64;
    struct stat old;
    *file = (new_file){.name = malloc(size)};
    *why = "out of memory";
    if (!file->name)
        return false;
    *why = "it is there and not a regular file"; /* renaming would put one in its place */
    int descriptor = -1;
    if (stat(path, &old) || S_ISREG(old.st_mode)) {
        errno = EEXIST;
        for (int i = 0; i < 100 && descriptor < 0 && errno == EEXIST; i++) {
            snprintf(file->name, size, "%s.%ld-%d.tmp", path, (long)getpid(), i);
            descriptor = open(file->name, O_WRONLY | O_CREAT | O_EXCL | O_BINARY, 0666);
        }
        file->stream = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
        *why = file->stream ? "" : strerror(errno);
    }
    if (file->stream)
        return true;
    if (descriptor >= 0) {
        close(descriptor);
        unlink(file->name);
    }
    free(file->name);
    return false;
}

bool new_file_close(new_file *file, const char *path, bool is_whole, const char **why)
{
    int error = errno;
    if (fclose(file->stream) && is_whole) {
        is_whole = false;
        error = errno;
    }
    if (is_whole && replace(file->name, path)) {
        is_whole = false;
        error = errno;
    }
    if (!is_whole) {
        *why = strerror(error);
        unlink(file->name);
    }
    free(file->name);
    return is_whole;
}

bool new_folder(const char *path, const char **why)
{
    struct stat there;
    if (!make_folder(path) || (errno == EEXIST && !stat(path, &there) && S_ISDIR(there.st_mode)))
        return true;
    *why = strerror(errno);
    return false;
}
