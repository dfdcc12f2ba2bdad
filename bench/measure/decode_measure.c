/* SPDX-License-Identifier: MIT */
#include "decode_measure.h"

#include "check/check.h"
#include "decode_data.h"
#include "reference/decode.h"
#include "reference/element.h"
#include "samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- on the device --------------------------------------------------------------------------------------------- */

static dmattn_buffer behind(const dmattn_buffer *buffer, uint64_t offset)
{
    return (dmattn_buffer){buffer->buffer, offset, buffer->size - offset};
}

/* The offset of a sequence's importance, [Hk, context], in its stream. */
static uint64_t importance_at(uint32_t sequence)
{
    return (uint64_t)SEQUENCE_STEP * sequence;
}

static dmattn_status fill(decoding *d)
{
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(d->settings->device, &commands));
    dmattn_status status = DMATTN_SUCCESS;
    for (uint32_t b = 0; !status && b < d->desc.attention.batch; b++) {
        const uint64_t offset = decoding_element(d) * b * SEQUENCE_STEP * TOKEN_STEP;
        const dmattn_decode_fill_args args = {
            .sequence = b,
            .keys = d->context,
            .k = behind(&d->buffer[STREAM_K], offset),
            .v = behind(&d->buffer[STREAM_V], offset),
            .k_strides = stream_strides(d->head_step),
            .v_strides = stream_strides(d->head_step),
            .importance = behind(&d->buffer[STREAM_IMPORTANCE], sizeof(float) * importance_at(b)),
            .state = d->state,
            .pages = d->pages,
            .table = d->table,
        };
        status = dmattn_decode_fill_record(d->plan, commands, &args);
    }
    if (status) {
        dmattn_commands_cancel(d->settings->device);
        return status;
    }
    d->steps = 0;
    return dmattn_commands_submit(d->settings->device);
}

static uint64_t q_element(const decoding *d)
{
    return dmattn_type_size(dmattn_attention_type(&d->desc.attention, TENSOR_Q));
}

static dmattn_status record_step(const void *user, VkCommandBuffer commands)
{
    decoding *d = (decoding *)(uintptr_t)user; /* d->steps counts on */
    const uint64_t token = d->context + d->steps++ % NEW_TOKENS, offset = decoding_element(d) * token * TOKEN_STEP;
    const dmattn_decode_args args = {
        .q = behind(&d->buffer[STREAM_Q], q_element(d) * token * TOKEN_STEP),
        .k = behind(&d->buffer[STREAM_K], offset),
        .v = behind(&d->buffer[STREAM_V], offset),
        .out = d->out,
        .lse = d->lse,
        .dt_weight = d->parameters[0],
        .a = d->parameters[1],
        .dt_bias = d->parameters[2],
        .sink = d->parameters[3],
        .slopes = d->parameters[4],
        .importance =
            behind(&d->buffer[STREAM_IMPORTANCE], 0), /* of new tokens of a paged cache; the same in each step */
        .keep = d->keep,
        .state = d->state,
        .pages = d->pages,
        .table = d->table,
        .workspace = d->workspace,
    };
    return dmattn_decode_record(d->plan, commands, &args);
}

/* ---- the check --------------------------------------------------------------------------------------------------- */

static dmattn_mask_desc importance_of(const decoding *d)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    return (dmattn_mask_desc){.keys = d->context + a->queries,
                              .kv_heads = a->kv_heads,
                              .type = a->type,
                              .value_dim = a->value_dim,
                              .v_strides = a->v_strides,
                              .importance = d->desc.importance};
}

/* The importance of a sequence's tokens in the first step after the prompt, [Hk, context + T]. */
static void find_importance(const decoding *d, uint32_t sequence, float *importance)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    const dmattn_mask_desc mask = importance_of(d);
    const mask_inputs in = {d->stream[STREAM_V], d->parameter[0], d->parameter[1], d->parameter[2], NULL, NULL, NULL};
    const float *given = d->stream[STREAM_IMPORTANCE];
    for (uint32_t head = 0; head < a->kv_heads; head++) {
        float *row = importance + (uint64_t)head * mask.keys;
        for (uint32_t j = 0; j < d->context; j++)
            row[j] = given[importance_at(sequence) + (uint64_t)head * d->context + j];
        for (uint32_t t = 0; t < a->queries; t++)
            row[d->context + t] = d->desc.importance_given
                                      ? given[((uint64_t)sequence * a->kv_heads + head) * a->queries + t]
                                      : (float)reference_importance(&mask, &in, sequence, head, d->context + t);
    }
}

