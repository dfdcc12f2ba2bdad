/* SPDX-License-Identifier: MIT */
#include "json_text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* cJSON does not report whether the text was invalid or an allocation failed. */
static bool out_of_memory;

static void *CJSON_CDECL allocate(size_t size)
{
    void *memory = malloc(size);
    out_of_memory = out_of_memory || !memory;
    return memory;
}

static void CJSON_CDECL release(void *memory)
{
    free(memory);
}

/* Each value except the first follows a bracket, a brace or a comma. */
static json_fault check(const char *text, size_t length, size_t most_values)
{
    size_t values = 1;
    bool in_string = false;
    if (memchr(text, 0, length))
        return JSON_NUL;
    for (const char *c = text, *end = text + length; c < end; c++)
        if (*c == '"')
            in_string = !in_string;
        else if (in_string && *c == '\\') {
            if (end - c > 5 && !memcmp(c + 1, "u0000", 5))
                return JSON_NUL;
            c++;
        } else if (!in_string && (*c == '[' || *c == '{' || *c == ','))
            values++;
    return values > most_values ? JSON_TOO_MANY : JSON_FINE;
}

json_fault json_parse(const char *text, size_t length, const char *blanks, size_t most_values, cJSON **tree,
                      const char **end)
{
    const json_fault fault = check(text, length, most_values);
    *tree = NULL;
    *end = text;
    if (fault)
        return fault;
    out_of_memory = false;
    cJSON_InitHooks(&(cJSON_Hooks){allocate, release});
    *tree = cJSON_ParseWithLengthOpts(text, length, end, false);
    cJSON_InitHooks(NULL);
    while (*tree && *end < text + length && **end && strchr(blanks, **end))
        ++*end;
    if (*tree && *end == text + length)
        return JSON_FINE;
    cJSON_Delete(*tree);
    *tree = NULL;
    return out_of_memory ? JSON_NO_MEMORY : JSON_INVALID;
}
