/* SPDX-License-Identifier: MIT
 * What the steps of a submission gave, compared with the reference. */
#include "attention/desc.h"
#include "check/check.h"
#include "decode_model_run.h"
#include "descriptors/format.h"
#include "reference/element.h"
#include "reference/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void *decode_model_allocate(uint64_t bytes)
{
    void *memory = calloc(1, bytes ? bytes : 1);
    cr_assert(memory);
    return memory;
}

/* FNV-1a over 32-bit words. */
static void add_to_hash(decode_results *results, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    results->hash = (results->hash ^ bits) * UINT64_C(1099511628211);
}

static void compare(run *r, unsigned round)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    const dmattn_strides *s = &a->out_strides;
    double *got = decode_model_allocate(a->value_dim * sizeof *got);
    const int results[] = {TENSOR_OUT, TENSOR_LSE};
    for (int i = 0; i < 2; i++)
        ASSERT_OK(
            dmattn_download(h.device, &r->buffer[results[i]], 0, r->image[results[i]], r->bytes[results[i]] * STEPS));
    for (uint64_t row = 0; row < (uint64_t)STEPS * a->batch * a->queries * a->heads; row++) {
        const uint32_t head = row % a->heads, t = row / a->heads % a->queries;
        const uint64_t b = row / a->heads / a->queries % a->batch, step = row / a->heads / a->queries / a->batch;
        if (!r->wanted[row])
            continue;
        for (uint32_t c = 0; c < a->value_dim; c++)
            got[c] =
                element_load(dmattn_attention_type(a, TENSOR_OUT), r->image[TENSOR_OUT] + step * r->bytes[TENSOR_OUT],
                             b * s->batch + t * s->sequence + head * s->head + c);
        const float lse =
            ((float *)(r->image[TENSOR_LSE] + step * r->bytes[TENSOR_LSE]))[(b * a->heads + head) * a->queries + t];
        r->results->rows++;
        if (isnan(r->lse[row])) {
            cr_assert(isnan(lse) && isnan(got[0]), "%s: a sequence without its needed keys, or NaN in q, gives %g",
                      r->name, got[0]);
            continue;
        }
        for (uint32_t c = 0; c < a->value_dim; c++)
            add_to_hash(r->results, (float)got[c]);
        add_to_hash(r->results, lse);
        const double error = row_error(got, r->out + row * a->value_dim, a->value_dim);
        const double of_lse = lse_error((double)lse, r->lse[row]);
        cr_assert_leq(error, tolerance(a->type), "%s: round %u, step %u, sequence %u, token %u, head %u: error %g",
                      r->name, round, (unsigned)step, (unsigned)b, t, head, error);
        cr_assert_leq(of_lse, tolerance(a->type),
                      "%s: round %u, step %u, sequence %u, token %u, head %u: lse %g, not %g", r->name, round,
                      (unsigned)step, (unsigned)b, t, head, (double)lse, r->lse[row]);
        r->results->error = fmax(r->results->error, error);
        r->results->lse_error = fmax(r->results->lse_error, of_lse);
    }
    free(got);
}

/* The importance in the cache must have the same bits as from the mask plan. */
static void compare_importance(const run *r)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    const uint64_t slots = (uint64_t)a->kv_heads * r->layout.slots;
    uint32_t *words = decode_model_allocate(16 * slots);
    for (uint32_t b = 0; b < a->batch; b++) {
        const history *s = &r->sequences[b];
        ASSERT_OK(dmattn_download(h.device, &r->buffer[TENSOR_STATE],
                                  b * r->layout.sequence_size + r->layout.slot_words, words, 16 * slots));
        for (uint64_t i = 0; i < slots; i++) {
            const uint32_t position = words[4 * i] - 1;
            if (!words[4 * i] || position >= s->length)
                continue;
            float want = s->importance[i / r->layout.slots * MOST_LOG + position];
            want = isnan(want) ? -INFINITY : want; /* in a prompt, NaN counts as -infinity */
            cr_assert_arr_eq(&words[4 * i + 1], &want, sizeof want, "%s: sequence %u, position %u", r->name, b,
                             position);
        }
    }
    free(words);
}

