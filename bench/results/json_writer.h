/* SPDX-License-Identifier: MIT
 * What the parts of the JSON are made with. */
#ifndef DMATTN_BENCH_JSON_WRITER_H
#define DMATTN_BENCH_JSON_WRITER_H

#include "measure/outcome.h"

#include <cjson/cJSON.h>

struct json_report {
    cJSON *root, *results;
    uint64_t seed;
};

/* Adds to an object as long as there is memory; numbers that are not finite become null. */
typedef struct writer {
    cJSON *object;
    bool ok;
} writer;

void add_string(writer *w, const char *name, const char *text);
void add_number(writer *w, const char *name, double value);
void add_bool(writer *w, const char *name, bool value);

/* Takes the item over, which may be NULL for lack of memory. */
bool json_append(cJSON *array, cJSON *item);

/* Writes a document (NULL: no memory) to a file, or to stdout for "-". Returns 0, or complains and returns 1. */
int json_write_tree(const char *path, const cJSON *tree, bool replace);

/* A result; what a case has not come to is left out. NULL without memory. */
cJSON *json_outcome(const outcomes *o, const outcome *x, uint64_t seed, bool reuse_mask);

#endif
