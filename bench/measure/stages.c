/* SPDX-License-Identifier: MIT */
#include "stages.h"

#include "samples.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct stage {
    dmattn_plan *plan;
    dmattn_mask_args mask;
    dmattn_attention_args attention;
    bool is_attention;
} stage;

static dmattn_status record_stage(const void *user, VkCommandBuffer commands)
{
    const stage *s = user;
    return s->is_attention ? dmattn_attention_record(s->plan, commands, &s->attention)
                           : dmattn_mask_record(s->plan, commands, &s->mask);
}

static dmattn_status time_stage(const measure_settings *settings, const stage *s, double *sorted, double *median)
{
    const recording what = {settings->device, record_stage, s};
    timing t = {.sorted = sorted};
    TRY(take_samples(settings, &what, settings->seconds / STAGE_COUNT, &t));
    *median = t.time.median;
    return DMATTN_SUCCESS;
}

typedef struct stages {
    stage mask, attention;
} stages;

/* The stages use the buffers of the complete operator, except for their own lists. */
static dmattn_status create(const measure_settings *settings, const device_problem *dp, stages *s, measurement *m)
{
    static const tensor_id products[] = {TENSOR_IMPORTANCE, TENSOR_BEGIN, TENSOR_END};
    dmattn_context *context = dmattn_device_context(settings->device);
    const dmattn_dma_args *args = &dp->dma_args;
    dmattn_mask_desc desc = dp->problem->mask_desc;
    dmattn_plan_info info;
    s->mask = (stage){.mask = {.v = args->v,
                               .dt_weight = args->dt_weight,
                               .a = args->a,
                               .dt_bias = args->dt_bias,
                               .importance = args->importance,
                               .begin = args->begin,
                               .end = args->end,
                               .workspace = args->workspace}}; /* larger than these stages need */
    s->attention = (stage){.is_attention = true,
                           .attention = {.q = args->q,
                                         .k = args->k,
                                         .v = args->v,
                                         .out = args->out,
                                         .lse = args->lse,
                                         .begin = args->begin,
                                         .end = args->end,
                                         .bias = args->importance,
                                         .sink = args->sink,
                                         .workspace = args->workspace}};
    TRY(dmattn_attention_plan(context, &dp->problem->desc, &s->attention.plan));
    dmattn_plan_get_info(s->attention.plan, &info);
    desc.list_queries = info.list_queries;
    TRY(dmattn_mask_plan(context, &desc, &s->mask.plan));
    dmattn_plan_get_info(s->mask.plan, &info);
    TRY(dmattn_buffer_create(settings->device, info.lists_size, &s->mask.mask.lists));
    s->attention.attention.lists = s->mask.mask.lists;
    m->lists_bytes = info.lists_size;
    m->mask_bytes = info.workspace_size;
    for (int i = 0; i < 3; i++)
        m->mask_bytes += problem_bytes(dp->problem, products[i]);
    return DMATTN_SUCCESS;
}

static void destroy(const measure_settings *settings, stages *s)
{
    dmattn_buffer_destroy(settings->device, &s->mask.mask.lists);
    dmattn_plan_destroy(s->mask.plan);
    dmattn_plan_destroy(s->attention.plan);
}

static dmattn_status time_each(const measure_settings *settings, stages *s, double *sorted, measurement *m)
{
    static const uint32_t bits[] = {DMATTN_STAGE_IMPORTANCE, DMATTN_STAGE_INTERVALS, DMATTN_STAGE_LISTS};
    for (int i = STAGE_IMPORTANCE; i <= STAGE_LISTS; i++) {
        s->mask.mask.reuse = ~bits[i];
        TRY(time_stage(settings, &s->mask, sorted, &m->stage[i]));
    }
    return time_stage(settings, &s->attention, sorted, &m->stage[STAGE_ATTENTION]);
}

dmattn_status time_stages(const measure_settings *settings, const device_problem *dp, double *sorted, measurement *m)
{
    stages s = {0};
    dmattn_status status = create(settings, dp, &s, m);
    if (!status)
        status = time_each(settings, &s, sorted, m);
    destroy(settings, &s);
    return status;
}

static dmattn_status time_whole(const measure_settings *settings, const stages *s, const messenger *log, measurement *m)
{
    const recording making = {settings->device, record_stage, &s->mask};
    const recording using = {settings->device, record_stage, &s->attention};
    dmattn_plan_info info;
    timing t;
    double seconds;
    dmattn_plan_get_info(s->mask.plan, &info);
    m->planned[0] = (planned_pass){.level = info.level, .workspace_bytes = info.workspace_size, .bytes = info.bytes};
    snprintf(m->planned[0].kernel, sizeof m->planned[0].kernel, "%s", info.kernel);
    snprintf(m->planned[0].why_not_higher, sizeof m->planned[0].why_not_higher, "%s", info.why_not_higher);
    const dmattn_status status = keep_samples(settings, &making, log, m, &t);
    free(t.sorted);
    return status ? status : time_runs(&using, 1, &seconds);
}

dmattn_status time_mask(const measure_settings *settings, const device_problem *dp, const messenger *log,
                        measurement *m)
{
    stages s = {0};
    dmattn_status status = create(settings, dp, &s, m);
    if (!status)
        status = time_whole(settings, &s, log, m);
    destroy(settings, &s);
    return status;
}
