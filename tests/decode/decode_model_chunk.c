/* SPDX-License-Identifier: MIT
 * Chunks of new tokens that attend to the cache: what they gave, compared with the reference. */
#include "attention/desc.h"
#include "check/check.h"
#include "decode_model_run.h"
#include "descriptors/format.h"
#include "reference/decode.h"
#include "reference/element.h"
#include "reference/format.h"
#include "shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNTOUCHED 0xa5

/* The tensors that a chunk has for itself. */
enum { CHUNK_Q, CHUNK_K, CHUNK_V, CHUNK_OUT, CHUNK_LSE, CHUNK_IMPORTANCE, CHUNK_TENSORS };

struct chunk {
    history *sequence;
    uint32_t first, keys;
    uint64_t bytes[CHUNK_TENSORS];
    char *image[CHUNK_TENSORS];
    dmattn_buffer buffer[CHUNK_TENSORS];
};

static uint64_t row_at(const dmattn_strides *s, uint64_t t, uint64_t head)
{
    return t * s->sequence + head * s->head;
}

/* Rows of the chunk's k or v, with NaN between them. */
static void spread_rows(const run *r, const chunk *c, int tensor, const dmattn_strides *s, const char *rows,
                        uint32_t dim)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    const uint64_t row = dmattn_type_size(a->type) * dim;
    memset(c->image[tensor], 0xff, c->bytes[tensor]);
    for (uint64_t t = 0; t < c->keys; t++)
        for (uint32_t head = 0; head < a->kv_heads; head++)
            memcpy(c->image[tensor] + dmattn_type_size(a->type) * row_at(s, t, head),
                   rows + row * ((c->first + t) * a->kv_heads + head), row);
}

static void make_inputs(run *r, const chunk *c)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    const dmattn_type q = dmattn_attention_type(a, TENSOR_Q);
    memset(c->image[CHUNK_Q], 0xff, c->bytes[CHUNK_Q]);
    for (uint64_t t = 0; t < c->keys; t++)
        for (uint32_t head = 0; head < a->heads; head++) {
            const bool odd = r->habits->odd_numbers && random_bits(&r->random) % r->habits->odd_numbers == 0;
            for (uint32_t i = 0; i < a->head_dim; i++)
                element_store(q, c->image[CHUNK_Q], row_at(&a->q_strides, t, head) + i,
                              odd && !i ? (double)NAN : random_normal(&r->random));
        }
    spread_rows(r, c, CHUNK_K, &a->k_strides, c->sequence->k, a->head_dim);
    spread_rows(r, c, CHUNK_V, &a->v_strides, c->sequence->v, a->value_dim);
    memset(c->image[CHUNK_OUT], UNTOUCHED, c->bytes[CHUNK_OUT]);
    for (uint32_t head = 0; head < a->kv_heads; head++)
        for (uint32_t t = 0; t < c->keys; t++)
            ((float *)c->image[CHUNK_IMPORTANCE])[head * c->keys + t] =
                c->sequence->importance[head * MOST_LOG + c->first + t];
}

/* Results must not depend on what the workspace holds. */
static void fill_workspace(const run *r)
{
    char *ones = decode_model_allocate(r->info.workspace_size);
    memset(ones, 0xff, r->info.workspace_size);
    ASSERT_OK(dmattn_upload(h.device, &r->workspace, 0, ones, r->info.workspace_size));
    free(ones);
}

bool decode_model_can_chunk(const run *r, uint32_t first, uint32_t keys)
{
    const uint64_t computed =
        r->importance_plan ? (uint64_t)STEPS * r->desc.attention.batch * r->desc.attention.queries : 0;
    return keys <= r->desc.chunk_tokens && (!computed || (keys <= computed && first + computed <= MOST_LOG));
}

