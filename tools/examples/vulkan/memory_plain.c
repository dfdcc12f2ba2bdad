/* SPDX-License-Identifier: MIT
 * A simple allocator: blocks of memory that are filled from the front and freed together. */
#include "die.h"
#include "memory.h"

#include <stdlib.h>

#define BLOCK_SIZE  ((VkDeviceSize)16 << 20)
#define MAX_BLOCKS  64
#define MAX_BUFFERS 64

const char memory_name[] = "plain";

typedef struct block {
    VkDeviceMemory memory;
    uint32_t type;
    VkDeviceSize size, used;
    char *mapped;
} block;

struct memory {
    VkDevice device;
    VkPhysicalDeviceMemoryProperties properties;
    block blocks[MAX_BLOCKS];
    unsigned block_count;
    VkBuffer buffers[MAX_BUFFERS];
    unsigned buffer_count;
};

memory *memory_create(VkInstance instance, VkPhysicalDevice physical_device, VkDevice device)
{
    (void)instance;
    memory *m = calloc(1, sizeof *m);
    if (!m)
        die("no host memory");
    m->device = device;
    vkGetPhysicalDeviceMemoryProperties(physical_device, &m->properties);
    return m;
}

static uint32_t find_type(const memory *m, uint32_t allowed, VkMemoryPropertyFlags wanted)
{
    for (uint32_t i = 0; i < m->properties.memoryTypeCount; i++)
        if (allowed >> i & 1 && (m->properties.memoryTypes[i].propertyFlags & wanted) == wanted)
            return i;
    die("the device has no memory with the properties 0x%x", wanted);
}

static block *find_block(memory *m, uint32_t type, VkDeviceSize size, VkDeviceSize alignment, bool mapped)
{
    for (unsigned i = 0; i < m->block_count; i++) {
        block *b = &m->blocks[i];
        const VkDeviceSize begin = (b->used + alignment - 1) / alignment * alignment;
        if (b->type == type && !b->mapped == !mapped && begin + size <= b->size) {
            b->used = begin;
            return b;
        }
    }
    if (m->block_count == MAX_BLOCKS)
        die("more than %d blocks of memory", MAX_BLOCKS);
    block *b = &m->blocks[m->block_count++];
    *b = (block){.type = type, .size = size > BLOCK_SIZE ? size : BLOCK_SIZE};
    /* The buffers of dmattn need memory with this flag. */
    const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                             .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = &flags,
                                       .allocationSize = b->size,
                                       .memoryTypeIndex = type};
    VK(vkAllocateMemory(m->device, &info, NULL, &b->memory));
    if (mapped)
        VK(vkMapMemory(m->device, b->memory, 0, VK_WHOLE_SIZE, 0, (void **)&b->mapped));
    return b;
}

buffer memory_buffer(memory *m, memory_kind kind, VkDeviceSize size, const uint32_t *families, uint32_t family_count)
{
    const VkBufferCreateInfo info = memory_buffer_info(size, families, family_count);
    const bool host = kind == MEMORY_HOST;
    if (m->buffer_count == MAX_BUFFERS)
        die("more than %d buffers", MAX_BUFFERS);
    buffer made = {.size = size};
    VK(vkCreateBuffer(m->device, &info, NULL, &made.handle));
    m->buffers[m->buffer_count++] = made.handle;

    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(m->device, made.handle, &needs);
    const uint32_t type = find_type(m, needs.memoryTypeBits,
                                    host ? VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT
                                         : VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
    block *b = find_block(m, type, needs.size, needs.alignment, host);
    VK(vkBindBufferMemory(m->device, made.handle, b->memory, b->used));
    made.mapped = b->mapped ? b->mapped + b->used : NULL;
    b->used += needs.size;
    made.address = memory_address(m->device, made.handle);
    return made;
}

void memory_destroy(memory *m)
{
    for (unsigned i = 0; i < m->buffer_count; i++)
        vkDestroyBuffer(m->device, m->buffers[i], NULL);
    for (unsigned i = 0; i < m->block_count; i++)
        vkFreeMemory(m->device, m->blocks[i].memory, NULL);
    free(m);
}
