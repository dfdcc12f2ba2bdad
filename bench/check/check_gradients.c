/* SPDX-License-Identifier: MIT */
#include "check_gradients.h"

#include "device_tensor.h"
#include "reference/backward.h"
#include "reference/element.h"
#include "reference/pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_KEYS 2
#define MOST_KEYS  64 /* unless all keys are checked */

/* The inputs of the gradients. */
typedef struct source {
    const dmattn_attention_desc *desc;
    reference_inputs in;
    const void *dout;
    dmattn_strides dout_strides;
    const forward_results *forward;
    double least; /* the smallest normal number of the type f16; 0 for other types */
} source;

/* ---- pairs --------------------------------------------------------------------------------------------------- */

typedef struct place {
    uint32_t batch, head, query, key;
} place;

/* A visible pair of query and key, and the magnitudes that its errors are relative to. */
typedef struct pair {
    double p, ds;  /* the probability, and the gradient of the score including its bias */
    double by_dot; /* derivative of the score by q . k */
    double p_scale, ds_scale;
} pair;

static uint64_t out_row(const dmattn_attention_desc *d, const place *at)
{
    return ((uint64_t)at->batch * d->queries + at->query) * d->heads + at->head;
}

/* False if the key is hidden. */
static bool find_pair(const source *s, const place *at, pair *found)
{
    const dmattn_attention_desc *d = s->desc;
    double slope, dp = 0, product = 0;
    const double score = reference_score(d, &s->in, at->batch, at->head, at->query, at->key, &slope);
    if (score == -INFINITY)
        return false;
    const uint64_t v = reference_row(&d->v_strides, at->batch, at->key, reference_kv_head(d, at->head));
    const uint64_t dout = reference_row(&s->dout_strides, at->batch, at->query, at->head);
    const float *out = s->forward->out + out_row(d, at) * d->value_dim;
    for (uint32_t i = 0; i < d->value_dim; i++) {
        const double x = element_load(d->type, s->dout, dout + i);
        dp += x * element_load(d->type, s->in.v, v + i);
        product += x * (double)out[i];
    }
    const float lse = s->forward->lse[((uint64_t)at->batch * d->heads + at->head) * d->queries + at->query];
    found->p = exp(score - (double)lse);
    found->ds = found->p * (dp - product);
    found->by_dot = d->scale * slope;
    found->p_scale = fmax(found->p, s->least);
    found->ds_scale = fmax(found->p * (fabs(dp) + fabs(product)), s->least);
    return true;
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static bool allocate_rows(gradient_rows *r, uint32_t dim, uint64_t count)
{
    *r = (gradient_rows){.dim = dim,
                         .count = count,
                         .at = calloc(count, sizeof *r->at),
                         .want = calloc(count * dim, sizeof *r->want),
                         .square = calloc(count, sizeof *r->square)};
    return r->at && r->want && r->square;
}

/* Adds factor * (the elements from `from` on in an array) to a row, and scale² * their squares to the row's scale. */
static void add_row(gradient_rows *r, uint64_t row, double factor, double scale, dmattn_type type, const void *array,
                    uint64_t from)
{
    double *want = r->want + row * r->dim, sum = 0;
    for (uint32_t i = 0; i < r->dim; i++) {
        const double x = element_load(type, array, from + i);
        want[i] += factor * x;
        sum += x * x;
    }
    r->square[row] += scale * scale * sum;
}

/* Adds terms and their scales to `count` consecutive rows. */
static void add_terms(gradient_rows *r, uint64_t first, uint64_t count, const double *terms, const double *scales)
{
    for (uint64_t i = 0; i < count * r->dim; i++) {
        r->want[first * r->dim + i] += terms[i];
        r->square[first + i / r->dim] += scales[i] * scales[i];
    }
}

/* ---- dq ------------------------------------------------------------------------------------------------------ */

static void expect_query(const source *s, const struct check_row *row, gradient_rows *dq, uint64_t i)
{
    const dmattn_attention_desc *d = s->desc;
    place at = {row->batch, row->head, row->query, 0};
    pair x;
    dq->at[i] = out_row(d, &at);
    for (at.key = 0; at.key < d->keys; at.key++)
        if (find_pair(s, &at, &x))
            add_row(dq, i, x.by_dot * x.ds, x.by_dot * x.ds_scale, d->type, s->in.k,
                    reference_row(&d->k_strides, at.batch, at.key, reference_kv_head(d, at.head)));
}

/* ---- dk, dv, dbias and the gradients of the importance -------------------------------------------------------- */

/* The gradient of the bias of one key, and its scale; per kv head. */
typedef struct bias_gradient {
    double *ds, *scale;
} bias_gradient;

/* The gradients of one key, kv head and batch item: sums over the queries of the heads that share the key. */
static void expect_head(const source *s, uint32_t batch, uint32_t kv_head, uint32_t key, gradient_rows rows[],
                        uint64_t row, const bias_gradient *g)
{
    const dmattn_attention_desc *d = s->desc;
    const uint32_t group = d->heads / d->kv_heads;
    double ds = 0, square = 0;
    pair x;
    for (uint32_t head = kv_head * group; head < (kv_head + 1) * group; head++)
        for (uint32_t t = 0; t < d->queries; t++) {
            const place at = {batch, head, t, key};
            if (!find_pair(s, &at, &x))
                continue;
            add_row(&rows[TENSOR_DK], row, x.by_dot * x.ds, x.by_dot * x.ds_scale, d->type, s->in.q,
                    reference_row(&d->q_strides, batch, t, head));
            add_row(&rows[TENSOR_DV], row, x.p, x.p_scale, d->type, s->dout,
                    reference_row(&s->dout_strides, batch, t, head));
            ds += x.ds;
            square += x.ds_scale * x.ds_scale;
        }
    g->ds[kv_head] = ds;
    g->scale[kv_head] = sqrt(square);
}

/* The contributions of one key's importance to dv and to the gradients of the parameters. */
typedef struct importance_terms {
    double *dv, *ddt_weight, *da;
} importance_terms;

/* Scratch memory for one key. */
typedef struct key_scratch {
    double *memory;
    bias_gradient bias;
    importance_terms terms, scales;
} key_scratch;

static bool allocate_scratch(const dmattn_attention_desc *d, key_scratch *s)
{
    const size_t heads = d->kv_heads, values = heads * d->value_dim;
    double *at = s->memory = calloc(2 * (heads + values + heads * values + heads), sizeof *at);
    if (!at)
        return false;
    s->bias = (bias_gradient){at, at + heads};
    at += 2 * heads;
    for (int i = 0; i < 2; i++) {
        *(i ? &s->scales : &s->terms) = (importance_terms){at, at + values, at + values + heads * values};
        at += values + heads * values + heads;
    }
    return true;
}

/* The gradients that pass through the importance of one key, computed as if the problem had only this key. */
static void expect_importance(const problem *p, uint32_t batch, uint32_t key, const key_scratch *s,
                              gradient_rows rows[], uint64_t row)
{
    dmattn_mask_desc one = p->mask_desc;
    mask_inputs in = problem_mask_inputs(p);
    const importance_terms *t = &s->terms, *scale = &s->scales;
    const size_t values = (size_t)one.kv_heads * one.value_dim;
    in.v = (const char *)in.v + reference_row(&one.v_strides, batch, key, 0) * dmattn_type_size(one.type);
    one.batch = one.keys = 1;
    memset(t->dv, 0, values * sizeof *t->dv);
    memset(scale->dv, 0, values * sizeof *scale->dv);
    reference_importance_backward(&one, &in, s->bias.ds, &(importance_gradients){t->dv, t->ddt_weight, t->da, NULL});
    reference_importance_backward(&one, &in, s->bias.scale,
                                  &(importance_gradients){scale->dv, scale->ddt_weight, scale->da, NULL});
    add_terms(&rows[TENSOR_DV], row, one.kv_heads, t->dv, scale->dv);
    add_terms(&rows[TENSOR_DDT_WEIGHT], 0, (uint64_t)one.kv_heads * one.kv_heads, t->ddt_weight, scale->ddt_weight);
    add_terms(&rows[TENSOR_DA], 0, one.kv_heads, t->da, scale->da);
}

/* All gradients of the i-th checked key, which is `key`. */
static void expect_key(const problem *p, const source *s, uint32_t key, gradient_rows rows[], uint64_t i,
                       const key_scratch *scratch)
{
    const dmattn_attention_desc *d = s->desc;
    for (uint32_t b = 0; b < d->batch; b++) {
        const uint64_t row = (i * d->batch + b) * d->kv_heads;
        for (uint32_t h = 0; h < d->kv_heads; h++) {
            rows[TENSOR_DK].at[row + h] = rows[TENSOR_DV].at[row + h] = ((uint64_t)b * d->keys + key) * d->kv_heads + h;
            expect_head(s, b, h, key, rows, row + h, &scratch->bias);
        }
        if (p->dma)
            expect_importance(p, b, key, scratch, rows, row);
        else if (rows[TENSOR_DBIAS].count)
            add_terms(&rows[TENSOR_DBIAS], i * d->kv_heads, d->kv_heads, scratch->bias.ds, scratch->bias.scale);
    }
    for (uint32_t h = 0; rows[TENSOR_DBIAS].count && h < d->kv_heads; h++)
        rows[TENSOR_DBIAS].at[i * d->kv_heads + h] = (uint64_t)h * d->keys + key;
}

/* ---- dsink --------------------------------------------------------------------------------------------------- */

/* A sink's gradient has a term of each query of its head. */
static void expect_sinks(const source *s, gradient_rows *rows)
{
    const dmattn_attention_desc *d = s->desc;
    for (uint64_t at = 0; at < (uint64_t)d->batch * d->queries * d->heads; at++) {
        const uint32_t h = (uint32_t)(at % d->heads), t = (uint32_t)(at / d->heads % d->queries);
        const uint32_t b = (uint32_t)(at / d->heads / d->queries);
        const uint64_t dout = reference_row(&s->dout_strides, b, t, h);
        const float *out = s->forward->out + at * d->value_dim;
        double product = 0, size = 0;
        for (uint32_t i = 0; i < d->value_dim; i++) {
            const double x = element_load(d->type, s->dout, dout + i) * (double)out[i];
            product += x;
            size += fabs(x);
        }
        const float lse = s->forward->lse[((uint64_t)b * d->heads + h) * d->queries + t];
        const double p = exp(reference_sink(d, &s->in, h) - (double)lse);
        rows->at[h] = h;
        rows->want[h] -= p * product;
        rows->square[h] += p * size * p * size;
    }
}

/* Whether that takes less than CHECK_SECONDS; the reference takes about 10 ns per element. */
static bool checks_sinks(const dmattn_attention_desc *d)
{
    return d->sink && 1e-8 * d->batch * d->queries * d->heads * d->value_dim < CHECK_SECONDS;
}

/* ---- the checker --------------------------------------------------------------------------------------------- */

/* As many keys as take about CHECK_SECONDS: the last key, a random one, the first one, then random ones. */
static void choose_keys(gradient_checker *c, uint64_t visible_pairs)
{
    const dmattn_attention_desc *d = &c->problem->desc;
    /* The reference takes about 10 ns per element of a product, and about 1 ns to skip a hidden pair. */
    const double pairs = (double)d->batch * d->heads * d->queries;
    const double seconds =
        (double)visible_pairs / d->keys * (2.0 * d->head_dim + 2.0 * d->value_dim) * 1e-8 + pairs * 1e-9;
    const double most = fmax(CHECK_SECONDS / seconds, LEAST_KEYS);
    c->all_keys = most >= d->keys;
    c->key_count = c->all_keys ? d->keys : (uint32_t)fmin(most, MOST_KEYS);
}

static uint32_t key_at(const gradient_checker *c, uint32_t i, uint64_t *state)
{
    const uint32_t keys = c->problem->desc.keys;
    if (c->all_keys)
        return i;
    return i == 0 ? keys - 1 : i == 2 ? 0 : (uint32_t)(random_bits(state) % keys);
}

static void free_rows(gradient_rows *r)
{
    free(r->at);
    free(r->want);
    free(r->square);
    *r = (gradient_rows){0};
}

static bool allocate(gradient_checker *c, uint32_t queries)
{
    const problem *p = c->problem;
    const dmattn_attention_desc *d = &p->desc;
    const uint64_t key_rows = (uint64_t)c->key_count * d->batch * d->kv_heads;
    bool ok = allocate_rows(&c->rows[TENSOR_DQ], d->head_dim, queries)
              && allocate_rows(&c->rows[TENSOR_DK], d->head_dim, key_rows)
              && allocate_rows(&c->rows[TENSOR_DV], d->value_dim, key_rows);
    if (p->dma)
        ok = ok && allocate_rows(&c->rows[TENSOR_DDT_WEIGHT], d->value_dim, (uint64_t)d->kv_heads * d->kv_heads)
             && allocate_rows(&c->rows[TENSOR_DA], 1, d->kv_heads);
    else if (p->backward.gradients & DMATTN_GRADIENT_BIAS)
        ok = ok && allocate_rows(&c->rows[TENSOR_DBIAS], 1, (uint64_t)c->key_count * d->kv_heads);
    if (checks_sinks(d))
        ok = ok && allocate_rows(&c->rows[TENSOR_DSINK], 1, d->heads);
    for (int t = TENSOR_DDT_WEIGHT; ok && t <= TENSOR_DA; t++) /* these have all their rows, in order */
        for (uint64_t i = 0; i < c->rows[t].count; i++)
            c->rows[t].at[i] = i;
    return ok;
}

dmattn_status gradient_checker_create(const problem *p, const forward_results *forward, const checker *check,
                                      uint64_t visible_pairs, uint64_t seed, const messenger *m, gradient_checker *c)
{
    const source s = {.desc = &p->desc,
                      .in = problem_inputs(p),
                      .dout = p->tensor[TENSOR_DOUT],
                      .dout_strides = p->backward.dout_strides,
                      .forward = forward,
                      .least = p->desc.type == DMATTN_TYPE_F16 ? 0x1p-14 : 0};
    key_scratch scratch = {0};
    *c = (gradient_checker){.problem = p};
    choose_keys(c, visible_pairs);
    if (!allocate(c, check->row_count) || !allocate_scratch(&p->desc, &scratch)) {
        gradient_checker_destroy(c);
        return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for the reference of the gradients");
    }
    for (uint32_t i = 0; i < check->row_count; i++)
        expect_query(&s, &check->row[i], &c->rows[TENSOR_DQ], i);
    for (uint32_t i = 0; i < c->key_count; i++)
        expect_key(p, &s, key_at(c, i, &seed), c->rows, i, &scratch);
    if (checks_sinks(&p->desc))
        expect_sinks(&s, &c->rows[TENSOR_DSINK]);
    if (!c->all_keys) { /* they are sums over all keys, but only some keys were computed */
        free_rows(&c->rows[TENSOR_DDT_WEIGHT]);
        free_rows(&c->rows[TENSOR_DA]);
    }
    free(scratch.memory);
    return DMATTN_SUCCESS;
}

void gradient_checker_destroy(gradient_checker *c)
{
    for (int t = 0; t < TENSOR_COUNT; t++)
        free_rows(&c->rows[t]);
    *c = (gradient_checker){0};
}

/* ---- comparison ---------------------------------------------------------------------------------------------- */

/* The difference of an element, without what storing a small f16 costs: below 2^-14, it is rounded to a multiple of
 * 2^-24. Keys that few queries see have such gradients. */
static double difference_of(dmattn_type type, double got, double want)
{
    const double difference = fabs(got - want), rounding = 0x1p-25;
    if (type != DMATTN_TYPE_F16 || fabs(want) >= 0x1p-14)
        return difference;
    return difference < rounding ? 0 : difference - rounding;
}

double gradient_error(const gradient_checker *c, tensor_id t, const float *got)
{
    const dmattn_type type = t <= TENSOR_DV ? c->problem->desc.type : DMATTN_TYPE_F32;
    const gradient_rows *r = &c->rows[t];
    double worst = 0;
    for (uint64_t row = 0; row < r->count; row++) {
        double difference = 0, norm = 0;
        for (uint32_t i = 0; i < r->dim; i++) {
            const double want = r->want[row * r->dim + i];
            const double x = difference_of(type, (double)got[r->at[row] * r->dim + i], want);
            difference += x * x;
            norm += want * want;
        }
        const double error = difference == 0 ? 0 : sqrt(difference / fmax(norm, r->square[row]));
        worst = fmax(worst, isfinite(error) ? error : (double)INFINITY);
    }
    return worst;
}

dmattn_status gradient_checker_compare(const gradient_checker *c, device_gradients *dg, const messenger *m,
                                       check_result *result)
{
    dmattn_status status = DMATTN_SUCCESS;
    for (int i = TENSOR_DQ; i < TENSOR_COUNT && !status; i++) {
        const tensor_id t = (tensor_id)i;
        const uint64_t count = gradient_count(c->problem, t);
        if (!count)
            continue;
        float *got = malloc(count * sizeof *got);
        if (!got)
            return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for the check of the gradients");
        status = device_tensor_download(dg->forward->device, device_gradients_buffer(dg, t), c->problem, t, got);
        if (!status) {
            result->not_finite += count_not_finite(DMATTN_TYPE_F32, got, count);
            result->gradient_error[t] = gradient_error(c, t, got);
            result->checked_gradients |= c->rows[t].count ? gradient_bit(t) : 0;
        }
        free(got);
    }
    return status;
}
