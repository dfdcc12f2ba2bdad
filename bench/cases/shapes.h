/* SPDX-License-Identifier: MIT
 * The heads and dimensions of real models: those of models.txt, which are compiled in, or of a file. */
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
    uint32_t window; /* of the sliding window that some layers have; 0: none */
    uint32_t topw;   /* keys of the dynamic mask that its layers have; 0: none */
    bool sinks;      /* each query head has a sink */
    bool decodes;    /* these heads are for decoding only */
} model_shape;

typedef struct shape_list {
    uint32_t count;
    model_shape model[MOST_MODELS];
} shape_list;

#define SHAPES_WHY_SIZE 256

/* Each line has a name, heads, kv_heads, head_dim and optionally value_dim; then, optionally, window=W, topw=W,
 * sinks and decode; # starts a comment. Names are unique and consist of letters, digits, '.', '-' and '_'; sizes are
 * from 1 to 65536. On false, `why` names the line and says what is wrong. */
bool shapes_parse(const char *text, size_t length, shape_list *shapes, char why[SHAPES_WHY_SIZE]);

/* Reads a file; NULL selects the built-in models. */
bool shapes_read(const char *path, shape_list *shapes, char why[SHAPES_WHY_SIZE]);

/* The model whose name is the first `length` characters of `name`; NULL if there is none. */
const model_shape *shapes_find(const shape_list *shapes, const char *name, size_t length);

#endif
