/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include "rope.h"
#include "vulkan/die.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A run of the model over n tokens in double; if `single`, every result is rounded to float. */
typedef struct reference {
    const weights *w;
    uint32_t window, n;
    bool single;
    double *logits;     /* [n, vocabulary] */
    double *importance; /* [layers, kv_heads, n] */
    double margin;      /* the least relative difference between a key that was evicted and one that was kept */
} reference;

static double *doubles(size_t count)
{
    double *made = calloc(count, sizeof *made);
    if (!made)
        die("no host memory");
    return made;
}

static double keep(const reference *r, double x)
{
    return r->single ? (float)x : x;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static double product(const reference *r, const double *x, const double *y, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum = keep(r, sum + x[i] * y[i]);
    return sum;
}

/* to = from * weight[columns, width]^T; with a residual: to = residual * to + from * weight^T. */
static void linear(const reference *r, const double *from, double *to, size_t offset, const size_t *residual,
                   uint32_t width, uint32_t columns)
{
    const float *weight = r->w->data + offset;
    for (uint32_t c = 0; c < columns; c++) {
        double sum = 0;
        for (uint32_t i = 0; i < width; i++)
            sum = keep(r, sum + from[i] * (double)weight[(size_t)c * width + i]);
        to[c] = residual ? keep(r, (double)r->w->data[*residual + c] * to[c] + sum) : sum;
    }
}

static void norm(const reference *r, const double *from, double *to, size_t offset, uint32_t width)
{
    const double scale = keep(r, 1 / sqrt(product(r, from, from, width) / width + (double)r->w->epsilon));
    for (uint32_t i = 0; i < width; i++)
        to[i] = keep(r, (double)r->w->data[offset + i] * keep(r, from[i] * scale));
}

static void rotate(const reference *r, double *x, const float *table, uint32_t dim)
{
    for (uint32_t i = 0, j = dim / 2; j < dim; i++, j++) {
        const double cosine = (double)table[i], sine = (double)table[j], a = x[i], b = x[j];
        x[i] = keep(r, a * cosine - b * sine);
        x[j] = keep(r, b * cosine + a * sine);
    }
}

/* ---- dynamic mask attention -------------------------------------------------------------------------------------- */

/* exp(a * ln(1 + e^z)), where z is the product of dt_weight and the values of all heads. */
static double importance(const reference *r, const layer_weights *l, const double *v, uint32_t head, uint32_t width)
{
    double z;
    linear(r, v, &z, l->dt + (size_t)head * width, NULL, width, 1);
    return keep(r, exp((double)r->w->data[l->a + head] * log1p(exp(z))));
}

/* Adds key t. If the keys are then more than the window, evicts the least important one, of equal ones the latest. */
static uint32_t select_keys(reference *r, const double *of, uint32_t *kept, uint32_t count, uint32_t t)
{
    kept[count++] = t;
    if (count <= r->window)
        return count;
    uint32_t least = 0;
    for (uint32_t i = 1; i < count; i++)
        least = of[kept[i]] <= of[kept[least]] ? i : least;
    const double evicted = of[kept[least]];
    memmove(kept + least, kept + least + 1, (--count - least) * sizeof *kept);
    for (uint32_t i = 0; i < count; i++)
        /* Equal importance comes from equal bytes in the first layer, so it is equal on the device, too. */
        if (of[kept[i]] > evicted)
            r->margin = fmin(r->margin, (of[kept[i]] - evicted) / of[kept[i]]);
    return count;
}

static void attend(const reference *r, const double *qkv, const double *of, const uint32_t *kept, uint32_t count,
                   uint32_t t, uint32_t head, double *scores, double *out)
{
    const model_shape *s = &r->w->shape;
    const uint32_t dim = s->head_dim, width = (s->heads + 2 * s->kv_heads) * dim;
    const uint32_t k = (s->heads + head / (s->heads / s->kv_heads)) * dim, v = k + s->kv_heads * dim;
    double top = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double *key = qkv + (size_t)kept[i] * width + k;
        scores[i] = keep(r, product(r, qkv + (size_t)t * width + head * dim, key, dim) / sqrt(dim) + of[kept[i]]);
        top = fmax(top, scores[i]);
    }
    for (uint32_t d = 0; d < dim; d++)
        out[d] = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double p = keep(r, exp(scores[i] - top));
        sum = keep(r, sum + p);
        for (uint32_t d = 0; d < dim; d++)
            out[d] = keep(r, out[d] + p * qkv[(size_t)kept[i] * width + v + d]);
    }
    for (uint32_t d = 0; d < dim; d++)
        out[d] = keep(r, out[d] / sum);
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

