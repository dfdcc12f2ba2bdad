/* SPDX-License-Identifier: MIT */
#include "json_writer.h"

#include "complain.h"
#include "output.h"

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

static void write_text(FILE *stream, const void *text)
{
    fprintf(stream, "%s\n", (const char *)text);
}

int json_write_tree(const char *path, const cJSON *tree, bool replace)
{
    char *text = tree ? cJSON_Print(tree) : NULL;
    const int status = !text     ? complain(1, "no memory for the text of %s", path)
                       : replace ? output_write(path, write_text, text)
                                 : output_write_new(path, write_text, text);
    cJSON_free(text);
    return status;
}
