/* SPDX-License-Identifier: MIT */
#include "kernel.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

const kernel *dmattn_kernel_find(const char *name, dmattn_level level)
{
    size_t first = 0, end = dmattn_kernel_count; /* the first one of the name is from `first` to `end` */
    while (first < end) {
        const size_t middle = (first + end) / 2;
        if (strcmp(dmattn_kernels[middle].name, name) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    for (; first < dmattn_kernel_count && !strcmp(dmattn_kernels[first].name, name); first++)
        if (dmattn_kernels[first].level == level)
            return &dmattn_kernels[first];
    return NULL;
}

dmattn_level dmattn_kernel_highest_level(void)
{
    dmattn_level highest = DMATTN_LEVEL_PORTABLE;
    for (size_t i = 0; i < dmattn_kernel_count; i++)
        highest = dmattn_kernels[i].level > highest ? dmattn_kernels[i].level : highest;
    return highest;
}

static bool are_built(const level_kernels *kernels, dmattn_level level, char *why, size_t size)
{
    for (int i = 0; i < LEVEL_KERNELS; i++)
        if (kernels->name[i][0] && !dmattn_kernel_find(kernels->name[i], level)) {
            snprintf(why, size, "this build does not have %s, because its shader compiler was too old",
                     kernels->name[i]);
            return false;
        }
    return true;
}

dmattn_status dmattn_level_choose(const dmattn_context *ctx, dmattn_level wanted, dmattn_level max_level,
                                  const char *what, level_choice *choose, void *stage, char why_not[WHY_NOT_SIZE])
{
    const dmattn_level highest = wanted ? wanted : max_level ? max_level : DMATTN_LEVEL_MATRIX2;
    const dmattn_level lowest = wanted ? wanted : DMATTN_LEVEL_PORTABLE;
    char why[200] = "", last_why[sizeof why];
    for (dmattn_level level = highest; level >= lowest; level--) {
        level_kernels kernels = {0};
        memcpy(last_why, why, sizeof why);
        if (choose(stage, &ctx->caps, level, &kernels, why, sizeof why) && are_built(&kernels, level, why, sizeof why))
            return DMATTN_SUCCESS;
        const size_t used = level == lowest ? 0 : strlen(why_not);
        if (!used || strcmp(why, last_why) != 0)
            snprintf(why_not + used, WHY_NOT_SIZE - used, "%s%s: %s", used ? "; " : "", dmattn_level_string(level),
                     why);
    }
    return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED, "%s at the level %s", what, why_not);
}

/* Debuggers and the validation layer show the name. Everything works without it, so failures are ignored. */
static void name_pipeline(const dmattn_context *ctx, const kernel *k, VkPipeline pipeline)
{
    if (!ctx->vk.SetDebugUtilsObjectNameEXT)
        return;
    char name[KERNEL_NAME + 16];
    snprintf(name, sizeof name, "dmattn %s (%s)", k->name, dmattn_level_string(k->level));
    const VkDebugUtilsObjectNameInfoEXT info = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT,
                                                .objectType = VK_OBJECT_TYPE_PIPELINE,
                                                .objectHandle = (uint64_t)(uintptr_t)pipeline,
                                                .pObjectName = name};
    (void)ctx->vk.SetDebugUtilsObjectNameEXT(ctx->device, &info);
}

