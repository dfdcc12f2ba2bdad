/* SPDX-License-Identifier: MIT
 * What to enable before vkCreateDevice. dmattn_device_facts_level() checks the same list. */
#include <dmattn/dmattn.h>

#include <stddef.h>

static const VkPhysicalDeviceBufferDeviceAddressFeatures buffer_address = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
    .bufferDeviceAddress = VK_TRUE,
};

static const VkPhysicalDeviceFeatures2 required = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
    .pNext = (void *)&buffer_address, /* Vulkan's chains are not const; nobody writes to this one */
};

static const VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_size = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
    .subgroupSizeControl = VK_TRUE,
    .computeFullSubgroups = VK_TRUE,
};

static const VkPhysicalDeviceFeatures2 recommended = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
    .pNext = (void *)&subgroup_size,
};

/* Extensions that a version of Vulkan has made core. */
static const char *const before_1_3[] = {VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME};

void dmattn_get_device_needs(uint32_t api_version, dmattn_device_needs *needs)
{
    bool old = api_version < VK_API_VERSION_1_3;
    *needs = (dmattn_device_needs){
        .api_version = VK_API_VERSION_1_2,
        .recommended_extension_count = old ? sizeof before_1_3 / sizeof *before_1_3 : 0,
        .recommended_extensions = old ? before_1_3 : NULL,
        .required = &required,
        .recommended = &recommended,
    };
}
