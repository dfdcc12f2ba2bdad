/* SPDX-License-Identifier: MIT */
#include "kernel.h"

#include <string.h>

#define MAX_CONSTANTS 64

const kernel *dmattn_kernel_find(const char *name, dmattn_level level)
{
    for (size_t i = 0; i < dmattn_kernel_count; i++)
        if (dmattn_kernels[i].level == level && !strcmp(dmattn_kernels[i].name, name))
            return &dmattn_kernels[i];
    return NULL;
}

dmattn_status dmattn_kernel_create_pipeline(const dmattn_context *ctx, const kernel *k, VkPipelineLayout layout,
                                            const uint32_t *constants, uint32_t constant_count, uint32_t subgroup_size,
                                            VkPipeline *pipeline)
{
    *pipeline = VK_NULL_HANDLE;
    VkSpecializationMapEntry entries[MAX_CONSTANTS];
    if (constant_count > MAX_CONSTANTS)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID, "kernel %s has more than %d constants", k->name,
                           MAX_CONSTANTS);
    for (uint32_t i = 0; i < constant_count; i++)
        entries[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    const VkSpecializationInfo specialization = {constant_count, entries, 4 * constant_count, constants};

    VkShaderModule module;
    VkShaderModuleCreateInfo module_info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = k->size, .pCode = k->code};
    VkResult result = ctx->vk.CreateShaderModule(ctx->device, &module_info, ctx->allocator, &module);
    if (result)
        return dmattn_fail_vulkan(&ctx->messenger, result, "vkCreateShaderModule");

    /* Wherever a driver has a choice: shaders rely on the size, and a default is not a promise of how they run. */
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo required_size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = subgroup_size};
    bool require = dmattn_device_facts_can_require(&ctx->facts, subgroup_size)
                   && ctx->facts.min_subgroup_size != ctx->facts.max_subgroup_size;
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = require ? &required_size : NULL,
                  .flags = ctx->facts.full_subgroups ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &specialization},
        .layout = layout,
    };
    result = ctx->vk.CreateComputePipelines(ctx->device, ctx->cache, 1, &info, ctx->allocator, pipeline);
    ctx->vk.DestroyShaderModule(ctx->device, module, ctx->allocator);
    if (result) {
        *pipeline = VK_NULL_HANDLE;
        return dmattn_fail_vulkan(&ctx->messenger, result, "vkCreateComputePipelines");
    }
    return DMATTN_SUCCESS;
}
