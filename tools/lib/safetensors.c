/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE   200809L
#define _FILE_OFFSET_BITS 64
#include "safetensors.h"

#include "json_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cJSON stores numbers as doubles. From this number on, two integers may be the same double. */
#define TOO_LARGE 9007199254740992.0 /* 2^53 */

static const struct {
    const char *name;
    uint32_t size;
} types[SAFETENSORS_TYPE_COUNT] = {
    [SAFETENSORS_F64] = {"F64", 8},   [SAFETENSORS_F32] = {"F32", 4},         [SAFETENSORS_F16] = {"F16", 2},
    [SAFETENSORS_BF16] = {"BF16", 2}, [SAFETENSORS_F8_E5M2] = {"F8_E5M2", 1}, [SAFETENSORS_F8_E4M3] = {"F8_E4M3", 1},
    [SAFETENSORS_I64] = {"I64", 8},   [SAFETENSORS_I32] = {"I32", 4},         [SAFETENSORS_I16] = {"I16", 2},
    [SAFETENSORS_I8] = {"I8", 1},     [SAFETENSORS_U64] = {"U64", 8},         [SAFETENSORS_U32] = {"U32", 4},
    [SAFETENSORS_U16] = {"U16", 2},   [SAFETENSORS_U8] = {"U8", 1},           [SAFETENSORS_BOOL] = {"BOOL", 1},
};

const char *safetensors_type_name(safetensors_type type)
{
    return types[type].name;
}

const safetensors_tensor *safetensors_find(const safetensors_file *file, const char *name)
{
    for (size_t i = 0; i < file->tensor_count; i++)
        if (!strcmp(file->tensors[i].name, name))
            return &file->tensors[i];
    return NULL;
}

const char *safetensors_metadata(const safetensors_file *file, const char *name)
{
    for (size_t i = 0; i < file->metadata_count; i++)
        if (!strcmp(file->metadata[i].name, name))
            return file->metadata[i].value;
    return NULL;
}

void safetensors_free(safetensors_file *file)
{
    for (size_t i = 0; i < file->tensor_count; i++)
        free(file->tensors[i].data);
    free(file->tensors);
    free(file->metadata);
    cJSON_Delete(file->header);
    *file = (safetensors_file){0};
}

/* Failures: a message and a status. */
#define BAD(...)      (snprintf(error, SAFETENSORS_ERROR_SIZE, __VA_ARGS__), SAFETENSORS_BAD_FILE)
#define OUT_OF_MEMORY (snprintf(error, SAFETENSORS_ERROR_SIZE, "does not fit in memory"), SAFETENSORS_FAILED)
#define TRY(call)                            \
    do {                                     \
        safetensors_status status_ = (call); \
        if (status_)                         \
            return status_;                  \
    } while (0)

bool safetensors_bytes(const safetensors_tensor *t, uint64_t *bytes)
{
    *bytes = types[t->type].size;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->shape[i] && *bytes > UINT64_MAX / t->shape[i])
            return false;
        *bytes *= t->shape[i];
    }
    return true;
}

static bool whole_number(const cJSON *json, uint64_t *value)
{
    if (!cJSON_IsNumber(json) || !(json->valuedouble >= 0 && json->valuedouble < TOO_LARGE))
        return false;
    *value = (uint64_t)json->valuedouble;
    return (double)*value == json->valuedouble;
}

static safetensors_status parse_metadata(const cJSON *json, safetensors_file *file, char *error)
{
    if (!cJSON_IsObject(json))
        return BAD("__metadata__ is not an object");
    file->metadata = calloc((size_t)cJSON_GetArraySize(json) + 1, sizeof *file->metadata);
    if (!file->metadata)
        return OUT_OF_MEMORY;
    const cJSON *pair;
    cJSON_ArrayForEach(pair, json)
    {
        if (!cJSON_IsString(pair))
            return BAD("'%.64s' in __metadata__ is not a string", pair->string);
        file->metadata[file->metadata_count++] = (safetensors_pair){pair->string, pair->valuestring};
    }
    return SAFETENSORS_OK;
}

