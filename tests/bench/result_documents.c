/* SPDX-License-Identifier: MIT */
#include "result_documents.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

bool add_document(results *all, const char *text, char *why)
{
    *why = 0;
    cJSON *document = cJSON_Parse(text);
    cr_assert(document, "%s", text);
    return results_add(all, document, "some.json", why);
}

char *written_text(void (*write)(FILE *stream, const void *user), const void *user)
{
    FILE *stream = tmpfile();
    cr_assert(stream);
    write(stream, user);
    const long length = ftell(stream);
    char *text = calloc(1, (size_t)length + 1);
    rewind(stream);
    cr_assert_eq(fread(text, 1, (size_t)length, stream), (size_t)length);
    fclose(stream);
    return text;
}

size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

void make_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    cr_assert(file);
    cr_assert_eq(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
}
