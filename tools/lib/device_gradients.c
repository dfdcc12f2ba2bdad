/* SPDX-License-Identifier: MIT */
#include "device_tensor.h"
#include "gradients.h"

#include "context.h"

dmattn_buffer *device_gradients_buffer(device_gradients *dg, tensor_id tensor)
{
    return dg->forward->problem->dma ? dmattn_operator_buffer(&dmattn_dma_backward_operator, &dg->dma_args, tensor)
                                     : dmattn_operator_buffer(&dmattn_attention_backward_operator, &dg->args, tensor);
}

/* Returns NULL for the default tiles. The smallest tiles are defined only for a given level. */
static const backward_tiles *choose_tiles(const problem *p, const dmattn_context *context,
                                          const dmattn_attention_backward_desc *resolved, backward_tiles *tiles)
{
    const dmattn_level level = resolved->attention.level;
    if (p->gradient_tiles)
        return p->gradient_tiles;
    return p->least_tiles && level && dmattn_backward_tiles_least(&context->caps, resolved, level, tiles) ? tiles
                                                                                                          : NULL;
}

static dmattn_status plan(device_gradients *dg)
{
    const problem *p = dg->forward->problem;
    const problem_backward *b = &p->backward;
    dmattn_context *context = dmattn_device_context(dg->forward->device);
    backward_tiles tiles;
    if (p->dma) {
        const dmattn_dma_backward_desc desc = {.dma = p->dma_desc,
                                               .gradients = b->gradients,
                                               .dlse = b->dlse,
                                               .dout_strides = b->dout_strides,
                                               .dq_strides = b->dq_strides,
                                               .dk_strides = b->dk_strides,
                                               .dv_strides = b->dv_strides};
        dma_backward_descs descs;
        TRY(dmattn_dma_backward_desc_resolve(&desc, &descs, &context->messenger));
        return dmattn_dma_backward_plan_tiles(context, &desc, choose_tiles(p, context, &descs.attention, &tiles),
                                              &dg->plan);
    }
    const dmattn_attention_backward_desc desc = {.attention = p->desc,
                                                 .gradients = b->gradients,
                                                 .dlse = b->dlse,
                                                 .dout_strides = b->dout_strides,
                                                 .dq_strides = b->dq_strides,
                                                 .dk_strides = b->dk_strides,
                                                 .dv_strides = b->dv_strides};
    dmattn_attention_backward_desc resolved;
    TRY(dmattn_attention_backward_desc_resolve(&desc, &resolved, &context->messenger));
    return dmattn_attention_backward_plan_tiles(context, &desc, choose_tiles(p, context, &resolved, &tiles), &dg->plan);
}

static dmattn_buffer *workspace_of(device_gradients *dg)
{
    return dg->forward->problem->dma ? &dg->dma_args.workspace : &dg->args.workspace;
}

static dmattn_status fill_device(device_gradients *dg)
{
    const problem *p = dg->forward->problem;
    dmattn_device *device = dg->forward->device;
    TRY(plan(dg));
    dmattn_plan_info info;
    dmattn_plan_get_info(dg->plan, &info);
    if (info.workspace_size)
        TRY(device_tensor_create(device, info.workspace_size, NULL, workspace_of(dg)));
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        dmattn_buffer *buffer = device_gradients_buffer(dg, t);
        const uint64_t bytes = problem_bytes(p, t);
        if (buffer && i < TENSOR_DOUT)
            *buffer = *device_problem_buffer(dg->forward, t);
        else if (buffer && bytes)
            TRY(device_tensor_create(device, bytes, p->tensor[t], buffer));
    }
    return DMATTN_SUCCESS;
}

dmattn_status device_gradients_create(const device_problem *forward, device_gradients *dg)
{
    *dg = (device_gradients){.forward = forward};
    dmattn_status status = fill_device(dg);
    if (status)
        device_gradients_destroy(dg);
    return status;
}

void device_gradients_destroy(device_gradients *dg)
{
    if (!dg->forward)
        return;
    dmattn_device *device = dg->forward->device;
    for (int t = TENSOR_DOUT; t < TENSOR_COUNT; t++) {
        dmattn_buffer *buffer = device_gradients_buffer(dg, (tensor_id)t);
        if (buffer)
            dmattn_buffer_destroy(device, buffer);
    }
    dmattn_buffer_destroy(device, workspace_of(dg));
    dmattn_plan_destroy(dg->plan);
    *dg = (device_gradients){0};
}

dmattn_status device_gradients_record(const device_gradients *dg, VkCommandBuffer commands)
{
    return dg->forward->problem->dma ? dmattn_dma_backward_record(dg->plan, commands, &dg->dma_args)
                                     : dmattn_attention_backward_record(dg->plan, commands, &dg->args);
}

dmattn_status device_gradients_run(const device_gradients *dg)
{
    VkCommandBuffer commands;
    TRY(dmattn_commands_begin(dg->forward->device, &commands));
    dmattn_status status = device_gradients_record(dg, commands);
    if (status) {
        dmattn_commands_cancel(dg->forward->device);
        return status;
    }
    return dmattn_commands_submit(dg->forward->device);
}

dmattn_status device_gradients_download(const device_gradients *dg, gradients *g)
{
    device_gradients copy = *dg; /* device_gradients_buffer() takes no const */
    for (int i = TENSOR_DQ; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        if (g->tensor[t])
            TRY(device_tensor_download(dg->forward->device, device_gradients_buffer(&copy, t), dg->forward->problem, t,
                                       g->tensor[t]));
    }
    return DMATTN_SUCCESS;
}
