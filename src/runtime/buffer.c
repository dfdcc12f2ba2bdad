/* SPDX-License-Identifier: MIT */
#include "objects.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Large enough that submitting costs little beside copying, small enough for any host. */
#define STAGING_SIZE (UINT64_C(16) << 20)

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* The first of the memory types `allowed` with `wanted` and, if there is one, with `preferred`, too. Vulkan lists a
 * type before those that add to it, so that it is the plainest. UINT32_MAX: none. */
static uint32_t find_memory_type(const VkPhysicalDeviceMemoryProperties *memory, uint32_t allowed,
                                 VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags preferred)
{
    /* They need features that are not enabled, or do not suit buffers. */
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
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        return dmattn_fail(device->messenger, DMATTN_ERROR_OUT_OF_MEMORY,
                           "no device memory for a buffer of %" PRIu64 " bytes", size);
    return dmattn_fail_vulkan(device->messenger, result, call);
}

static dmattn_status fail_size(const dmattn_device *device, uint64_t size, const char *limit_name, uint64_t limit)
{
    return dmattn_fail(device->messenger, DMATTN_ERROR_UNSUPPORTED,
                       "a buffer of %" PRIu64 " bytes is beyond the device's %s (%" PRIu64 ")", size, limit_name,
                       limit);
}

static void destroy(dmattn_device *device, device_buffer *buffer)
{
    if (!buffer)
        return;
    if (buffer->buffer)
        device->vk.DestroyBuffer(device->device, buffer->buffer, NULL);
    if (buffer->memory)
        device->vk.FreeMemory(device->device, buffer->memory, NULL); /* unmaps it, too */
    free(buffer);
}

static void chain(VkMemoryAllocateInfo *info, void *structure)
{
    ((VkBaseInStructure *)structure)->pNext = info->pNext;
    info->pNext = structure;
}

/* Fills a device_buffer that is zero but for `shared`; what a failure leaves is for destroy(). */
static dmattn_status allocate(dmattn_device *device, uint64_t size, VkBufferUsageFlags usage,
                              VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags preferred, device_buffer *buffer)
{
    const VkExternalMemoryBufferCreateInfo external = {.sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO,
                                                       .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT};
    const physical_device *physical = device->physical;
    if (size > physical->max_buffer_size)
        return fail_size(device, size, "maxBufferSize", physical->max_buffer_size);
    if (size > physical->max_memory_allocation)
        return fail_size(device, size, "maxMemoryAllocationSize", physical->max_memory_allocation);

    const VkBufferCreateInfo buffer_info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                            .pNext = buffer->shared ? &external : NULL,
                                            .size = (size + 3) / 4 * 4, /* kernels read whole words */
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
    VkMemoryDedicatedRequirements alone = {.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_REQUIREMENTS};
    VkMemoryRequirements2 requirements = {.sType = VK_STRUCTURE_TYPE_MEMORY_REQUIREMENTS_2, .pNext = &alone};
    device->vk.GetBufferMemoryRequirements2(device->device, &asked, &requirements);
    const VkMemoryRequirements needs = requirements.memoryRequirements;
    buffer->dedicated = alone.requiresDedicatedAllocation;
    buffer->allocation_size = needs.size;
    if (needs.size > physical->max_memory_allocation)
        return fail_size(device, size, "maxMemoryAllocationSize", physical->max_memory_allocation);
    uint32_t type = find_memory_type(&device->memory, needs.memoryTypeBits, wanted, preferred);
    if (type == UINT32_MAX)
        return dmattn_fail(device->messenger, DMATTN_ERROR_UNSUPPORTED,
                           "the device has no memory type for its %s buffers", wanted ? "staging" : "storage");
    /* Vulkan leaves it undefined to ask for more than there is. */
    if (needs.size > device->memory.memoryHeaps[device->memory.memoryTypes[type].heapIndex].size)
        return fail_allocation(device, VK_ERROR_OUT_OF_DEVICE_MEMORY, "vkAllocateMemory", size);

    VkMemoryAllocateInfo memory_info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size, .memoryTypeIndex = type};
    VkMemoryAllocateFlagsInfo addressed = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                           .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    if (usage & VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT)
        chain(&memory_info, &addressed);
    VkMemoryDedicatedAllocateInfo its_own = {.sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO,
                                             .buffer = buffer->buffer};
    if (buffer->dedicated)
        chain(&memory_info, &its_own);
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
    return DMATTN_SUCCESS;
}

