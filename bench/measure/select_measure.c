/* SPDX-License-Identifier: MIT */
#include "select_measure.h"

#include "reference/element.h"
#include "reference/selector.h"
#include "samples.h"
#include "selector/desc.h"
#include "timing/device_memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { Q, K, WEIGHTS, SELECTED, WORKSPACE, BUFFERS };
static const tensor_id ids[] = {TENSOR_Q, TENSOR_K, TENSOR_WEIGHTS, TENSOR_SELECTED};

typedef struct select_run {
    const measure_settings *settings;
    const messenger *log;
    dmattn_selector_desc desc; /* resolved */
    dmattn_plan *plan;
    void *host[BUFFERS];
    dmattn_buffer buffer[BUFFERS];
    uint64_t bytes[BUFFERS];
} select_run;

dmattn_selector_desc case_selector(const bench_case *c)
{
    const dmattn_attention_desc *d = &c->desc;
    const bool blocks = c->mask.block > 1;
    return (dmattn_selector_desc){.type = d->type,
                                  .batch = d->batch,
                                  .queries = d->queries,
                                  .keys = d->keys,
                                  .heads = d->heads,
                                  .kv_heads = d->kv_heads,
                                  .head_dim = d->head_dim,
                                  .relu = !blocks,
                                  .weights = !blocks,
                                  .block = c->mask.block,
                                  .count = c->mask.window,
                                  .recent = blocks,
                                  .causal = true,
                                  .level = d->level,
                                  .max_level = d->max_level};
}

static dmattn_status make_buffers(select_run *r, uint64_t workspace)
{
    double all = 0;
    for (int i = 0; i < BUFFERS; i++) {
        r->bytes[i] = i == WORKSPACE ? workspace : dmattn_selector_tensor_bytes(&r->desc, ids[i]);
        TRY(check_allocation(r->settings, r->log, i == WORKSPACE ? "workspace" : dmattn_tensor_name(ids[i]),
                             (double)r->bytes[i]));
        all += (double)r->bytes[i];
    }
    TRY(check_memory(r->settings, r->log, all));
    for (int i = 0; i < BUFFERS; i++) {
        uint64_t random = r->settings->seed + (uint64_t)i;
        const dmattn_type type = i == WEIGHTS ? DMATTN_TYPE_F32 : r->desc.type;
        if (!r->bytes[i])
            continue;
        TRY(dmattn_buffer_create(r->settings->device, r->bytes[i], &r->buffer[i]));
        if (i == WORKSPACE)
            continue;
        if (!(r->host[i] = malloc(r->bytes[i])))
            return dmattn_fail(r->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for the inputs of a selector");
        for (uint64_t n = 0; i < SELECTED && n < r->bytes[i] / dmattn_type_size(type); n++)
            element_store(type, r->host[i], n, random_normal(&random));
        if (i < SELECTED)
            TRY(dmattn_upload(r->settings->device, &r->buffer[i], 0, r->host[i], r->bytes[i]));
    }
    return DMATTN_SUCCESS;
}

static dmattn_status record(const void *user, VkCommandBuffer commands)
{
    const select_run *r = user;
    const dmattn_selector_args args = {.q = r->buffer[Q],
                                       .k = r->buffer[K],
                                       .weights = r->buffer[WEIGHTS],
                                       .selected = r->buffer[SELECTED],
                                       .workspace = r->buffer[WORKSPACE]};
    return dmattn_selector_record(r->plan, commands, &args);
}

static dmattn_status run_once(const select_run *r)
{
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(r->settings->device, &commands));
    const dmattn_status status = record(r, commands);
    if (!status)
        return dmattn_commands_submit(r->settings->device);
    dmattn_commands_cancel(r->settings->device);
    return status;
}

/* As many rows as the reference computes in about CHECK_SECONDS, but at least two. */
static uint32_t rows_to_check(const dmattn_selector_desc *d)
{
    const double row = 3e-9 * d->head_dim * (d->keys + (double)dmattn_selector_numbers(d) * d->heads / d->list_heads);
    return (uint32_t)fmin(fmax(CHECK_SECONDS / row, 2), CHECK_ROWS);
}

static dmattn_status compare(const select_run *r, measurement *m)
{
    const dmattn_selector_desc *d = &r->desc;
    const reference_selector_inputs in = {.q = r->host[Q], .k = r->host[K], .weights = r->host[WEIGHTS]};
    uint64_t random = r->settings->seed;
    double *scores = malloc(2 * sizeof *scores * dmattn_selector_numbers(d));
    if (!scores)
        return dmattn_fail(r->log, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for scores");
    double *errors = scores + dmattn_selector_numbers(d);
    const dmattn_status status =
        dmattn_download(r->settings->device, &r->buffer[SELECTED], 0, r->host[SELECTED], r->bytes[SELECTED]);
    m->checked_rows = rows_to_check(d);
    for (uint32_t i = 0; !status && i < m->checked_rows; i++) {
        const reference_selector_row row = {.item = (uint32_t)(random_bits(&random) % d->batch),
                                            .list = (uint32_t)(random_bits(&random) % d->list_heads),
                                            .query = (uint32_t)(random_bits(&random) % d->queries)};
        const uint64_t at = ((uint64_t)row.item * d->list_heads + row.list) * d->queries + row.query;
        reference_selector_scores(d, &in, row, scores, errors);
        if (reference_selector_agrees(d, &in, row, scores, errors, (const int32_t *)r->host[SELECTED] + at * d->count))
            continue;
        m->status = CASE_WRONG;
        snprintf(m->sentence, sizeof m->sentence, "the list of query %u, list %u, item %u is wrong", row.query,
                 row.list, row.item);
    }
    free(scores);
    return status;
}

static dmattn_status run_select(select_run *r, uint64_t workspace, measurement *m)
{
    const recording what = {r->settings->device, record, r};
    timing t;
    tell_phase(r->settings, "data");
    TRY(make_buffers(r, workspace));
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

dmattn_status measure_select(const measure_settings *s, const bench_case *c, const messenger *log, measurement *m,
                             bool *planned)
{
    const dmattn_selector_desc desc = case_selector(c);
    select_run r = {.settings = s, .log = log};
    dmattn_plan_info info;
    m->desc = c->desc;
    tell_phase(s, "plan");
    dmattn_status status = dmattn_selector_desc_resolve(&desc, &r.desc, log);
    if (!status)
        status = dmattn_selector_plan(dmattn_device_context(s->device), &desc, &r.plan);
    *planned = !status;
    dmattn_plan_get_info(r.plan, &info);
    m->planned[0] = (planned_pass){.level = info.level,
                                   .workspace_bytes = info.workspace_size,
                                   .flops_of_pair = 2.0 * desc.head_dim,
                                   .bytes = info.bytes};
    m->visible_pairs = (uint64_t)(info.flops / m->planned[0].flops_of_pair);
    snprintf(m->planned[0].kernel, sizeof m->planned[0].kernel, "%s", info.kernel);
    snprintf(m->planned[0].why_not_higher, sizeof m->planned[0].why_not_higher, "%s", info.why_not_higher);
    if (!status)
        status = run_select(&r, info.workspace_size, m);
    for (int i = 0; i < BUFFERS; i++) {
        dmattn_buffer_destroy(s->device, &r.buffer[i]);
        free(r.host[i]);
    }
    dmattn_plan_destroy(r.plan);
    return status;
}
