/* SPDX-License-Identifier: MIT */
#include "backward.h"

#include "element.h"
#include "pairs.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- attention ----------------------------------------------------------------------------------------------- */

/* One query of one head. */
typedef struct query_row {
    uint32_t batch, head, query;
} query_row;

/* For each key of one query. */
typedef struct row_scratch {
    double *p;     /* the probability */
    double *dp;    /* the gradient of p */
    double *slope; /* the derivative of the score with respect to scale * (q . k) */
} row_scratch;

/* What a query has once: its delta, and the probability of its sink. */
typedef struct row_sums {
    double delta, sink;
} row_sums;

/* Divides the scores' exponentials in row->p by their sum, and finds row->dp. Returns the sum of p * dp, which equals
 * the sum of out * dout. */
static double find_delta(const dmattn_attention_desc *d, const reference_inputs *in, const reference_dout *dout,
                         const query_row *r, const row_scratch *row, double sum)
{
    const uint64_t from = reference_row(&dout->strides, r->batch, r->query, r->head);
    double delta = 0;
    for (uint32_t i = 0; i < d->value_dim; i++) /* NaN if dout is not finite, even if the query sees no key */
        delta += 0 * element_load(d->type, dout->data, from + i);
    for (uint32_t j = 0; j < d->keys; j++) {
        if (row->p[j] == 0)
            continue;
        const uint64_t v = reference_row(&d->v_strides, r->batch, j, reference_kv_head(d, r->head));
        row->p[j] /= sum;
        row->dp[j] = 0;
        for (uint32_t i = 0; i < d->value_dim; i++)
            row->dp[j] += element_load(d->type, dout->data, from + i) * element_load(d->type, in->v, v + i);
        delta += row->p[j] * row->dp[j];
    }
    return delta;
}

/* Fills `row` and *sums. Returns false if the query sees no key and has no sink. If its softmax or delta is not finite,
 * p is NaN for every key that causality and the mask let it see, and for its sink. */
static bool find_probabilities(const dmattn_attention_desc *d, const reference_inputs *in, const reference_dout *dout,
                               const query_row *r, const row_scratch *row, row_sums *sums)
{
    const double sink = reference_sink(d, in, r->head);
    const bool has_sink = sink != -INFINITY;
    double max = sink, sum = 0;
    bool sees_any = has_sink;
    for (uint32_t j = 0; j < d->keys; j++) {
        row->p[j] = reference_score(d, in, r->batch, r->head, r->query, j, &row->slope[j]);
        max = fmax(max, row->p[j]);
        sees_any = sees_any || row->p[j] != -INFINITY;
    }
    if (!sees_any)
        return false;
    for (uint32_t j = 0; j < d->keys; j++) {
        row->p[j] = exp(row->p[j] - max);
        sum += row->p[j];
    }
    const double of_sink = has_sink ? exp(sink - max) : 0;
    sum += of_sink;
    sums->sink = of_sink / sum;
    sums->delta = find_delta(d, in, dout, r, row, sum);
    if (dout->dlse)
        sums->delta -= dout->dlse[((uint64_t)r->batch * d->heads + r->head) * d->queries + r->query];
    if (!isfinite(sum) || !isfinite(sums->delta)) {
        sums->sink = has_sink ? NAN : 0;
        for (uint32_t j = 0; j < d->keys; j++)
            row->p[j] = row->dp[j] = reference_sees(d, in, r->batch, r->head, r->query, j) ? NAN : 0;
    }
    return true;
}

/* Adds factor * array[from ..] to a row of a contiguous tensor. */
static void add_row(double *to, uint64_t to_row, uint32_t dim, double factor, dmattn_type type, const void *array,
                    uint64_t from)
{
    for (uint32_t i = 0; i < dim; i++)
        to[to_row * dim + i] += factor * element_load(type, array, from + i);
}

