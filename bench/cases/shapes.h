/* SPDX-License-Identifier: MIT
 * The heads and dimensions of real models, from text: those of bench/shapes, which are in the program, or of a file. */
#ifndef DMATTN_BENCH_SHAPES_H
#define DMATTN_BENCH_SHAPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_NAME_SIZE 32
#define MOST_MODELS     256

typedef struct model_shape {
    char name[MODEL_NAME_SIZE];
    uint32_t heads, kv_heads, head_dim, value_dim;
} model_shape;

typedef struct shape_list {
    uint32_t count;
    model_shape model[MOST_MODELS];
} shape_list;

#define SHAPES_WHY_SIZE 256

/* Lines of a name, heads, kv_heads, head_dim and perhaps value_dim; # begins a comment. Names are of letters, digits,
 * '.',
 * '-' and '_', none twice; sizes are from 1 to 65536. False: *why has the line and what is wrong with it. */
bool shapes_parse(const char *text, size_t length, shape_list *shapes, char why[SHAPES_WHY_SIZE]);

/* A file, or with NULL what is in the program. */
bool shapes_read(const char *path, shape_list *shapes, char why[SHAPES_WHY_SIZE]);

/* NULL if there is none of this name, which is `length` long. */
const model_shape *shapes_find(const shape_list *shapes, const char *name, size_t length);

#endif
