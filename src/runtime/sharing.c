/* SPDX-License-Identifier: MIT
 * Memory and the timeline, shared with other interfaces to the same device. */
#include "buffer.h"
#include "debug_name.h"

#include <string.h>

/* ---- memory -------------------------------------------------------------------------------------------------- */

static dmattn_status check_exportable(const dmattn_device *device)
{
    const VkPhysicalDeviceExternalBufferInfo info = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO,
                                                     .usage = DEVICE_BUFFER_USAGE,
                                                     .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    VkExternalBufferProperties properties = {.sType = VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES};
    if (device->vk.GetMemoryFdKHR)
        device->runtime->vk.GetPhysicalDeviceExternalBufferProperties(device->physical->handle, &info, &properties);
    if (properties.externalMemoryProperties.externalMemoryFeatures & VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT)
        return DMATTN_SUCCESS;
    return dmattn_fail(device->messenger, DMATTN_ERROR_UNSUPPORTED,
                       "the device cannot export memory as file descriptors, which sharing requires");
}

static dmattn_status create_shared(dmattn_device *device, uint64_t size, dmattn_buffer *buffer,
                                   dmattn_shared_memory *memory)
{
    TRY(check_exportable(device));
    device_buffer *made = NULL;
    TRY(dmattn_buffer_add(device, size, true, &made));
    buffer->buffer = made->buffer;
    buffer->size = size;
    device->shares = true;
    memory->size = made->allocation_size;
    memory->dedicated = made->dedicated;
    const VkMemoryGetFdInfoKHR info = {.sType = VK_STRUCTURE_TYPE_MEMORY_GET_FD_INFO_KHR,
                                       .memory = made->memory,
                                       .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    VkResult result = device->vk.GetMemoryFdKHR(device->device, &info, &memory->fd);
    if (result < 0)
        return dmattn_fail_vulkan(device->messenger, result, "vkGetMemoryFdKHR");
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_buffer_create_shared(dmattn_device *device, uint64_t size, dmattn_buffer *buffer,
                                          dmattn_shared_memory *memory)
{
    if (buffer)
        memset(buffer, 0, sizeof *buffer);
    if (memory)
        *memory = (dmattn_shared_memory){.fd = -1};
    if (!device)
        return DMATTN_ERROR_INVALID;
    if (!buffer || !memory)
        return dmattn_fail(device->messenger, DMATTN_ERROR_INVALID, "%s is NULL", buffer ? "memory" : "buffer");
    dmattn_status status = create_shared(device, size, buffer, memory);
    if (status) {
        dmattn_buffer_destroy(device, buffer);
        *memory = (dmattn_shared_memory){.fd = -1};
    }
    return status;
}

/* ---- the timeline -------------------------------------------------------------------------------------------- */

static const VkSemaphoreTypeCreateInfo timeline_type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
                                                        .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};

static dmattn_status create_timeline(dmattn_device *device)
{
    if (device->timeline)
        return DMATTN_SUCCESS;
    const VkPhysicalDeviceExternalSemaphoreInfo asked = {.sType =
                                                             VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_SEMAPHORE_INFO,
                                                         .pNext = &timeline_type,
                                                         .handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT};
    VkExternalSemaphoreProperties properties = {.sType = VK_STRUCTURE_TYPE_EXTERNAL_SEMAPHORE_PROPERTIES};
    if (device->vk.GetSemaphoreFdKHR)
        device->runtime->vk.GetPhysicalDeviceExternalSemaphoreProperties(device->physical->handle, &asked, &properties);
    if (!(properties.externalSemaphoreFeatures & VK_EXTERNAL_SEMAPHORE_FEATURE_EXPORTABLE_BIT))
        return dmattn_fail(
            device->messenger, DMATTN_ERROR_UNSUPPORTED,
            "the device cannot export a timeline semaphore as a file descriptor, which sharing requires");
    const VkExportSemaphoreCreateInfo exported = {.sType = VK_STRUCTURE_TYPE_EXPORT_SEMAPHORE_CREATE_INFO,
                                                  .pNext = &timeline_type,
                                                  .handleTypes = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT};
    const VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &exported};
    VkResult result = device->vk.CreateSemaphore(device->device, &info, NULL, &device->timeline);
    if (result < 0) {
        device->timeline = VK_NULL_HANDLE;
        return dmattn_fail_vulkan(device->messenger, result, "vkCreateSemaphore");
    }
    dmattn_debug_name(device, VK_OBJECT_TYPE_SEMAPHORE, (uint64_t)device->timeline, "dmattn timeline");
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_timeline_export(dmattn_device *device, int *fd)
{
    if (fd)
        *fd = -1;
    if (!device)
        return DMATTN_ERROR_INVALID;
    if (!fd)
        return dmattn_fail(device->messenger, DMATTN_ERROR_INVALID, "fd is NULL");
    TRY(create_timeline(device));
    const VkSemaphoreGetFdInfoKHR info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_GET_FD_INFO_KHR,
                                          .semaphore = device->timeline,
                                          .handleType = VK_EXTERNAL_SEMAPHORE_HANDLE_TYPE_OPAQUE_FD_BIT};
    VkResult result = device->vk.GetSemaphoreFdKHR(device->device, &info, fd);
    if (result < 0) {
        *fd = -1;
        return dmattn_fail_vulkan(device->messenger, result, "vkGetSemaphoreFdKHR");
    }
    return DMATTN_SUCCESS;
}
