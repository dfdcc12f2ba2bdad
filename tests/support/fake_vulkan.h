/* SPDX-License-Identifier: MIT
 * Vulkan without a device: of its functions those that the embedding layer may call, and no others. Pipelines are empty
 * objects on the host, commands are counted; whatever breaks Vulkan's rules, or this library's, is noted. Calls fail
 * when they are told to. So what the library does to a driver is seen on any machine, and by the thread sanitizer,
 * which real drivers trip.
 *
 * Any number of threads may use one of them at once, as Vulkan has it. All atomics are relaxed, as others would order
 * what threads do and so hide races from the sanitizer. */
#ifndef DMATTN_TESTS_FAKE_VULKAN_H
#define DMATTN_TESTS_FAKE_VULKAN_H

#include <dmattn/dmattn.h>

#include <stdatomic.h>

typedef enum fake_kind { FAKE_MODULE, FAKE_LAYOUT, FAKE_CACHE, FAKE_PIPELINE, FAKE_KINDS } fake_kind;

#define FAKE_NAMES 64

typedef struct fake_vulkan {
    dmattn_context_desc desc; /* of a context on this device, with all that dmattn asks for enabled */
    VkPhysicalDeviceFeatures2 features;
    VkPhysicalDeviceBufferDeviceAddressFeatures address;

    void (*change_limits)(VkPhysicalDeviceProperties2 *properties); /* if not NULL: makes another device of it */

    const char *loaded[FAKE_NAMES]; /* names that were asked for and exist; and those that do not */
    const char *refused[FAKE_NAMES];
    uint32_t loaded_count, refused_count;

    bool debug_utils;  /* the app has enabled VK_EXT_debug_utils, */
    atomic_uint named; /* and so many pipelines got names */

    VkPipelineCache cache; /* the app's; 0: pipelines may be made with any */
    atomic_uint made[FAKE_KINDS], destroyed[FAKE_KINDS];

    /* The call with a result, counted from 1 in `calls`, that fails, and how; 0: none. */
    unsigned fail_at;
    VkResult failure;
    atomic_uint calls;
    const char *_Atomic failed; /* its name */

    atomic_uint wrong;        /* broken rules, */
    const char *_Atomic rule; /* and the last of them */
} fake_vulkan;

/* Must stay where it is. */
void fake_vulkan_init(fake_vulkan *vulkan);

/* A pipeline cache of the app's. On failure 0. */
VkPipelineCache fake_vulkan_cache(fake_vulkan *vulkan);
void fake_vulkan_cache_destroy(fake_vulkan *vulkan, VkPipelineCache cache);

/* Objects that were not destroyed. */
int fake_vulkan_live(const fake_vulkan *vulkan);

/* A command buffer: what was recorded into it. For one thread at a time. */
typedef struct fake_commands {
    fake_vulkan *vulkan;
    unsigned binds, pushes, barriers, dispatches, slices; /* the last are dispatches with a base */
    uint64_t hash;                                        /* of all commands and their arguments, but for pipelines */
    VkPipeline pipeline;
    VkPipelineLayout pushed;
} fake_commands;

VkCommandBuffer fake_commands_begin(fake_vulkan *vulkan, fake_commands *commands);

#endif
