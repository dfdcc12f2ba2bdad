/* SPDX-License-Identifier: MIT
 * Reads result files of vkbench and other programs. */
#include "results.h"

#include "ggml_results.h"
#include "json_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Limits of a file, about a hundred times as large as the largest result file. */
enum { MOST_MIB = 256, MOST_VALUES = 4000000 };

/* Returns the text of the file, terminated by a zero; the caller frees it. Returns NULL, and the reason in `why`, on
 * failure. */
static char *read_text(results *all, const char *path, size_t *length, char why[RESULTS_WHY_SIZE])
{
    errno = 0;
    FILE *stream = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0, got = stream ? 1 : 0;
    *length = 0;
    *why = 0;
    while (got && !*why) {
        if (*length + 1 >= size) {
            size = size ? 2 * size : 1 << 16;
            char *more = realloc(text, size);
            if (!more) {
                results_no_memory(all, path, why);
                break;
            }
            text = more;
        }
        got = fread(text + *length, 1, size - *length - 1, stream);
        if (memchr(text + *length, 0, got))
            snprintf(why, RESULTS_WHY_SIZE, "%s has no results: it contains a NUL character", path);
        *length += got;
        if (*length > (size_t)MOST_MIB << 20)
            snprintf(why, RESULTS_WHY_SIZE, "%s is larger than %d MiB, the limit", path, MOST_MIB);
    }
    if (!stream && errno == ENOMEM)
        results_no_memory(all, path, why);
    else if (!*why && (!stream || ferror(stream)))
        snprintf(why, RESULTS_WHY_SIZE, "%s cannot be read: %s", path, strerror(errno ? errno : EIO));
    if (stream)
        fclose(stream);
    if (!*why) {
        text[*length] = 0;
        return text;
    }
    free(text);
    return NULL;
}

/* Whether a JSON text is truncated: a string or bracket is open at its end. */
static bool ends_early(const char *text)
{
    size_t depth = 0;
    bool in_string = false;
    for (; *text; text++) {
        if (in_string && *text == '\\' && text[1])
            text++;
        else if (*text == '"')
            in_string = !in_string;
        else if (!in_string && (*text == '{' || *text == '['))
            depth++;
        else if (!in_string && depth && (*text == '}' || *text == ']'))
            depth--;
    }
    return in_string || depth;
}

static size_t line_of(const char *text, const char *at)
{
    size_t line = 1;
    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

static bool add_text(results *all, char *text, size_t length, const char *path, char why[RESULTS_WHY_SIZE])
{
    static const char blanks[] = " \t\r\n";
    const char first = text[strspn(text, blanks)];
    if (!first)
        snprintf(why, RESULTS_WHY_SIZE, "%s is empty", path);
    else if (first != '{' && is_ggml_output(text))
        return results_add(all, ggml_results(text), path, why);
    else if (first != '{')
        snprintf(why, RESULTS_WHY_SIZE,
                 "%s has no results: it is neither JSON of vkbench nor output of ggml's test-backend-ops perf", path);
    else {
        cJSON *document;
        const char *end;
        switch (json_parse(text, length, blanks, MOST_VALUES, &document, &end)) {
        case JSON_FINE: return results_add(all, document, path, why);
        case JSON_NO_MEMORY: return results_no_memory(all, path, why);
        case JSON_NUL: snprintf(why, RESULTS_WHY_SIZE, "%s has a NUL character in a string", path); break;
        case JSON_TOO_MANY:
            snprintf(why, RESULTS_WHY_SIZE, "%s has more than %d JSON values", path, MOST_VALUES);
            break;
        case JSON_INVALID:
            if (ends_early(text))
                snprintf(why, RESULTS_WHY_SIZE, "%s is truncated: its JSON does not end", path);
            else
                snprintf(why, RESULTS_WHY_SIZE, "%s is not JSON: line %zu is wrong", path, line_of(text, end));
        }
    }
    return false;
}

bool results_read(results *all, const char *path, char why[RESULTS_WHY_SIZE])
{
    size_t length;
    char *text = read_text(all, path, &length, why);
    const bool ok = text && add_text(all, text, length, path, why);
    free(text);
    return ok;
}