static safetensors_status parse_tensor(const cJSON *json, safetensors_tensor *t, uint64_t data_size, char *error)
{
    const char *name = t->name = json->string;
    if (!cJSON_IsObject(json))
        return BAD("tensor '%.64s' is not an object", name);
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(json, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(json, "shape");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(json, "data_offsets");
    if (!cJSON_IsString(dtype))
        return BAD("tensor '%.64s' has no dtype, or it is not a string", name);
    if (!cJSON_IsArray(shape))
        return BAD("tensor '%.64s' has no shape, or it is not an array", name);
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2)
        return BAD("tensor '%.64s' has no data_offsets of two numbers", name);
    if (cJSON_GetArraySize(json) != 3)
        return BAD("tensor '%.64s' has members besides dtype, shape and data_offsets", name);

    while (t->type < SAFETENSORS_TYPE_COUNT && strcmp(types[t->type].name, dtype->valuestring))
        t->type++;
    if (t->type == SAFETENSORS_TYPE_COUNT)
        return BAD("tensor '%.64s' has the unknown dtype '%.32s'", name, dtype->valuestring);

    const cJSON *number;
    cJSON_ArrayForEach(number, shape)
    {
        if (t->rank == SAFETENSORS_MAX_RANK)
            return BAD("tensor '%.64s' has more than %d dimensions", name, SAFETENSORS_MAX_RANK);
        if (!whole_number(number, &t->shape[t->rank++]))
            return BAD("the shape of tensor '%.64s' must consist of integers from 0 to 2^53 - 1", name);
    }
    uint64_t end, bytes;
    if (!whole_number(offsets->child, &t->offset) || !whole_number(offsets->child->next, &end))
        return BAD("the data_offsets of tensor '%.64s' must be integers from 0 to 2^53 - 1", name);
    if (t->offset > end)
        return BAD("tensor '%.64s' ends before it begins", name);
    if (end > data_size)
        return BAD("tensor '%.64s' ends beyond the end of the file", name);
    t->bytes = end - t->offset;
    if (!safetensors_bytes(t, &bytes))
        return BAD("tensor '%.64s' has a shape of more than 2^64 bytes", name);
    if (bytes != t->bytes)
        return BAD("tensor '%.64s' has %llu bytes, but its dtype and shape require %llu", name,
                   (unsigned long long)t->bytes, (unsigned long long)bytes);
    return SAFETENSORS_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_offset(const void *a, const void *b)
{
    const safetensors_tensor *s = a, *t = b;
    if (s->offset != t->offset)
        return s->offset < t->offset ? -1 : 1;
    return s->bytes < t->bytes ? -1 : s->bytes > t->bytes;
}

/* Sorts structures that begin with a name. Returns a name that occurs twice, or NULL. */
static const char *sort_by_name(void *array, size_t count, size_t size)
{
    if (count < 2)
        return NULL;
    qsort(array, count, size, by_name);
    for (char *at = array; --count; at += size)
        if (!by_name(at, at + size))
            return *(const char **)at;
    return NULL;
}

static safetensors_status parse_header(const cJSON *root, safetensors_file *file, uint64_t data_size, char *error)
{
    file->tensors = calloc((size_t)cJSON_GetArraySize(root) + 1, sizeof *file->tensors);
    if (!file->tensors)
        return OUT_OF_MEMORY;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, root)
    {
        if (strcmp(entry->string, "__metadata__"))
            TRY(parse_tensor(entry, &file->tensors[file->tensor_count++], data_size, error));
        else if (file->metadata)
            return BAD("the name '__metadata__' occurs twice");
        else
            TRY(parse_metadata(entry, file, error));
    }
    const char *twice = sort_by_name(file->metadata, file->metadata_count, sizeof *file->metadata);
    if (twice)
        return BAD("the name '%.64s' occurs twice in __metadata__", twice);
    twice = sort_by_name(file->tensors, file->tensor_count, sizeof *file->tensors);
    if (twice)
        return BAD("the name '%.64s' occurs twice", twice);

    uint64_t at = 0;
    if (file->tensor_count)
        qsort(file->tensors, file->tensor_count, sizeof *file->tensors, by_offset);
    for (const safetensors_tensor *t = file->tensors; t < file->tensors + file->tensor_count; t++) {
        if (t->offset != at)
            return BAD(t->offset < at ? "tensor '%.64s' overlaps another"
                                      : "there are unused bytes before tensor '%.64s'",
                       t->name);
        at += t->bytes;
    }
    return at == data_size ? SAFETENSORS_OK : BAD("there are unused bytes after the last tensor");
}

