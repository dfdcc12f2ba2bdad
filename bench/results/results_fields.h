/* SPDX-License-Identifier: MIT
 * What a file says of a run and of a result, field by field. */
#ifndef DMATTN_BENCH_RESULTS_FIELDS_H
#define DMATTN_BENCH_RESULTS_FIELDS_H

#include "results.h"

/* The item of this name, "a.b" being b of the object a; NULL: there is none. */
const cJSON *result_find(const cJSON *object, const char *name);

/* Reads all of them into *to, and makes their texts printable. Returns what is wrong with the field *which; NULL:
 * nothing. */
const char *result_read_fields(const result_field *fields, const cJSON *object, void *to, const char **which);

#endif