static void attention(reference *r, uint32_t index, const double *qkv, double *out)
{
    const model_shape *s = &r->w->shape;
    const layer_weights *l = &r->w->layer[index];
    const uint32_t dim = s->head_dim, group = s->heads / s->kv_heads, kv = s->kv_heads * dim;
    const uint32_t width = s->heads * dim + 2 * kv;
    double *scores = doubles(r->window);
    uint32_t *kept = calloc((size_t)r->window + 1, sizeof *kept);
    if (!kept)
        die("no host memory");
    for (uint32_t h = 0; h < s->kv_heads; h++) {
        double *of = r->importance + ((size_t)index * s->kv_heads + h) * r->n;
        for (uint32_t t = 0, count = 0; t < r->n; t++) {
            of[t] = importance(r, l, qkv + (size_t)t * width + s->heads * dim + kv, h, kv);
            count = select_keys(r, of, kept, count, t);
            for (uint32_t g = h * group; g < (h + 1) * group; g++)
                attend(r, qkv, of, kept, count, t, g, scores, out + ((size_t)t * s->heads + g) * dim);
        }
    }
    free(kept);
    free(scores);
}

static void layer(reference *r, uint32_t index, const float *table, double *x, double *qkv, double *out)
{
    const model_shape *s = &r->w->shape;
    const layer_weights *l = &r->w->layer[index];
    const uint32_t dim = s->head_dim, width = (s->heads + 2 * s->kv_heads) * dim;
    double *row = doubles(s->hidden), *gate_up = doubles(2 * (size_t)s->inner);
    for (uint32_t t = 0; t < r->n; t++) {
        double *to = qkv + (size_t)t * width;
        norm(r, x + (size_t)t * s->hidden, row, l->norm, s->hidden);
        linear(r, row, to, l->q, NULL, s->hidden, width);
        for (uint32_t h = 0; h < s->heads + s->kv_heads; h++) {
            norm(r, to + h * dim, to + h * dim, h < s->heads ? l->q_norm : l->k_norm, dim);
            rotate(r, to + h * dim, table + (size_t)t * dim, dim);
        }
    }
    attention(r, index, qkv, out);
    for (uint32_t t = 0; t < r->n; t++) {
        double *at = x + (size_t)t * s->hidden;
        linear(r, out + (size_t)t * s->heads * dim, at, l->o, &l->residual, s->heads * dim, s->hidden);
        norm(r, at, row, l->mlp_norm, s->hidden);
        linear(r, row, gate_up, l->gate, NULL, s->hidden, 2 * s->inner);
        for (uint32_t i = 0; i < s->inner; i++)
            gate_up[i] = keep(r, keep(r, gate_up[i] / (1 + exp(-gate_up[i]))) * gate_up[i + s->inner]);
        linear(r, gate_up, at, l->down, &l->mlp_residual, s->inner, s->hidden);
    }
    free(gate_up);
    free(row);
}

