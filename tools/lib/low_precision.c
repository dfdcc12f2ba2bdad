/* SPDX-License-Identifier: MIT */
#include "low_precision.h"

#include "reference/element.h"
#include "reference/pairs.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- forward ------------------------------------------------------------------------------------------------- */

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

/* A bias or a sink, as scores take it. */
static float counted(float bias)
{
    return isnan(bias) ? -INFINITY : fminf(bias, FLT_MAX);
}

/* The numbers of queries and keys of a batch item. */
typedef struct item_size {
    uint32_t queries, keys;
} item_size;

static item_size size_of(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t b)
{
    return (item_size){reference_item(d, in, b, 0).count, reference_item(d, in, b, 1).count};
}

static bool is_visible(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t b, uint32_t h, uint32_t t,
                       uint32_t j)
{
    const item_size size = size_of(d, in, b);
    bool visible =
        t < size.queries && j < size.keys && (!d->causal || (int64_t)j <= (int64_t)t + size.keys - size.queries);
    uint64_t at = d->mask ? score_at(d, &d->mask_shape, b, h, t, j) : 0;
    if (d->mask == DMATTN_MASK_ADDITIVE)
        visible = visible && counted((float)element_load(d->bias_type, in->bias, at)) != -INFINITY;
    if (d->mask == DMATTN_MASK_DENSE)
        visible = visible && ((const uint8_t *)in->mask)[at];
    if (d->mask == DMATTN_MASK_INTERVALS)
        visible =
            visible && ((const int32_t *)in->begin)[at] <= (int64_t)t && (int64_t)t < ((const int32_t *)in->end)[at];
    if (d->mask == DMATTN_MASK_SELECTED)
        visible = visible && reference_sees(d, in, b, h, t, j);
    return visible;
}

static float dot(dmattn_type type, const void *a, const void *b, uint32_t count)
{
    float sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += (float)element_load(type, a, i) * (float)element_load(type, b, i);
    return sum;
}

/* The score of a pair, or -infinity if it is hidden, and its derivative with respect to scale * (q . k). */
static float score_of(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t b, uint32_t h, uint32_t t,
                      uint32_t j, float *slope)
{
    *slope = 1;
    if (!is_visible(d, in, b, h, t, j))
        return -INFINITY;
    const dmattn_type q_type = dmattn_attention_type(d, TENSOR_Q);
    const item_rows of_q = reference_item(d, in, b, 0), of_k = reference_item(d, in, b, 1);
    const char *q = row(in->q, q_type, &d->q_strides, of_q.batch, of_q.first + t, h);
    const char *k = row(in->k, d->type, &d->k_strides, of_k.batch, of_k.first + j, h / (d->heads / d->kv_heads));
    float rounded_q[DMATTN_MAX_HEAD_DIM]; /* as matrix levels round it */
    for (uint32_t i = 0; i < d->head_dim; i++)
        element_store(d->type, rounded_q, i, element_load(q_type, q, i));
    float s = d->scale * dot(d->type, rounded_q, k, d->head_dim);
    if (d->soft_cap > 0) {
        const float x = s / d->soft_cap, e = expf(-2 * fabsf(x));
        /* The kernels have this formula, too. So a cancellation in 1 - e gives both about the same error. */
        s = d->soft_cap * (fabsf(x) < 0.2f ? tanhf(x) : copysignf((1 - e) / (1 + e), x));
        *slope = 4 * e / ((1 + e) * (1 + e));
    }
    const item_size size = size_of(d, in, b);
    float bias = -fabsf((float)t + (float)size.keys - (float)size.queries - (float)j);
    if (d->bias)
        bias = counted((float)element_load(d->bias_type, in->bias, score_at(d, &d->bias_shape, b, h, t, j)));
    if (d->slopes && bias != 0)
        bias = counted(((const float *)in->slopes)[h] * bias);
    if (d->bias || d->slopes)
        s += bias;
    return s;
}

/* -infinity if there is none */
static float sink_of(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t h)
{
    return d->sink ? counted(((const float *)in->sink)[h]) : -INFINITY;
}

