/* SPDX-License-Identifier: MIT */
#include "low_precision.h"

#include "reference/element.h"

#include <math.h>
#include <stdlib.h>

static float round_to(dmattn_type type, float value)
{
    float stored;
    element_store(type, &stored, 0, value);
    return (float)element_load(type, &stored, 0);
}

static const char *row(const void *base, dmattn_type type, const dmattn_strides *s, uint32_t b, uint32_t t, uint32_t h)
{
    return (const char *)base + dmattn_type_size(type) * (b * s->batch + t * s->sequence + h * s->head);
}

static uint64_t score_at(const dmattn_attention_desc *d, const dmattn_score_shape *s, uint32_t b, uint32_t h,
                         uint32_t t, uint32_t j)
{
    uint64_t at = j;
    if (s->batch > 1)
        at += b * s->batch_stride;
    if (s->heads == d->heads)
        at += (s->heads > 1 ? h : 0) * s->head_stride;
    else if (s->heads > 1)
        at += h / (d->heads / d->kv_heads) * s->head_stride;
    if (s->queries > 1)
        at += t * s->query_stride;
    return at;
}

static bool is_visible(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t b, uint32_t h, uint32_t t,
                       uint32_t j)
{
    bool visible = !d->causal || (int64_t)j <= (int64_t)t + d->keys - d->queries;
    uint64_t at = d->mask ? score_at(d, &d->mask_shape, b, h, t, j) : 0;
    if (d->mask == DMATTN_MASK_DENSE)
        visible = visible && in->mask[at];
    if (d->mask == DMATTN_MASK_INTERVALS)
        visible = visible && in->begin[at] <= (int64_t)t && (int64_t)t < in->end[at];
    return visible;
}

static float dot(dmattn_type type, const void *a, const void *b, uint32_t count)
{
    float sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += (float)element_load(type, a, i) * (float)element_load(type, b, i);
    return sum;
}

/* One query's probabilities; returns its lse. */
static float softmax_row(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t b, uint32_t h, uint32_t t,
                         float *p)
{
    const char *q = row(in->q, d->type, &d->q_strides, b, t, h);
    float max = -INFINITY, sum = 0;
    for (uint32_t j = 0; j < d->keys; j++) {
        p[j] = -INFINITY;
        if (!is_visible(d, in, b, h, t, j))
            continue;
        const char *k = row(in->k, d->type, &d->k_strides, b, j, h / (d->heads / d->kv_heads));
        p[j] = d->scale * dot(d->type, q, k, d->head_dim);
        if (d->soft_cap > 0)
            p[j] = d->soft_cap * tanhf(p[j] / d->soft_cap);
        if (d->bias) {
            const float bias = (float)element_load(d->bias_type, in->bias, score_at(d, &d->bias_shape, b, h, t, j));
            p[j] += isnan(bias) ? -INFINITY : bias;
        }
        max = fmaxf(max, p[j]);
    }
    for (uint32_t j = 0; j < d->keys; j++) {
        p[j] = p[j] == -INFINITY ? 0 : expf(p[j] - max);
        sum += p[j];
    }
    for (uint32_t j = 0; j < d->keys; j++)
        p[j] = sum > 0 ? round_to(d->type, p[j] / sum) : 0;
    return sum > 0 ? max + logf(sum) : -INFINITY;
}

void low_precision_attention(const dmattn_attention_desc *d, const reference_inputs *in, float *out, float *lse)
{
    float *p = malloc(d->keys * sizeof *p);
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t t = 0; t < d->queries; t++)
            for (uint32_t h = 0; h < d->heads; h++) {
                lse[((uint64_t)b * d->heads + h) * d->queries + t] = softmax_row(d, in, b, h, t, p);
                for (uint32_t i = 0; i < d->value_dim; i++)
                    out[i] = 0;
                for (uint32_t j = 0; j < d->keys; j++) {
                    const char *v = row(in->v, d->type, &d->v_strides, b, j, h / (d->heads / d->kv_heads));
                    for (uint32_t i = 0; p[j] > 0 && i < d->value_dim; i++)
                        out[i] += p[j] * (float)element_load(d->type, v, i);
                }
                for (uint32_t i = 0; i < d->value_dim; i++, out++)
                    *out = round_to(d->type, *out);
            }
    free(p);
}

double type_epsilon(dmattn_type type)
{
    return type == DMATTN_TYPE_F32 ? 0x1p-24 : type == DMATTN_TYPE_F16 ? 0x1p-11 : 0x1p-8;
}

static void compare(const float *got, const double *want, uint64_t count, double *worst, double *max, uint64_t *at,
                    bool *mismatch)
{
    for (uint64_t i = 0; i < count; i++) {
        /* What is exactly 0 belongs to a query that sees nothing. */
        if (isfinite(want[i]) && isfinite(got[i]) && (want[i] != 0 || got[i] == 0)) {
            double error = fabs(got[i] - want[i]);
            if (error > *worst && !*mismatch)
                *at = i;
            *worst = fmax(*worst, error);
            *max = fmax(*max, fabs(want[i]));
        } else if (got[i] != want[i] && !*mismatch) { /* a NaN is never right */
            *mismatch = true;
            *at = i;
        }
    }
}

errors compare_results(const dmattn_attention_desc *d, const float *out, const float *lse, const double *want_out,
                       const double *want_lse)
{
    errors e = {0};
    const uint64_t rows = (uint64_t)d->batch * d->queries * d->heads;
    compare(out, want_out, rows * d->value_dim, &e.out, &e.out_max, &e.out_at, &e.out_mismatch);
    if (lse && want_lse)
        compare(lse, want_lse, rows, &e.lse, &e.lse_max, &e.lse_at, &e.lse_mismatch);
    return e;
}

tolerances derive_tolerances(const dmattn_attention_desc *d, const errors *low)
{
    return (tolerances){
        .out = 2 * low->out + 8 * type_epsilon(d->type) * low->out_max,
        .lse = 2 * low->lse + 16 * 0x1p-24 * fmax(1, low->lse_max),
    };
}
