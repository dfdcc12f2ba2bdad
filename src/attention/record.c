/* SPDX-License-Identifier: MIT
 * Writes a plan's commands. Nothing is allocated and nothing but the command buffer is written to. */
#include "plan.h"

/* Checks a buffer and gives its address; 0 for one that is not needed. */
static dmattn_status resolve(const dmattn_plan *plan, const char *name, const dmattn_buffer *buffer, uint64_t needed,
                             uint64_t alignment, VkDeviceAddress *address)
{
    const dmattn_context *ctx = plan->ctx;
    *address = 0;
    if (!needed)
        return DMATTN_SUCCESS;
    if (!buffer->buffer)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID, "the buffer %s is missing", name);
    if (buffer->size < needed)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID, "the buffer %s has %llu bytes, but %llu are needed",
                           name, (unsigned long long)buffer->size, (unsigned long long)needed);
    VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = buffer->buffer};
    *address = ctx->vk.GetBufferDeviceAddress(ctx->device, &info) + buffer->offset;
    if (*address % alignment)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID,
                           "the buffer %s at offset %llu is not aligned to %llu bytes", name,
                           (unsigned long long)buffer->offset, (unsigned long long)alignment);
    return DMATTN_SUCCESS;
}

static void dispatch(const dmattn_plan *plan, VkCommandBuffer commands, VkPipeline pipeline, grid g)
{
    plan->ctx->vk.CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    plan->ctx->vk.CmdDispatch(commands, g.x, g.y, g.z);
}

dmattn_status dmattn_attention_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                      const dmattn_attention_args *args)
{
    if (!plan)
        return DMATTN_ERROR_INVALID;
    const dmattn_context *ctx = plan->ctx;
    if (!commands || !args)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID, "%s is NULL",
                           commands ? "args" : "the command buffer");

    const dmattn_buffer *buffers[TENSOR_COUNT] = {&args->q,    &args->k,     &args->v,   &args->out, &args->lse,
                                                  &args->mask, &args->begin, &args->end, &args->bias};
    VkDeviceAddress address[TENSOR_COUNT], workspace;
    for (int i = 0; i < TENSOR_COUNT; i++) {
        attention_tensor t = (attention_tensor)i;
        dmattn_status status = resolve(plan, dmattn_attention_tensor_name(t), buffers[t], plan->tensor_bytes[t],
                                       dmattn_plan_alignment(plan, t), &address[t]);
        if (status)
            return status;
    }
    dmattn_status status = resolve(plan, "workspace", &args->workspace, plan->workspace_size, 8, &workspace);
    if (status)
        return status;

    const dmattn_attention_desc *d = &plan->desc;
    const attention_params params = {
        .q = address[TENSOR_Q],
        .k = address[TENSOR_K],
        .v = address[TENSOR_V],
        .out_ = address[TENSOR_OUT],
        .lse = address[TENSOR_LSE],
        .mask = address[d->mask == DMATTN_MASK_INTERVALS ? TENSOR_BEGIN : TENSOR_MASK],
        .end = address[TENSOR_END],
        .bias = address[TENSOR_BIAS],
        .tiles = workspace,
        .queries = d->queries,
        .keys = d->keys,
        .heads = d->heads,
        .scale = d->scale,
        .soft_cap = d->soft_cap,
    };
    ctx->vk.CmdPushConstants(commands, plan->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof params, &params);
    if (plan->mask_tiles && !args->reuse_mask_tiles) {
        dispatch(plan, commands, plan->mask_tiles, plan->mask_grid);
        const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                         .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                         .dstAccessMask = VK_ACCESS_SHADER_READ_BIT};
        ctx->vk.CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                   0, 1, &barrier, 0, NULL, 0, NULL);
    }
    dispatch(plan, commands, plan->attention, plan->attention_grid);
    return DMATTN_SUCCESS;
}
