/* SPDX-License-Identifier: MIT */
#include "buffer.h"

#include "debug_name.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* Returns the first memory type among `allowed` that has the `wanted` properties, and the `preferred` ones if any type
 * has both. Vulkan lists a type before the types that add properties to it, so the first has the fewest extra ones.
 * UINT32_MAX: there is none. */
static uint32_t find_memory_type(const VkPhysicalDeviceMemoryProperties *memory, uint32_t allowed,
                                 VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags preferred)
{
    /* These types need features that are not enabled, or are not meant for buffers. */
    const VkMemoryPropertyFlags unwanted = VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT
                                           | VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD;
    uint32_t second = UINT32_MAX;
    for (uint32_t i = 0; i < memory->memoryTypeCount; i++) {
        VkMemoryPropertyFlags flags = memory->memoryTypes[i].propertyFlags;
        if (!(allowed & UINT32_C(1) << i) || flags & unwanted || (flags & wanted) != wanted)
            continue;
        if ((flags & preferred) == preferred)
            return i;
        if (second == UINT32_MAX)
            second = i;
    }
    return second;
}

static dmattn_status fail_allocation(const dmattn_device *device, VkResult result, const char *call, uint64_t size)
{
    /* maxMemoryAllocationSize is what every allocation can have; a driver may allow more. */
    const uint64_t promised = device->physical->max_memory_allocation;
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY && size > promised)
        return dmattn_fail(device->messenger, DMATTN_ERROR_OUT_OF_MEMORY,
                           "no device memory for a buffer of %" PRIu64
                           " bytes, which is beyond the device's maxMemoryAllocationSize (%" PRIu64 ")",
                           size, promised);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        return dmattn_fail(device->messenger, DMATTN_ERROR_OUT_OF_MEMORY,
                           "no device memory for a buffer of %" PRIu64 " bytes", size);
    return dmattn_fail_vulkan(device->messenger, result, call);
}

void dmattn_buffer_free(dmattn_device *device, device_buffer *buffer)
{
    if (!buffer)
        return;
    if (buffer->buffer)
        device->vk.DestroyBuffer(device->device, buffer->buffer, NULL);
    if (buffer->memory)
        device->vk.FreeMemory(device->device, buffer->memory, NULL); /* this also unmaps it */
    free(buffer);
}

static void chain(VkMemoryAllocateInfo *info, void *structure)
{
    ((VkBaseInStructure *)structure)->pNext = info->pNext;
    info->pNext = structure;
}

