/* SPDX-License-Identifier: MIT
 * The data of a decoding step, or of a chunk of a prompt.
 * All tokens come from one stream of random numbers, in which the rows of neighbouring tokens overlap: a token's row
 * starts TOKEN_STEP elements after its predecessor's. So a context of a million tokens takes megabytes, and yet no two
 * keys are equal. Each sequence and each head starts at a different offset. A sequence with fewer tokens than the first
 * one starts later, so that the new tokens of a step are at the same place of all sequences. */
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
    dmattn_decode_desc desc;         /* resolved */
    const decode_tile *tile;         /* the tile to use, not owned; NULL selects the default tile */
    uint32_t context, others;        /* tokens in the cache: of the first sequence, and of each other one */
    uint32_t first_query;            /* the token of the first sequence whose query is the first of the stream */
    uint32_t queries, other_queries; /* of a run: of the first sequence, and of each other one */
    bool packed;                     /* the queries of all sequences follow each other */
    dmattn_plan *plan;
    dmattn_plan_info info;
    dmattn_cache_layout layout;
    uint64_t count[STREAM_COUNT], head_step; /* elements of each stream; between the heads of a token */
    void *stream[STREAM_COUNT];
    dmattn_buffer buffer[STREAM_COUNT];
    void *parameter[PARAMETERS]; /* dt_weight, a, dt_bias, sink, slopes */
    dmattn_buffer parameters[PARAMETERS], out, lse, keep, state, pages, table, selected, workspace;
    mask_choice mask;
    int32_t *lists; /* of selected keys, [B, Hk, T, K], the same in each step; NULL: there are none */
    uint64_t out_bytes, lse_bytes, workspace_bytes;
    uint32_t steps; /* recorded since the cache was filled */
} decoding;

/* Bytes per element of k and v; of q. */
uint64_t decoding_element(const decoding *d);
uint64_t decoding_q_element(const decoding *d);

/* Strides of q, k and v within their streams. */
dmattn_strides stream_strides(uint64_t head_step);

/* Tokens of a sequence in the cache; the place of its first token, without the step between sequences, in tokens. */
uint32_t decoding_context(const decoding *d, uint32_t sequence);
uint32_t decoding_start(const decoding *d, uint32_t sequence);

/* Queries of a sequence in a run; and packed, the row of q and out where they begin. The row after the last sequence is
 * the number of rows. */
uint32_t decoding_queries(const decoding *d, uint32_t sequence);
uint64_t decoding_row(const decoding *d, uint32_t sequence);

/* A buffer from an offset in bytes to its end. */
dmattn_buffer buffer_behind(const dmattn_buffer *buffer, uint64_t offset);

/* The offset of a sequence's importance, [Hk, its tokens], in its stream. */
uint64_t importance_at(uint32_t sequence);

/* Bytes of the cache of a sequence, on average. */
uint64_t decoding_cache_bytes(const decoding *d);

/* Fills the cache of every sequence. */
dmattn_status decoding_fill(decoding *d);

/* Sets the descriptor and the sizes of the data. The caller has set d->settings, d->log and d->tile. */
void decoding_describe(decoding *d, const bench_case *c);

/* Plans the step, checks that the memory suffices, and creates the data of a described case. out_bytes, lse_bytes and
 * workspace_bytes are those of the step, unless the caller sets them for another run. The caller calls
 * decoding_destroy() also on failure. */
dmattn_status decoding_create(decoding *d);
void decoding_destroy(decoding *d);

#endif
