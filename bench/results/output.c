/* SPDX-License-Identifier: MIT */
#include "output.h"

#include "complain.h"
#include "new_file.h"

#include <string.h>

static int output(const char *path, bool replace, void (*write)(FILE *stream, const void *user), const void *user)
{
    const char *why = "";
    new_file file;
    if (!strcmp(path, "-")) {
        write(stdout, user);
        if (!fflush(stdout) && !ferror(stdout))
            return 0;
        clearerr(stdout); /* reports the error once */
        return complain(1, "the output cannot be written");
    }
    if (!new_file_open(&file, path, replace, &why))
        return complain(1, "%s cannot be written: %s", path, why);
    write(file.stream, user);
    const bool is_whole = !fflush(file.stream) && !ferror(file.stream);
    return new_file_close(&file, is_whole, &why) ? 0 : complain(1, "%s cannot be written: %s", path, why);
}

void output_tell(const char *path, const char *what)
{
    if (strcmp(path, "-"))
        complain(0, "wrote %s: %s", path, what);
}

int output_write(const char *path, void (*write)(FILE *stream, const void *user), const void *user)
{
    return output(path, true, write, user);
}

int output_write_new(const char *path, void (*write)(FILE *stream, const void *user), const void *user)
{
    return output(path, false, write, user);
}