/* Computes the probabilities of a query. Returns its lse. */
static float softmax_row(const dmattn_attention_desc *d, const reference_inputs *in, uint32_t b, uint32_t h, uint32_t t,
                         float *p)
{
    const float sink = sink_of(d, in, h);
    float max = sink, sum, slope;
    for (uint32_t j = 0; j < d->keys; j++) {
        p[j] = score_of(d, in, b, h, t, j, &slope);
        max = fmaxf(max, p[j]);
    }
    sum = sink == -INFINITY ? 0 : expf(sink - max);
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
    const row_shape shape = dmattn_query_rows(d);
    for (uint64_t i = 0; i < (uint64_t)shape.batch * shape.rows * d->heads; i++)
        lse[i] = -INFINITY;
    memset(out, 0, sizeof *out * shape.batch * shape.rows * d->heads * d->value_dim);
    for (uint32_t b = 0; b < d->batch; b++) {
        const item_rows item = reference_item(d, in, b, 0), keys = reference_item(d, in, b, 1);
        for (uint32_t t = 0; t < (d->total_queries ? item.count : d->queries); t++)
            for (uint32_t h = 0; h < d->heads; h++) {
                const uint64_t at = (uint64_t)item.batch * shape.rows + item.first + t;
                float *to = out + (at * d->heads + h) * d->value_dim;
                lse[((uint64_t)item.batch * d->heads + h) * shape.rows + item.first + t] =
                    softmax_row(d, in, b, h, t, p);
                for (uint32_t j = 0; j < keys.count; j++) {
                    const char *v =
                        row(in->v, d->type, &d->v_strides, keys.batch, keys.first + j, h / (d->heads / d->kv_heads));
                    for (uint32_t i = 0; p[j] > 0 && i < d->value_dim; i++)
                        to[i] += p[j] * (float)element_load(d->type, v, i);
                }
                for (uint32_t i = 0; i < d->value_dim; i++)
                    to[i] = round_to(dmattn_attention_type(d, TENSOR_OUT), to[i]);
            }
    }
    free(p);
}

/* ---- importance ---------------------------------------------------------------------------------------------- */

static float low_importance(const problem *p, uint32_t b, uint32_t head, uint32_t j)
{
    const dmattn_mask_desc *d = &p->mask_desc;
    const mask_inputs in = problem_mask_inputs(p);
    const dmattn_type type = d->importance.parameter_type;
    float z = 0;
    for (uint32_t g = 0, at = head * d->kv_heads * d->value_dim; g < d->kv_heads; g++)
        for (uint32_t i = 0; i < d->value_dim; i++, at++)
            z += (float)element_load(d->type, row(in.v, d->type, &d->v_strides, b, j, g), i)
                 * (float)element_load(type, in.dt_weight, at);
    z += d->importance.dt_bias ? (float)element_load(type, in.dt_bias, head) : 0;
    const float x = (float)element_load(type, in.a, head) * (fmaxf(z, 0) + log1pf(expf(-fabsf(z))));
    return d->importance.activation == DMATTN_ACTIVATION_EXP_SOFTPLUS ? expf(x) : x;
}

double low_precision_importance(const problem *p, float *importance)
{
    const dmattn_mask_desc *d = &p->mask_desc;
    const mask_inputs in = problem_mask_inputs(p);
    double worst = 0;
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t head = 0; head < d->kv_heads; head++)
            for (uint32_t j = 0; j < d->keys; j++, importance++) {
                const double want = reference_importance(d, &in, b, head, j);
                const float low = low_importance(p, b, head, j);
                *importance = isnan(low) ? -INFINITY : fminf(low, FLT_MAX);
                if (want != 0)
                    worst = fmax(worst, fabs(*importance - want) / fabs(want));
            }
    return 2 * worst + 8 * 0x1p-24;
}

/* ---- backward ------------------------------------------------------------------------------------------------ */

/* A row of a gradient, and the row of its size, or NULL. */
typedef struct sum_row {
    float *sum, *size;
} sum_row;

static sum_row row_of(const gradients *g, const gradients *size, tensor_id t, uint64_t at, uint32_t dim)
{
    return (sum_row){g->tensor[t] + at * dim, size->tensor[t] + at * dim};
}

/* Adds a visible pair's term to a sum, and its size, even if the term is 0 because of underflow. */
static void add(sum_row to, uint32_t i, float term, float size)
{
    to.sum[i] += term;
    to.size[i] += fmaxf(size, FLT_MIN);
}

/* Adds factor * row to a sum. The factor is a sum, too; `size` is the sum of the absolute values of its terms. */
static void add_row(sum_row to, float factor, float size, dmattn_type type, const void *from, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i++) {
        const float x = (float)element_load(type, from, i);
        add(to, i, factor * x, size * fabsf(x));
    }
}

/* The indices of a query's and a key's rows in contiguous gradients. */
typedef struct pair_at {
    uint64_t query, key, bias;
} pair_at;

static pair_at locate(const dmattn_attention_desc *d, uint32_t b, uint32_t h, uint32_t t, uint32_t j)
{
    dmattn_score_shape s = d->bias_shape;
    s.query_stride = d->keys;
    s.head_stride = s.queries * s.query_stride;
    s.batch_stride = s.heads * s.head_stride;
    return (pair_at){((uint64_t)b * d->queries + t) * d->heads + h,
                     ((uint64_t)b * d->keys + j) * d->kv_heads + h / (d->heads / d->kv_heads),
                     d->bias ? score_at(d, &s, b, h, t, j) : 0};
}

