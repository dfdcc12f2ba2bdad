/* SPDX-License-Identifier: MIT
 * Functions of the operating system: opening the Vulkan loader, and a clock. */
#ifndef DMATTN_RUNTIME_PLATFORM_H
#define DMATTN_RUNTIME_PLATFORM_H

#include <stdbool.h>
#include <vulkan/vulkan_core.h>

typedef struct vulkan_loader {
    void *library;
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
} vulkan_loader;

/* Opens the Vulkan loader. Returns false and zeroes *loader if none is installed. */
bool dmattn_vulkan_loader_open(vulkan_loader *loader);

/* Closes the loader; a zero one is allowed. */
void dmattn_vulkan_loader_close(vulkan_loader *loader);

/* Seconds of a monotonic clock with an arbitrary start. */
double dmattn_clock_seconds(void);

#endif