/* Fills a device_buffer that is zero except for `shared`. After a failure the caller frees it. */
static dmattn_status allocate(dmattn_device *device, uint64_t size, VkBufferUsageFlags usage,
                              VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags preferred, device_buffer *buffer)
{
    const VkExternalMemoryBufferCreateInfo external = {.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
                                                       .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    const physical_device *physical = device->physical;
    if (size > physical->max_buffer_size)
        return dmattn_fail(device->messenger, DMATTN_ERROR_UNSUPPORTED,
                           "a buffer of %" PRIu64 " bytes is beyond the device's maxBufferSize (%" PRIu64 ")", size,
                           physical->max_buffer_size);

    const VkBufferCreateInfo buffer_info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                            .pNext = buffer->shared ? &external : NULL,
                                            .size = (size + 3) / 4 * 4, /* kernels read whole 32-bit words */
                                            .usage = usage,
                                            .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    VkResult result = device->vk.CreateBuffer(device->device, &buffer_info, NULL, &buffer->buffer);
    if (result < 0) {
        buffer->buffer = VK_NULL_HANDLE;
        return fail_allocation(device, result, "vkCreateBuffer", size);
    }
    buffer->size = size;

    const VkBufferMemoryRequirementsInfo2 asked = {.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_REQUIREMENTS_INFO_2,
                                                   .buffer = buffer->buffer};
    VkMemoryDedicatedRequirements dedicated = {.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS};
    VkMemoryRequirements2 requirements = {.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2, .pNext = &dedicated};
    device->vk.GetBufferMemoryRequirements2(device->device, &asked, &requirements);
    const VkMemoryRequirements needs = requirements.memoryRequirements;
    buffer->dedicated = dedicated.requiresDedicatedAllocation;
    buffer->allocation_size = needs.size;
    uint32_t type = find_memory_type(&device->memory, needs.memoryTypeBits, wanted, preferred);
    if (type == UINT32_MAX)
        return dmattn_fail(device->messenger, DMATTN_ERROR_UNSUPPORTED,
                           "the device has no memory type for its %s buffers", wanted ? "staging" : "storage");
    /* An allocation larger than its heap is undefined behavior in Vulkan. */
    if (needs.size > device->memory.memoryHeaps[device->memory.memoryTypes[type].heapIndex].size)
        return fail_allocation(device, VK_ERROR_OUT_OF_DEVICE_MEMORY, "vkAllocateMemory", size);

    VkMemoryAllocateInfo memory_info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size, .memoryTypeIndex = type};
    VkMemoryAllocateFlagsInfo addressed = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                           .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    if (usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT)
        chain(&memory_info, &addressed);
    VkMemoryDedicatedAllocateInfo for_buffer = {.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
                                                .buffer = buffer->buffer};
    if (buffer->dedicated)
        chain(&memory_info, &for_buffer);
    VkExportMemoryAllocateInfo exported = {.sType = VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO,
                                           .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    if (buffer->shared)
        chain(&memory_info, &exported);
    result = device->vk.AllocateMemory(device->device, &memory_info, NULL, &buffer->memory);
    if (result < 0) {
        buffer->memory = VK_NULL_HANDLE;
        return fail_allocation(device, result, "vkAllocateMemory", size);
    }
    result = device->vk.BindBufferMemory(device->device, buffer->buffer, buffer->memory, 0);
    if (result < 0)
        return fail_allocation(device, result, "vkBindBufferMemory", size);
    dmattn_debug_name(device, VK_OBJECT_TYPE_BUFFER, (uint64_t)buffer->buffer, "dmattn %s buffer, %" PRIu64 " bytes",
                      !wanted ? buffer->shared ? "shared" : "storage" : "staging", size);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_buffer_allocate(dmattn_device *device, uint64_t size, VkBufferUsageFlags usage,
                                     VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags preferred, bool shared,
                                     device_buffer **buffer)
{
    device_buffer *made = calloc(1, sizeof *made);
    if (!made)
        return dmattn_fail(device->messenger, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for a buffer");
    made->shared = shared;
    dmattn_status status = allocate(device, size, usage, wanted, preferred, made);
    if (status) {
        dmattn_buffer_free(device, made);
        return status;
    }
    *buffer = made;
    return DMATTN_SUCCESS;
}

/* ---- buffers ------------------------------------------------------------------------------------------------- */

dmattn_status dmattn_buffer_add(dmattn_device *device, uint64_t size, bool shared, device_buffer **buffer)
{
    if (!size)
        return dmattn_fail(device->messenger, DMATTN_ERROR_INVALID,
                           "the size of a buffer is 0, but must be at least 1");
    TRY(dmattn_buffer_allocate(device, size, DEVICE_BUFFER_USAGE, 0, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, shared,
                               buffer));
    (*buffer)->next = device->buffers;
    device->buffers = *buffer;
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_buffer_create(dmattn_device *device, uint64_t size, dmattn_buffer *buffer)
{
    if (buffer)
        memset(buffer, 0, sizeof *buffer);
    if (!device)
        return DMATTN_ERROR_INVALID;
    if (!buffer)
        return dmattn_fail(device->messenger, DMATTN_ERROR_INVALID, "buffer is NULL");
    device_buffer *made = NULL;
    TRY(dmattn_buffer_add(device, size, false, &made));
    buffer->buffer = made->buffer;
    buffer->size = size;
    return DMATTN_SUCCESS;
}

void dmattn_buffer_destroy(dmattn_device *device, dmattn_buffer *buffer)
{
    if (!device || !buffer)
        return;
    for (device_buffer **link = &device->buffers; buffer->buffer && *link; link = &(*link)->next) {
        device_buffer *found = *link;
        if (found->buffer != buffer->buffer)
            continue;
        *link = found->next;
        dmattn_buffer_free(device, found);
        break;
    }
    memset(buffer, 0, sizeof *buffer);
}

void dmattn_buffers_destroy(dmattn_device *device)
{
    while (device->buffers) {
        device_buffer *next = device->buffers->next;
        dmattn_buffer_free(device, device->buffers);
        device->buffers = next;
    }
}
