/* SPDX-License-Identifier: MIT */
#include "stages.h"

const char *const stage_names[STAGE_COUNT] = {"importance", "intervals", "lists", "attention"};

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

static dmattn_status run_stages(const measure_settings *settings, const device_problem *dp, stage *mask,
                                stage *attention, double *sorted, measurement *m)
{
    static const uint32_t bits[] = {DMATTN_STAGE_IMPORTANCE, DMATTN_STAGE_INTERVALS, DMATTN_STAGE_LISTS};
    static const tensor_id products[] = {TENSOR_IMPORTANCE, TENSOR_BEGIN, TENSOR_END};
    dmattn_context *context = dmattn_device_context(settings->device);
    dmattn_mask_desc desc = dp->problem->mask_desc;
    dmattn_plan_info info;
    TRY(dmattn_attention_plan(context, &dp->problem->desc, &attention->plan));
    dmattn_plan_get_info(attention->plan, &info);
    desc.list_queries = info.list_queries;
    TRY(dmattn_mask_plan(context, &desc, &mask->plan));
    dmattn_plan_get_info(mask->plan, &info);
    TRY(dmattn_buffer_create(settings->device, info.lists_size, &mask->mask.lists));
    m->lists_bytes = info.lists_size;
    m->mask_bytes = info.workspace_size;
    for (int i = 0; i < 3; i++)
        m->mask_bytes += problem_bytes(dp->problem, products[i]);
    for (int i = STAGE_IMPORTANCE; i <= STAGE_LISTS; i++) {
        mask->mask.reuse = ~bits[i];
        TRY(time_stage(settings, mask, sorted, &m->stage[i]));
    }
    attention->attention.lists = mask->mask.lists;
    return time_stage(settings, attention, sorted, &m->stage[STAGE_ATTENTION]);
}

dmattn_status time_stages(const measure_settings *settings, const device_problem *dp, double *sorted, measurement *m)
{
    const dmattn_dma_args *args = &dp->dma_args;
    stage mask = {.mask = {.v = args->v,
                           .dt_weight = args->dt_weight,
                           .a = args->a,
                           .dt_bias = args->dt_bias,
                           .importance = args->importance,
                           .begin = args->begin,
                           .end = args->end,
                           .workspace = args->workspace}}; /* the whole's, which is larger */
    stage attention = {.is_attention = true,
                       .attention = {.q = args->q,
                                     .k = args->k,
                                     .v = args->v,
                                     .out = args->out,
                                     .lse = args->lse,
                                     .begin = args->begin,
                                     .end = args->end,
                                     .bias = args->importance,
                                     .workspace = args->workspace}};
    dmattn_status status = run_stages(settings, dp, &mask, &attention, sorted, m);
    dmattn_buffer_destroy(settings->device, &mask.mask.lists);
    dmattn_plan_destroy(mask.plan);
    dmattn_plan_destroy(attention.plan);
    return status;
}
