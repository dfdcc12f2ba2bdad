/* SPDX-License-Identifier: MIT */
#include "buffer.h"
#include "commands.h"
#include "debug_name.h"
#include "enable.h"
#include "transfer.h"

#include <stdlib.h>
#include <string.h>

/* Loads every function before it names the first missing one, so that the device can be destroyed after a failure. */
static const char *load_device(PFN_vkGetDeviceProcAddr get_device_proc_addr, VkDevice device, device_table *table)
{
    const char *missing = NULL;
#define LOAD(name)                                                        \
    table->name = (PFN_vk##name)get_device_proc_addr(device, "vk" #name); \
    missing = table->name ? missing : missing ? missing : "vk" #name;
    RUNTIME_DEVICE_FUNCTIONS(LOAD)
#undef LOAD
#define LOAD(name) table->name = (PFN_vk##name)get_device_proc_addr(device, "vk" #name);
    RUNTIME_SHARING_FUNCTIONS(LOAD)
#undef LOAD
    return missing;
}

static dmattn_status create_vulkan_device(dmattn_device *device, const enabled_set *enabled)
{
    const dmattn_runtime *runtime = device->runtime;
    static const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = device->physical->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &enabled->features,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = enabled->setup.extension_count,
                                     .ppEnabledExtensionNames = enabled->extensions};
    VkResult result = runtime->vk.CreateDevice(device->physical->handle, &info, NULL, &device->device);
    if (result < 0) {
        device->device = VK_NULL_HANDLE;
        return dmattn_fail_vulkan(device->messenger, result, "vkCreateDevice");
    }
    const char *missing = load_device(runtime->vk.GetDeviceProcAddr, device->device, &device->vk);
    if (missing)
        return dmattn_fail(device->messenger, DMATTN_ERROR_UNSUPPORTED, "the device's driver has no %s", missing);
    device->vk.GetDeviceQueue(device->device, device->physical->queue_family, 0, &device->queue);
    dmattn_debug_name(device, VK_OBJECT_TYPE_QUEUE, (uintptr_t)device->queue, "dmattn queue");
    return DMATTN_SUCCESS;
}

static dmattn_status create_device(dmattn_device *device)
{
    const dmattn_runtime *runtime = device->runtime;
    runtime->vk.GetPhysicalDeviceMemoryProperties(device->physical->handle, &device->memory);
    enabled_set enabled;
    TRY(dmattn_enabled_choose(runtime, device->physical, &enabled));
    TRY(create_vulkan_device(device, &enabled));
    const dmattn_context_desc desc = {.get_instance_proc_addr = runtime->loader.get_instance_proc_addr,
                                      .instance = runtime->instance,
                                      .physical_device = device->physical->handle,
                                      .device = device->device,
                                      .api_version = device->physical->api_version,
                                      .enabled_extension_count = enabled.setup.extension_count,
                                      .enabled_extensions = enabled.extensions,
                                      .enabled_features = &enabled.features,
                                      .message = device->messenger->fn,
                                      .message_user = device->messenger->user};
    return dmattn_context_create(&desc, &device->context);
}

dmattn_status dmattn_device_create(dmattn_runtime *runtime, uint32_t index, dmattn_device **device)
{
    if (device)
        *device = NULL;
    if (!runtime)
        return DMATTN_ERROR_INVALID;
    const messenger *m = &runtime->messenger;
    if (!device)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "device is NULL");
    if (index >= runtime->device_count)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "device index %u is not below the count of devices (%u)", index,
                           runtime->device_count);
    const dmattn_device_info *info = &runtime->infos[index];
    if (!info->level)
        return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED, "%s cannot be used: %s", info->name, info->unusable);
    dmattn_device *made = calloc(1, sizeof *made);
    if (!made)
        return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for a device");
    made->runtime = runtime;
    made->messenger = m;
    made->physical = &runtime->devices[index];
    dmattn_status status = create_device(made);
    if (status) {
        dmattn_device_destroy(made);
        return status;
    }
    *device = made;
    return DMATTN_SUCCESS;
}

void dmattn_device_destroy(dmattn_device *device)
{
    if (!device)
        return;
    if (device->command_pool) /* otherwise nothing was submitted, and a driver without hardware cannot wait */
        device->vk.DeviceWaitIdle(device->device);
    dmattn_context_destroy(device->context);
    dmattn_staging_destroy(device);
    dmattn_buffers_destroy(device);
    dmattn_commands_destroy(device);
    if (device->timeline)
        device->vk.DestroySemaphore(device->device, device->timeline, NULL);
    if (device->device && device->vk.DestroyDevice)
        device->vk.DestroyDevice(device->device, NULL);
    free(device);
}

dmattn_context *dmattn_device_context(dmattn_device *device)
{
    return device ? device->context : NULL;
}

void dmattn_device_get_handles(const dmattn_device *device, dmattn_device_handles *handles)
{
    if (!handles)
        return;
    if (!device) {
        memset(handles, 0, sizeof *handles);
        return;
    }
    *handles = (dmattn_device_handles){.get_instance_proc_addr = device->runtime->loader.get_instance_proc_addr,
                                       .instance = device->runtime->instance,
                                       .physical_device = device->physical->handle,
                                       .device = device->device,
                                       .queue = device->queue,
                                       .queue_family = device->physical->queue_family,
                                       .api_version = device->physical->api_version};
}
