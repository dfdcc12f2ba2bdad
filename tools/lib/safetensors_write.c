/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE   200809L
#define _FILE_OFFSET_BITS 64
#include "safetensors.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static safetensors_status failed(char *error, const char *why)
{
    snprintf(error, SAFETENSORS_ERROR_SIZE, "cannot be written: %s", why);
    return SAFETENSORS_FAILED;
}

static bool append(cJSON *array, uint64_t value)
{
    cJSON *number = cJSON_CreateNumber((double)value);
    if (cJSON_AddItemToArray(array, number))
        return true;
    cJSON_Delete(number);
    return false;
}

static bool describe_tensor(cJSON *root, const safetensors_tensor *t, uint64_t *offset)
{
    uint64_t bytes;
    cJSON *entry = cJSON_AddObjectToObject(root, t->name);
    bool ok = safetensors_bytes(t, &bytes) && cJSON_AddStringToObject(entry, "dtype", safetensors_type_name(t->type));
    cJSON *shape = cJSON_AddArrayToObject(entry, "shape");
    for (uint32_t i = 0; i < t->rank; i++)
        ok = ok && append(shape, t->shape[i]);
    cJSON *offsets = cJSON_AddArrayToObject(entry, "data_offsets");
    ok = ok && append(offsets, *offset) && append(offsets, *offset + bytes);
    *offset += ok ? bytes : 0;
    return ok;
}

/* The header's JSON, to be freed by cJSON_free(); NULL without memory. */
static char *describe(const safetensors_file *file)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *metadata = file->metadata_count ? cJSON_AddObjectToObject(root, "__metadata__") : NULL;
    bool ok = true;
    for (size_t i = 0; i < file->metadata_count; i++)
        ok = ok && cJSON_AddStringToObject(metadata, file->metadata[i].name, file->metadata[i].value);
    uint64_t offset = 0;
    for (size_t i = 0; i < file->tensor_count; i++)
        ok = ok && describe_tensor(root, &file->tensors[i], &offset);
    char *text = ok ? cJSON_PrintUnformatted(root) : NULL;
    cJSON_Delete(root);
    return text;
}

static bool write_all(FILE *stream, const safetensors_file *file, const char *header)
{
    size_t length = strlen(header), padding = -length % 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)((uint64_t)(length + padding) >> 8 * i);
    bool ok = fwrite(prefix, 1, 8, stream) == 8 && fwrite(header, 1, length, stream) == length
              && fwrite("        ", 1, padding, stream) == padding;
    for (size_t i = 0; ok && i < file->tensor_count; i++) {
        uint64_t bytes;
        ok = safetensors_bytes(&file->tensors[i], &bytes) && fwrite(file->tensors[i].data, 1, bytes, stream) == bytes;
    }
    return ok && !fflush(stream);
}

/* Opens a new file beside `path`, whose name it writes to `name`. */
static FILE *open_beside(const char *path, char *name, size_t size)
{
    int descriptor = -1;
    errno = EEXIST;
    for (int i = 0; i < 100 && descriptor < 0 && errno == EEXIST; i++) {
        snprintf(name, size, "%s.%ld-%d.tmp", path, (long)getpid(), i);
        descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL, 0666);
    }
    FILE *stream = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
    if (!stream && descriptor >= 0) {
        close(descriptor);
        unlink(name);
    }
    return stream;
}

safetensors_status safetensors_write(const char *path, const safetensors_file *file, char *error)
{
    struct stat old;
    if (!stat(path, &old) && !S_ISREG(old.st_mode))
        return failed(error, "it is there and not a regular file");
    size_t size = strlen(path) + 64;
    char *name = malloc(size), *header = describe(file);
    safetensors_status status = SAFETENSORS_OK;
    if (!name || !header)
        status = failed(error, "out of memory");
    FILE *stream = status ? NULL : open_beside(path, name, size);
    if (!stream && !status)
        status = failed(error, strerror(errno));
    if (stream) {
        bool ok = write_all(stream, file, header);
        int why = errno;
        if (fclose(stream) && ok) {
            ok = false;
            why = errno;
        }
        if (ok && rename(name, path)) {
            ok = false;
            why = errno;
        }
        if (!ok) {
            unlink(name);
            status = failed(error, strerror(why));
        }
    }
    cJSON_free(header);
    free(name);
    return status;
}