chunk *decode_model_record_chunk(run *r, VkCommandBuffer commands, uint32_t sequence, uint32_t first, uint32_t keys,
                                 uint32_t asked_first)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    const uint64_t size = dmattn_type_size(a->type);
    chunk *c = decode_model_allocate(sizeof *c);
    *c = (chunk){.sequence = &r->sequences[sequence], .first = first, .keys = keys};
    c->bytes[CHUNK_Q] = dmattn_type_size(dmattn_attention_type(a, TENSOR_Q))
                        * dmattn_strides_span(&a->q_strides, 1, keys, a->heads, a->head_dim);
    c->bytes[CHUNK_K] = size * dmattn_strides_span(&a->k_strides, 1, keys, a->kv_heads, a->head_dim);
    c->bytes[CHUNK_V] = size * dmattn_strides_span(&a->v_strides, 1, keys, a->kv_heads, a->value_dim);
    c->bytes[CHUNK_OUT] = dmattn_type_size(dmattn_attention_type(a, TENSOR_OUT))
                          * dmattn_strides_span(&a->out_strides, 1, keys, a->heads, a->value_dim);
    c->bytes[CHUNK_LSE] = sizeof(float) * a->heads * keys;
    c->bytes[CHUNK_IMPORTANCE] = sizeof(float) * a->kv_heads * keys;
    for (int i = 0; i < CHUNK_TENSORS; i++) {
        c->image[i] = decode_model_allocate(c->bytes[i]);
        ASSERT_OK(dmattn_buffer_create(h.device, c->bytes[i], &c->buffer[i]));
    }
    make_inputs(r, c);
    for (int i = 0; i < CHUNK_TENSORS; i++)
        ASSERT_OK(dmattn_upload(h.device, &c->buffer[i], 0, c->image[i], c->bytes[i]));
    fill_workspace(r);
    if (r->importance_plan) { /* the bits that the history needs */
        const uint64_t before = size * a->kv_heads * a->value_dim * first;
        const dmattn_mask_args args = {.v = {r->prompt_v.buffer, before, r->prompt_v.size - before},
                                       .dt_weight = r->buffer[TENSOR_DT_WEIGHT],
                                       .a = r->buffer[TENSOR_A],
                                       .dt_bias = r->buffer[TENSOR_DT_BIAS],
                                       .importance = r->computed};
        ASSERT_OK(dmattn_mask_record(r->importance_plan, commands, &args));
    }
    const dmattn_decode_chunk_args args = {.sequence = sequence,
                                           .first = asked_first,
                                           .keys = keys,
                                           .q = c->buffer[CHUNK_Q],
                                           .k = c->buffer[CHUNK_K],
                                           .v = c->buffer[CHUNK_V],
                                           .out = c->buffer[CHUNK_OUT],
                                           .lse = c->buffer[CHUNK_LSE],
                                           .dt_weight = r->buffer[TENSOR_DT_WEIGHT],
                                           .a = r->buffer[TENSOR_A],
                                           .dt_bias = r->buffer[TENSOR_DT_BIAS],
                                           .importance = c->buffer[CHUNK_IMPORTANCE],
                                           .sink = r->buffer[TENSOR_SINK],
                                           .state = r->buffer[TENSOR_STATE],
                                           .workspace = r->workspace};
    ASSERT_OK(dmattn_decode_chunk_record(r->plan, commands, &args));
    dmattn_commands_barrier(h.device);
    r->results->attended++;
    return c;
}

/* The history gets the importance that was computed. */
static void take_importance(const run *r, const chunk *c)
{
    const uint64_t stride = (uint64_t)STEPS * r->desc.attention.batch * r->desc.attention.queries;
    const uint32_t heads = r->desc.attention.kv_heads;
    float *importance = decode_model_allocate(sizeof(float) * stride * heads);
    ASSERT_OK(dmattn_download(h.device, &r->computed, 0, importance, sizeof(float) * stride * heads));
    for (uint32_t head = 0; head < heads; head++)
        memcpy(c->sequence->importance + head * MOST_LOG + c->first, importance + head * stride,
               sizeof(float) * c->keys);
    free(importance);
}

/* All rows of a sequence as the chunk reads them: rounded to their format, and then to the type. */
static char *rounded_rows(const run *r, tensor_id t, const char *rows, uint32_t tokens)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    const dmattn_format format = dmattn_attention_format(a, t);
    const uint32_t dim = t == TENSOR_K ? a->head_dim : a->value_dim;
    const uint64_t count = (uint64_t)tokens * a->kv_heads * dim;
    char *rounded = decode_model_allocate(dmattn_type_size(a->type) * count);
    float *row = decode_model_allocate(dim * sizeof *row);
    char *stored = decode_model_allocate(dmattn_format_bytes(format, dim));
    for (uint64_t at = 0; at < count; at += dim) {
        for (uint32_t i = 0; i < dim; i++)
            row[i] = (float)element_load(a->type, rows, at + i);
        const float scale = format_store(format, stored, row, dim);
        for (uint32_t i = 0; i < dim; i++)
            element_store(a->type, rounded, at + i, format_load(format, stored, scale, i));
    }
    free(row);
    free(stored);
    return rounded;
}

