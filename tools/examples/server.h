/* SPDX-License-Identifier: MIT
 * The model with many sequences and one cache, on the device. serve.c decides which sequences run, and which
 * pages hold their tokens; docs/serving.md explains both. */
#ifndef EXAMPLE_SERVER_H
#define EXAMPLE_SERVER_H

#include "model/layers.h"

#include <stdbool.h>

/* The most new tokens of a sequence in a step; a chunk of a prompt; tokens of a page. */
enum { STEP_TOKENS = DMATTN_DECODE_MAX_TOKENS, CHUNK_TOKENS = 64, PAGE_TOKENS = 16 };

typedef struct server {
    layers layers;               /* rows: of a chunk, then STEP_TOKENS for each sequence */
    uint32_t sequences;          /* the most at a time */
    dmattn_decode_desc desc;     /* of steps with up to STEP_TOKENS new tokens of a sequence */
    dmattn_plan *steps, *step;   /* with up to so many, and with one; for all layers, with the same cache */
    bool chunks;                 /* runs may have a chunk */
    dmattn_plan *chunk, *scores; /* of a chunk over pages: attention, and its importance; otherwise NULL */
    dmattn_cache_layout cache;
    buffer states, pool;        /* for each layer */
    buffer table, counts, keep; /* in host memory: for all layers */
    buffer importance;          /* of a chunk */
    buffer last, logits;        /* of each sequence's last new token; logits in host memory */
    buffer workspace;           /* of one run of any plan at a time */
    float *angles;              /* the rotation of each position; the rows of a run get theirs */
} server;

typedef struct server_sizes {
    uint32_t sequences, max_tokens; /* at a time; of a sequence */
    uint32_t pages;                 /* a paged cache, in which each query sees all keys; 0: a bounded one */
    uint32_t window;                /* keys of a bounded cache that a query sees */
    dmattn_format format;           /* of keys and values in the cache */
    bool chunks;                    /* runs may have a chunk */
} server_sizes;

/* `w` must outlive the server. */
void server_create(server *s, app *a, const weights *w, const server_sizes *sizes);
void server_destroy(server *s);

/* A sequence's row of the block table; server_run() reads it. */
int32_t *server_row(const server *s, uint32_t index);

/* Copies a page, or the state of a sequence, in all layers, before the next run. */
void server_copy_page(server *s, int32_t from, int32_t to);
void server_fork(server *s, uint32_t from, uint32_t to);

/* What a step does with a sequence: it keeps the first `keep` tokens and adds `count` ones, up to STEP_TOKENS. count 0:
 * the sequence pauses. */
typedef struct server_item {
    const uint32_t *tokens;
    uint32_t count, keep;
} server_item;

/* A chunk of the prompt of a sequence that pauses in the step: CHUNK_TOKENS tokens behind the first `keep` ones. */
typedef struct server_chunk {
    uint32_t index;
    const uint32_t *tokens; /* NULL: there is no chunk */
    uint32_t keep;
} server_chunk;

/* Runs the model over the new tokens of all sequences, items[sequences], and over a chunk, and waits. Returns the
 * logits of each one's last new token, [sequences, vocabulary]. In server_run.c. */
const float *server_run(server *s, const server_item *items, const server_chunk *chunk);

/* Submits commands that are recorded once, and waits for all submissions. These wait for each other, so they need no
 * barriers between them. */
void server_submit(server *s, VkCommandBuffer commands);

/* The part of a buffer that belongs to a layer. */
dmattn_buffer of_layer(const buffer *b, VkDeviceSize size, uint32_t layer);

#endif
