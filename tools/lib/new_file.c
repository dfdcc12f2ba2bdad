/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE   200809L
#define _FILE_OFFSET_BITS 64
#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The files that signal handlers remove. */
static new_file *volatile unfinished;

void new_file_remove_unfinished(void)
{
    for (new_file *file = unfinished; file; file = file->next)
        unlink(file->name);
}

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <direct.h>
#include <io.h>
#include <windows.h>

/* On Windows rename() does not replace files. */
static int put_in_place(const new_file *file)
{
    if (MoveFileExA(file->name, file->target, MOVEFILE_WRITE_THROUGH | (file->replace ? MOVEFILE_REPLACE_EXISTING : 0)))
        return 0;
    errno = GetLastError() == ERROR_ALREADY_EXISTS ? EEXIST : EACCES;
    return -1;
}

static int make_folder(const char *path)
{
    return mkdir(path);
}

static int flush_to_disk(FILE *stream)
{
    return _commit(_fileno(stream));
}

static char *follow_links(const char *path)
{
    return strdup(path);
}

/* On this system, an open file cannot be removed, so signals end the program as usual. */
static int create(new_file *file, const struct stat *old)
{
    (void)old;
    file->next = unfinished;
    return open(file->name, O_WRONLY | O_CREAT | O_EXCL | O_BINARY, 0666);
}
#else
/* The length of the folder's name in a path, including the slash. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* The target of a path if it is a symbolic link, otherwise the path itself. The caller frees it. NULL: errno has the
 * reason. */
static char *follow_links(const char *path)
{
    char *at = strdup(path), link[4096];
    for (int i = 0; at && i < 40; i++) {
        const ssize_t length = readlink(at, link, sizeof link);
        if (length < 0)
            return at; /* not a link; or nothing exists there, and opening it will fail */
        const size_t folder = *link == '/' ? 0 : folder_length(at);
        char *next = (size_t)length < sizeof link ? malloc(folder + (size_t)length + 1) : NULL;
        if (next) {
            memcpy(next, at, folder);
            memcpy(next + folder, link, (size_t)length);
            next[folder + (size_t)length] = 0;
        }
        free(at);
        at = next;
    }
    if (at)
        errno = ELOOP;
    free(at);
    return NULL;
}

/* A new name is stored in the folder's own data. Not every file system can flush a folder. */
static void flush_folder(const char *path)
{
    const size_t length = folder_length(path);
    char *folder = malloc(length + 2);
    if (!folder)
        return;
    memcpy(folder, length ? path : ".", length ? length : 1);
    folder[length ? length : 1] = 0;
    const int descriptor = open(folder, O_RDONLY | O_DIRECTORY);
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
    free(folder);
}

/* For a file system without links: the process that creates the name may replace it. */
static int reserve_and_rename(const new_file *file)
{
    const int descriptor = open(file->target, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (descriptor < 0 || close(descriptor))
        return -1;
    if (!rename(file->name, file->target))
        return 0;
    const int error = errno;
    unlink(file->target);
    errno = error;
    return -1;
}

static int put_in_place(const new_file *file)
{
    int failed = file->replace ? rename(file->name, file->target) : link(file->name, file->target);
    if (!file->replace && !failed)
        unlink(file->name);
    else if (!file->replace && errno != EEXIST)
        failed = reserve_and_rename(file);
    if (!failed)
        flush_folder(file->target);
    return failed;
}

static int make_folder(const char *path)
{
    return mkdir(path, 0777);
}

static int flush_to_disk(FILE *stream)
{
    return fsync(fileno(stream));
}

/* Then does what the signal does by default. */
static void remove_and_end(int number)
{
    new_file_remove_unfinished();
    signal(number, SIG_DFL);
    raise(number);
}

/* Signals that end a program from outside or because of a limit. */
static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};

