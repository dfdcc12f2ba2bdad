/* SPDX-License-Identifier: MIT
 * What a step of decoding needs.
 * All tokens come from one stream of random numbers, in which the rows of neighbours overlap: that of a token begins
 * TOKEN_STEP elements behind its predecessor's. So a context of a million tokens takes megabytes and yet has no two
 * keys alike. Sequences begin at different places. */
#ifndef DMATTN_BENCH_DECODE_DATA_H
#define DMATTN_BENCH_DECODE_DATA_H

#include "cases/cases.h"
#include "timing/settings.h"

#include "decode/desc.h"
#include "decode/stage.h"

#define TOKEN_STEP    8    /* elements: 16 bytes or more */
#define NEW_TOKENS    1024 /* steps' tokens, which then come again */
#define SEQUENCE_STEP 3    /* tokens between the beginnings of sequences */

typedef enum stream_id { STREAM_Q, STREAM_K, STREAM_V, STREAM_IMPORTANCE, STREAM_COUNT } stream_id;

typedef struct decoding {
    const measure_settings *settings;
    const messenger *log;
    dmattn_decode_desc desc; /* resolved */
    uint32_t context;        /* tokens of a prompt */
    dmattn_plan *plan;
    dmattn_plan_info info;
    dmattn_cache_layout layout;
    uint64_t count[STREAM_COUNT], head_step; /* elements of a stream; between the heads of a token */
    void *stream[STREAM_COUNT];
    dmattn_buffer buffer[STREAM_COUNT];
    void *parameter[3]; /* dt_weight, a, dt_bias */
    dmattn_buffer parameters[3], out, lse, keep, state, pages, table, workspace;
    uint32_t steps; /* recorded so far */
} decoding;

/* Bytes of an element of q, k and v. */
uint64_t decoding_element(const decoding *d);

/* Strides within a stream. The importance given is one number a token. */
dmattn_strides stream_strides(uint64_t head_step);

/* Plans, if there is memory for it, and makes the data; d->settings and d->log are set. What there is must be
 * destroyed, whatever comes of it. */
dmattn_status decoding_create(decoding *d, const bench_case *c);
void decoding_destroy(decoding *d);

#endif