dmattn_status dmattn_kernel_build(const dmattn_context *ctx, const kernel *k, const kernel_values *values,
                                  VkPipeline *pipeline)
{
    *pipeline = VK_NULL_HANDLE;
    VkSpecializationMapEntry entries[MAX_CONSTANTS];
    for (uint32_t i = 0; i < values->count; i++)
        entries[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    const VkSpecializationInfo specialization = {values->count, entries, 4 * values->count, values->constants};

    VkShaderModule module;
    VkShaderModuleCreateInfo module_info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = k->size, .pCode = k->code};
    VkResult result = ctx->vk.CreateShaderModule(ctx->device, &module_info, ctx->allocator, &module);
    if (result)
        return dmattn_fail_vulkan(&ctx->messenger, result, "vkCreateShaderModule");

    /* The size is required whenever a driver has a choice, because shaders rely on it, and a driver need not use its
     * default. */
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo required_size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = values->subgroup_size};
    bool require = dmattn_capabilities_can_require(&ctx->caps, values->subgroup_size)
                   && ctx->caps.min_subgroup_size != ctx->caps.max_subgroup_size;
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = VK_PIPELINE_CREATE_DISPATCH_BASE_BIT, /* for dispatches in slices */
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = require ? &required_size : NULL,
                  .flags = ctx->caps.full_subgroups && values->subgroup_size
                               ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT
                               : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &specialization},
        .layout = ctx->layout,
    };
    result = ctx->vk.CreateComputePipelines(ctx->device, ctx->cache, 1, &info, ctx->allocator, pipeline);
    ctx->vk.DestroyShaderModule(ctx->device, module, ctx->allocator);
    if (result) {
        *pipeline = VK_NULL_HANDLE;
        return dmattn_fail_vulkan(&ctx->messenger, result, "vkCreateComputePipelines");
    }
    name_pipeline(ctx, k, *pipeline);
    return DMATTN_SUCCESS;
}

/* ---- pipelines that plans share ---------------------------------------------------------------------------------- */

typedef struct pipeline_key {
    const kernel *kernel;
    uint32_t subgroup_size;
    uint32_t count; /* together with the member before: no padding */
    uint32_t constants[MAX_CONSTANTS];
} pipeline_key;

dmattn_status dmattn_pipelines_add(pipeline_set *set, const char *name, dmattn_level level, const kernel_values *values,
                                   VkPipeline *pipeline)
{
    const dmattn_context *ctx = set->ctx;
    *pipeline = VK_NULL_HANDLE;
    const kernel *k = dmattn_kernel_find(name, level);
    if (!k)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED, "the kernel %s was left out of this build", name);
    if (values->count > MAX_CONSTANTS || set->count == MOST_PIPELINES)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_INVALID,
                           "kernel %s has more than %d constants, or its plan more than %d pipelines", name,
                           MAX_CONSTANTS, MOST_PIPELINES);
    if (!set->builds)
        return DMATTN_SUCCESS;
    pipeline_key key = {k, values->subgroup_size, values->count, {0}};
    memcpy(key.constants, values->constants, values->count * sizeof *key.constants);
    bool make;
    table_pipeline *p = dmattn_pipeline_table_use(
        ctx->pipelines, &key, offsetof(pipeline_key, constants) + values->count * sizeof *key.constants, &make);
    if (!p)
        return dmattn_fail(&ctx->messenger, DMATTN_ERROR_OUT_OF_MEMORY, "there is no host memory for a pipeline");
    if (make) {
        const dmattn_status status = dmattn_kernel_build(ctx, k, values, pipeline);
        dmattn_pipeline_table_made(ctx->pipelines, p, *pipeline);
        if (status)
            return status;
    }
    *pipeline = dmattn_pipeline_table_get(p);
    set->used[set->count++] = p;
    return DMATTN_SUCCESS;
}

void dmattn_pipelines_release(pipeline_set *set)
{
    const dmattn_context *ctx = set->ctx;
    while (set->count)
        ctx->vk.DestroyPipeline(ctx->device, dmattn_pipeline_table_leave(ctx->pipelines, set->used[--set->count]),
                                ctx->allocator);
}

dmattn_status dmattn_check_grid(const dmattn_context *ctx, const char *what, grid g)
{
    const uint32_t n[3] = {g.x, g.y, g.z}, part_bits[3] = {PART_X_BITS, PART_Y_BITS, PART_Z_BITS};
    for (int i = 0; i < 3; i++) {
        const uint32_t in_parts = PART_GROUPS << part_bits[i], limit = ctx->caps.max_workgroup_count[i];
        if (n[i] > limit && n[i] > in_parts)
            return dmattn_fail(&ctx->messenger, DMATTN_ERROR_UNSUPPORTED,
                               "%s needs %u workgroups in dimension %d, but there can be at most %u", what, n[i], i,
                               limit > in_parts ? limit : in_parts);
    }
    return DMATTN_SUCCESS;
}