static uint64_t element_of(const dmattn_strides *s, uint64_t sequence, uint64_t token, uint64_t head)
{
    return sequence * s->batch + token * s->sequence + head * s->head;
}

/* Compares a row of the first step after the prompt. */
static dmattn_status compare_row(const decoding *d, const float *importance, const char *out, const float *lse,
                                 uint32_t sequence, uint32_t t, uint32_t head, double *want, check_result *result)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    const dmattn_strides s = stream_strides(d->head_step);
    double *got = want + a->value_dim, want_lse;
    const uint64_t from = decoding_element(d) * element_of(&s, sequence, 0, 0);
    const reference_sequence tokens = {
        .k = (const char *)d->stream[STREAM_K] + from,
        .v = (const char *)d->stream[STREAM_V] + from,
        .k_strides = s,
        .v_strides = s,
        .importance = importance,
        .importance_stride = (uint64_t)d->context + a->queries,
        .sink = d->parameter[3],
        .slopes = d->parameter[4],
    };
    const char *q = (const char *)d->stream[STREAM_Q] + q_element(d) * element_of(&s, sequence, d->context + t, head);
    TRY(reference_decode_row(&d->desc, &tokens, q, head, d->context + t, NULL, NULL, want, &want_lse));
    for (uint32_t i = 0; i < a->value_dim; i++)
        got[i] =
            element_load(dmattn_attention_type(a, TENSOR_OUT), out, element_of(&a->out_strides, sequence, t, head) + i);
    const double error = row_error(got, want, a->value_dim);
    const double of_lse = lse_error((double)lse[((uint64_t)sequence * a->heads + head) * a->queries + t], want_lse);
    result->error = fmax(result->error, error);
    result->lse_error = fmax(result->lse_error, of_lse);
    return DMATTN_SUCCESS;
}

/* Compares sampled rows of one sequence, because computing the importance of a sequence is slow. */
static dmattn_status compare_rows(const decoding *d, const char *out, const float *lse, float *importance, double *rows,
                                  measurement *m)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    const double work = (double)d->context * a->kv_heads; /* proportional to the time of a row */
    const uint32_t most = work * 16 > 4e7 ? 4 : 16;
    uint64_t random = d->settings->seed;
    const uint32_t sequence = (uint32_t)(random_bits(&random) % a->batch);
    find_importance(d, sequence, importance);
    m->checked_rows = 0;
    for (uint32_t i = 0; i < most; i++) {
        const uint32_t t = (uint32_t)(random_bits(&random) % a->queries),
                       head = (uint32_t)(random_bits(&random) % a->heads);
        TRY(compare_row(d, importance, out, lse, sequence, t, head, rows, &m->check));
        m->checked_rows++;
    }
    m->check.not_finite = count_not_finite(dmattn_attention_type(a, TENSOR_OUT), out,
                                           (uint64_t)a->batch * a->queries * a->heads * a->value_dim);
    return DMATTN_SUCCESS;
}

/* Fills the cache, runs a step and compares its result. */
static dmattn_status check(decoding *d, measurement *m)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    const recording what = {d->settings->device, record_step, d};
    const uint64_t out_bytes = dmattn_decode_tensor_bytes(&d->desc, TENSOR_OUT);
    const uint64_t lse_bytes = dmattn_decode_tensor_bytes(&d->desc, TENSOR_LSE);
    double seconds;
    TRY(fill(d));
    TRY(time_runs(&what, 1, &seconds));
    char *out = malloc(out_bytes);
    float *lse = malloc(lse_bytes),
          *importance = malloc(sizeof(float) * a->kv_heads * ((uint64_t)d->context + a->queries));
    double *rows = malloc(2 * sizeof *rows * a->value_dim);
    dmattn_status status = out && lse && importance && rows
                               ? dmattn_download(d->settings->device, &d->out, 0, out, out_bytes)
                               : dmattn_fail(d->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for the check");
    if (!status)
        status = dmattn_download(d->settings->device, &d->lse, 0, lse, lse_bytes);
    if (!status)
        status = compare_rows(d, out, lse, importance, rows, m);
    free(out);
    free(lse);
    free(importance);
    free(rows);
    if (!status && !check_passed(&m->check, a->type)) {
        m->status = CASE_WRONG;
        snprintf(m->sentence, sizeof m->sentence, "error %.1e in out, %.1e in lse, %llu elements NaN or infinite%s",
                 m->check.error, m->check.lse_error, (unsigned long long)m->check.not_finite,
                 m->sample_count ? ", after the timing" : "");
    }
    return status;
}

