/* SPDX-License-Identifier: MIT
 * Builds and writes JSON. */
#ifndef DMATTN_BENCH_JSON_WRITER_H
#define DMATTN_BENCH_JSON_WRITER_H

#include "measure/outcome.h"

#include <cjson/cJSON.h>

struct json_report {
    cJSON *root, *results;
    uint64_t seed;
};

/* Adds fields to an object; `ok` becomes false when memory runs out. Numbers that are not finite become null. */
typedef struct writer {
    cJSON *object;
    bool ok;
} writer;

void add_string(writer *w, const char *name, const char *text);
void add_number(writer *w, const char *name, double value);
void add_bool(writer *w, const char *name, bool value);

/* Takes ownership of the item. False if out of memory, also if the item is NULL. */
bool json_append(cJSON *array, cJSON *item);

/* Writes a document (NULL: out of memory) to a file, or to stdout for "-". Returns 0, or complains and returns 1. */
int json_write_tree(const char *path, const cJSON *tree, bool replace);

/* The object of a result, without the fields that the case has not reached. NULL if out of memory. */
cJSON *json_outcome(const outcomes *o, const outcome *x, uint64_t seed, bool reuse_mask);

#endif
