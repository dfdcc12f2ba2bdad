/* SPDX-License-Identifier: MIT
 * What a file says of a run and of a result, field by field. */
#ifndef DMATTN_BENCH_RESULT_FIELDS_H
#define DMATTN_BENCH_RESULT_FIELDS_H

#include "result.h"

/* The fields of a run and of a result, in the order of a table's columns. */
typedef enum field_kind { FIELD_TEXT, FIELD_COUNT, FIELD_NUMBER, FIELD_FLAG } field_kind;
typedef struct result_field {
    const char *name; /* in the JSON; "a.b" is b of the object a */
    field_kind kind;
    size_t offset;
    bool required;
} result_field;
extern const result_field run_fields[], result_fields[]; /* ends with a name of NULL */

/* The item of this name, "a.b" being b of the object a; NULL: there is none. */
const cJSON *result_find(const cJSON *object, const char *name);

/* Reads all of them into *to, and makes their texts printable. Returns what is wrong with the field *which; NULL:
 * nothing. */
const char *result_read_fields(const result_field *fields, const cJSON *object, void *to, const char **which);

#endif
