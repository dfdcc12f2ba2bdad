/* SPDX-License-Identifier: MIT */
#include "planning.h"

#include "backward/backward.h"
#include "merge_measure.h"
#include "select_measure.h"
#include "timing/device_memory.h"

#include <stdio.h>

dmattn_status case_resolve(const bench_case *c, const messenger *m, dmattn_attention_backward_desc *desc)
{
    if (!(c->pass & PASS_BACKWARD)) { /* the case may have options that gradients do not have */
        dma_descs forward;
        *desc = (dmattn_attention_backward_desc){0};
        if (!c->mask.dynamic)
            return dmattn_attention_desc_resolve(&c->desc, &desc->attention, m);
        TRY(dmattn_dma_desc_resolve(&c->dma, &forward, m));
        desc->attention = forward.attention;
        return DMATTN_SUCCESS;
    }
    if (!c->mask.dynamic)
        return dmattn_attention_backward_desc_resolve(&(dmattn_attention_backward_desc){.attention = c->desc}, desc, m);
    dma_backward_descs descs;
    TRY(dmattn_dma_backward_desc_resolve(&(dmattn_dma_backward_desc){.dma = c->dma}, &descs, m));
    *desc = descs.attention;
    return DMATTN_SUCCESS;
}

double flops_of_pair(const dmattn_attention_backward_desc *desc, bench_pass pass)
{
    const dmattn_attention_desc *d = &desc->attention;
    const double all = pass == PASS_BACKWARD ? dmattn_backward_flops(desc) : dmattn_attention_flops(d);
    return all / (dmattn_attention_pairs(d) * d->batch * d->heads);
}

/* Checks the size of each tensor, and of all tensors and workspaces together. */
static dmattn_status check_tensors(const measure_settings *s, const dmattn_attention_backward_desc *desc, bool backward,
                                   uint64_t workspaces, const messenger *log)
{
    double all = (double)workspaces;
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        const double bytes = (double)(backward ? dmattn_attention_backward_tensor_bytes(desc, t)
                                               : dmattn_attention_tensor_bytes(&desc->attention, t));
        TRY(check_allocation(s, log, dmattn_tensor_name(t), bytes));
        all += bytes;
    }
    return check_memory(s, log, all);
}

dmattn_status case_plan(dmattn_context *context, const bench_case *c, bench_pass pass, dmattn_plan **plan)
{
    const dmattn_merge_desc merge = case_merge(c);
    if (pass == PASS_MERGE)
        return dmattn_merge_plan(context, &merge, plan);
    const dmattn_selector_desc selector = case_selector(c);
    if (pass == PASS_SELECT)
        return dmattn_selector_plan(context, &selector, plan);
    if (pass == PASS_DECODE && case_has_cache(c))
        return dmattn_decode_plan(context, &c->decode, plan);
    if (pass != PASS_BACKWARD)
        return c->mask.dynamic ? dmattn_dma_plan(context, &c->dma, plan)
                               : dmattn_attention_plan(context, &c->desc, plan);
    const dmattn_attention_backward_desc attention = {.attention = c->desc};
    const dmattn_dma_backward_desc dma = {.dma = c->dma};
    return c->mask.dynamic ? dmattn_dma_backward_plan(context, &dma, plan)
                           : dmattn_attention_backward_plan(context, &attention, plan);
}

dmattn_status case_support(const dmattn_context *context, const bench_case *c, bench_pass pass, dmattn_support *support)
{
    const dmattn_merge_desc merge = case_merge(c);
    if (pass == PASS_MERGE)
        return dmattn_merge_check(context, &merge, support);
    const dmattn_selector_desc selector = case_selector(c);
    if (pass == PASS_SELECT)
        return dmattn_selector_check(context, &selector, support);
    if (pass == PASS_DECODE && case_has_cache(c))
        return dmattn_decode_check(context, &c->decode, support);
    if (pass != PASS_BACKWARD)
        return c->mask.dynamic ? dmattn_dma_check(context, &c->dma, support)
                               : dmattn_attention_check(context, &c->desc, support);
    const dmattn_attention_backward_desc attention = {.attention = c->desc};
    const dmattn_dma_backward_desc dma = {.dma = c->dma};
    return c->mask.dynamic ? dmattn_dma_backward_check(context, &dma, support)
                           : dmattn_attention_backward_check(context, &attention, support);
}

void case_use_stream(bench_case *c, const decoding *cache)
{
    c->desc.q_strides = c->dma.attention.q_strides = cache->desc.attention.q_strides;
}

static dmattn_status plan_cache(const measure_settings *s, const bench_case *c, dmattn_plan *plans[MOST_CASE_PLANS])
{
    dmattn_context *context = dmattn_device_context(s->device);
    decoding cache = {.settings = s};
    bench_case chunk = *c;
    decoding_describe(&cache, c);
    TRY(dmattn_decode_plan(context, &cache.desc, &plans[0]));
    case_use_stream(&chunk, &cache);
    return c->pass == PASS_PREFILL ? case_plan(context, &chunk, PASS_PREFILL, &plans[1]) : DMATTN_SUCCESS;
}

dmattn_status case_plans(const measure_settings *s, const bench_case *c, dmattn_plan *plans[MOST_CASE_PLANS])
{
    dmattn_context *context = dmattn_device_context(s->device);
    if (case_has_cache(c) || c->pass == PASS_PREFILL)
        return plan_cache(s, c, plans);
    if (c->pass & (PASS_MERGE | PASS_SELECT))
        return case_plan(context, c, c->pass, &plans[0]);
    TRY(case_plan(context, c, PASS_FORWARD, &plans[0]));
    return c->pass & PASS_BACKWARD ? case_plan(context, c, PASS_BACKWARD, &plans[1]) : DMATTN_SUCCESS;
}

static dmattn_status plan_pass(const measure_settings *s, const bench_case *c,
                               const dmattn_attention_backward_desc *desc, bench_pass pass, planned_pass *planned)
{
    dmattn_plan *plan;
    TRY(case_plan(dmattn_device_context(s->device), c, pass, &plan));
    dmattn_plan_info info;
    dmattn_plan_get_info(plan, &info);
    *planned = (planned_pass){.level = info.level,
                              .workspace_bytes = info.workspace_size,
                              .flops_of_pair = flops_of_pair(desc, pass),
                              .bytes = info.bytes};
    snprintf(planned->kernel, sizeof planned->kernel, "%s", info.kernel);
    snprintf(planned->why_not_higher, sizeof planned->why_not_higher, "%s", info.why_not_higher);
    dmattn_plan_destroy(plan);
    return DMATTN_SUCCESS;
}

dmattn_status plan_case(const measure_settings *s, const bench_case *c, measurement *m, const messenger *log)
{
    dmattn_attention_backward_desc desc;
    uint64_t workspaces = 0;
    TRY(case_resolve(c, log, &desc));
    m->desc = desc.attention;
    for (int i = 0; i < PASS_COUNT; i++) {
        const bench_pass pass = (bench_pass)(1 << i);
        planned_pass planned;
        if (pass > c->pass) /* backward needs a forward plan even if it is not timed */
            break;
        TRY(plan_pass(s, c, &desc, pass, &planned));
        workspaces += planned.workspace_bytes;
        if (pass & c->pass)
            m->planned[i] = planned;
    }
    return check_tensors(s, &desc, c->pass & PASS_BACKWARD, workspaces, log);
}
