/* SPDX-License-Identifier: MIT
 * Files of results, whatever program wrote them. */
#include "results.h"

#include "ggml_results.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The whole file with a zero behind it, to be freed. NULL: errno says why. */
static char *read_text(const char *path, size_t *length)
{
    FILE *stream = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0, got = 1;
    *length = 0;
    while (stream && got) {
        if (*length + 1 >= size) {
            size = size ? 2 * size : 1 << 16;
            char *more = realloc(text, size);
            if (!more) {
                errno = ENOMEM;
                break;
            }
            text = more;
        }
        got = fread(text + *length, 1, size - *length - 1, stream);
        *length += got;
    }
    const int error = errno;
    const bool ok = stream && !got && !ferror(stream);
    if (stream)
        fclose(stream);
    if (ok) {
        text[*length] = 0;
        return text;
    }
    free(text);
    errno = error ? error : EIO;
    return NULL;
}

/* Whether a text is the beginning of JSON that goes on: strings or brackets are open at its end. */
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
    const char *end = text, first = text[strspn(text, blanks)];
    if (!first)
        snprintf(why, RESULTS_WHY_SIZE, "%s is empty", path);
    else if (first != '{' && ggml_results_are_there(text))
        return results_add(all, ggml_results(text), path, why);
    else if (first != '{')
        snprintf(why, RESULTS_WHY_SIZE,
                 "%s holds no results: neither vkbench's JSON nor what ggml's test-backend-ops perf prints", path);
    else {
        cJSON *document = cJSON_ParseWithLengthOpts(text, length + 1, &end, false);
        if (document && !end[strspn(end, blanks)] && end + strspn(end, blanks) == text + length)
            return results_add(all, document, path, why);
        cJSON_Delete(document);
        if (ends_early(text))
            snprintf(why, RESULTS_WHY_SIZE, "%s is cut off: its JSON does not end", path);
        else
            snprintf(why, RESULTS_WHY_SIZE, "%s is not JSON: line %zu is wrong", path, line_of(text, end ? end : text));
    }
    return false;
}

bool results_read(results *all, const char *path, char why[RESULTS_WHY_SIZE])
{
    size_t length;
    errno = 0;
    char *text = read_text(path, &length);
    if (!text) {
        snprintf(why, RESULTS_WHY_SIZE, "%s cannot be read: %s", path, strerror(errno));
        return false;
    }
    const bool ok = add_text(all, text, length, path, why);
    free(text);
    return ok;
}