static dmattn_status create(dmattn_device *device, uint64_t size, VkBufferUsageFlags usage,
                            VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags preferred, bool shared,
                            device_buffer **buffer)
{
    device_buffer *made = calloc(1, sizeof *made);
    if (!made)
        return dmattn_fail(device->messenger, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for a buffer");
    made->shared = shared;
    dmattn_status status = allocate(device, size, usage, wanted, preferred, made);
    if (status) {
        destroy(device, made);
        return status;
    }
    *buffer = made;
    return DMATTN_SUCCESS;
}

/* ---- buffers ------------------------------------------------------------------------------------------------- */

dmattn_status dmattn_device_buffer_create(dmattn_device *device, uint64_t size, bool shared, device_buffer **buffer)
{
    if (!size)
        return dmattn_fail(device->messenger, DMATTN_ERROR_INVALID,
                           "the size of a buffer is 0, but must be at least 1");
    TRY(create(device, size, DEVICE_BUFFER_USAGE, 0, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, shared, buffer));
    (*buffer)->next = device->buffers;
    device->buffers = *buffer;
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_buffer_create(dmattn_device *device, uint64_t size, dmattn_buffer *buffer)
{
    if (!buffer)
        return dmattn_fail(device->messenger, DMATTN_ERROR_INVALID, "buffer is NULL");
    memset(buffer, 0, sizeof *buffer);
    device_buffer *made = NULL;
    TRY(dmattn_device_buffer_create(device, size, false, &made));
    buffer->buffer = made->buffer;
    buffer->size = size;
    return DMATTN_SUCCESS;
}

void dmattn_buffer_destroy(dmattn_device *device, dmattn_buffer *buffer)
{
    if (!buffer)
        return;
    for (device_buffer **link = &device->buffers; buffer->buffer && *link; link = &(*link)->next) {
        device_buffer *found = *link;
        if (found->buffer != buffer->buffer)
            continue;
        *link = found->next;
        destroy(device, found);
        break;
    }
    memset(buffer, 0, sizeof *buffer);
}

void dmattn_buffers_destroy(dmattn_device *device)
{
    while (device->buffers) {
        device_buffer *next = device->buffers->next;
        destroy(device, device->buffers);
        device->buffers = next;
    }
    destroy(device, device->staging);
    device->staging = NULL;
    device->staging_data = NULL;
}

/* ---- upload and download ------------------------------------------------------------------------------------- */

static dmattn_status make_staging(dmattn_device *device)
{
    if (device->staging)
        return DMATTN_SUCCESS;
    /* Cached, because a download reads it with the CPU. */
    device_buffer *made = NULL;
    TRY(create(device, STAGING_SIZE, VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
               VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
               VK_MEMORY_PROPERTY_HOST_CACHED_BIT, false, &made));
    VkResult result = device->vk.MapMemory(device->device, made->memory, 0, VK_WHOLE_SIZE, 0, &device->staging_data);
    if (result < 0) {
        destroy(device, made);
        return dmattn_fail_vulkan(device->messenger, result, "vkMapMemory");
    }
    device->staging = made;
    return DMATTN_SUCCESS;
}

static dmattn_status check_range(const dmattn_device *device, const char *call, const dmattn_buffer *buffer,
                                 uint64_t offset, const void *data, uint64_t size)
{
    const messenger *m = device->messenger;
    if (!buffer || !buffer->buffer)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s: the buffer is NULL", call);
    if (!data && size)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s: data is NULL", call);
    uint64_t available = buffer->size;
    for (const device_buffer *b = device->buffers; b; b = b->next) {
        if (b->buffer != buffer->buffer)
            continue;
        uint64_t rest = buffer->offset < b->size ? b->size - buffer->offset : 0;
        available = available < rest ? available : rest; /* VK_WHOLE_SIZE is the largest number */
        break;
    }
    if (offset > available || size > available - offset)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "%s: %" PRIu64 " bytes at offset %" PRIu64 " are outside the buffer of %" PRIu64 " bytes",
                           call, size, offset, available);
    return DMATTN_SUCCESS;
}

/* Copies at most STAGING_SIZE bytes between staging memory and `offset` of a buffer. */
static dmattn_status copy_staged(dmattn_device *device, VkBuffer buffer, uint64_t offset, uint64_t size, bool download)
{
    const VkBufferCopy region = {.srcOffset = download ? offset : 0, .dstOffset = download ? 0 : offset, .size = size};
    const VkBuffer staging = device->staging->buffer;
    TRY(dmattn_commands_create(device));
    TRY(dmattn_command_buffer_begin(device, device->transfer));
    device->vk.CmdCopyBuffer(device->transfer, download ? buffer : staging, download ? staging : buffer, 1, &region);
    if (download) { /* waiting for a fence does not show the host what was written */
        const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                         .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                         .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
        device->vk.CmdPipelineBarrier(device->transfer, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0,
                                      1, &barrier, 0, NULL, 0, NULL);
    }
    return dmattn_command_buffer_run(device, device->transfer);
}

dmattn_status dmattn_upload(dmattn_device *device, const dmattn_buffer *buffer, uint64_t offset, const void *data,
                            uint64_t size)
{
    TRY(check_range(device, "upload", buffer, offset, data, size));
    if (size)
        TRY(make_staging(device));
    const unsigned char *bytes = data;
    for (uint64_t done = 0; done < size;) {
        uint64_t chunk = size - done < STAGING_SIZE ? size - done : STAGING_SIZE;
        memcpy(device->staging_data, bytes + done, (size_t)chunk);
        TRY(copy_staged(device, buffer->buffer, buffer->offset + offset + done, chunk, false));
        done += chunk;
    }
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_download(dmattn_device *device, const dmattn_buffer *buffer, uint64_t offset, void *data,
                              uint64_t size)
{
    TRY(check_range(device, "download", buffer, offset, data, size));
    if (size)
        TRY(make_staging(device));
    unsigned char *bytes = data;
    for (uint64_t done = 0; done < size;) {
        uint64_t chunk = size - done < STAGING_SIZE ? size - done : STAGING_SIZE;
        TRY(copy_staged(device, buffer->buffer, buffer->offset + offset + done, chunk, true));
        memcpy(bytes + done, device->staging_data, (size_t)chunk);
        done += chunk;
    }
    return DMATTN_SUCCESS;
}