/* Whether a row of the cache, and its scale, have the bits of a token's row of k or v in its format. */
static void compare_row(const run *r, tensor_id t, const history *s, uint32_t head, uint32_t position,
                        const char *cached, const char *cached_scale)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    const dmattn_format format = dmattn_attention_format(&r->desc.attention, t);
    const uint32_t dim = t == TENSOR_K ? a->head_dim : a->value_dim;
    const uint64_t bytes = dmattn_format_bytes(format, dim);
    const uint64_t first = ((uint64_t)position * a->kv_heads + head) * dim;
    float *row = decode_model_allocate(dim * sizeof *row);
    char *want = decode_model_allocate(bytes);
    for (uint32_t c = 0; c < dim; c++)
        row[c] = (float)element_load(a->type, t == TENSOR_K ? s->k : s->v, first + c);
    const float scale = format_store(format, want, row, dim);
    cr_assert_arr_eq(cached, want, bytes, "%s: position %u of kv head %u, %s", r->name, position, head,
                     dmattn_tensor_name(t));
    if (dmattn_format_has_scales(format))
        cr_assert_arr_eq(cached_scale, &scale, sizeof scale, "%s: the scale of position %u of kv head %u, %s", r->name,
                         position, head, dmattn_tensor_name(t));
    free(row);
    free(want);
}

/* The cache holds the same bits as the reference makes. */
static void compare_rows(const run *r)
{
    const dmattn_attention_desc *a = &r->desc.attention;
    const dmattn_cache_layout *l = &r->layout;
    const bool paged = r->desc.cache == DMATTN_CACHE_PAGED;
    const uint64_t key = dmattn_format_bytes(dmattn_attention_format(&r->desc.attention, TENSOR_K), a->head_dim);
    const uint64_t value = dmattn_format_bytes(dmattn_attention_format(&r->desc.attention, TENSOR_V), a->value_dim);
    const uint32_t slots = paged ? r->desc.page_size : l->slots;
    char *memory = decode_model_allocate(paged ? l->pages_size : l->state_size);
    const tensor_id of = paged ? TENSOR_PAGES : TENSOR_STATE;
    ASSERT_OK(dmattn_download(h.device, &r->buffer[of], 0, memory, paged ? l->pages_size : l->state_size));
    for (uint32_t b = 0; b < a->batch; b++)
        for (uint32_t head = 0; head < a->kv_heads; head++)
            for (uint32_t i = 0; i < (paged ? r->sequences[b].length : l->slots); i++) {
                const int32_t *table = (const int32_t *)r->image[TENSOR_TABLE];
                const char *base = memory + (paged ? 0 : b * l->sequence_size);
                if (paged)
                    base += (uint64_t)table[b * l->table_pages + i / slots] * l->page_size;
                const uint64_t at = (uint64_t)head * slots + i % slots;
                uint32_t position = i + 1;
                if (!paged)
                    memcpy(&position, base + l->slot_words + 16 * at, sizeof position);
                if (!position || position > r->sequences[b].length)
                    continue;
                compare_row(r, TENSOR_K, &r->sequences[b], head, position - 1, base + l->keys + key * at,
                            base + l->key_scales + 4 * at);
                compare_row(r, TENSOR_V, &r->sequences[b], head, position - 1, base + l->values + value * at,
                            base + l->value_scales + 4 * at);
            }
    free(memory);
}

void decode_model_compare(run *r, unsigned round)
{
    compare(r, round);
    if (r->importance_plan && r->layout.slots)
        compare_importance(r);
    if (dmattn_decode_has_formats(&r->desc))
        compare_rows(r);
}
