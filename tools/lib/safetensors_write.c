/* SPDX-License-Identifier: MIT */
#include "new_file.h"
#include "safetensors.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

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
    ok = ok && shape; /* rank 0 has a shape, too */
    ok = ok && append(offsets, *offset) && append(offsets, *offset + bytes);
    *offset += ok ? bytes : 0;
    return ok;
}

/* The JSON of the header. The caller frees it with cJSON_free(). NULL: out of memory. */
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

safetensors_status safetensors_write(const char *path, const safetensors_file *file, char *error)
{
    char *header = describe(file);
    const char *why = "out of memory";
    new_file new = {0};
    bool ok = header && new_file_open(&new, path, true, &why);
    if (ok)
        ok = new_file_close(&new, write_all(new.stream, file, header), &why);
    cJSON_free(header);
    return ok ? SAFETENSORS_OK : failed(error, why);
}
