/* SPDX-License-Identifier: MIT
 * The model with many sequences and one cache, on the device. serve.c decides which sequences run, and which
 * pages hold their tokens; docs/serving.md explains both. */
#ifndef EXAMPLE_SERVER_H
#define EXAMPLE_SERVER_H

#include "layers.h"

/* The most new tokens of a sequence in one run; tokens of a page. */
enum { CHUNK = DMATTN_DECODE_MAX_TOKENS, PAGE_TOKENS = 16 };

typedef struct server {
    layers layers;             /* rows: CHUNK for each sequence */
    uint32_t sequences;        /* the most at a time */
    dmattn_decode_desc desc;   /* of runs with up to CHUNK new tokens of a sequence */
    dmattn_plan *chunk, *step; /* with up to CHUNK new tokens, and with one; for all layers, with the same cache */
    dmattn_cache_layout cache;
    buffer states, pool;        /* for each layer */
    buffer table, counts, keep; /* in host memory: for all layers */
    buffer last, logits;        /* of each sequence's last new token; logits in host memory */
    buffer workspace;
    float *angles; /* the rotation of each position; the rows of a run get theirs */
} server;

typedef struct server_sizes {
    uint32_t sequences, max_tokens; /* at a time; of a sequence */
    uint32_t pages;                 /* a paged cache, in which each query sees all keys; 0: a bounded one */
    uint32_t window;                /* keys of a bounded cache that a query sees */
    dmattn_format format;           /* of keys and values in the cache */
} server_sizes;

/* `w` must outlive the server. */
void server_create(server *s, app *a, const weights *w, const server_sizes *sizes);
void server_destroy(server *s);

/* A sequence's row of the block table; server_run() reads it. */
int32_t *server_row(const server *s, uint32_t index);

/* Copies a page, or the state of a sequence, in all layers, before the next run. */
void server_copy_page(server *s, int32_t from, int32_t to);
void server_fork(server *s, uint32_t from, uint32_t to);

/* What a run does with a sequence: it keeps the first `keep` tokens and adds `count` ones. count 0: it pauses. */
typedef struct server_item {
    const uint32_t *tokens;
    uint32_t count, keep;
} server_item;

/* Runs the model over the new tokens of all sequences, items[sequences], and waits. Returns the logits of each one's
 * last new token, [sequences, vocabulary]. */
const float *server_run(server *s, const server_item *items);

#endif
