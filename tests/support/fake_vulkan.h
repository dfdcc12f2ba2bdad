/* SPDX-License-Identifier: MIT
 * Vulkan without a device. It has only the functions that the embedding layer may call. Pipelines are empty objects on
 * the host, and commands are counted. Broken rules, of Vulkan or of this library, are noted. A chosen call can fail. So
 * tests can check the library's calls on any machine, also with the thread sanitizer, which reports false findings in
 * real drivers.
 *
 * Any number of threads may use a fake_vulkan at the same time, as in Vulkan. All atomics are relaxed, because stronger
 * ones would synchronise threads and hide races from the sanitizer. */
#ifndef DMATTN_TESTS_FAKE_VULKAN_H
#define DMATTN_TESTS_FAKE_VULKAN_H

#include <dmattn/dmattn.h>

#include <stdatomic.h>

typedef enum fake_kind { FAKE_MODULE, FAKE_LAYOUT, FAKE_CACHE, FAKE_PIPELINE, FAKE_KINDS } fake_kind;

#define FAKE_NAMES 64

typedef struct fake_vulkan {
    dmattn_context_desc desc; /* for a context on this device, with everything enabled that dmattn can use */
    VkPhysicalDeviceFeatures2 features;
    VkPhysicalDeviceBufferDeviceAddressFeatures address;

    void (*change_limits)(VkPhysicalDeviceProperties2 *properties); /* if not NULL: changes the device's limits */
    void (*compiling)(void);                                        /* if not NULL: is called for each pipeline */

    const char *loaded[FAKE_NAMES]; /* requested function names: existing ones, and unknown ones */
    const char *refused[FAKE_NAMES];
    uint32_t loaded_count, refused_count;

    bool debug_utils;  /* the app has enabled VK_EXT_debug_utils */
    atomic_uint named; /* number of pipelines that got names */

    VkPipelineCache cache; /* the app's cache; 0: pipelines may use any cache */
    atomic_uint made[FAKE_KINDS], destroyed[FAKE_KINDS];

    /* The number of the call that fails, counted from 1 in `calls`, and its result; 0: none. Only calls with a result
     * count. */
    unsigned fail_at;
    VkResult failure;
    atomic_uint calls;
    const char *_Atomic failed; /* its name */

    atomic_uint wrong;        /* number of broken rules */
    const char *_Atomic rule; /* the last broken rule */
} fake_vulkan;

/* *vulkan must not move afterwards. */
void fake_vulkan_init(fake_vulkan *vulkan);

/* Creates a pipeline cache for the app. Returns 0 on failure. */
VkPipelineCache fake_vulkan_cache(fake_vulkan *vulkan);
void fake_vulkan_cache_destroy(fake_vulkan *vulkan, VkPipelineCache cache);

/* The number of objects that were not destroyed. */
int fake_vulkan_live(const fake_vulkan *vulkan);

/* A command buffer: counts what was recorded into it. For one thread at a time. */
typedef struct fake_commands {
    fake_vulkan *vulkan;
    unsigned binds, pushes, barriers, dispatches, slices; /* slices: dispatches with a base */
    uint64_t hash;                                        /* of all commands and their arguments, without pipelines */
    VkPipeline pipeline;
    VkPipelineLayout pushed;
} fake_commands;

VkCommandBuffer fake_commands_begin(fake_vulkan *vulkan, fake_commands *commands);

#endif
