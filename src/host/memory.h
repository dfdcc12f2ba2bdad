/* SPDX-License-Identifier: MIT */
#ifndef DMATTN_HOST_MEMORY_H
#define DMATTN_HOST_MEMORY_H

#include <vulkan/vulkan_core.h>

#include <stddef.h>

/* Allocates zeroed host memory through the app's allocator, which may be NULL. Returns NULL on failure. */
void *dmattn_host_allocate(const VkAllocationCallbacks *allocator, size_t size);
void dmattn_host_free(const VkAllocationCallbacks *allocator, void *memory);

#endif