static void reference_run(reference *r, const uint32_t *tokens)
{
    const model_shape *s = &r->w->shape;
    const size_t n = r->n, dim = s->head_dim;
    double *x = doubles(n * s->hidden), *row = doubles(s->hidden);
    double *qkv = doubles(n * (s->heads + 2 * s->kv_heads) * dim), *out = doubles(n * s->heads * dim);
    float *table = rope_table(r->n, s->head_dim, r->w->rope_theta);
    r->logits = doubles(n * s->vocabulary);
    r->importance = doubles(n * s->layers * s->kv_heads);
    r->margin = INFINITY;
    for (size_t i = 0; i < n * s->hidden; i++)
        x[i] = (double)r->w->data[r->w->embed + tokens[i / s->hidden] * s->hidden + i % s->hidden];
    for (uint32_t i = 0; i < s->layers; i++)
        layer(r, i, table, x, qkv, out);
    for (size_t t = 0; t < n; t++) {
        norm(r, x + t * s->hidden, row, r->w->norm, s->hidden);
        linear(r, row, r->logits + t * s->vocabulary, r->w->head, NULL, s->hidden, s->vocabulary);
    }
    free(table);
    free(out);
    free(qkv);
    free(row);
    free(x);
}

/* ---- the check --------------------------------------------------------------------------------------------------- */

/* The largest error of the logits from one to another. */
static double farthest(const float *got, const double *want, size_t begin, size_t end)
{
    double most = 0;
    for (size_t i = begin; i < end; i++) {
        const double error = fabs((double)got[i] - want[i]);
        most = error <= most ? most : error; /* keeps NaN */
    }
    return most;
}

static bool close_enough(const char *what, double error, double tolerance)
{
    printf("check: %-12s: largest error of a logit %.2e, tolerance %.2e\n", what, error, tolerance);
    return error <= tolerance;
}

bool reference_check(const weights *w, uint32_t window, const uint32_t *tokens, uint32_t n, uint32_t prompt,
                     const float *logits, const float *whole)
{
    /* The tolerance is a multiple of the measured difference between float and double, because the device adds in
     * another order. */
    reference want = {.w = w, .window = window, .n = n}, rounded = {.w = w, .window = window, .n = n, .single = true};
    reference_run(&want, tokens);
    reference_run(&rounded, tokens);
    double rounding = 0, blur = 0;
    const size_t width = w->shape.vocabulary, of_prompt = prompt * width, all = n * width;
    for (size_t i = 0; i < all; i++)
        rounding = fmax(rounding, fabs(rounded.logits[i] - want.logits[i]));
    for (size_t i = 0; i < (size_t)n * w->shape.layers * w->shape.kv_heads; i++)
        blur = fmax(blur, fabs(rounded.importance[i] - want.importance[i]) / want.importance[i]);
    const double tolerance = 4 * rounding;

    /* If rounding decides which of two keys is evicted, the device may rightly decide differently. */
    bool ok = want.margin > 4 * blur;
    printf(
        "check: importance of kept and evicted keys differs by at least %.1e (relative), rounding errors are %.1e%s\n",
        want.margin, blur, ok ? "" : ": TOO CLOSE to check, use another --seed");

    ok = close_enough("prefill", farthest(logits, want.logits, 0, of_prompt), tolerance) && ok;
    ok = close_enough("decoding", farthest(logits, want.logits, of_prompt, all), tolerance) && ok;
    ok = close_enough("all at once", farthest(whole, want.logits, 0, all), tolerance) && ok;

    uint32_t same = 0;
    for (uint32_t t = prompt - 1; t < n; t++) {
        size_t best = 0;
        for (size_t i = 1; i < width; i++)
            best = whole[t * width + i] > whole[t * width + best] ? i : best;
        same += best == tokens[t + 1];
    }
    printf("check: %u of %u tokens agree with a prefill of the whole sequence\n", same, n - prompt + 1);
    ok = ok && same == n - prompt + 1;
    printf("check: %s\n", ok ? "passed" : "FAILED");
    free(want.logits);
    free(want.importance);
    free(rounded.logits);
    free(rounded.importance);
    return ok;
}