/* Adds the contribution of one query to all gradients. */
static void add_query(const dmattn_attention_desc *d, const reference_inputs *in, const reference_dout *dout,
                      const query_row *r, const row_scratch *row, const row_sums *sums, const attention_gradients *g)
{
    const uint32_t kv_head = reference_kv_head(d, r->head);
    const uint64_t q = reference_row(&d->q_strides, r->batch, r->query, r->head);
    const uint64_t from = reference_row(&dout->strides, r->batch, r->query, r->head);
    const uint64_t dq = ((uint64_t)r->batch * d->queries + r->query) * d->heads + r->head;
    dmattn_score_shape bias = d->bias_shape;
    bias.query_stride = d->keys;
    bias.head_stride = bias.queries * bias.query_stride;
    bias.batch_stride = bias.heads * bias.head_stride;
    for (uint32_t j = 0; j < d->keys; j++) {
        if (row->p[j] == 0)
            continue;
        const uint64_t kv = ((uint64_t)r->batch * d->keys + j) * d->kv_heads + kv_head;
        const double ds = row->p[j] * (row->dp[j] - sums->delta), by_dot = d->scale * ds * row->slope[j];
        if (g->dq)
            add_row(g->dq, dq, d->head_dim, by_dot, d->type, in->k, reference_row(&d->k_strides, r->batch, j, kv_head));
        if (g->dk)
            add_row(g->dk, kv, d->head_dim, by_dot, d->type, in->q, q);
        if (g->dv)
            add_row(g->dv, kv, d->value_dim, row->p[j], d->type, dout->data, from);
        if (g->dbias)
            g->dbias[reference_score_at(d, &bias, r->batch, r->head, r->query, j)] += ds;
    }
    if (g->dsink && sums->sink != 0)
        g->dsink[r->head] -= sums->sink * sums->delta;
}

static void clear(double *gradient, uint64_t count)
{
    if (gradient)
        memset(gradient, 0, count * sizeof *gradient);
}

dmattn_status reference_attention_backward(const dmattn_attention_desc *d, const reference_inputs *in,
                                           const reference_dout *dout, const attention_gradients *g)
{
    const uint64_t queries = (uint64_t)d->batch * d->queries * d->heads;
    const uint64_t keys = (uint64_t)d->batch * d->keys * d->kv_heads;
    double *scratch = malloc(3 * (size_t)d->keys * sizeof *scratch);
    if (!scratch)
        return DMATTN_ERROR_OUT_OF_MEMORY;
    clear(g->dq, queries * d->head_dim);
    clear(g->dk, keys * d->head_dim);
    clear(g->dv, keys * d->value_dim);
    clear(g->dbias, (uint64_t)d->bias_shape.batch * d->bias_shape.heads * d->bias_shape.queries * d->keys);
    clear(g->dsink, d->heads);
    const row_scratch row = {scratch, scratch + d->keys, scratch + 2 * (size_t)d->keys};
    for (uint64_t at = 0; at < queries; at++) {
        const query_row r = {(uint32_t)(at / d->heads / d->queries), (uint32_t)(at % d->heads),
                             (uint32_t)(at / d->heads % d->queries)};
        row_sums sums;
        if (find_probabilities(d, in, dout, &r, &row, &sums))
            add_query(d, in, dout, &r, &row, &sums, g);
    }
    free(scratch);
    return DMATTN_SUCCESS;
}

/* ---- importance ---------------------------------------------------------------------------------------------- */

/* Adds the contribution of one key of one head. */
static void add_key(const dmattn_mask_desc *d, const mask_inputs *in, uint32_t batch, uint32_t head, uint32_t key,
                    double gradient, const importance_gradients *g)
{
    const dmattn_type type = d->importance.parameter_type;
    const double z = reference_importance_z(d, in, batch, head, key), a = element_load(type, in->a, head);
    const double importance = reference_importance(d, in, batch, head, key);
    if (!isfinite(element_in_f32_range(a * reference_softplus(z))) || importance == FLT_MAX)
        return;
    if (d->importance.activation == DMATTN_ACTIVATION_EXP_SOFTPLUS)
        gradient *= importance;
    const double dz = gradient * a / (1 + exp(-z));
    if (g->da)
        g->da[head] += gradient * reference_softplus(z);
    if (g->ddt_bias)
        g->ddt_bias[head] += dz;
    const uint64_t weight = head * (uint64_t)d->kv_heads; /* in rows of value_dim, as all below */
    for (uint32_t group = 0; group < d->kv_heads; group++) {
        if (g->ddt_weight)
            add_row(g->ddt_weight, weight + group, d->value_dim, dz, d->type, in->v,
                    reference_row(&d->v_strides, batch, key, group));
        if (g->dv)
            add_row(g->dv, ((uint64_t)batch * d->keys + key) * d->kv_heads + group, d->value_dim, dz, type,
                    in->dt_weight, (weight + group) * d->value_dim);
    }
}

void reference_importance_backward(const dmattn_mask_desc *d, const mask_inputs *in, const double *dimportance,
                                   const importance_gradients *g)
{
    clear(g->ddt_weight, (uint64_t)d->kv_heads * d->kv_heads * d->value_dim);
    clear(g->da, d->kv_heads);
    clear(g->ddt_bias, d->kv_heads);
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t h = 0; h < d->kv_heads; h++)
            for (uint32_t j = 0; j < d->keys; j++)
                add_key(d, in, b, h, j, *dimportance++, g);
}
