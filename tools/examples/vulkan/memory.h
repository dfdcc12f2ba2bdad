/* SPDX-License-Identifier: MIT
 * The app's memory: allocated by the Vulkan Memory Allocator (memory_vma.c) if the build found it, otherwise by a
 * simple allocator (memory_plain.c). dmattn does not depend on either. */
#ifndef EXAMPLE_MEMORY_H
#define EXAMPLE_MEMORY_H

#include <stdbool.h>
#include <vulkan/vulkan.h>

typedef struct memory memory;

typedef struct buffer {
    VkBuffer handle;
    VkDeviceSize size;
    VkDeviceAddress address;
    void *mapped; /* NULL for MEMORY_DEVICE */
} buffer;

typedef enum memory_kind {
    MEMORY_DEVICE, /* device-local */
    MEMORY_HOST    /* mapped and coherent; the device can access it, too */
} memory_kind;

memory *memory_create(VkInstance instance, VkPhysicalDevice physical_device, VkDevice device);

/* Makes a buffer with the usages that dmattn and this app's shaders need: storage, copies and device addresses. Queues
 * of all `families` may use it, because with CONCURRENT sharing the example need not transfer ownership.
 * memory_destroy() destroys it. */
buffer memory_buffer(memory *m, memory_kind kind, VkDeviceSize size, const uint32_t *families, uint32_t family_count);

void memory_destroy(memory *m);

/* Used by both allocators; in memory.c. */
VkDeviceAddress memory_address(VkDevice device, VkBuffer handle);
VkBufferCreateInfo memory_buffer_info(VkDeviceSize size, const uint32_t *families, uint32_t family_count);

/* "VMA" or "plain" */
extern const char memory_name[];

#endif
