/* SPDX-License-Identifier: MIT */
#include "device_tensor.h"
#include "problem.h"

static dmattn_buffer *find_buffer(device_problem *dp, tensor_id tensor)
{
    return dp->problem->dma ? dmattn_operator_buffer(&dmattn_dma_operator, &dp->dma_args, tensor)
                            : dmattn_operator_buffer(&dmattn_attention_operator, &dp->args, tensor);
}

const dmattn_buffer *device_problem_buffer(const device_problem *dp, tensor_id tensor)
{
    return find_buffer((device_problem *)dp, tensor); /* the result is const again */
}

/* Returns whether the device computes a tensor. */
static bool is_computed(const problem *p, tensor_id t)
{
    const bool importance = !p->dma_desc.importance_given || p->stored.page_size;
    return t == TENSOR_OUT || t == TENSOR_LSE
           || (p->dma && (t == TENSOR_BEGIN || t == TENSOR_END || (t == TENSOR_IMPORTANCE && importance)));
}

void attention_desc_lengthen(dmattn_attention_desc *d, uint32_t longest)
{
    const dmattn_strides contiguous = {0};
    d->lengths = true;
    d->queries = longest > d->queries ? longest : d->queries;
    d->keys = longest > d->keys ? longest : d->keys;
    d->q_strides = d->k_strides = d->v_strides = d->out_strides = contiguous;
    dmattn_score_shape *const shapes[] = {&d->mask_shape, &d->bias_shape};
    for (int i = 0; i < 2; i++) {
        shapes[i]->batch_stride = shapes[i]->head_stride = shapes[i]->query_stride = 0;
        if (shapes[i]->queries > 1)
            shapes[i]->queries = d->queries;
    }
}

static dmattn_status plan_device(const problem *p, device_problem *dp)
{
    dmattn_context *context = dmattn_device_context(dp->device);
    dmattn_attention_desc attention = problem_device_desc(p);
    dmattn_dma_desc dma = p->dma_desc;
    if (p->longest) {
        attention_desc_lengthen(p->dma ? &dma.attention : &attention, p->longest);
        dp->args.queries = dp->dma_args.queries = p->desc.queries;
        dp->args.keys = dp->dma_args.keys = p->desc.keys;
    }
    return p->dma ? dmattn_dma_plan_tile(context, &dma, p->tile, &dp->plan)
                  : dmattn_attention_plan_tile(context, &attention, p->tile, &dp->plan);
}

static dmattn_status fill_device(const problem *p, device_problem *dp)
{
    TRY(plan_device(p, dp));
    dmattn_plan_info info;
    dmattn_plan_get_info(dp->plan, &info);
    if (info.workspace_size)
        TRY(device_tensor_create(dp->device, info.workspace_size, NULL,
                                 p->dma ? &dp->dma_args.workspace : &dp->args.workspace));
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        const uint64_t bytes = problem_device_bytes(p, t);
        const void *data = is_computed(p, t) ? NULL : problem_device_data(p, t);
        if (bytes && find_buffer(dp, t))
            TRY(device_tensor_create(dp->device, bytes, data, find_buffer(dp, t)));
    }
    return DMATTN_SUCCESS;
}

dmattn_status device_problem_create(const problem *p, dmattn_device *device, device_problem *dp)
{
    *dp = (device_problem){.device = device, .problem = p};
    dmattn_status status = fill_device(p, dp);
    if (status)
        device_problem_destroy(dp);
    return status;
}

void device_problem_destroy(device_problem *dp)
{
    if (!dp->device)
        return;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        dmattn_buffer *buffer = find_buffer(dp, (tensor_id)t);
        if (buffer)
            dmattn_buffer_destroy(dp->device, buffer);
    }
    dmattn_buffer_destroy(dp->device, &dp->args.workspace);
    dmattn_buffer_destroy(dp->device, &dp->dma_args.workspace);
    dmattn_plan_destroy(dp->plan);
    *dp = (device_problem){0};
}

dmattn_status device_problem_record(const device_problem *dp, VkCommandBuffer commands, bool reuse_mask)
{
    if (dp->problem->dma) {
        dmattn_dma_args args = dp->dma_args;
        args.reuse_mask = reuse_mask;
        return dmattn_dma_record(dp->plan, commands, &args);
    }
    dmattn_attention_args args = dp->args;
    args.reuse_mask_tiles = reuse_mask;
    return dmattn_attention_record(dp->plan, commands, &args);
}

dmattn_status device_problem_run(const device_problem *dp)
{
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(dp->device, &commands));
    dmattn_status status = device_problem_record(dp, commands, false);
    if (status) {
        dmattn_commands_cancel(dp->device);
        return status;
    }
    return dmattn_commands_submit(dp->device);
}

static dmattn_status download(const device_problem *dp, tensor_id tensor, void *data)
{
    return dmattn_download(dp->device, device_problem_buffer(dp, tensor), 0, data, problem_bytes(dp->problem, tensor));
}

dmattn_status device_problem_download(const device_problem *dp, float *out, float *lse)
{
    const problem *p = dp->problem;
    TRY(device_tensor_download(dp->device, device_problem_buffer(dp, TENSOR_OUT), p, TENSOR_OUT, out));
    return !lse || !p->desc.lse ? DMATTN_SUCCESS : download(dp, TENSOR_LSE, lse);
}

dmattn_status device_problem_download_mask(const device_problem *dp, problem *p)
{
    static const tensor_id products[] = {TENSOR_IMPORTANCE, TENSOR_BEGIN, TENSOR_END};
    for (int i = 0; i < 3; i++)
        if (is_computed(p, products[i]))
            TRY(download(dp, products[i], p->tensor[products[i]]));
    return DMATTN_SUCCESS;
}