static safetensors_status read_bytes(FILE *stream, void *data, uint64_t size, char *error)
{
    if (fread(data, 1, size, stream) == size)
        return SAFETENSORS_OK;
    return ferror(stream) ? BAD("cannot be read: %s", strerror(errno)) : BAD("is truncated");
}

static safetensors_status read_header(FILE *stream, safetensors_file *file, uint64_t *data_size, char *error)
{
    unsigned char prefix[8];
    TRY(read_bytes(stream, prefix, sizeof prefix, error));
    uint64_t length = 0;
    for (int i = 8; i--;)
        length = length << 8 | prefix[i];
    off_t end = fseeko(stream, 0, SEEK_END) ? -1 : ftello(stream);
    if (end >= 0 && end < 8)
        return BAD("is not a regular file"); /* such as /dev/zero, whose size is 0 although 8 bytes were read */
    if (end < 0 || fseeko(stream, 8, SEEK_SET))
        return BAD("cannot be read: %s", strerror(errno));
    if (length > SAFETENSORS_MAX_HEADER)
        return BAD("is not a .safetensors file: its header would have %llu bytes, but at most 100 MB are allowed",
                   (unsigned long long)length);
    if (length > (uint64_t)end - 8)
        return BAD("is truncated: its header ends beyond the end of the file");
    *data_size = (uint64_t)end - 8 - length;

    char *text = calloc(1, (size_t)length + 1);
    if (!text)
        return OUT_OF_MEMORY;
    safetensors_status status = read_bytes(stream, text, length, error);
    if (!status && *text != '{')
        status = BAD("is not a .safetensors file: its header does not begin with '{'");
    if (!status) {
        cJSON *header;
        const char *rest;
        const json_fault fault = json_parse(text, (size_t)length, " ", SAFETENSORS_MAX_VALUES, &header, &rest);
        file->header = header;
        switch (fault) {
        case JSON_FINE: break;
        case JSON_INVALID: status = BAD("has a header that is not valid JSON"); break;
        case JSON_NUL: status = BAD("has a header with a NUL character in it"); break;
        case JSON_TOO_MANY: status = BAD("has a header of more than %d JSON values", SAFETENSORS_MAX_VALUES); break;
        case JSON_NO_MEMORY: status = OUT_OF_MEMORY; break;
        }
    }
    free(text);
    return status;
}

static safetensors_status read_all(FILE *stream, safetensors_file *file, char *error)
{
    uint64_t data_size = 0;
    TRY(read_header(stream, file, &data_size, error));
    TRY(parse_header(file->header, file, data_size, error));
    for (safetensors_tensor *t = file->tensors; t < file->tensors + file->tensor_count; t++) {
        /* in the file a tensor may have any alignment; malloc() aligns for every type */
        t->data = t->bytes < SIZE_MAX ? malloc((size_t)t->bytes + 1) : NULL;
        if (!t->data)
            return OUT_OF_MEMORY;
        TRY(read_bytes(stream, t->data, t->bytes, error));
    }
    return SAFETENSORS_OK;
}

safetensors_status safetensors_read(const char *path, safetensors_file *file, char *error)
{
    *file = (safetensors_file){0};
    FILE *stream = fopen(path, "rb");
    if (!stream)
        return errno == ENOMEM ? OUT_OF_MEMORY : BAD("cannot be opened: %s", strerror(errno));
    safetensors_status status = read_all(stream, file, error);
    if (status)
        safetensors_free(file);
    fclose(stream);
    return status;
}
