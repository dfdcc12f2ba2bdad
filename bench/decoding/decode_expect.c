/* SPDX-License-Identifier: MIT */
#include "decode_expect.h"

#include "check/threads.h"
#include "reference/decode.h"
#include "reference/element.h"
#include "reference/format.h"

#include <math.h>
#include <stdlib.h>

/* The tokens of a sequence after a run. */
static uint32_t keys_of(const decoding *d, uint32_t sequence)
{
    return d->first_query + d->queries - decoding_start(d, sequence);
}

/* ---- rows as the cache holds them ------------------------------------------------------------------------------ */

/* Tokens of a stream and kv head, from `first` to `end`, become f32 [tokens, dim]. */
typedef struct rounding {
    const void *rows; /* of the first token */
    dmattn_type type;
    dmattn_format format;
    uint32_t first, end, dim;
    float *to;
    bool ok;
} rounding;

static void *round_rows(void *user)
{
    rounding *r = user;
    float *row = calloc(r->dim, sizeof *row), *stored = calloc(r->dim, sizeof *stored);
    r->ok = row && stored;
    for (uint32_t i = r->first; r->ok && i < r->end; i++) {
        float *to = r->to + (uint64_t)i * r->dim;
        for (uint32_t c = 0; c < r->dim; c++)
            row[c] = (float)element_load(r->type, r->rows, (uint64_t)i * TOKEN_STEP + c);
        const float scale = r->format == DMATTN_FORMAT_TYPE ? 0 : format_store(r->format, stored, row, r->dim);
        for (uint32_t c = 0; c < r->dim; c++)
            to[c] = r->format == DMATTN_FORMAT_TYPE ? row[c] : (float)format_load(r->format, stored, scale, c);
    }
    free(row);
    free(stored);
    return NULL;
}

/* All keys or values of a group, made by several threads because the formats of long sequences take seconds; NULL: out
 * of memory. The caller frees them. */
static float *rows_of_cache(const decoding *d, const row_group *g, stream_id stream)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    const uint32_t keys = keys_of(d, g->sequence), dim = stream == STREAM_K ? a->head_dim : a->value_dim;
    const uint64_t at = TOKEN_STEP * ((uint64_t)SEQUENCE_STEP * g->sequence + decoding_start(d, g->sequence))
                        + d->head_step * g->kv_head;
    float *rows = malloc((uint64_t)keys * dim * sizeof *rows);
    rounding part[MOST_THREADS];
    bool ok = rows;
    for (uint32_t i = 0; i < MOST_THREADS; i++)
        part[i] = (rounding){.rows = (const char *)d->stream[stream] + decoding_element(d) * at,
                             .type = a->type,
                             .format = stream == STREAM_K ? a->k_format : a->v_format,
                             .first = (uint32_t)((uint64_t)keys * i / MOST_THREADS),
                             .end = (uint32_t)((uint64_t)keys * (i + 1) / MOST_THREADS),
                             .dim = dim,
                             .to = rows};
    if (rows)
        run_in_threads(round_rows, part, sizeof *part, MOST_THREADS);
    for (uint32_t i = 0; i < MOST_THREADS; i++)
        ok = ok && part[i].ok;
    if (ok)
        return rows;
    free(rows);
    return NULL;
}

/* ---- the reference --------------------------------------------------------------------------------------------- */

static dmattn_mask_desc importance_of(const decoding *d, uint32_t keys)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    return (dmattn_mask_desc){.keys = keys,
                              .kv_heads = a->kv_heads,
                              .type = a->type,
                              .value_dim = a->value_dim,
                              .v_strides = a->v_strides,
                              .importance = d->desc.importance};
}

/* The importance of a group's tokens after the first run, [tokens]. */
static void find_importance(const decoding *d, const row_group *g, float *importance)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    const uint32_t context = decoding_context(d, g->sequence), keys = keys_of(d, g->sequence);
    const dmattn_mask_desc mask = importance_of(d, decoding_start(d, g->sequence) + keys);
    const mask_inputs in = {d->stream[STREAM_V], d->parameter[0], d->parameter[1], d->parameter[2], NULL, NULL, NULL};
    const float *given = d->stream[STREAM_IMPORTANCE];
    for (uint32_t j = 0; j < context; j++)
        importance[j] = given[importance_at(g->sequence) + (uint64_t)g->kv_head * context + j];
    for (uint32_t t = 0; t < keys - context; t++) /* new tokens of a step */
        importance[context + t] =
            d->desc.importance_given ? given[((uint64_t)g->sequence * a->kv_heads + g->kv_head) * a->queries + t]
                                     : (float)reference_importance(&mask, &in, g->sequence, g->kv_head, d->context + t);
}

static uint64_t q_at(const decoding *d, uint32_t sequence, uint32_t t, uint32_t head)
{
    const uint64_t first = d->packed ? decoding_row(d, sequence) : (uint64_t)SEQUENCE_STEP * sequence;
    return TOKEN_STEP * (first + t) + d->head_step * head;
}

/* A row that a thread computes. */
typedef struct expected_row {
    const decoding *d;
    const dmattn_decode_desc *visible;
    const reference_sequence *tokens; /* f32, which holds the numbers of every type and format */
    uint32_t sequence, t, head;
    double *out, *lse;
    dmattn_status status;
} expected_row;

