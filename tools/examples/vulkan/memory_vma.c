/* SPDX-License-Identifier: MIT */
#include "die.h"
#include "memory.h"

#include <stdlib.h>
#include <vk_mem_alloc.h>

#define MAX_BUFFERS 64

const char memory_name[] = "VMA";

struct memory {
    VkDevice device;
    VmaAllocator vma;
    VkBuffer buffers[MAX_BUFFERS];
    VmaAllocation allocations[MAX_BUFFERS];
    unsigned count;
};

memory *memory_create(VkInstance instance, VkPhysicalDevice physical_device, VkDevice device)
{
    memory *m = calloc(1, sizeof *m);
    if (!m)
        die("no host memory");
    m->device = device;
    /* With this flag VMA sets VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT, which the buffers of dmattn need. */
    const VmaAllocatorCreateInfo info = {.flags = VMA_ALLOCATOR_CREATE_BUFFER_DEVICE_ADDRESS_BIT,
                                         .instance = instance,
                                         .physicalDevice = physical_device,
                                         .device = device,
                                         .vulkanApiVersion = VK_API_VERSION_1_3};
    VK(vmaCreateAllocator(&info, &m->vma));
    return m;
}

buffer memory_buffer(memory *m, memory_kind kind, VkDeviceSize size, const uint32_t *families, uint32_t family_count)
{
    const VkBufferCreateInfo info = memory_buffer_info(size, families, family_count);
    const VmaAllocationCreateInfo how = {
        .flags =
            kind == MEMORY_HOST ? VMA_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT | VMA_ALLOCATION_CREATE_MAPPED_BIT : 0,
        .usage = kind == MEMORY_HOST ? VMA_MEMORY_USAGE_AUTO_PREFER_HOST : VMA_MEMORY_USAGE_AUTO_PREFER_DEVICE,
        .requiredFlags = kind == MEMORY_HOST ? VK_MEMORY_PROPERTY_HOST_COHERENT_BIT : 0};
    if (m->count == MAX_BUFFERS)
        die("more than %d buffers", MAX_BUFFERS);
    VmaAllocationInfo got;
    buffer b = {.size = size};
    VK(vmaCreateBuffer(m->vma, &info, &how, &b.handle, &m->allocations[m->count], &got));
    m->buffers[m->count++] = b.handle;
    b.mapped = kind == MEMORY_HOST ? got.pMappedData : NULL;
    b.address = memory_address(m->device, b.handle);
    return b;
}

void memory_destroy(memory *m)
{
    for (unsigned i = 0; i < m->count; i++)
        vmaDestroyBuffer(m->vma, m->buffers[i], m->allocations[i]);
    vmaDestroyAllocator(m->vma);
    free(m);
}
