/* SPDX-License-Identifier: MIT */
#include "metadata.h"

#include "complain.h"
#include "options.h"

#include <stdlib.h>
#include <string.h>

int metadata_number(const safetensors_file *file, const char *path, const char *name, uint32_t *number)
{
    const char *text = safetensors_metadata(file, name);
    if (!text)
        return RUN_DONE;
    char *end;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value > INT32_MAX)
        return complain(RUN_BAD_INPUT, "%s: %s is '%s', but must be a number from 0 to 2^31 - 1", path, name, text);
    *number = (uint32_t)value;
    return RUN_DONE;
}

int metadata_flag(const safetensors_file *file, const char *path, const char *name, bool *flag)
{
    uint32_t number = *flag;
    const int status = metadata_number(file, path, name, &number);
    if (!status && number > 1)
        return complain(RUN_BAD_INPUT, "%s: %s is %u, but must be 0 or 1", path, name, number);
    *flag = number;
    return status;
}

static bool is_one_of(const char *name, const char *const *list)
{
    while (*list && strcmp(*list, name) != 0)
        list++;
    return *list;
}

void warn_of_others(const safetensors_file *file, const char *path, const char *const *tensors,
                    const char *const *metadata)
{
    for (size_t i = 0; i < file->tensor_count; i++)
        if (!is_one_of(file->tensors[i].name, tensors))
            complain(0, "warning: %s: the tensor '%s' is ignored", path, file->tensors[i].name);
    for (size_t i = 0; i < file->metadata_count; i++)
        if (!is_one_of(file->metadata[i].name, metadata))
            complain(0, "warning: %s: the metadata '%s' is ignored", path, file->metadata[i].name);
}
