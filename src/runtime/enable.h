/* SPDX-License-Identifier: MIT
 * What to enable on a device: all that dmattn_get_device_needs() asks for and the device has. */
#ifndef DMATTN_RUNTIME_ENABLE_H
#define DMATTN_RUNTIME_ENABLE_H

#include "objects.h"

/* Besides what dmattn needs. */
#define OWN_EXTENSIONS 3

typedef struct enabled_set {
    const char *extensions[OWN_EXTENSIONS + DMATTN_MAX_DEVICE_EXTENSIONS]; /* the names are static */
    VkPhysicalDeviceFeatures2 features;                                    /* the chain leads through `setup` */
    VkPhysicalDeviceTimelineSemaphoreFeatures timeline;
    dmattn_device_setup setup;
} enabled_set;

/* Chooses. What is required and missing is left out: dmattn_context_create() names it. The set must stay where it is.
 */
dmattn_status dmattn_enabled_choose(const dmattn_runtime *runtime, const physical_device *physical,
                                    enabled_set *enabled);

/* Lists a device's extensions; free(*list). */
dmattn_status dmattn_list_device_extensions(const dmattn_runtime *runtime, VkPhysicalDevice handle,
                                            VkExtensionProperties **list, uint32_t *count);

bool dmattn_has_extension(const VkExtensionProperties *list, uint32_t count, const char *name);

#endif
