/* SPDX-License-Identifier: MIT */
#ifndef DMATTN_CONTEXT_H
#define DMATTN_CONTEXT_H

#include "capabilities.h"
#include "message.h"
#include "vulkan_table.h"

struct dmattn_context {
    vulkan_table vk;
    VkDevice device;
    capabilities caps;
    messenger messenger;
    VkAllocationCallbacks allocator_copy;
    const VkAllocationCallbacks *allocator; /* NULL, or the copy */
    VkPipelineCache cache;
    bool owns_cache;
};

/* Allocates zeroed host memory through the app's allocator. Returns NULL on failure. */
void *dmattn_host_allocate(const VkAllocationCallbacks *allocator, size_t size);
void dmattn_host_free(const VkAllocationCallbacks *allocator, void *memory);

#endif
