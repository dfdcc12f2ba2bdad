/* SPDX-License-Identifier: MIT */
#include "device_facts.h"

#include <stdio.h>
#include <string.h>

void dmattn_device_properties_chain(device_properties *p, bool size_control)
{
    memset(p, 0, sizeof *p);
    p->core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    p->core.pNext = &p->subgroup;
    p->subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
    p->subgroup.pNext = size_control ? &p->size_control : NULL;
    p->size_control.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES;
}

static void read_feature(device_facts *facts, const VkBaseInStructure *s)
{
    switch ((int)s->sType) {
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES:
        facts->buffer_device_address |= ((const VkPhysicalDeviceVulkan12Features *)s)->bufferDeviceAddress;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES:
        facts->buffer_device_address |= ((const VkPhysicalDeviceBufferDeviceAddressFeatures *)s)->bufferDeviceAddress;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES: {
        const VkPhysicalDeviceVulkan13Features *f = (const void *)s;
        facts->subgroup_size_control |= f->subgroupSizeControl;
        facts->full_subgroups |= f->computeFullSubgroups;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES: {
        const VkPhysicalDeviceSubgroupSizeControlFeatures *f = (const void *)s;
        facts->subgroup_size_control |= f->subgroupSizeControl;
        facts->full_subgroups |= f->computeFullSubgroups;
        break;
    }
    default: break;
    }
}

void dmattn_device_facts_read(device_facts *facts, uint32_t api_version, const device_properties *p,
                              const VkPhysicalDeviceFeatures2 *features)
{
    const VkPhysicalDeviceLimits *limits = &p->core.properties.limits;
    bool sized = p->subgroup.pNext != NULL;
    *facts = (device_facts){
        .api_version = api_version,
        .subgroup_size = p->subgroup.subgroupSize,
        .min_subgroup_size = sized ? p->size_control.minSubgroupSize : p->subgroup.subgroupSize,
        .max_subgroup_size = sized ? p->size_control.maxSubgroupSize : p->subgroup.subgroupSize,
        .subgroup_stages = p->subgroup.supportedStages,
        .subgroup_operations = p->subgroup.supportedOperations,
        .required_subgroup_size_stages = sized ? p->size_control.requiredSubgroupSizeStages : 0,
        .max_invocations = limits->maxComputeWorkGroupInvocations < limits->maxComputeWorkGroupSize[0]
                               ? limits->maxComputeWorkGroupInvocations
                               : limits->maxComputeWorkGroupSize[0],
        .shared_memory = limits->maxComputeSharedMemorySize,
    };
    memcpy(facts->max_workgroup_count, limits->maxComputeWorkGroupCount, sizeof facts->max_workgroup_count);
    for (const VkBaseInStructure *s = (const void *)features; s; s = s->pNext)
        read_feature(facts, s);
}

dmattn_level dmattn_device_facts_level(const device_facts *facts, char *why, size_t size)
{
    const VkSubgroupFeatureFlags operations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    if (facts->api_version < VK_API_VERSION_1_2)
        snprintf(why, size, "Vulkan %u.%u, but 1.2 is needed", VK_API_VERSION_MAJOR(facts->api_version),
                 VK_API_VERSION_MINOR(facts->api_version));
    else if (!facts->buffer_device_address)
        snprintf(why, size, "the feature bufferDeviceAddress is missing or not enabled");
    else if (!(facts->subgroup_stages & VK_SHADER_STAGE_COMPUTE_BIT)
             || (facts->subgroup_operations & operations) != operations)
        snprintf(why, size, "compute shaders cannot shuffle within a subgroup");
    else if (facts->subgroup_size < 4 || facts->subgroup_size > 128)
        snprintf(why, size, "subgroups have %u invocations, but 4 to 128 are needed", facts->subgroup_size);
    else {
        if (size)
            why[0] = 0;
        return DMATTN_LEVEL_PORTABLE;
    }
    return DMATTN_LEVEL_BEST;
}

bool dmattn_device_facts_can_require(const device_facts *facts, uint32_t size)
{
    return facts->subgroup_size_control && facts->required_subgroup_size_stages & VK_SHADER_STAGE_COMPUTE_BIT
           && facts->min_subgroup_size <= size && size <= facts->max_subgroup_size;
}

uint32_t dmattn_device_facts_subgroup_size(const device_facts *facts, uint32_t wanted)
{
    return dmattn_device_facts_can_require(facts, wanted) ? wanted : facts->subgroup_size;
}
