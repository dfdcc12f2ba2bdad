/* SPDX-License-Identifier: MIT
 * JSON from files that may hold any bytes at all. */
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

/* Parses `length` bytes, one value and any number of `blanks` behind it. text[length] must be 0: some versions of cJSON
 * look at it. *end: where the text stops to be JSON. The tree takes about 100 bytes for each value, besides its
 * strings. On failure *tree is NULL. */
json_fault json_parse(const char *text, size_t length, const char *blanks, size_t most_values, cJSON **tree,
                      const char **end);

#endif
