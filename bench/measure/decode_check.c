/* SPDX-License-Identifier: MIT */
#include "decode_check.h"

#include "check/check.h"
#include "check/threads.h"
#include "reference/decode.h"
#include "reference/element.h"
#include "reference/format.h"
#include "samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_GROUPS = 8, ROWS_OF_GROUP = 2 };

/* Rows of one sequence and kv head, so that their keys and values are made once. */
typedef struct row_group {
    uint32_t sequence, kv_head;
    struct {
        uint32_t t, head;
        double lse;
    } row[ROWS_OF_GROUP];
} row_group;

typedef struct expectation {
    const decoding *d;
    uint32_t group_count;
    row_group group[MOST_GROUPS];
    double *out; /* [groups, rows, Dv], owned */
} expectation;

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
    return TOKEN_STEP * ((uint64_t)SEQUENCE_STEP * sequence + t) + d->head_step * head;
}

/* The results of a group's rows. k, v and q are f32, which holds the numbers of every type and format. */
static dmattn_status expect_rows(expectation *e, uint32_t index, const dmattn_decode_desc *visible,
                                 const reference_sequence *tokens, float *q)
{
    const decoding *d = e->d;
    const dmattn_attention_desc *a = &d->desc.attention;
    row_group *g = &e->group[index];
    dmattn_decode_desc desc = *visible;
    desc.attention.type = DMATTN_TYPE_F32;
    desc.attention.k_format = desc.attention.v_format = DMATTN_FORMAT_TYPE;
    for (int i = 0; i < ROWS_OF_GROUP; i++) {
        const uint32_t t = g->row[i].t, head = g->row[i].head;
        for (uint32_t c = 0; c < a->head_dim; c++)
            q[c] = (float)element_load(dmattn_attention_type(a, TENSOR_Q), d->stream[STREAM_Q],
                                       q_at(d, g->sequence, t, head) + c);
        const dmattn_score_shape *s = &a->mask_shape;
        const int32_t *list =
            d->lists + g->sequence * s->batch_stride + g->kv_head * s->head_stride + t * s->query_stride;
        TRY(reference_decode_row(&desc, tokens, q, head, keys_of(d, g->sequence) - d->queries + t,
                                 d->lists ? list : NULL, NULL,
                                 e->out + ((size_t)index * ROWS_OF_GROUP + (size_t)i) * a->value_dim, &g->row[i].lse));
    }
    return DMATTN_SUCCESS;
}

static dmattn_status expect_group(expectation *e, uint32_t index, const dmattn_decode_desc *visible)
{
    const decoding *d = e->d;
    const dmattn_attention_desc *a = &d->desc.attention;
    const row_group *g = &e->group[index];
    float *k = rows_of_cache(d, g, STREAM_K), *v = rows_of_cache(d, g, STREAM_V), *q = malloc(a->head_dim * sizeof *q);
    float *importance = malloc(keys_of(d, g->sequence) * sizeof *importance);
    dmattn_status status = k && v && q && importance ? DMATTN_SUCCESS : DMATTN_ERROR_OUT_OF_MEMORY;
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
        status = expect_rows(e, index, visible, &tokens, q);
    }
    free(k);
    free(v);
    free(q);
    free(importance);
    return status;
}

/* Samples rows of as many groups as take some tenths of a second, and computes their results. If the first sequence is
 * longer than the others, at least one group is its own and one is another's. */
static dmattn_status expect(expectation *e, const dmattn_decode_desc *visible)
{
    const decoding *d = e->d;
    const dmattn_attention_desc *a = &d->desc.attention;
    const bool unequal = d->others != d->context;
    const double seconds = 1e-8 * (ROWS_OF_GROUP + 1) * keys_of(d, 0) * ((double)a->head_dim + a->value_dim);
    const uint32_t heads = a->heads / a->kv_heads;
    uint64_t random = d->settings->seed;
    e->group_count = (uint32_t)fmin(fmax(0.3 / seconds, 1 + unequal), MOST_GROUPS);
    e->out = malloc(sizeof *e->out * MOST_GROUPS * ROWS_OF_GROUP * a->value_dim);
    dmattn_status status = e->out ? DMATTN_SUCCESS : DMATTN_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; !status && i < e->group_count; i++) {
        row_group *g = &e->group[i];
        g->sequence = (uint32_t)(random_bits(&random) % a->batch);
        if (unequal)
            g->sequence = i % 2 ? 1 + g->sequence % (a->batch - 1) : 0;
        g->kv_head = (uint32_t)(random_bits(&random) % a->kv_heads);
        for (int n = 0; n < ROWS_OF_GROUP; n++) {
            g->row[n].t = (uint32_t)(random_bits(&random) % d->queries);
            g->row[n].head = g->kv_head * heads + (uint32_t)(random_bits(&random) % heads);
        }
        status = expect_group(e, i, visible);
    }
    return status ? dmattn_fail(d->log, status, "no host memory for the check") : DMATTN_SUCCESS;
}

