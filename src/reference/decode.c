/* SPDX-License-Identifier: MIT */
#include "decode.h"

#include "../tensor.h"
#include "mask.h"
#include "reference.h"

#include <math.h>
#include <stdlib.h>

/* Sets visible[token] to 1 if the query at `position` sees the token, else to 0. */
static dmattn_status find_visible(const dmattn_decode_desc *d, const float *importance, uint32_t position,
                                  const uint8_t *mask, uint8_t *visible)
{
    const uint32_t keys = position + 1;
    const dmattn_mask_desc selection = {.batch = 1, .queries = keys, .keys = keys, .selection = d->selection};
    ranked_key *scratch = malloc(keys * sizeof *scratch);
    bool *selected = malloc(keys * sizeof *selected);
    const dmattn_status status = scratch && selected ? DMATTN_SUCCESS : DMATTN_ERROR_OUT_OF_MEMORY;
    if (!status) {
        reference_visible(&selection, &(mask_inputs){0}, 0, importance, position, scratch, selected);
        for (uint32_t j = 0; j < keys; j++)
            visible[j] = selected[j] && (!mask || mask[j]);
    }
    free(scratch);
    free(selected);
    return status;
}

dmattn_status reference_decode_row(const dmattn_decode_desc *d, const reference_sequence *s, const void *q,
                                   uint32_t head, uint32_t position, const uint8_t *mask, const void *bias, double *out,
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
        reference_attention_row(&one, &in, 0, 0, 0, scores, out, lse);
    }
    free(visible);
    free(scores);
    return status;
}