/* sum(a * b), and the sum of the magnitudes. */
static float dot_size(dmattn_type type, const void *a, const void *b, uint32_t count, float *size)
{
    *size = 0;
    for (uint32_t i = 0; i < count; i++)
        *size += fabsf((float)element_load(type, a, i) * (float)element_load(type, b, i));
    return dot(type, a, b, count);
}

/* Adds the part of one query. `out`: its row of out. */
static void add_query(const problem *p, uint32_t b, uint32_t h, uint32_t t, const void *out, float lse, gradients *g,
                      gradients *size)
{
    const dmattn_attention_desc *d = &p->desc;
    const reference_inputs in = problem_inputs(p);
    const uint32_t kv_head = h / (d->heads / d->kv_heads);
    const tensor_id bias = p->dma ? TENSOR_DIMPORTANCE : TENSOR_DBIAS;
    const char *q = row(in.q, d->type, &d->q_strides, b, t, h);
    const char *dout = row(p->tensor[TENSOR_DOUT], d->type, &p->backward.dout_strides, b, t, h);
    float d_size, dp_size, d_row = dot_size(d->type, out, dout, d->value_dim, &d_size);
    if (p->backward.dlse) {
        const float dlse = ((const float *)p->tensor[TENSOR_DLSE])[((uint64_t)b * d->heads + h) * d->queries + t];
        d_row -= dlse;
        d_size += fabsf(dlse);
    }
    if (d->sink && sink_of(d, &in, h) != -INFINITY) {
        const float probability = expf(sink_of(d, &in, h) - lse);
        add(row_of(g, size, TENSOR_DSINK, h, 1), 0, -probability * d_row, probability * d_size);
    }
    for (uint32_t j = 0; j < d->keys; j++) {
        float slope;
        const float s = score_of(d, &in, b, h, t, j, &slope);
        if (s == -INFINITY)
            continue;
        const char *k = row(in.k, d->type, &d->k_strides, b, j, kv_head);
        const char *v = row(in.v, d->type, &d->v_strides, b, j, kv_head);
        const pair_at at = locate(d, b, h, t, j);
        const float probability = expf(s - lse), rounded_p = round_to(d->type, probability);
        const float ds = probability * (dot_size(d->type, dout, v, d->value_dim, &dp_size) - d_row);
        const float ds_size = probability * (dp_size + d_size), rounded = round_to(d->type, ds * slope);
        if (d->bias && !d->slopes)
            add(row_of(g, size, bias, at.bias, 1), 0, ds, ds_size);
        add_row(row_of(g, size, TENSOR_DQ, at.query, d->head_dim), rounded, ds_size, d->type, k, d->head_dim);
        add_row(row_of(g, size, TENSOR_DK, at.key, d->head_dim), rounded, ds_size, d->type, q, d->head_dim);
        add_row(row_of(g, size, TENSOR_DV, at.key, d->value_dim), rounded_p, rounded_p, d->type, dout, d->value_dim);
    }
}

/* Adds the part of one key to the gradients of the parameters and values from which its importance is computed. */
static void add_importance(const problem *p, uint32_t b, uint32_t h, uint32_t j, float gradient, float gradient_size,
                           gradients *g, gradients *size)
{
    const dmattn_mask_desc *d = &p->mask_desc;
    const mask_inputs in = problem_mask_inputs(p);
    const dmattn_type type = d->importance.parameter_type;
    const uint32_t dim = d->value_dim;
    const char *weight = (const char *)in.dt_weight + (uint64_t)h * d->kv_heads * dim * dmattn_type_size(type);
    float z = d->importance.dt_bias ? (float)element_load(type, in.dt_bias, h) : 0;
    for (uint32_t i = 0; i < d->kv_heads * dim; i++)
        z += (float)element_load(d->type, row(in.v, d->type, &d->v_strides, b, j, i / dim), i % dim)
             * (float)element_load(type, weight, i);
    const float softplus = fmaxf(z, 0) + log1pf(expf(-fabsf(z)));
    const float by_z = (float)element_load(type, in.a, h) / (1 + expf(-z));
    const float dz = gradient * by_z, dz_size = fabsf(gradient_size * by_z);
    add(row_of(g, size, TENSOR_DA, h, 1), 0, gradient * softplus, gradient_size * softplus);
    if (d->importance.dt_bias)
        add(row_of(g, size, TENSOR_DDT_BIAS, h, 1), 0, dz, dz_size);
    for (uint32_t kv_head = 0; kv_head < d->kv_heads; kv_head++) {
        const uint64_t key = ((uint64_t)b * d->keys + j) * d->kv_heads + kv_head;
        add_row(row_of(g, size, TENSOR_DDT_WEIGHT, h * d->kv_heads + kv_head, dim), dz, dz_size, d->type,
                row(in.v, d->type, &d->v_strides, b, j, kv_head), dim);
        add_row(row_of(g, size, TENSOR_DV, key, dim), dz, dz_size, type,
                weight + (uint64_t)kv_head * dim * dmattn_type_size(type), dim);
    }
}

