/* SPDX-License-Identifier: MIT
 * Which extensions and features the runtime enables on a device: what dmattn_get_device_needs() lists and the device
 * supports, and what the runtime itself uses. */
#ifndef DMATTN_RUNTIME_ENABLE_H
#define DMATTN_RUNTIME_ENABLE_H

#include "objects.h"

/* Extensions that only the runtime uses. */
#define OWN_EXTENSIONS 3

typedef struct enabled_set {
    const char *extensions[OWN_EXTENSIONS + DMATTN_MAX_DEVICE_EXTENSIONS]; /* the names are static */
    VkPhysicalDeviceFeatures2 features; /* its chain includes structures in `timeline` and `setup` */
    VkPhysicalDeviceTimelineSemaphoreFeatures timeline;
    dmattn_device_setup setup;
} enabled_set;

/* Fills in `enabled`, which must not be moved afterwards, because its members point to each other. Leaves out what is
 * required but missing; dmattn_context_create() names that. */
dmattn_status dmattn_enabled_choose(const dmattn_runtime *runtime, const physical_device *physical,
                                    enabled_set *enabled);

/* Lists a device's extensions. The caller frees *list. */
dmattn_status dmattn_list_device_extensions(const dmattn_runtime *runtime, VkPhysicalDevice handle,
                                            VkExtensionProperties **list, uint32_t *count);

bool dmattn_has_extension(const VkExtensionProperties *list, uint32_t count, const char *name);

#endif
