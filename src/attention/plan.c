/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <stdio.h>

static dmattn_status check_grid(const dmattn_context *ctx, const char *what, grid g)
{
    const uint32_t n[3] = {g.x, g.y, g.z};
    for (int i = 0; i < 3; i++)
        if (n[i] > ctx->facts.max_workgroup_count[i])
            return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED,
                               "%s needs %u workgroups in dimension %d, but the device stops at %u", what, n[i], i,
                               ctx->facts.max_workgroup_count[i]);
    return DMATTN_SUCCESS;
}

static dmattn_status choose(dmattn_plan *plan)
{
    const dmattn_context *ctx = plan->ctx;
    const dmattn_attention_desc *d = &plan->desc;
    if (d->level > DMATTN_LEVEL_PORTABLE)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED, "forward attention has no kernel of the level %s",
                           dmattn_level_string(d->level));
    if (!dmattn_tile_choose(&ctx->facts, d, &plan->tile))
        return dmattn_fail(
            &ctx->messenger, DMATTN_ERROR_UNSUPPORTED,
            "no tile for value_dim %u fits a device of subgroup size %u, %u invocations and %u bytes of shared "
            "memory",
            d->value_dim, ctx->facts.subgroup_size, ctx->facts.max_invocations, ctx->facts.shared_memory);
    plan->aligned = dmattn_attention_is_aligned(d);
    plan->attention_grid = dmattn_attention_grid(d, &plan->tile);
    plan->mask_grid = dmattn_mask_grid(d, &plan->tile);
    plan->workspace_size = dmattn_mask_tiles_bytes(d, &plan->tile);
    for (int t = 0; t < TENSOR_COUNT; t++)
        plan->tensor_bytes[t] = dmattn_attention_tensor_bytes(d, (attention_tensor)t);
    snprintf(plan->name, sizeof plan->name, "portable %s %ux%u d%u/%u", dmattn_type_string(d->type),
             dmattn_tile_rows(&plan->tile), dmattn_tile_keys(&plan->tile), d->head_dim, d->value_dim);
    dmattn_status status = check_grid(ctx, "attention", plan->attention_grid);
    return status ? status : check_grid(ctx, "the mask's bitmap", plan->mask_grid);
}

static dmattn_status build(dmattn_plan *plan)
{
    const dmattn_context *ctx = plan->ctx;
    const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(attention_params)};
    const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                             .pushConstantRangeCount = 1,
                                             .pPushConstantRanges = &range};
    VkResult result = ctx->vk.CreatePipelineLayout(ctx->device, &info, ctx->allocator, &plan->layout);
    if (result)
        return dmattn_fail_vulkan(&ctx->messenger, result, "vkCreatePipelineLayout");

    uint32_t constants[ATTENTION_CONSTANT_COUNT];
    dmattn_attention_constants(&plan->desc, &plan->tile, plan->aligned, constants);
    const struct {
        const char *name;
        bool needed;
        VkPipeline *pipeline;
    } kernels[] = {{"mask_tiles", plan->desc.mask != DMATTN_MASK_NONE, &plan->mask_tiles},
                   {"attention_forward", true, &plan->attention}};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        if (!kernels[i].needed)
            continue;
        const kernel *k = dmattn_kernel_find(kernels[i].name, DMATTN_LEVEL_PORTABLE);
        if (!k)
            return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED, "the kernel %s was left out of this build",
                               kernels[i].name);
        dmattn_status status = dmattn_kernel_create_pipeline(ctx, k, plan->layout, constants, ATTENTION_CONSTANT_COUNT,
                                                             plan->tile.subgroup_size, kernels[i].pipeline);
        if (status)
            return status;
    }
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_attention_plan(dmattn_context *ctx, const dmattn_attention_desc *desc, dmattn_plan **out)
{
    if (!out)
        return ctx ? dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID, "the place for the plan is NULL")
                   : DMATTN_ERROR_INVALID;
    *out = NULL;
    if (!ctx)
        return DMATTN_ERROR_INVALID;
    dmattn_attention_desc resolved;
    dmattn_status status = dmattn_attention_desc_resolve(desc, &resolved, &ctx->messenger);
    if (status)
        return status;
    dmattn_plan *plan = dmattn_host_allocate(ctx->allocator, sizeof *plan);
    if (!plan)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for a plan");
    plan->ctx = ctx;
    plan->desc = resolved;
    status = choose(plan);
    if (!status)
        status = build(plan);
    if (status) {
        dmattn_plan_destroy(plan);
        return status;
    }
    dmattn_message_send(&ctx->messenger, DMATTN_SEVERITY_INFO, "attention runs as %s", plan->name);
    *out = plan;
    return DMATTN_SUCCESS;
}

void dmattn_plan_destroy(dmattn_plan *plan)
{
    if (!plan)
        return;
    const dmattn_context *ctx = plan->ctx;
    ctx->vk.DestroyPipeline(ctx->device, plan->attention, ctx->allocator);
    ctx->vk.DestroyPipeline(ctx->device, plan->mask_tiles, ctx->allocator);
    ctx->vk.DestroyPipelineLayout(ctx->device, plan->layout, ctx->allocator);
    dmattn_host_free(ctx->allocator, plan);
}

uint64_t dmattn_plan_alignment(const dmattn_plan *plan, attention_tensor tensor)
{
    switch (tensor) {
    case TENSOR_Q:
    case TENSOR_K:
    case TENSOR_V:
    case TENSOR_OUT: return plan->aligned ? 16 : dmattn_type_size(plan->desc.type);
    case TENSOR_MASK: return 1;
    case TENSOR_BIAS: return dmattn_type_size(plan->desc.bias_type);
    default: return 4;
    }
}

void dmattn_plan_get_info(const dmattn_plan *plan, dmattn_plan_info *info)
{
    const dmattn_attention_desc *d = &plan->desc;
    const double size = dmattn_type_size(d->type), rows = (double)d->batch * d->queries * d->heads;
    const dmattn_score_shape *m = &d->mask_shape, *b = &d->bias_shape;
    double bytes = size * rows * ((double)d->head_dim + d->value_dim);
    bytes += size * d->batch * d->keys * d->kv_heads * ((double)d->head_dim + d->value_dim);
    bytes += d->lse ? 4 * rows : 0;
    bytes += (d->mask == DMATTN_MASK_INTERVALS ? 8.0 : 1.0) * m->batch * m->heads * m->queries * d->keys;
    bytes += (double)dmattn_type_size(d->bias_type) * b->batch * b->heads * b->queries * d->keys;
    *info = (dmattn_plan_info){
        .level = DMATTN_LEVEL_PORTABLE,
        .kernel = plan->name,
        .workspace_size = plan->workspace_size,
        .workspace_alignment = 8,
        .data_alignment = dmattn_plan_alignment(plan, TENSOR_Q),
        .stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
        .reads = VK_ACCESS_SHADER_READ_BIT,
        .writes = VK_ACCESS_SHADER_WRITE_BIT,
        .flops = 2.0 * (d->head_dim + d->value_dim) * dmattn_attention_pairs(d) * d->batch * d->heads,
        .bytes = bytes,
    };
}
