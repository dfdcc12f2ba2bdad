/* SPDX-License-Identifier: MIT
 * The app's memory: by the Vulkan Memory Allocator (memory_vma.c) where the build has found it, otherwise by a plain
 * one of its own (memory_plain.c). dmattn knows of neither. */
#ifndef EXAMPLE_MEMORY_H
#define EXAMPLE_MEMORY_H

#include <stdbool.h>
#include <vulkan/vulkan.h>

typedef struct memory memory;

typedef struct buffer {
    VkBuffer handle;
    VkDeviceSize size;
    VkDeviceAddress address;
    void *mapped; /* of a host buffer */
} buffer;

typedef enum memory_kind {
    MEMORY_DEVICE, /* where the GPU is fast */
    MEMORY_HOST    /* mapped, coherent; the device can read and write it */
} memory_kind;

memory *memory_create(VkInstance instance, VkPhysicalDevice physical_device, VkDevice device);

/* All buffers are for storage, copies and addresses, as dmattn and this app's shaders want them. Queues of all
 * `families` may use them: CONCURRENT spares this example the transfer of ownership. They live as long as the memory
 * does. */
buffer memory_buffer(memory *m, memory_kind kind, VkDeviceSize size, const uint32_t *families, uint32_t family_count);

void memory_destroy(memory *m);

/* Common to both. */
VkDeviceAddress memory_address(VkDevice device, VkBuffer handle);
VkBufferCreateInfo memory_buffer_info(VkDeviceSize size, const uint32_t *families, uint32_t family_count);

/* "VMA" or "plain" */
extern const char memory_name[];

#endif
