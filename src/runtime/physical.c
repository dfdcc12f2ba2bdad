/* SPDX-License-Identifier: MIT
 * The physical devices. They are read once, when the runtime is created. */
#include "physical.h"

#include "../capabilities.h"
#include "enable.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fills in info->level, info->unusable (if the level is 0) and the subgroup sizes, from the same capabilities as
 * dmattn_context_create(). */
static dmattn_status check_usable(const dmattn_runtime *runtime, const physical_device *physical, bool compute,
                                  bool size_control, dmattn_device_info *info)
{
    device_properties properties;
    capabilities caps;
    enabled_set enabled;
    TRY(dmattn_enabled_choose(runtime, physical, &enabled));
    dmattn_device_properties_chain(&properties, size_control);
    runtime->vk.GetPhysicalDeviceProperties2(physical->handle, &properties.core);
    dmattn_capabilities_read(&caps, physical->api_version, &properties, &enabled.features);
    /* A failure here must not hide the other devices, so dmattn_device_create() reports it. */
    (void)dmattn_capabilities_ask_matrices(&caps, runtime->loader.get_instance_proc_addr, runtime->instance,
                                           physical->handle);
    info->subgroup_size = caps.subgroup_size;
    info->min_subgroup_size = caps.min_subgroup_size;
    info->max_subgroup_size = caps.max_subgroup_size;
    info->level = dmattn_capabilities_level(&caps, info->unusable, sizeof info->unusable);
    if (info->level && !compute) {
        info->level = DMATTN_LEVEL_BEST;
        snprintf(info->unusable, sizeof info->unusable, "it has no compute queue");
    }
    return DMATTN_SUCCESS;
}

/* Chooses the first family with compute and timestamps, or else the first with compute. */
static dmattn_status choose_queue_family(const dmattn_runtime *runtime, physical_device *physical, bool *found)
{
    *found = false;
    uint32_t count = 0;
    runtime->vk.GetPhysicalDeviceQueueFamilyProperties(physical->handle, &count, NULL);
    VkQueueFamilyProperties *families = calloc((size_t)count + 1, sizeof *families);
    if (!families)
        return dmattn_fail(&runtime->messenger, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for %u queue families",
                           count);
    runtime->vk.GetPhysicalDeviceQueueFamilyProperties(physical->handle, &count, families);
    for (uint32_t i = 0; i < count && !physical->timestamp_bits; i++) {
        if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) || !families[i].queueCount)
            continue;
        if (*found && !families[i].timestampValidBits)
            continue;
        physical->queue_family = i;
        physical->timestamp_bits = families[i].timestampValidBits;
        *found = true;
    }
    free(families);
    return DMATTN_SUCCESS;
}

/* Reads the properties that Vulkan 1.0 does not have. The device must have Vulkan 1.2. */
static dmattn_status read_extended(const dmattn_runtime *runtime, physical_device *physical, bool compute,
                                   dmattn_device_info *info)
{
    bool size_control = physical->api_version >= VK_API_VERSION_1_3, maintenance4 = size_control;
    if (physical->api_version < VK_API_VERSION_1_3) {
        VkExtensionProperties *list;
        uint32_t count;
        TRY(dmattn_list_device_extensions(runtime, physical->handle, &list, &count));
        size_control = dmattn_has_extension(list, count, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
        maintenance4 = dmattn_has_extension(list, count, VK_KHR_MAINTENANCE_4_EXTENSION_NAME);
        free(list);
    }
    VkPhysicalDeviceMaintenance4Properties buffer = {.sType =
                                                         VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties memory = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, .pNext = maintenance4 ? &buffer : NULL};
    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES, .pNext = &memory};
    VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES,
                                               .pNext = &id};
    VkPhysicalDeviceProperties2 head = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &driver};
    runtime->vk.GetPhysicalDeviceProperties2(physical->handle, &head);
    physical->max_memory_allocation = memory.maxMemoryAllocationSize;
    physical->max_buffer_size = buffer.maxBufferSize ? buffer.maxBufferSize : UINT64_MAX;
    info->max_allocation = physical->max_memory_allocation < physical->max_buffer_size ? physical->max_memory_allocation
                                                                                       : physical->max_buffer_size;
    memcpy(info->uuid, id.deviceUUID, sizeof info->uuid);
    snprintf(info->driver, sizeof info->driver, "%s%s%s", driver.driverName, driver.driverInfo[0] ? " " : "",
             driver.driverInfo);
    return check_usable(runtime, physical, compute, size_control, info);
}

