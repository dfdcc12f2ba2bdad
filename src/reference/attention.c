/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include "element.h"

#include <math.h>
#include <stdlib.h>

static uint64_t row_of(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t head)
{
    return batch * s->batch + sequence * s->sequence + head * s->head;
}

/* Where element (batch, head, query, key) of a broadcast tensor is. */
static uint64_t score_at(const dmattn_attention_desc *d, const dmattn_score_shape *s, uint32_t batch, uint32_t head,
                         uint32_t query, uint32_t key)
{
    return (s->batch == 1 ? 0 : batch) * s->batch_stride
           + dmattn_score_head(s, head, d->heads, d->kv_heads) * s->head_stride
           + (s->queries == 1 ? 0 : query) * s->query_stride + key;
}

static bool visible(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t batch, uint32_t head,
                    uint32_t query, uint32_t key)
{
    if (d->causal && (int64_t)key > (int64_t)query + d->keys - d->queries)
        return false;
    if (d->mask == DMATTN_MASK_NONE)
        return true;
    uint64_t at = score_at(d, &d->mask_shape, batch, head, query, key);
    if (d->mask == DMATTN_MASK_DENSE)
        return in->mask[at] != 0;
    return in->begin[at] <= (int64_t)query && (int64_t)query < in->end[at];
}

static double score(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t batch, uint32_t head,
                    uint32_t query, uint32_t key)
{
    uint64_t q = row_of(&d->q_strides, batch, query, head);
    uint64_t k = row_of(&d->k_strides, batch, key, head / (d->heads / d->kv_heads));
    double dot = 0;
    for (uint32_t i = 0; i < d->head_dim; i++)
        dot += element_load(d->type, in->q, q + i) * element_load(d->type, in->k, k + i);
    double s = d->scale * dot;
    if (d->soft_cap > 0)
        s = d->soft_cap * tanh(s / d->soft_cap);
    if (d->bias) {
        const double bias = element_load(d->bias_type, in->bias, score_at(d, &d->bias_shape, batch, head, query, key));
        s += isnan(bias) ? -INFINITY : bias;
    }
    return s;
}

void reference_attention_row(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t batch, uint32_t head,
                             uint32_t query, double *scores, double *out, double *lse)
{
    double max = -INFINITY, sum = 0;
    for (uint32_t j = 0; j < d->keys; j++) {
        scores[j] = visible(d, in, batch, head, query, j) ? score(d, in, batch, head, query, j) : -INFINITY;
        max = fmax(max, scores[j]);
    }
    for (uint32_t i = 0; i < d->value_dim; i++)
        out[i] = 0;
    *lse = -INFINITY;
    if (max == -INFINITY) /* nothing is seen */
        return;

    for (uint32_t j = 0; j < d->keys; j++) {
        if (scores[j] == -INFINITY)
            continue;
        double p = exp(scores[j] - max);
        uint64_t v = row_of(&d->v_strides, batch, j, head / (d->heads / d->kv_heads));
        sum += p;
        for (uint32_t i = 0; i < d->value_dim; i++)
            out[i] += p * element_load(d->type, in->v, v + i);
    }
    for (uint32_t i = 0; i < d->value_dim; i++)
        out[i] /= sum;
    *lse = max + log(sum);
}

dmattn_status reference_attention(const dmattn_attention_desc *d, const reference_inputs *in, double *out, double *lse)
{
    double *scores = malloc(d->keys * sizeof *scores);
    if (!scores)
        return DMATTN_ERROR_OUT_OF_MEMORY;
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t t = 0; t < d->queries; t++)
            for (uint32_t h = 0; h < d->heads; h++) {
                uint64_t row = ((uint64_t)b * d->queries + t) * d->heads + h;
                double row_lse;
                reference_attention_row(d, in, b, h, t, scores, out + row * d->value_dim, &row_lse);
                if (lse)
                    lse[((uint64_t)b * d->heads + h) * d->queries + t] = row_lse;
            }
    free(scores);
    return DMATTN_SUCCESS;
}