static void *expect_row(void *user)
{
    expected_row *x = user;
    const decoding *d = x->d;
    const dmattn_attention_desc *a = &d->desc.attention;
    dmattn_decode_desc desc = *x->visible;
    float *q = malloc(a->head_dim * sizeof *q);
    x->status = DMATTN_ERROR_OUT_OF_MEMORY;
    if (!q)
        return NULL;
    for (uint32_t c = 0; c < a->head_dim; c++)
        q[c] = (float)element_load(dmattn_attention_type(a, TENSOR_Q), d->stream[STREAM_Q],
                                   q_at(d, x->sequence, x->t, x->head) + c);
    desc.attention.type = DMATTN_TYPE_F32;
    desc.attention.k_format = desc.attention.v_format = DMATTN_FORMAT_TYPE;
    const dmattn_score_shape *s = &a->mask_shape;
    const int32_t *list = d->lists + x->sequence * s->batch_stride + x->head / (a->heads / a->kv_heads) * s->head_stride
                          + x->t * s->query_stride;
    x->status = reference_decode_row(&desc, x->tokens, q, x->head,
                                     keys_of(d, x->sequence) - decoding_queries(d, x->sequence) + x->t,
                                     d->lists ? list : NULL, NULL, x->out, x->lse);
    free(q);
    return NULL;
}

static dmattn_status expect_rows(expectation *e, uint32_t index, const dmattn_decode_desc *visible,
                                 const reference_sequence *tokens)
{
    row_group *g = &e->group[index];
    expected_row rows[ROWS_OF_GROUP];
    dmattn_status status = DMATTN_SUCCESS;
    for (uint32_t i = 0; i < ROWS_OF_GROUP; i++)
        rows[i] = (expected_row){.d = e->d,
                                 .visible = visible,
                                 .tokens = tokens,
                                 .sequence = g->sequence,
                                 .t = g->row[i].t,
                                 .head = g->row[i].head,
                                 .out = e->out + ((size_t)index * ROWS_OF_GROUP + i) * e->d->desc.attention.value_dim,
                                 .lse = &g->row[i].lse};
    run_in_threads(expect_row, rows, sizeof *rows, ROWS_OF_GROUP);
    for (int i = 0; i < ROWS_OF_GROUP; i++)
        status = rows[i].status ? rows[i].status : status;
    return status;
}

static dmattn_status expect_group(expectation *e, uint32_t index, const dmattn_decode_desc *visible)
{
    const decoding *d = e->d;
    const dmattn_attention_desc *a = &d->desc.attention;
    const row_group *g = &e->group[index];
    float *k = rows_of_cache(d, g, STREAM_K), *v = rows_of_cache(d, g, STREAM_V);
    float *importance = malloc(keys_of(d, g->sequence) * sizeof *importance);
    dmattn_status status = k && v && importance ? DMATTN_SUCCESS : DMATTN_ERROR_OUT_OF_MEMORY;
    if (!status) {
        if (!d->desc.no_importance)
            find_importance(d, g, importance);
        const reference_sequence tokens = {.k = k, /* head strides of 0: these are the rows of one kv head */
                                           .v = v,
                                           .k_strides = {.sequence = a->head_dim},
                                           .v_strides = {.sequence = a->value_dim},
                                           .importance = importance,
                                           .sink = d->parameter[3],
                                           .slopes = d->parameter[4]};
        status = expect_rows(e, index, visible, &tokens);
    }
    free(k);
    free(v);
    free(importance);
    return status;
}

dmattn_status expect_groups(expectation *e, const dmattn_decode_desc *visible)
{
    const decoding *d = e->d;
    const dmattn_attention_desc *a = &d->desc.attention;
    const bool unequal = d->others != d->context || d->other_queries != d->queries;
    const double seconds = 1.5e-8 * keys_of(d, 0) * ((double)a->head_dim + a->value_dim);
    const uint32_t heads = a->heads / a->kv_heads;
    uint64_t random = d->settings->seed;
    e->group_count = (uint32_t)fmin(fmax(0.1 / seconds, 1 + unequal), MOST_GROUPS);
    e->out = malloc(sizeof *e->out * MOST_GROUPS * ROWS_OF_GROUP * a->value_dim);
    dmattn_status status = e->out ? DMATTN_SUCCESS : DMATTN_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; !status && i < e->group_count; i++) {
        row_group *g = &e->group[i];
        g->sequence = (uint32_t)(random_bits(&random) % a->batch);
        if (unequal)
            g->sequence = i % 2 ? 1 + g->sequence % (a->batch - 1) : 0;
        g->kv_head = (uint32_t)(random_bits(&random) % a->kv_heads);
        for (int n = 0; n < ROWS_OF_GROUP; n++) {
            g->row[n].t = (uint32_t)(random_bits(&random) % decoding_queries(d, g->sequence));
            g->row[n].head = g->kv_head * heads + (uint32_t)(random_bits(&random) % heads);
        }
        status = expect_group(e, i, visible);
    }
    return status ? dmattn_fail(d->log, status, "no host memory for the check") : DMATTN_SUCCESS;
}