static dmattn_status read_device(const dmattn_runtime *runtime, physical_device *physical, dmattn_device_info *info)
{
    VkPhysicalDeviceProperties basic;
    VkPhysicalDeviceMemoryProperties memory;
    runtime->vk.GetPhysicalDeviceProperties(physical->handle, &basic);
    runtime->vk.GetPhysicalDeviceMemoryProperties(physical->handle, &memory);
    physical->api_version = basic.apiVersion < runtime->api_version ? basic.apiVersion : runtime->api_version;
    bool compute = false;
    TRY(choose_queue_family(runtime, physical, &compute));
    physical->timestamp_period = (double)basic.limits.timestampPeriod * 1e-9;
    if (!(physical->timestamp_period > 0))
        physical->timestamp_bits = 0;

    snprintf(info->name, sizeof info->name, "%s", basic.deviceName);
    info->type = basic.deviceType;
    info->vendor_id = basic.vendorID;
    info->api_version = basic.apiVersion;
    info->max_invocations = basic.limits.maxComputeWorkGroupInvocations;
    info->shared_memory = basic.limits.maxComputeSharedMemorySize;
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++)
        if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
            && memory.memoryHeaps[i].size > info->device_memory)
            info->device_memory = memory.memoryHeaps[i].size;
    info->timestamps = physical->timestamp_bits != 0;
    if (physical->api_version >= VK_API_VERSION_1_2)
        return read_extended(runtime, physical, compute, info);
    snprintf(info->unusable, sizeof info->unusable, "Vulkan %u.%u, but 1.2 is needed",
             VK_API_VERSION_MAJOR(basic.apiVersion), VK_API_VERSION_MINOR(basic.apiVersion));
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_physical_devices_read(dmattn_runtime *runtime)
{
    const messenger *m = &runtime->messenger;
    uint32_t count = 0;
    VkResult result = VK_SUCCESS;
    if (runtime->instance)
        result = runtime->vk.EnumeratePhysicalDevices(runtime->instance, &count, NULL);
    if (result == VK_ERROR_INITIALIZATION_FAILED) { /* some loaders return this if no driver has a device */
        dmattn_message_send(m, DMATTN_SEVERITY_WARNING, "no Vulkan driver has a device");
        return DMATTN_SUCCESS;
    }
    if (result < 0)
        return dmattn_fail_vulkan(m, result, "vkEnumeratePhysicalDevices");
    if (!count)
        return DMATTN_SUCCESS;

    VkPhysicalDevice *handles = calloc(count, sizeof *handles);
    runtime->devices = calloc(count, sizeof *runtime->devices);
    runtime->infos = calloc(count, sizeof *runtime->infos);
    if (!handles || !runtime->devices || !runtime->infos) {
        free(handles);
        return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for %u devices", count);
    }
    result = runtime->vk.EnumeratePhysicalDevices(runtime->instance, &count, handles);
    dmattn_status status = result < 0 ? dmattn_fail_vulkan(m, result, "vkEnumeratePhysicalDevices") : DMATTN_SUCCESS;
    for (uint32_t i = 0; i < count && !status; i++) {
        runtime->devices[i].handle = handles[i];
        status = read_device(runtime, &runtime->devices[i], &runtime->infos[i]);
    }
    free(handles);
    runtime->device_count = status ? 0 : count;
    return status;
}