/* ---- the check ------------------------------------------------------------------------------------------------- */

static void compare_row(const expectation *e, uint32_t group, uint32_t i, const void *out, const float *lse,
                        double *got, check_result *result)
{
    const decoding *d = e->d;
    const dmattn_attention_desc *a = &d->desc.attention;
    const row_group *g = &e->group[group];
    const uint32_t t = g->row[i].t, head = g->row[i].head;
    const uint64_t row = ((uint64_t)g->sequence * d->queries + t) * a->heads + head;
    for (uint32_t c = 0; c < a->value_dim; c++)
        got[c] = element_load(dmattn_attention_type(a, TENSOR_OUT), out, row * a->value_dim + c);
    const double *want = e->out + ((size_t)group * ROWS_OF_GROUP + i) * a->value_dim;
    const float got_lse = lse[((uint64_t)g->sequence * a->heads + head) * d->queries + t];
    result->error = fmax(result->error, row_error(got, want, a->value_dim));
    result->lse_error = fmax(result->lse_error, lse_error((double)got_lse, g->row[i].lse));
}

/* Fills the cache, runs once and compares the result. */
static dmattn_status check(const expectation *e, decoding *d, const recording *what, measurement *m)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    double seconds;
    TRY(decoding_fill(d));
    TRY(time_runs(what, 1, &seconds));
    void *out = malloc(d->out_bytes);
    float *lse = malloc(d->lse_bytes);
    double *got = malloc(sizeof *got * a->value_dim);
    dmattn_status status = out && lse && got
                               ? dmattn_download(d->settings->device, &d->out, 0, out, d->out_bytes)
                               : dmattn_fail(d->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for the check");
    if (!status)
        status = dmattn_download(d->settings->device, &d->lse, 0, lse, d->lse_bytes);
    if (!status) {
        m->checked_rows = e->group_count * ROWS_OF_GROUP;
        for (uint32_t i = 0; i < m->checked_rows; i++)
            compare_row(e, i / ROWS_OF_GROUP, i % ROWS_OF_GROUP, out, lse, got, &m->check);
        m->check.not_finite = count_not_finite(dmattn_attention_type(a, TENSOR_OUT), out,
                                               (uint64_t)a->batch * d->queries * a->heads * a->value_dim);
    }
    free(out);
    free(lse);
    free(got);
    if (!status && !check_passed(&m->check, a->type)) {
        m->status = CASE_WRONG;
        snprintf(m->sentence, sizeof m->sentence, "error %.1e in out, %.1e in lse, %llu elements NaN or infinite%s",
                 m->check.error, m->check.lse_error, (unsigned long long)m->check.not_finite,
                 m->sample_count ? ", after the timing" : "");
    }
    return status;
}

static dmattn_status check_time_check(const expectation *e, decoding *d, const recording *what, measurement *m)
{
    TRY(check(e, d, what, m));
    if (m->status == CASE_WRONG)
        return DMATTN_SUCCESS;
    tell_phase(d->settings, "timing");
    timing t;
    const dmattn_status timed = keep_samples(d->settings, what, d->log, m, &t);
    free(t.sorted);
    TRY(timed);
    return check(e, d, what, m);
}

dmattn_status check_and_time(decoding *d, const recording *what, const dmattn_decode_desc *visible, measurement *m)
{
    expectation e = {.d = d};
    tell_phase(d->settings, "check");
    dmattn_status status = expect(&e, visible);
    if (!status)
        status = check_time_check(&e, d, what, m);
    free(e.out);
    return status;
}
