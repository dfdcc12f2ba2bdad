/* SPDX-License-Identifier: MIT
 * A model as save_pretrained() of Hugging Face's transformers writes it: a folder with
 *
 *     config.json                    options of the model
 *     model.safetensors              the weights, or, if they are in several files,
 *     model.safetensors.index.json   which file has which tensor
 *     tokenizer.json                 text to tokens and back; may be missing if a token is a byte
 *
 * All files may hold anything. What this app does not support is refused. */
#ifndef EXAMPLE_PRETRAINED_H
#define EXAMPLE_PRETRAINED_H

#include "tokenizer/tokenizer.h"
#include "weights.h"

#include <stdbool.h>

/* What config.json says. */
typedef struct model_config {
    uint32_t window; /* keep_window_size */
    float epsilon;
    double rope_theta;
    uint32_t most_positions; /* longer texts would need another rotation */
    uint32_t ends[8];        /* tokens that end a text */
    uint32_t end_count;
} model_config;

typedef struct pretrained {
    weights weights;
    model_config config;  /* zeros if there is no folder */
    tokenizer *tokenizer; /* NULL: a token is a byte */
} pretrained;

/* Reads a folder, or a single .safetensors file. Calls die() or refuse() on failure. */
pretrained pretrained_read(const char *path);
void pretrained_free(pretrained *p);

/* Parses the content of config.json; text[length] must be 0. Returns false on failure: then `error`, of
 * TOKENIZER_ERROR_SIZE bytes, has a message that continues the file's name. */
bool pretrained_parse_config(const char *text, size_t length, model_config *config, char *error);

/* The files that model.safetensors.index.json names, and which of them has which tensor. */
typedef struct shard_index {
    const char **files; /* different names, without folders */
    size_t file_count;
    struct shard_entry {
        const char *tensor;
        size_t file;
    } * entries;
    size_t entry_count;
    void *json; /* owns the strings */
} shard_index;

/* Like pretrained_parse_config(). The caller frees the index, also after a failure. */
bool pretrained_parse_index(const char *text, size_t length, shard_index *index, char *error);
void pretrained_free_index(shard_index *index);

#endif
