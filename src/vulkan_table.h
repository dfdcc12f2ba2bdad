/* SPDX-License-Identifier: MIT
 * The Vulkan functions that the embedding layer calls, loaded with the app's vkGetInstanceProcAddr into a table. Global
 * symbols named vk* in a static library would conflict with those of the loader that the app links. */
#ifndef DMATTN_VULKAN_TABLE_H
#define DMATTN_VULKAN_TABLE_H

#include <vulkan/vulkan_core.h>

#include <stdbool.h>

#define VULKAN_INSTANCE_FUNCTIONS(X) \
    X(GetPhysicalDeviceProperties2)  \
    X(GetDeviceProcAddr)

#define VULKAN_DEVICE_FUNCTIONS(X) \
    X(CreateShaderModule)          \
    X(DestroyShaderModule)         \
    X(CreatePipelineLayout)        \
    X(DestroyPipelineLayout)       \
    X(CreatePipelineCache)         \
    X(DestroyPipelineCache)        \
    X(CreateComputePipelines)      \
    X(DestroyPipeline)             \
    X(GetBufferDeviceAddress)      \
    X(CmdBindPipeline)             \
    X(CmdPushConstants)            \
    X(CmdPipelineBarrier)          \
    X(CmdDispatch)                 \
    X(CmdDispatchBase)

/* NULL if the app has not enabled VK_EXT_debug_utils. */
#define VULKAN_OPTIONAL_FUNCTIONS(X) X(SetDebugUtilsObjectNameEXT)

typedef struct vulkan_table {
#define MEMBER(name) PFN_vk##name name;
    VULKAN_INSTANCE_FUNCTIONS(MEMBER)
    VULKAN_DEVICE_FUNCTIONS(MEMBER)
    VULKAN_OPTIONAL_FUNCTIONS(MEMBER)
#undef MEMBER
} vulkan_table;

/* Returns the name of the first missing function, or NULL if none is missing. */
const char *dmattn_vulkan_table_load(vulkan_table *table, PFN_vkGetInstanceProcAddr get, VkInstance instance,
                                     VkDevice device);

#endif