static void compare_row(run *r, const chunk *c, uint32_t t, uint32_t head, const double *want, double want_lse)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    const dmattn_type type = dmattn_attention_type(a, TENSOR_OUT);
    const float lse = ((const float *)c->image[CHUNK_LSE])[head * c->keys + t];
    const uint64_t at = row_at(&a->out_strides, t, head);
    double *got = decode_model_allocate(a->value_dim * sizeof *got);
    for (uint32_t i = 0; i < a->value_dim; i++)
        got[i] = element_load(type, c->image[CHUNK_OUT], at + i);
    memset(c->image[CHUNK_OUT] + dmattn_type_size(type) * at, UNTOUCHED, dmattn_type_size(type) * a->value_dim);
    r->results->rows++;
    if (isnan(want_lse))
        for (uint32_t i = 0; i < a->value_dim; i++)
            cr_assert(isnan(lse) && isnan(got[i]),
                      "%s: a chunk of a sequence without its needed keys, or NaN in q, gives %g", r->name, got[i]);
    else {
        const double error = row_error(got, want, a->value_dim), of_lse = lse_error((double)lse, want_lse);
        cr_assert_leq(error, tolerance(a->type), "%s: chunk of %u after %u, token %u, head %u: error %g", r->name,
                      c->keys, c->first, t, head, error);
        cr_assert_leq(of_lse, tolerance(a->type), "%s: chunk of %u after %u, token %u, head %u: lse %g, not %g",
                      r->name, c->keys, c->first, t, head, (double)lse, want_lse);
        r->results->error = fmax(r->results->error, error);
        r->results->lse_error = fmax(r->results->lse_error, of_lse);
    }
    free(got);
}

static void compare(run *r, const chunk *c)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    dmattn_decode_desc of_rounded = r->desc;
    of_rounded.attention.k_format = of_rounded.attention.v_format = DMATTN_FORMAT_TYPE;
    char *k = rounded_rows(r, TENSOR_K, c->sequence->k, c->first + c->keys),
         *v = rounded_rows(r, TENSOR_V, c->sequence->v, c->first + c->keys);
    double *want = decode_model_allocate(a->value_dim * sizeof *want);
    const reference_sequence rows = {
        .k = k,
        .v = v,
        .k_strides = {.sequence = (uint64_t)a->kv_heads * a->head_dim, .head = a->head_dim},
        .v_strides = {.sequence = (uint64_t)a->kv_heads * a->value_dim, .head = a->value_dim},
        .importance = c->sequence->importance,
        .importance_stride = MOST_LOG,
        .sink = (const float *)r->image[TENSOR_SINK],
    };
    for (uint32_t t = 0; t < c->keys; t++)
        for (uint32_t head = 0; head < a->heads; head++) {
            const char *q = c->image[CHUNK_Q]
                            + dmattn_type_size(dmattn_attention_type(a, TENSOR_Q)) * row_at(&a->q_strides, t, head);
            double lse = (double)NAN;
            if (!c->sequence->broken)
                ASSERT_OK(reference_decode_row(&of_rounded, &rows, q, head, c->first + t, NULL, NULL, want, &lse));
            compare_row(r, c, t, head, want, lse);
        }
    for (uint64_t i = 0; i < c->bytes[CHUNK_OUT]; i++)
        cr_assert_eq((unsigned char)c->image[CHUNK_OUT][i], UNTOUCHED, "%s: a chunk wrote byte %u between rows",
                     r->name, (unsigned)i);
    free(k);
    free(v);
    free(want);
}

void decode_model_compare_chunk(run *r, chunk *c)
{
    ASSERT_OK(dmattn_download(h.device, &c->buffer[CHUNK_OUT], 0, c->image[CHUNK_OUT], c->bytes[CHUNK_OUT]));
    ASSERT_OK(dmattn_download(h.device, &c->buffer[CHUNK_LSE], 0, c->image[CHUNK_LSE], c->bytes[CHUNK_LSE]));
    if (r->importance_plan)
        take_importance(r, c);
    compare(r, c);
    for (int i = 0; i < CHUNK_TENSORS; i++) {
        free(c->image[i]);
        dmattn_buffer_destroy(h.device, &c->buffer[i]);
    }
    free(c);
}
