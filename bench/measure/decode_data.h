/* SPDX-License-Identifier: MIT
 * The data of a decoding step.
 * All tokens come from one stream of random numbers, in which the rows of neighbouring tokens overlap: a token's row
 * starts TOKEN_STEP elements after its predecessor's. So a context of a million tokens takes megabytes, and yet no two
 * keys are equal. Each sequence starts at a different offset. */
#ifndef DMATTN_BENCH_DECODE_DATA_H
#define DMATTN_BENCH_DECODE_DATA_H

#include "cases/cases.h"
#include "timing/settings.h"

#include "decode/desc.h"
#include "decode/stage.h"

#define TOKEN_STEP    8    /* elements: 16 bytes or more */
#define NEW_TOKENS    1024 /* tokens of this many steps; then they repeat */
#define SEQUENCE_STEP 3    /* tokens between the offsets of sequences */
#define PARAMETERS    5

typedef enum stream_id { STREAM_Q, STREAM_K, STREAM_V, STREAM_IMPORTANCE, STREAM_COUNT } stream_id;

typedef struct decoding {
    const measure_settings *settings;
    const messenger *log;
    dmattn_decode_desc desc; /* resolved */
    const decode_tile *tile; /* the tile to use, not owned; NULL selects the default tile */
    uint32_t context;        /* tokens of a prompt, per sequence */
    dmattn_plan *plan;
    dmattn_plan_info info;
    dmattn_cache_layout layout;
    uint64_t count[STREAM_COUNT], head_step; /* elements of each stream; between the heads of a token */
    void *stream[STREAM_COUNT];
    dmattn_buffer buffer[STREAM_COUNT];
    void *parameter[PARAMETERS]; /* dt_weight, a, dt_bias, sink, slopes */
    dmattn_buffer parameters[PARAMETERS], out, lse, keep, state, pages, table, workspace;
    uint32_t steps; /* recorded since the cache was filled */
} decoding;

/* Bytes per element of q, k and v. */
uint64_t decoding_element(const decoding *d);

/* Strides of q, k and v within their streams. */
dmattn_strides stream_strides(uint64_t head_step);

/* Plans the step, checks that the memory suffices, and creates the data. The caller sets d->settings, d->log
 * and d->tile, and calls decoding_destroy() also on failure. */
dmattn_status decoding_create(decoding *d, const bench_case *c);
void decoding_destroy(decoding *d);

#endif
