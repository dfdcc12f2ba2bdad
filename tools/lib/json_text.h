/* SPDX-License-Identifier: MIT
 * Parses JSON from files that may contain any bytes. */
#ifndef DMATTN_TOOLS_JSON_TEXT_H
#define DMATTN_TOOLS_JSON_TEXT_H

#include <cjson/cJSON.h>
#include <stddef.h>

typedef enum json_fault {
    JSON_FINE = 0,
    JSON_INVALID,  /* not JSON */
    JSON_NUL,      /* a NUL character, which would end a string too early */
    JSON_TOO_MANY, /* more values than the caller allows */
    JSON_NO_MEMORY
} json_fault;

/* Parses `length` bytes: one value, followed by any number of characters of `blanks`. text[length] must be 0, because
 * some versions of cJSON read it. *end receives the position at which the JSON ends. The tree takes about 100 bytes for
 * each value, besides its strings. On failure *tree is NULL. */
json_fault json_parse(const char *text, size_t length, const char *blanks, size_t most_values, cJSON **tree,
                      const char **end);

#endif