/* A program's own handlers stay, and call new_file_remove_unfinished() if they end it. */
static void handle_signals(void)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction action;
        if (sigaction(signals[i], NULL, &action) || action.sa_handler != SIG_DFL)
            continue;
        action = (struct sigaction){.sa_handler = remove_and_end};
        sigaction(signals[i], &action, NULL);
    }
}

/* Creates the file and makes it one of the unfinished ones, between signals. Returns its descriptor; -1: errno says
 * why. */
static int create(new_file *file, const struct stat *old)
{
    sigset_t set, before;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(&set, signals[i]);
    handle_signals();
    sigprocmask(SIG_BLOCK, &set, &before);
    const int descriptor = open(file->name, O_WRONLY | O_CREAT | O_EXCL, old ? 0600 : 0666);
    const int error = errno;
    if (descriptor >= 0) {
        file->next = unfinished;
        unfinished = file;
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (old && descriptor >= 0
        && !fchown(descriptor, old->st_uid, old->st_gid)) /* root may write files of other users */
        fchmod(descriptor, old->st_mode & 07777);
    else if (old && descriptor >= 0)
        fchmod(descriptor, old->st_mode & 0777);
    errno = error;
    return descriptor;
}
#endif

/* Creates it with a unique name. Returns errno. */
static int open_stream(new_file *file, const struct stat *old)
{
    const size_t size = strlen(file->target) + 64;
    int descriptor = -1;
    file->name = malloc(size);
    if (!file->name)
        return ENOMEM;
    errno = EEXIST;
    for (int i = 0; i < 100 && descriptor < 0 && errno == EEXIST; i++) {
        snprintf(file->name, size, "%s.%ld-%d.tmp", file->target, (long)getpid(), i);
        descriptor = create(file, old);
    }
    if (descriptor < 0)
        return errno;
    file->stream = fdopen(descriptor, "wb");
    if (file->stream)
        return 0;
    const int error = errno;
    close(descriptor);
    unlink(file->name);
    unfinished = file->next;
    return error;
}

bool new_file_open(new_file *file, const char *path, bool replace, const char **why)
{
    struct stat old;
    *file = (new_file){.target = follow_links(path), .replace = replace};
    int error = !file->target ? errno : *path ? 0 : ENOENT;
    const bool is_there = !error && !stat(file->target, &old);
    if (is_there && !replace)
        error = EEXIST;
    *why = NULL;
    if (is_there && replace && !S_ISREG(old.st_mode))
        *why = "it exists and is not a regular file"; /* renaming would replace it */
    else if (!error)
        error = open_stream(file, is_there ? &old : NULL);
    if (!*why && !error)
        return true;
    *why = *why ? *why : error == ENOMEM ? "out of memory" : strerror(error);
    free(file->target);
    free(file->name);
    return false;
}

bool new_file_close(new_file *file, bool is_whole, const char **why)
{
    int error = errno;
    if (is_whole && (fflush(file->stream) || flush_to_disk(file->stream))) {
        is_whole = false;
        error = errno;
    }
    if (fclose(file->stream) && is_whole) {
        is_whole = false;
        error = errno;
    }
    if (is_whole && put_in_place(file)) {
        is_whole = false;
        error = errno;
    }
    if (!is_whole) {
        *why = strerror(error);
        unlink(file->name);
    }
    for (new_file *volatile *at = &unfinished; *at; at = &(*at)->next)
        if (*at == file) {
            *at = file->next;
            break;
        }
    free(file->name);
    free(file->target);
    return is_whole;
}

bool new_file_is_same(const char *a, const char *b)
{
    struct stat x, y;
    if (stat(a, &x) || stat(b, &y))
        return false;
    /* Windows numbers no files. */
    return x.st_ino ? x.st_dev == y.st_dev && x.st_ino == y.st_ino : !strcmp(a, b);
}

bool new_folder(const char *path, const char **why)
{
    struct stat there;
    if (!make_folder(path) || (errno == EEXIST && !stat(path, &there) && S_ISDIR(there.st_mode)))
        return true;
    *why = strerror(errno);
    return false;
}
