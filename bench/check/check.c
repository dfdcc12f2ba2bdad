/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "reference/element.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors -------------------------------------------------------------------------------------------------- */

/* About ten times the rounding error of the type. The elements of out are stored in the type, and matrix levels also
 * round probabilities to it. The relative error of one such rounding is at most 2^-11 = 4.9e-4 in f16 and 2^-8 = 3.9e-3
 * in bf16. Inputs are random and independent, so the errors of the probabilities contribute to the sum in the same
 * proportion as the probabilities. In f32, sums and exp have errors of a few 1e-7 times the scores. lse is always f32,
 * but the scores may be computed from a scaled q that was rounded to the type. */
double tolerance(dmattn_type type)
{
    return type == DMATTN_TYPE_F32 ? 2e-5 : type == DMATTN_TYPE_F16 ? 4e-3 : 3e-2;
}

/* About ten times the error of f32 sums of up to some thousand products and of exp and ln (a few units in the last
 * place). */
double importance_tolerance(void)
{
    return 1e-5;
}

double row_error(const double *got, const double *want, uint32_t count)
{
    double difference = 0, norm = 0;
    for (uint32_t i = 0; i < count; i++) {
        difference += (got[i] - want[i]) * (got[i] - want[i]);
        norm += want[i] * want[i];
    }
    if (difference == 0)
        return 0;
    double error = sqrt(difference / norm);
    return isfinite(error) ? error : (double)INFINITY;
}

double lse_error(double got, double want)
{
    if (got == want)
        return 0;
    double error = fabs(got - want) / (1 + fabs(want));
    return isfinite(error) ? error : (double)INFINITY;
}

uint64_t count_not_finite(dmattn_type type, const void *array, uint64_t count)
{
    uint64_t found = 0;
    if (type == DMATTN_TYPE_F32) {
        const uint32_t *bits = array;
        for (uint64_t i = 0; i < count; i++)
            found += (bits[i] & 0x7f800000) == 0x7f800000;
        return found;
    }
    const uint16_t *bits = array, exponent = type == DMATTN_TYPE_F16 ? 0x7c00 : 0x7f80;
    for (uint64_t i = 0; i < count; i++)
        found += (bits[i] & exponent) == exponent;
    return found;
}

/* ---- masks --------------------------------------------------------------------------------------------------- */

#define CHECK_KEYS 256

/* The largest relative error of the importance of sampled keys. */
static double importance_error(const problem *p, uint64_t *state)
{
    const dmattn_mask_desc *d = &p->mask_desc;
    const mask_inputs in = problem_mask_inputs(p);
    double worst = 0;
    for (int i = 0; i < CHECK_KEYS; i++) {
        const uint32_t b = (uint32_t)(random_bits(state) % d->batch), h = (uint32_t)(random_bits(state) % d->kv_heads);
        const uint32_t j = (uint32_t)(random_bits(state) % d->keys);
        const double want = reference_importance(d, &in, b, h, j);
        const double got = ((const float *)p->tensor[TENSOR_IMPORTANCE])[((uint64_t)b * d->kv_heads + h) * d->keys + j];
        const double error = row_error(&got, &want, 1);
        worst = fmax(worst, error);
    }
    return worst;
}

/* The number of keys that are visible to sampled queries but should be hidden, or the other way round. */
static dmattn_status count_wrong_keys(const problem *p, uint64_t *state, uint64_t *wrong)
{
    const dmattn_mask_desc *d = &p->mask_desc;
    const mask_inputs in = problem_mask_inputs(p);
    ranked_key *scratch = malloc(d->keys * sizeof *scratch);
    bool *visible = malloc(d->keys * sizeof *visible);
    /* The reference takes about 0.1 us per key for its sort. */
    const int queries = (int)fmin(fmax(1 / (d->keys * 1e-7), 4), 32);
    for (int i = 0; scratch && visible && i < queries; i++) {
        const uint32_t b = (uint32_t)(random_bits(state) % d->batch), h = (uint32_t)(random_bits(state) % d->kv_heads);
        const uint32_t t = i ? (uint32_t)(random_bits(state) % d->queries) : d->queries - 1;
        const uint64_t at = ((uint64_t)b * d->kv_heads + h) * d->keys;
        const int32_t *begin = (int32_t *)p->tensor[TENSOR_BEGIN] + at, *end = (int32_t *)p->tensor[TENSOR_END] + at;
        reference_visible(d, &in, b, (float *)p->tensor[TENSOR_IMPORTANCE] + at, t, scratch, visible);
        for (uint32_t j = 0; j < d->keys; j++)
            *wrong += visible[j] != (begin[j] <= (int32_t)t && (int32_t)t < end[j]);
    }
    const bool ok = scratch && visible;
    free(scratch);
    free(visible);
    return ok ? DMATTN_SUCCESS : DMATTN_ERROR_OUT_OF_MEMORY;
}

dmattn_status check_mask(const problem *p, uint64_t seed, check_result *r)
{
    r->importance_error = p->dma_desc.importance_given ? 0 : importance_error(p, &seed);
    r->wrong_keys = 0;
    return count_wrong_keys(p, &seed, &r->wrong_keys);
}

bool check_passed(const check_result *r, dmattn_type type)
{
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++)
        if (!(r->gradient_error[t] <= tolerance(type)))
            return false;
    return !r->wrong_keys && r->importance_error <= importance_tolerance() && !r->not_finite
           && r->error <= tolerance(type) && r->lse_error <= tolerance(type);
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

