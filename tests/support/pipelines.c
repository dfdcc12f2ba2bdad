/* SPDX-License-Identifier: MIT */
#include "pipelines.h"

#include <stdlib.h>
#include <string.h>

typedef struct shared_pipeline {
    const uint32_t *code; /* which kernel */
    VkPipelineCreateFlags flags;
    VkPipelineShaderStageCreateFlags stage_flags;
    uint32_t subgroup_size; /* 0 if none is required */
    size_t constants_size;
    void *constants;
    VkPipeline pipeline;
} shared_pipeline;

static struct {
    dmattn_context *context;
    vulkan_table vk;      /* the driver's functions */
    const uint32_t *code; /* of the last shader module: a kernel's pipeline is made right after its module */
    shared_pipeline *list;
    size_t count;
} shared;

static VKAPI_ATTR VkResult VKAPI_CALL create_module(VkDevice device, const VkShaderModuleCreateInfo *info,
                                                    const VkAllocationCallbacks *allocator, VkShaderModule *module)
{
    shared.code = info->pCode;
    return shared.vk.CreateShaderModule(device, info, allocator, module);
}

static uint32_t required_subgroup_size(const VkComputePipelineCreateInfo *info)
{
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo *size = info->stage.pNext;
    return size ? size->requiredSubgroupSize : 0;
}

static bool equal(const shared_pipeline *s, const VkComputePipelineCreateInfo *info)
{
    const VkSpecializationInfo *constants = info->stage.pSpecializationInfo;
    return s->code == shared.code && s->flags == info->flags && s->stage_flags == info->stage.flags
           && s->subgroup_size == required_subgroup_size(info) && s->constants_size == constants->dataSize
           && !memcmp(s->constants, constants->pData, constants->dataSize);
}

static VKAPI_ATTR VkResult VKAPI_CALL create_pipeline(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                      const VkComputePipelineCreateInfo *info,
                                                      const VkAllocationCallbacks *allocator, VkPipeline *pipeline)
{
    const VkSpecializationInfo *constants = info->stage.pSpecializationInfo;
    for (size_t i = 0; i < shared.count; i++)
        if (equal(&shared.list[i], info)) {
            *pipeline = shared.list[i].pipeline;
            return VK_SUCCESS;
        }
    const VkResult result = shared.vk.CreateComputePipelines(device, cache, count, info, allocator, pipeline);
    shared_pipeline *list = result ? NULL : realloc(shared.list, (shared.count + 1) * sizeof *list);
    if (!list)
        return result;
    shared.list = list;
    void *copy = malloc(constants->dataSize);
    if (!copy)
        return result;
    list[shared.count++] = (shared_pipeline){.code = shared.code,
                                             .flags = info->flags,
                                             .stage_flags = info->stage.flags,
                                             .subgroup_size = required_subgroup_size(info),
                                             .constants_size = constants->dataSize,
                                             .constants = memcpy(copy, constants->pData, constants->dataSize),
                                             .pipeline = *pipeline};
    return result;
}

/* Shared pipelines stay. */
static VKAPI_ATTR void VKAPI_CALL destroy_pipeline(VkDevice device, VkPipeline pipeline,
                                                   const VkAllocationCallbacks *allocator)
{
    for (size_t i = 0; i < shared.count; i++)
        if (shared.list[i].pipeline == pipeline)
            return;
    shared.vk.DestroyPipeline(device, pipeline, allocator);
}

void pipelines_share(dmattn_context *context)
{
    shared.list = NULL; /* those of a test that was left are lost */
    shared.count = 0;
    shared.context = context;
    shared.vk = context->vk;
    context->vk.CreateShaderModule = create_module;
    context->vk.CreateComputePipelines = create_pipeline;
    context->vk.DestroyPipeline = destroy_pipeline;
}

void pipelines_destroy(void)
{
    for (size_t i = 0; i < shared.count; i++) {
        shared.vk.DestroyPipeline(shared.context->device, shared.list[i].pipeline, shared.context->allocator);
        free(shared.list[i].constants);
    }
    free(shared.list);
    shared.list = NULL;
    shared.count = 0;
}
