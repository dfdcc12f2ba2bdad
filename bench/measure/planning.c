/* SPDX-License-Identifier: MIT */
#include "planning.h"

#include "attention/backward.h"

#include <stdio.h>

dmattn_status case_resolve(const bench_case *c, const messenger *m, dmattn_attention_backward_desc *desc)
{
    if (!c->mask.dynamic)
        return dmattn_attention_backward_desc_resolve(&(dmattn_attention_backward_desc){.attention = c->desc}, desc, m);
    dma_backward_parts parts;
    TRY(dmattn_dma_backward_desc_resolve(&(dmattn_dma_backward_desc){.dma = c->dma}, &parts, m));
    *desc = parts.attention;
    return DMATTN_SUCCESS;
}

double flops_of_pair(const dmattn_attention_backward_desc *desc, bench_pass pass)
{
    const dmattn_attention_desc *d = &desc->attention;
    const double all = pass == PASS_BACKWARD ? dmattn_backward_flops(desc) : dmattn_attention_flops(d);
    return all / (dmattn_attention_pairs(d) * d->batch * d->heads);
}

/* Checks that the device's memory suffices for all tensors and the workspaces. */
static dmattn_status check_memory(const measure_settings *s, const dmattn_attention_backward_desc *desc, bool backward,
                                  uint64_t workspaces, const messenger *log)
{
    double all = (double)workspaces;
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        const uint64_t bytes = backward ? dmattn_attention_backward_tensor_bytes(desc, t)
                                        : dmattn_attention_tensor_bytes(&desc->attention, t);
        all += (double)bytes;
        if (bytes > s->info->max_allocation)
            return dmattn_fail(log, DMATTN_ERROR_UNSUPPORTED, "%s has %.1f GiB, but the device allocates at most %.1f",
                               dmattn_tensor_name(t), (double)bytes / 0x1p30, (double)s->info->max_allocation / 0x1p30);
    }
    if (all > (double)s->info->device_memory)
        return dmattn_fail(log, DMATTN_ERROR_UNSUPPORTED, "it needs %.1f GiB, but the device has %.1f", all / 0x1p30,
                           (double)s->info->device_memory / 0x1p30);
    return DMATTN_SUCCESS;
}

static dmattn_status make_plan(dmattn_context *context, const bench_case *c, const dmattn_attention_backward_desc *desc,
                               bench_pass pass, dmattn_plan **plan)
{
    if (pass == PASS_FORWARD)
        return c->mask.dynamic ? dmattn_dma_plan(context, &c->dma, plan)
                               : dmattn_attention_plan(context, &desc->attention, plan);
    return c->mask.dynamic ? dmattn_dma_backward_plan(context, &(dmattn_dma_backward_desc){.dma = c->dma}, plan)
                           : dmattn_attention_backward_plan(context, desc, plan);
}

static dmattn_status plan_pass(const measure_settings *s, const bench_case *c,
                               const dmattn_attention_backward_desc *desc, bench_pass pass, planned_pass *planned)
{
    dmattn_plan *plan;
    TRY(make_plan(dmattn_device_context(s->device), c, desc, pass, &plan));
    dmattn_plan_info info;
    dmattn_plan_get_info(plan, &info);
    *planned = (planned_pass){.level = info.level,
                              .workspace_bytes = info.workspace_size,
                              .flops_of_pair = flops_of_pair(desc, pass),
                              .bytes = info.bytes};
    snprintf(planned->kernel, sizeof planned->kernel, "%s", info.kernel);
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
    return check_memory(s, &desc, c->pass & PASS_BACKWARD, workspaces, log);
}
