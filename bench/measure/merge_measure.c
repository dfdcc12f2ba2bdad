/* SPDX-License-Identifier: MIT */
#include "merge_measure.h"

#include "reference/element.h"
#include "reference/merge.h"
#include "samples.h"
#include "timing/device_memory.h"

#include <stdio.h>
#include <stdlib.h>

enum { OUT_A, OUT_B, OUT, LSE_A, LSE_B, LSE, TENSORS_OF_MERGE };

typedef struct merge_run {
    const measure_settings *settings;
    const messenger *log;
    dmattn_merge_desc desc;
    dmattn_plan *plan;
    void *host[TENSORS_OF_MERGE];
    dmattn_buffer buffer[TENSORS_OF_MERGE];
} merge_run;

dmattn_merge_desc case_merge(const bench_case *c)
{
    const dmattn_attention_desc *d = &c->desc;
    return (dmattn_merge_desc){.type = d->type,
                               .batch = d->batch,
                               .queries = d->queries,
                               .heads = d->heads,
                               .value_dim = d->value_dim ? d->value_dim : d->head_dim,
                               .lse = true};
}

static uint64_t rows_of(const merge_run *r)
{
    return (uint64_t)r->desc.batch * r->desc.queries * r->desc.heads;
}

static uint64_t bytes_of(const merge_run *r, int tensor)
{
    return tensor >= LSE_A ? sizeof(float) * rows_of(r)
                           : dmattn_type_size(r->desc.type) * rows_of(r) * r->desc.value_dim;
}

static dmattn_status make_tensors(merge_run *r)
{
    double all = 0;
    for (int t = 0; t < TENSORS_OF_MERGE; t++) {
        TRY(check_allocation(r->settings, r->log, t < LSE_A ? "out" : "lse", (double)bytes_of(r, t)));
        all += (double)bytes_of(r, t);
    }
    TRY(check_memory(r->settings, r->log, all));
    for (int t = 0; t < TENSORS_OF_MERGE; t++) {
        uint64_t random = r->settings->seed + (uint64_t)t;
        const dmattn_type type = t < LSE_A ? r->desc.type : DMATTN_TYPE_F32;
        r->host[t] = malloc(bytes_of(r, t));
        if (!r->host[t])
            return dmattn_fail(r->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for the results to merge");
        for (uint64_t i = 0; i < bytes_of(r, t) / dmattn_type_size(type); i++)
            element_store(type, r->host[t], i, random_normal(&random));
        TRY(dmattn_buffer_create(r->settings->device, bytes_of(r, t), &r->buffer[t]));
        TRY(dmattn_upload(r->settings->device, &r->buffer[t], 0, r->host[t], bytes_of(r, t)));
    }
    return DMATTN_SUCCESS;
}

static dmattn_status record(const void *user, VkCommandBuffer commands)
{
    const merge_run *r = user;
    const dmattn_merge_args args = {.out_a = r->buffer[OUT_A],
                                    .lse_a = r->buffer[LSE_A],
                                    .out_b = r->buffer[OUT_B],
                                    .lse_b = r->buffer[LSE_B],
                                    .out = r->buffer[OUT],
                                    .lse = r->buffer[LSE]};
    return dmattn_merge_record(r->plan, commands, &args);
}

static dmattn_status run_once(const merge_run *r)
{
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(r->settings->device, &commands));
    const dmattn_status status = record(r, commands);
    if (!status)
        return dmattn_commands_submit(r->settings->device);
    dmattn_commands_cancel(r->settings->device);
    return status;
}

static void compare_row(const merge_run *r, uint64_t row, check_result *check)
{
    enum { MOST_DIM = 1024 };
    const dmattn_merge_desc *d = &r->desc;
    const uint64_t query = row / d->heads % d->queries, head = row % d->heads, item = row / d->heads / d->queries;
    const uint64_t at = (item * d->heads + head) * d->queries + query;
    double a[MOST_DIM], b[MOST_DIM], want[MOST_DIM], got[MOST_DIM], want_lse;
    for (uint32_t i = 0; i < d->value_dim; i++) {
        a[i] = element_load(d->type, r->host[OUT_A], row * d->value_dim + i);
        b[i] = element_load(d->type, r->host[OUT_B], row * d->value_dim + i);
        got[i] = element_load(d->type, r->host[OUT], row * d->value_dim + i);
    }
    const float *lse_a = r->host[LSE_A], *lse_b = r->host[LSE_B], *lse = r->host[LSE];
    reference_merge_row(a, (double)lse_a[at], b, (double)lse_b[at], d->value_dim, want, &want_lse);
    const double error = row_error(got, want, d->value_dim), of_lse = lse_error((double)lse[at], want_lse);
    check->error = error > check->error ? error : check->error;
    check->lse_error = of_lse > check->lse_error ? of_lse : check->lse_error;
}

static dmattn_status compare(const merge_run *r, measurement *m)
{
    uint64_t random = r->settings->seed;
    m->check = (check_result){0};
    TRY(dmattn_download(r->settings->device, &r->buffer[OUT], 0, r->host[OUT], bytes_of(r, OUT)));
    TRY(dmattn_download(r->settings->device, &r->buffer[LSE], 0, r->host[LSE], bytes_of(r, LSE)));
    m->check.not_finite = count_not_finite(r->desc.type, r->host[OUT], rows_of(r) * r->desc.value_dim);
    m->checked_rows = CHECK_ROWS;
    for (int i = 0; i < CHECK_ROWS; i++)
        compare_row(r, random_bits(&random) % rows_of(r), &m->check);
    if (!check_passed(&m->check, r->desc.type)) {
        m->status = CASE_WRONG;
        snprintf(m->sentence, sizeof m->sentence, "error %.1e in out, %.1e in lse; %llu elements are not finite",
                 m->check.error, m->check.lse_error, (unsigned long long)m->check.not_finite);
    }
    return DMATTN_SUCCESS;
}

static dmattn_status run_merge(merge_run *r, measurement *m)
{
    const recording what = {r->settings->device, record, r};
    timing t;
    TRY(make_tensors(r));
    tell_phase(r->settings, "check");
    TRY(run_once(r));
    TRY(compare(r, m));
    if (m->status == CASE_WRONG)
        return DMATTN_SUCCESS;
    tell_phase(r->settings, "timing");
    const dmattn_status status = keep_samples(r->settings, &what, r->log, m, &t);
    free(t.sorted);
    return status ? status : compare(r, m);
}

dmattn_status measure_merge(const measure_settings *s, const bench_case *c, const messenger *log, measurement *m,
                            bool *planned)
{
    merge_run r = {.settings = s, .log = log, .desc = case_merge(c)};
    dmattn_plan_info info;
    m->desc = c->desc;
    m->visible_pairs = (uint64_t)c->desc.batch * c->desc.heads * c->desc.queries * c->desc.keys;
    tell_phase(s, "plan");
    dmattn_status status = dmattn_merge_plan(dmattn_device_context(s->device), &r.desc, &r.plan);
    *planned = !status;
    dmattn_plan_get_info(r.plan, &info);
    m->planned[0] = (planned_pass){.level = info.level, .bytes = info.bytes};
    snprintf(m->planned[0].kernel, sizeof m->planned[0].kernel, "%s", info.kernel);
    if (!status)
        status = run_merge(&r, m);
    for (int t = 0; t < TENSORS_OF_MERGE; t++) {
        dmattn_buffer_destroy(s->device, &r.buffer[t]);
        free(r.host[t]);
    }
    dmattn_plan_destroy(r.plan);
    return status;
}