/* The first row, the last row, and random rows. */
static void sample_rows(checker *c, uint64_t visible_pairs, uint64_t seed)
{
    const dmattn_attention_desc *d = &c->problem->desc;
    const double rows = (double)d->batch * d->heads * d->queries;
    /* The reference takes about 10 ns per element of q . k or p v, and about 1 ns to skip a hidden key. */
    const double look = 1e-9 * (1 + 0.3 * d->selected_count); /* for each key, at the whole list */
    const double seconds = (double)visible_pairs / rows * (d->head_dim + d->value_dim) * 1e-8 + d->keys * look;
    const double most = fmin(fmin(fmax(CHECK_SECONDS / seconds, 8), CHECK_ROWS), rows);
    for (c->row_count = 0; c->row_count < (uint32_t)most; c->row_count++) {
        struct check_row row = {0, 0, 0};
        if (c->row_count == 1)
            row = (struct check_row){d->batch - 1, d->heads - 1, d->queries - 1};
        else if (c->row_count > 1)
            row =
                (struct check_row){(uint32_t)(random_bits(&seed) % d->batch), (uint32_t)(random_bits(&seed) % d->heads),
                                   (uint32_t)(random_bits(&seed) % d->queries)};
        c->row[c->row_count] = row;
    }
}

dmattn_status checker_create(const problem *p, uint64_t visible_pairs, uint64_t seed, const messenger *m, checker *c)
{
    const dmattn_attention_desc *d = &p->desc;
    *c = (checker){.problem = p};
    sample_rows(c, visible_pairs, seed);
    double *scores = calloc(d->keys, sizeof *scores);
    c->out = calloc((size_t)c->row_count * d->value_dim, sizeof *c->out);
    c->lse = calloc(c->row_count, sizeof *c->lse);
    if (!scores || !c->out || !c->lse) {
        free(scores);
        checker_destroy(c);
        return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for the reference");
    }
    const reference_inputs in = problem_inputs(p);
    for (uint32_t i = 0; i < c->row_count; i++)
        reference_attention_row(d, &in, c->row[i].batch, c->row[i].head, c->row[i].query, scores,
                                c->out + (size_t)i * d->value_dim, c->lse + i);
    free(scores);
    return DMATTN_SUCCESS;
}

void checker_destroy(checker *c)
{
    free(c->out);
    free(c->lse);
    *c = (checker){0};
}

/* ---- comparison ---------------------------------------------------------------------------------------------- */

#define PIECE (UINT64_C(16) << 20) /* bytes per download */

/* Counts the elements of a whole tensor that are not finite. */
static dmattn_status scan(const device_problem *dp, tensor_id tensor, void *piece, check_result *r)
{
    const bool lse = tensor == TENSOR_LSE;
    const dmattn_buffer *buffer = device_problem_buffer(dp, tensor);
    const dmattn_type type = lse ? DMATTN_TYPE_F32 : problem_type(dp->problem, TENSOR_OUT);
    const uint64_t bytes = problem_bytes(dp->problem, tensor);
    for (uint64_t at = 0; at < bytes; at += PIECE) {
        uint64_t length = bytes - at < PIECE ? bytes - at : PIECE;
        TRY(dmattn_download(dp->device, buffer, at, piece, length));
        if (!lse) {
            r->not_finite += count_not_finite(type, piece, length / dmattn_type_size(type));
            continue;
        }
        for (uint64_t i = 0; i < length / sizeof(float); i++) /* -infinity is right for a query that sees no key */
            r->not_finite += isnan(((const float *)piece)[i]) != 0;
    }
    return DMATTN_SUCCESS;
}

static dmattn_status compare_rows(const checker *c, const device_problem *dp, check_result *r)
{
    const dmattn_attention_desc *d = &dp->problem->desc;
    const dmattn_strides *s = &d->out_strides;
    const dmattn_type type = problem_type(dp->problem, TENSOR_OUT);
    const uint64_t size = dmattn_type_size(type);
    for (uint32_t i = 0; i < c->row_count; i++) {
        const struct check_row *row = &c->row[i];
        float stored[DMATTN_MAX_VALUE_DIM]; /* enough for every type */
        double got[DMATTN_MAX_VALUE_DIM];
        float lse;
        uint64_t at = row->batch * s->batch + row->query * s->sequence + row->head * s->head;
        TRY(dmattn_download(dp->device, device_problem_buffer(dp, TENSOR_OUT), at * size, stored, d->value_dim * size));
        for (uint32_t e = 0; e < d->value_dim; e++)
            got[e] = element_load(type, stored, e);
        r->error = fmax(r->error, row_error(got, c->out + (size_t)i * d->value_dim, d->value_dim));
        at = ((uint64_t)row->batch * d->heads + row->head) * d->queries + row->query;
        TRY(dmattn_download(dp->device, device_problem_buffer(dp, TENSOR_LSE), at * sizeof lse, &lse, sizeof lse));
        r->lse_error = fmax(r->lse_error, lse_error(lse, c->lse[i]));
    }
    return DMATTN_SUCCESS;
}

dmattn_status checker_compare(const checker *c, const device_problem *dp, const messenger *m, check_result *r)
{
    r->error = r->lse_error = 0;
    r->not_finite = 0;
    void *piece = malloc(PIECE);
    if (!piece)
        return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for the check");
    dmattn_status status = scan(dp, TENSOR_OUT, piece, r);
    if (!status)
        status = scan(dp, TENSOR_LSE, piece, r);
    free(piece);
    return status ? status : compare_rows(c, dp, r);
}