/* ---- the measurement ----------------------------------------------------------------------------------------- */

/* The average number of keys that a query sees. */
static double seen_keys(const decoding *d, const bench_case *c)
{
    const double context = d->context + (d->desc.attention.queries + 1) / 2.0; /* average over the queries */
    if (d->desc.cache == DMATTN_CACHE_PAGED)
        return c->mask.fraction > 0 ? c->mask.fraction * context : context;
    return fmin(context, (double)dmattn_decode_most_keys(&d->desc));
}

double decoding_step_bytes(const dmattn_decode_desc *d, double keys, double looked_at)
{
    const dmattn_attention_desc *a = &d->attention;
    const double row = (double)dmattn_type_size(a->type) * ((double)a->head_dim + a->value_dim); /* of a new token */
    const double cached = dmattn_decode_row_bytes(d);
    const double of_queries = a->queries * (row * ((double)a->heads + a->kv_heads) + cached * a->kv_heads);
    return a->batch * (a->kv_heads * (cached * keys + looked_at) + of_queries);
}

static double step_bytes(const decoding *d, double keys)
{
    const bool paged = d->desc.cache == DMATTN_CACHE_PAGED;
    return decoding_step_bytes(&d->desc, keys, paged ? 4.0 * d->context : 16.0 * d->layout.slots);
}

static dmattn_status run(decoding *d, const bench_case *c, measurement *m, bool *planned)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    const recording what = {d->settings->device, record_step, d};
    tell_phase(d->settings, "data");
    const dmattn_status status = decoding_create(d, c);
    *planned = d->plan;
    m->desc = *a;
    m->desc.keys = c->desc.keys;
    m->desc.kv_heads = a->kv_heads ? a->kv_heads : a->heads;
    m->desc.value_dim = a->value_dim ? a->value_dim : a->head_dim;
    TRY(status);
    const double keys = seen_keys(d, c);
    m->visible_pairs = (uint64_t)(keys * a->batch * a->heads * a->queries);
    m->planned[0] = (planned_pass){.level = d->info.level,
                                   .workspace_bytes = d->info.workspace_size,
                                   .flops_of_pair = 2.0 * (a->head_dim + a->value_dim),
                                   .bytes = step_bytes(d, keys)};
    snprintf(m->planned[0].kernel, sizeof m->planned[0].kernel, "%s", d->info.kernel);
    snprintf(m->planned[0].why_not_higher, sizeof m->planned[0].why_not_higher, "%s", d->info.why_not_higher);
    m->cache_bytes = d->layout.sequence_size
                     + d->layout.page_size * (d->desc.cache == DMATTN_CACHE_PAGED ? d->layout.table_pages : 0);
    tell_phase(d->settings, "check");
    TRY(check(d, m));
    if (m->status == CASE_WRONG)
        return DMATTN_SUCCESS;
    tell_phase(d->settings, "timing");
    timing t;
    const dmattn_status timed = keep_samples(d->settings, &what, d->log, m, &t);
    free(t.sorted);
    TRY(timed);
    return check(d, m);
}

dmattn_status measure_decoding(const measure_settings *s, const bench_case *c, const decode_tile *tile,
                               const messenger *log, measurement *m, bool *planned)
{
    decoding d = {.settings = s, .log = log, .tile = tile};
    const dmattn_status status = run(&d, c, m, planned);
    decoding_destroy(&d);
    return status;
}
