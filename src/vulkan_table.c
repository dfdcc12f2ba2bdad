/* SPDX-License-Identifier: MIT */
#include "vulkan_table.h"

const char *dmattn_vulkan_table_load(vulkan_table *table, PFN_vkGetInstanceProcAddr get, VkInstance instance,
                                     VkDevice device)
{
#define LOAD(name)                                       \
    table->name = (PFN_vk##name)GET(HANDLE, "vk" #name); \
    if (!table->name)                                    \
        return "vk" #name;
#define GET    get
#define HANDLE instance
    VULKAN_INSTANCE_FUNCTIONS(LOAD)
#define LOAD_OPTIONAL(name) table->name = (PFN_vk##name)get(instance, "vk" #name);
    VULKAN_OPTIONAL_FUNCTIONS(LOAD_OPTIONAL)
#undef GET
#undef HANDLE
#define GET    table->GetDeviceProcAddr
#define HANDLE device
    VULKAN_DEVICE_FUNCTIONS(LOAD)
    return NULL;
}
