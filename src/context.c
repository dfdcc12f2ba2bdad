/* SPDX-License-Identifier: MIT */
#include "context.h"

#include "host/memory.h"

#include <string.h>

static bool dmattn_has_extension(const dmattn_context_desc *desc, const char *name)
{
    for (uint32_t i = 0; i < desc->enabled_extension_count; i++)
        if (desc->enabled_extensions[i] && !strcmp(desc->enabled_extensions[i], name))
            return true;
    return false;
}

static dmattn_status check_desc(const dmattn_context_desc *desc, const messenger *m)
{
    const char *missing = !desc->get_instance_proc_addr ? "get_instance_proc_addr"
                          : !desc->instance             ? "instance"
                          : !desc->physical_device      ? "physical_device"
                          : !desc->device               ? "device"
                          : !desc->enabled_features     ? "enabled_features"
                                                        : NULL;
    if (missing)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the context's %s is NULL", missing);
    if (desc->enabled_extension_count && !desc->enabled_extensions)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "the context's enabled_extensions is NULL, but enabled_extension_count is %u",
                           desc->enabled_extension_count);
    const VkAllocationCallbacks *a = desc->host_allocator;
    if (a && (!a->pfnAllocation || !a->pfnReallocation || !a->pfnFree))
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "the context's host_allocator lacks a function");
    return DMATTN_SUCCESS;
}

static dmattn_status initialise(dmattn_context *ctx, const dmattn_context_desc *desc)
{
    const messenger *m = &ctx->messenger;
    ctx->device = desc->device;
    const char *missing =
        dmattn_vulkan_table_load(&ctx->vk, desc->get_instance_proc_addr, desc->instance, desc->device);
    if (missing)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED, "the device has no %s; Vulkan 1.2 is needed", missing);

    uint32_t version = desc->api_version ? desc->api_version : VK_API_VERSION_1_2;
    device_properties properties;
    dmattn_device_properties_chain(&properties,
                                   version >= VK_API_VERSION_1_3
                                       || dmattn_has_extension(desc, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME));
    ctx->vk.GetPhysicalDeviceProperties2(desc->physical_device, &properties.core);
    dmattn_capabilities_read(&ctx->caps, version, &properties, desc->enabled_features);
    VkResult result = dmattn_capabilities_ask_matrices(&ctx->caps, desc->get_instance_proc_addr, desc->instance,
                                                       desc->physical_device);
    if (result)
        return dmattn_fail_vulkan(m, result, NEWER_GET_COOPERATIVE_MATRIX_PROPERTIES);
    char why[128];
    if (dmattn_capabilities_level(&ctx->caps, why, sizeof why) == DMATTN_LEVEL_BEST)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED, "the device cannot be used: %s", why);

    ctx->cache = desc->pipeline_cache;
    if (!ctx->cache) {
        VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
        result = ctx->vk.CreatePipelineCache(ctx->device, &info, ctx->allocator, &ctx->cache);
        if (result)
            return dmattn_fail_vulkan(m, result, "vkCreatePipelineCache");
        ctx->owns_cache = true;
    }
    const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, PUSH_CONSTANTS};
    const VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                               .pushConstantRangeCount = 1,
                                               .pPushConstantRanges = &range};
    result = ctx->vk.CreatePipelineLayout(ctx->device, &layout, ctx->allocator, &ctx->layout);
    if (result) {
        ctx->layout = VK_NULL_HANDLE;
        return dmattn_fail_vulkan(m, result, "vkCreatePipelineLayout");
    }
    ctx->pipelines = dmattn_pipeline_table_create(ctx->allocator);
    if (!ctx->pipelines)
        return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for a context");
    if (desc->keep_pipelines)
        dmattn_pipeline_table_keep(ctx->pipelines);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_context_create(const dmattn_context_desc *desc, dmattn_context **context)
{
    if (!context)
        return DMATTN_ERROR_INVALID;
    *context = NULL;
    if (!desc)
        return DMATTN_ERROR_INVALID;
    const messenger m = {desc->message, desc->message_user};
    dmattn_status status = check_desc(desc, &m);
    if (status)
        return status;

    dmattn_context *ctx = dmattn_host_allocate(desc->host_allocator, sizeof *ctx);
    if (!ctx)
        return dmattn_fail(&m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for a context");
    ctx->messenger = m;
    if (desc->host_allocator) {
        ctx->allocator_copy = *desc->host_allocator;
        ctx->allocator = &ctx->allocator_copy;
    }
    status = initialise(ctx, desc);
    if (status)
        dmattn_context_destroy(ctx);
    else
        *context = ctx;
    return status;
}

void dmattn_context_destroy(dmattn_context *ctx)
{
    if (!ctx)
        return;
    VkPipeline kept;
    while (ctx->pipelines && (kept = dmattn_pipeline_table_take(ctx->pipelines)))
        ctx->vk.DestroyPipeline(ctx->device, kept, ctx->allocator);
    dmattn_pipeline_table_destroy(ctx->pipelines);
    if (ctx->layout)
        ctx->vk.DestroyPipelineLayout(ctx->device, ctx->layout, ctx->allocator);
    if (ctx->owns_cache)
        ctx->vk.DestroyPipelineCache(ctx->device, ctx->cache, ctx->allocator);
    VkAllocationCallbacks copy = ctx->allocator_copy; /* a copy, because ctx, which holds it, is freed */
    dmattn_host_free(ctx->allocator ? &copy : NULL, ctx);
}
