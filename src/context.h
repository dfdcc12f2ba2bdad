/* SPDX-License-Identifier: MIT */
#ifndef DMATTN_CONTEXT_H
#define DMATTN_CONTEXT_H

#include "capabilities.h"
#include "host/pipeline_table.h"
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
    VkPipelineLayout layout; /* of all pipelines */
    pipeline_table *pipelines;
};

/* The size of push constants in this layout; Vulkan guarantees it. */
#define PUSH_CONSTANTS 128

#endif
