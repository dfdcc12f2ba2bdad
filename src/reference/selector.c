/* SPDX-License-Identifier: MIT */
#include "selector.h"

#include "element.h"

#include <math.h>
#include <stdlib.h>

/* ---- what a query sees ------------------------------------------------------------------------------------------- */

static int64_t clamped(int64_t x, int64_t most)
{
    return x < 0 ? 0 : x > most ? most : x;
}

static int64_t queries_of(const dmattn_selector_desc *d, const reference_selector_inputs *in, uint32_t item)
{
    return d->counts ? clamped(in->counts[2 * item], d->queries) : d->queries;
}

static int64_t keys_of(const dmattn_selector_desc *d, const reference_selector_inputs *in, uint32_t item)
{
    return d->counts ? clamped(in->counts[2 * item + 1], d->keys) : d->keys;
}

static int64_t position_of(const dmattn_selector_desc *d, const reference_selector_inputs *in,
                           reference_selector_row row)
{
    return row.query + keys_of(d, in, row.item) - queries_of(d, in, row.item);
}

uint32_t reference_selector_seen(const dmattn_selector_desc *d, const reference_selector_inputs *in,
                                 reference_selector_row row)
{
    const int64_t position = position_of(d, in, row), keys = keys_of(d, in, row.item);
    const int64_t last = d->causal && position < keys - 1 ? position : keys - 1; /* the last key that is seen */
    if (row.query >= queries_of(d, in, row.item) || last < 0)
        return 0;
    return (uint32_t)(last / d->block + 1);
}

/* Whether a number that the query sees is always in its list. */
static bool stays(const dmattn_selector_desc *d, int64_t position, uint32_t number)
{
    const int64_t own = position / d->block;
    return number < d->first || (position >= 0 && number <= own && number > own - (int64_t)d->recent);
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

/* The mean of a column of block `number`, and of its magnitude. */
static double mean_of(const dmattn_selector_desc *d, const reference_selector_inputs *in, reference_selector_row row,
                      uint32_t head, uint32_t number, uint32_t column, double *magnitude)
{
    const int64_t begin = (int64_t)number * d->block, keys = keys_of(d, in, row.item);
    const int64_t end = begin + d->block < keys ? begin + d->block : keys;
    double sum = 0, size = 0;
    for (int64_t j = begin; j < end; j++) {
        const double x = element_load(d->type, in->k,
                                      row.item * d->k_strides.batch + (uint64_t)j * d->k_strides.sequence
                                          + head * d->k_strides.head + column);
        sum += x;
        size += fabs(x);
    }
    float rounded; /* room for any type */
    element_store(d->type, &rounded, 0, sum / (double)(end - begin));
    *magnitude = size / (double)(end - begin);
    return d->block == 1 ? sum : element_load(d->type, &rounded, 0);
}

void reference_selector_scores(const dmattn_selector_desc *d, const reference_selector_inputs *in,
                               reference_selector_row row, double *scores, double *errors)
{
    static const double rounding[] = {
        [DMATTN_TYPE_F32] = 0x1p-24, [DMATTN_TYPE_F16] = 0x1p-11, [DMATTN_TYPE_BF16] = 0x1p-8};
    const uint32_t seen = reference_selector_seen(d, in, row), list_heads = d->heads / d->list_heads;
    const double of_sums = (d->head_dim + list_heads + 8.0) * 0x1p-24;
    const double of_means = d->block > 1 ? d->block * 0x1p-24 + 2 * rounding[d->type] : 0;
    double k[DMATTN_MAX_HEAD_DIM], sizes[DMATTN_MAX_HEAD_DIM];
    for (uint32_t n = 0; n < seen; n++) {
        double score = 0, magnitude = 0;
        for (uint32_t i = 0; i < d->head_dim; i++)
            k[i] = mean_of(d, in, row, row.list * list_heads / (d->heads / d->kv_heads), n, i, &sizes[i]);
        for (uint32_t h = row.list * list_heads; h < (row.list + 1) * list_heads; h++) {
            const uint64_t q =
                row.item * d->q_strides.batch + row.query * d->q_strides.sequence + h * d->q_strides.head;
            double product = 0, size = 0, weight = 1;
            for (uint32_t i = 0; i < d->head_dim; i++) {
                const double x = element_load(d->type, in->q, q + i);
                product += x * k[i];
                size += fabs(x) * sizes[i];
            }
            if (d->weights)
                weight = (double)in->weights[((uint64_t)row.item * d->queries + row.query) * d->heads + h];
            score += weight * (d->relu ? (product + fabs(product)) / 2 : product);
            magnitude += fabs(weight) * size;
        }
        scores[n] = score;
        if (errors)
            errors[n] = isfinite(score) ? 4 * magnitude * (of_sums + of_means) : 0;
    }
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

typedef struct candidate {
    double score;
    bool stays;
    int32_t number;
} candidate;

static double counted(double score)
{
    return isnan(score) ? -(double)INFINITY : score;
}

static int better_first(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->stays != y->stays)
        return x->stays ? -1 : 1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static int ascending(const void *a, const void *b)
{
    return *(const int32_t *)a < *(const int32_t *)b ? -1 : 1;
}

dmattn_status reference_selector_list(const dmattn_selector_desc *d, const reference_selector_inputs *in,
                                      reference_selector_row row, const double *scores, int32_t *list)
{
    const uint32_t seen = reference_selector_seen(d, in, row), listed = seen < d->count ? seen : d->count;
    candidate *c = malloc((seen ? seen : 1) * sizeof *c);
    if (!c)
        return DMATTN_ERROR_OUT_OF_MEMORY;
    for (uint32_t n = 0; n < seen; n++)
        c[n] = (candidate){counted(scores[n]), stays(d, position_of(d, in, row), n), (int32_t)n};
    qsort(c, seen, sizeof *c, better_first);
    for (uint32_t i = 0; i < d->count; i++)
        list[i] = i < listed ? c[i].number : -1;
    qsort(list, listed, sizeof *list, ascending);
    free(c);
    return DMATTN_SUCCESS;
}

bool reference_selector_agrees(const dmattn_selector_desc *d, const reference_selector_inputs *in,
                               reference_selector_row row, const double *scores, const double *errors,
                               const int32_t *list)
{
    const uint32_t seen = reference_selector_seen(d, in, row), listed = seen < d->count ? seen : d->count;
    double worst = (double)INFINITY,
           best = -(double)INFINITY; /* at most that of a listed one; at least that of others */
    uint32_t at = 0;
    for (uint32_t n = 0; n < seen; n++) {
        const bool here = at < listed && list[at] == (int32_t)n;
        at += here;
        if (stays(d, position_of(d, in, row), n)) {
            if (!here)
                return false;
            continue;
        }
        const double score = counted(scores[n]);
        if (here)
            worst = fmin(worst, score + errors[n]);
        else
            best = fmax(best, score - errors[n]);
    }
    for (uint32_t i = at; i < d->count; i++)
        if (list[i] != -1)
            return false;
    return at == listed && worst >= best;
}