static void add_importances(const problem *p, gradients *g, gradients *size)
{
    const dmattn_attention_desc *d = &p->desc;
    const float *importance = p->tensor[TENSOR_IMPORTANCE];
    const bool exponential = p->dma_desc.importance.activation == DMATTN_ACTIVATION_EXP_SOFTPLUS;
    for (uint64_t at = 0; at < gradient_count(p, TENSOR_DIMPORTANCE); at++) {
        const float factor = exponential ? importance[at] : 1, of_key = size->tensor[TENSOR_DIMPORTANCE][at];
        if (of_key > 0) /* some query sees the key */
            add_importance(p, (uint32_t)(at / d->keys / d->kv_heads), (uint32_t)(at / d->keys % d->kv_heads),
                           (uint32_t)(at % d->keys), g->tensor[TENSOR_DIMPORTANCE][at] * factor, of_key * factor, g,
                           size);
    }
}

static void scale_and_round(const problem *p, tensor_id t, float scale, gradients *g, gradients *size)
{
    for (uint64_t i = 0; i < gradient_count(p, t); i++) {
        g->tensor[t][i] = round_to(p->desc.type, scale * g->tensor[t][i]);
        size->tensor[t][i] *= fabsf(scale);
    }
}

void low_precision_backward(const problem *p, const float *out, gradients *g, gradients *size)
{
    const dmattn_attention_desc *d = &p->desc;
    const reference_inputs in = problem_inputs(p);
    const uint64_t rows = (uint64_t)d->batch * d->queries * d->heads;
    float *probabilities = malloc(d->keys * sizeof *probabilities), stored[DMATTN_MAX_VALUE_DIM];
    for (uint64_t at = 0; at < rows; at++, out += d->value_dim) {
        const uint32_t h = (uint32_t)(at % d->heads), t = (uint32_t)(at / d->heads % d->queries);
        const uint32_t b = (uint32_t)(at / d->heads / d->queries);
        for (uint32_t i = 0; i < d->value_dim; i++)
            element_store(d->type, stored, i, out[i]);
        add_query(p, b, h, t, stored, softmax_row(d, &in, b, h, t, probabilities), g, size);
    }
    free(probabilities);
    if (p->dma && !p->dma_desc.importance_given)
        add_importances(p, g, size);
    scale_and_round(p, TENSOR_DQ, d->scale, g, size);
    scale_and_round(p, TENSOR_DK, d->scale, g, size);
    scale_and_round(p, TENSOR_DV, 1, g, size);
}

/* ---- errors -------------------------------------------------------------------------------------------------- */

double type_epsilon(dmattn_type type)
{
    return type == DMATTN_TYPE_F32 ? 0x1p-24 : type == DMATTN_TYPE_F16 ? 0x1p-11 : 0x1p-8;
}

static void compare(const float *got, const double *want, uint64_t count, double *worst, double *max, uint64_t *at,
                    bool *mismatch)
{
    for (uint64_t i = 0; i < count; i++) {
        /* If a result is exactly 0, the query sees no key. */
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
    const row_shape shape = dmattn_query_rows(d);
    const uint64_t rows = (uint64_t)shape.batch * shape.rows * d->heads;
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

gradient_errors compare_gradients(const problem *p, const gradients *got, const gradients *want, const gradients *size)
{
    gradient_errors e = {0};
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++)
        for (uint64_t i = 0; i < gradient_count(p, (tensor_id)t); i++) {
            const double x = got->tensor[t][i], y = want->tensor[t][i], error = fabs(x - y);
            const bool mismatch = !isfinite(x) || !isfinite(y) || (size->tensor[t][i] == 0 && x != 0);
            if (e.mismatch[t] || (!mismatch && error <= e.error[t]))
                continue;
            e.mismatch[t] = mismatch;
            e.error[t] = error;
            e.at[t] = i;
        }
    return e;
}

static double largest(const float *array, uint64_t count)
{
    double max = 0;
    for (uint64_t i = 0; i < count; i++)
        max = fmax(max, fabs((double)array[i]));
    return max;
}

double gradient_tolerance(const problem *p, const gradient_errors *low, const gradients *want, const gradients *size,
                          tensor_id t)
{
    const uint64_t count = gradient_count(p, t);
    return 2 * low->error[t] + 8 * type_epsilon(p->desc.type) * largest(want->tensor[t], count)
           + 4 * 0x1p-24 * largest(size->tensor[t], count);
}
