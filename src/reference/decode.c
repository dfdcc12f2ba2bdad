/* SPDX-License-Identifier: MIT */
#include "decode.h"

#include "../tensor.h"
#include "element.h"
#include "format.h"
#include "mask.h"
#include "reference.h"

#include <math.h>
#include <stdlib.h>

/* Whether the mask lets a query see a key, by the query's row of the mask or its list; NULL: all keys. */
static bool allows(const dmattn_attention_desc *a, const void *mask, uint32_t key)
{
    if (!mask)
        return true;
    if (a->mask == DMATTN_MASK_DENSE)
        return ((const uint8_t *)mask)[key];
    for (uint32_t i = 0; i < a->selected_count; i++)
        if (((const int32_t *)mask)[i] == (int32_t)(key / a->selected_block))
            return true;
    return false;
}

/* Sets visible[token] to 1 if the query at `position` sees the token, else to 0. */
static dmattn_status find_visible(const dmattn_decode_desc *d, const float *importance, uint32_t position,
                                  const void *mask, uint8_t *visible)
{
    const uint32_t keys = position + 1;
    const dmattn_mask_desc selection = {.batch = 1, .queries = keys, .keys = keys, .selection = d->selection};
    ranked_key *scratch = malloc(keys * sizeof *scratch);
    bool *selected = malloc(keys * sizeof *selected);
    const dmattn_status status = scratch && selected ? DMATTN_SUCCESS : DMATTN_ERROR_OUT_OF_MEMORY;
    if (!status) {
        reference_visible(&selection, &(mask_inputs){0}, 0, importance, position, scratch, selected);
        for (uint32_t j = 0; j < keys; j++)
            visible[j] = selected[j] && allows(&d->attention, mask, j);
    }
    free(scratch);
    free(selected);
    return status;
}

/* The first `count` rows of a kv head as they are in a cache of `format`, as f32 [count, dim]. NULL: out of memory. */
static float *rows_of_cache(dmattn_type type, dmattn_format format, const void *rows, uint64_t stride, uint32_t count,
                            uint32_t dim)
{
    float *numbers = malloc((uint64_t)count * dim * sizeof *numbers);
    float *row = calloc(dim, sizeof *row), *stored = calloc(dim, sizeof *stored); /* no format has more than f32 */
    for (uint32_t i = 0; numbers && row && stored && i < count; i++) {
        for (uint32_t c = 0; c < dim; c++)
            row[c] = (float)element_load(type, rows, i * stride + c);
        const float scale = format == DMATTN_FORMAT_TYPE ? 0 : format_store(format, stored, row, dim);
        for (uint32_t c = 0; c < dim; c++)
            numbers[(uint64_t)i * dim + c] =
                format == DMATTN_FORMAT_TYPE ? row[c] : (float)format_load(format, stored, scale, c);
    }
    if (!row || !stored) {
        free(numbers);
        numbers = NULL;
    }
    free(row);
    free(stored);
    return numbers;
}

/* The same with rows of a cache of other formats, and so f32 for all. */
static dmattn_status row_with_formats(const dmattn_attention_desc *a, const reference_inputs *in, double *scores,
                                      double *out, double *lse)
{
    const dmattn_type q_type = a->q_f32 ? DMATTN_TYPE_F32 : a->type;
    reference_inputs f32 = *in;
    dmattn_attention_desc d = *a;
    float *q = malloc(a->head_dim * sizeof *q);
    float *k = rows_of_cache(a->type, a->k_format, in->k, a->k_strides.sequence, a->keys, a->head_dim);
    float *v = rows_of_cache(a->type, a->v_format, in->v, a->v_strides.sequence, a->keys, a->value_dim);
    const dmattn_status status = q && k && v ? DMATTN_SUCCESS : DMATTN_ERROR_OUT_OF_MEMORY;
    if (!status) {
        for (uint32_t c = 0; c < a->head_dim; c++)
            q[c] = (float)element_load(q_type, in->q, c);
        f32.q = q;
        f32.k = k;
        f32.v = v;
        d.type = DMATTN_TYPE_F32;
        d.k_format = d.v_format = DMATTN_FORMAT_TYPE;
        d.k_strides = (dmattn_strides){.sequence = a->head_dim, .head = a->head_dim};
        d.v_strides = (dmattn_strides){.sequence = a->value_dim, .head = a->value_dim};
        reference_attention_row(&d, &f32, 0, 0, 0, scores, out, lse);
    }
    free(q);
    free(k);
    free(v);
    return status;
}

dmattn_status reference_decode_row(const dmattn_decode_desc *d, const reference_sequence *s, const void *q,
                                   uint32_t head, uint32_t position, const void *mask, const void *bias, double *out,
                                   double *lse)
{
    const dmattn_attention_desc *a = &d->attention;
    const uint32_t keys = position + 1, kv_head = head / (a->heads / a->kv_heads);
    const uint64_t size = dmattn_type_size(a->type);
    const float *importance = d->no_importance ? NULL : s->importance + kv_head * s->importance_stride;
    uint8_t *visible = malloc(keys);
    double *scores = malloc(keys * sizeof *scores);
    dmattn_status status =
        visible && scores ? find_visible(d, importance, position, mask, visible) : DMATTN_ERROR_OUT_OF_MEMORY;
    if (!status) {
        dmattn_attention_desc one = *a; /* with all options of scores */
        one.batch = one.queries = one.heads = one.kv_heads = 1;
        one.keys = keys;
        one.k_strides = s->k_strides;
        one.v_strides = s->v_strides;
        one.mask = DMATTN_MASK_DENSE;
        one.selected_count = one.selected_block = 0;
        one.mask_shape = one.bias_shape = (dmattn_score_shape){1, 1, 1, 0, 0, 0};
        if (importance) {
            one.bias = true;
            one.bias_type = DMATTN_TYPE_F32;
        }
        const reference_inputs in = {
            .q = q,
            .k = (const char *)s->k + kv_head * size * s->k_strides.head,
            .v = (const char *)s->v + kv_head * size * s->v_strides.head,
            .mask = visible,
            .bias = importance ? importance : bias,
            .sink = s->sink + (a->sink ? head : 0),
            .slopes = s->slopes + (a->slopes ? head : 0),
        };
        if (one.k_format || one.v_format)
            status = row_with_formats(&one, &in, scores, out, lse);
        else
            reference_attention_row(&one, &in, 0, 0, 0, scores, out, lse);
    }
    free(visible);
    free(scores);
    return status;
}
