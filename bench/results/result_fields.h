/* SPDX-License-Identifier: MIT
 * The fields of runs and results in JSON and CSV. */
#ifndef DMATTN_BENCH_RESULT_FIELDS_H
#define DMATTN_BENCH_RESULT_FIELDS_H

#include "result.h"

/* The fields of a run and of a result, in the order of the CSV columns. */
typedef enum field_kind { FIELD_TEXT, FIELD_COUNT, FIELD_NUMBER, FIELD_FLAG } field_kind;
typedef struct result_field {
    const char *name; /* in the JSON; "a.b" is field b of object a */
    field_kind kind;
    size_t offset;
    bool required;
} result_field;
extern const result_field run_fields[], result_fields[]; /* terminated by a NULL name */

/* The item of this name (as in result_field), or NULL. */
const cJSON *result_find(const cJSON *object, const char *name);

/* Reads all fields into *to and makes their texts printable. Returns NULL, or what is wrong with the field *which. */
const char *result_read_fields(const result_field *fields, const cJSON *object, void *to, const char **which);

#endif
