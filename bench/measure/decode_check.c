/* SPDX-License-Identifier: MIT */
#include "decode_check.h"

#include "check/check.h"
#include "decoding/decode_expect.h"
#include "reference/element.h"
#include "samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void compare_row(const expectation *e, uint32_t group, uint32_t i, const void *out, const float *lse,
                        double *got, check_result *result)
{
    const decoding *d = e->d;
    const dmattn_attention_desc *a = &d->desc.attention;
    const row_group *g = &e->group[group];
    const uint32_t t = g->row[i].t, head = g->row[i].head;
    const uint64_t rows = d->packed ? decoding_row(d, a->batch) : d->queries, plane = d->packed ? 0 : g->sequence;
    const uint64_t at = d->packed ? decoding_row(d, g->sequence) + t : t;
    const uint64_t row = (plane * rows + at) * a->heads + head;
    for (uint32_t c = 0; c < a->value_dim; c++)
        got[c] = element_load(dmattn_attention_type(a, TENSOR_OUT), out, row * a->value_dim + c);
    const double *want = e->out + ((size_t)group * ROWS_OF_GROUP + i) * a->value_dim;
    const float got_lse = lse[(plane * a->heads + head) * rows + at];
    result->error = fmax(result->error, row_error(got, want, a->value_dim));
    result->lse_error = fmax(result->lse_error, lse_error((double)got_lse, g->row[i].lse));
}

/* Fills the cache, runs once and compares the result. */
static dmattn_status check(const expectation *e, decoding *d, const recording *what, measurement *m)
{
    const dmattn_attention_desc *a = &d->desc.attention;
    double seconds;
    TRY(decoding_fill(d));
    TRY(time_runs(what, 1, &seconds));
    void *out = malloc(d->out_bytes);
    float *lse = malloc(d->lse_bytes);
    double *got = malloc(sizeof *got * a->value_dim);
    dmattn_status status = out && lse && got
                               ? dmattn_download(d->settings->device, &d->out, 0, out, d->out_bytes)
                               : dmattn_fail(d->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for the check");
    if (!status)
        status = dmattn_download(d->settings->device, &d->lse, 0, lse, d->lse_bytes);
    if (!status) {
        m->checked_rows = e->group_count * ROWS_OF_GROUP;
        for (uint32_t i = 0; i < m->checked_rows; i++)
            compare_row(e, i / ROWS_OF_GROUP, i % ROWS_OF_GROUP, out, lse, got, &m->check);
        m->check.not_finite = count_not_finite(dmattn_attention_type(a, TENSOR_OUT), out,
                                               d->out_bytes / dmattn_type_size(dmattn_attention_type(a, TENSOR_OUT)));
    }
    free(out);
    free(lse);
    free(got);
    if (!status && !check_passed(&m->check, a->type)) {
        m->status = CASE_WRONG;
        snprintf(m->sentence, sizeof m->sentence, "error %.1e in out, %.1e in lse, %llu elements NaN or infinite%s",
                 m->check.error, m->check.lse_error, (unsigned long long)m->check.not_finite,
                 m->sample_count ? ", after the timing" : "");
    }
    return status;
}

static dmattn_status check_time_check(const expectation *e, decoding *d, const recording *what, measurement *m)
{
    TRY(check(e, d, what, m));
    if (m->status == CASE_WRONG)
        return DMATTN_SUCCESS;
    tell_phase(d->settings, "timing");
    timing t;
    const dmattn_status timed = keep_samples(d->settings, what, d->log, m, &t);
    free(t.sorted);
    TRY(timed);
    return check(e, d, what, m);
}

dmattn_status check_and_time(decoding *d, const recording *what, const dmattn_decode_desc *visible, measurement *m)
{
    expectation e = {.d = d};
    tell_phase(d->settings, "check");
    dmattn_status status = expect_groups(&e, visible);
    if (!status)
        status = check_time_check(&e, d, what, m);
    free(e.out);
    return status;
}
