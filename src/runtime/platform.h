/* SPDX-License-Identifier: MIT
 * What the operating system gives: the Vulkan loader and a clock. */
#ifndef DMATTN_RUNTIME_PLATFORM_H
#define DMATTN_RUNTIME_PLATFORM_H

#include <stdbool.h>
#include <vulkan/vulkan_core.h>

typedef struct vulkan_loader {
    void *library;
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
} vulkan_loader;

/* Loads the Vulkan loader; false if there is none, and then *loader is zero. */
bool dmattn_vulkan_loader_open(vulkan_loader *loader);

/* Unloads it; a zero one is fine. */
void dmattn_vulkan_loader_close(vulkan_loader *loader);

/* Seconds of a clock that never jumps, from an arbitrary start. */
double dmattn_clock_seconds(void);

#endif
