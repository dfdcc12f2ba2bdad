/* SPDX-License-Identifier: MIT */
#include "json_writer.h"

void add_string(writer *w, const char *name, const char *text)
{
    w->ok = w->ok && cJSON_AddStringToObject(w->object, name, text);
}

void add_number(writer *w, const char *name, double value)
{
    w->ok = w->ok && cJSON_AddNumberToObject(w->object, name, value);
}

void add_bool(writer *w, const char *name, bool value)
{
    w->ok = w->ok && cJSON_AddBoolToObject(w->object, name, value);
}

bool json_append(cJSON *array, cJSON *item)
{
    if (item && cJSON_AddItemToArray(array, item))
        return true;
    cJSON_Delete(item);
    return false;
}
