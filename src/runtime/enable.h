/* SPDX-License-Identifier: MIT
 * What to enable on a device: all that dmattn_get_device_needs() asks for and the device has. */
#ifndef DMATTN_RUNTIME_ENABLE_H
#define DMATTN_RUNTIME_ENABLE_H

#include "objects.h"

/* Feature structures of which the runtime knows the size. */
#define MAX_FEATURE_STRUCTURES 32

typedef struct enabled_set {
    uint32_t extension_count;
    const char **extensions;             /* the names are static */
    VkPhysicalDeviceFeatures2 *features; /* chain, linked through `structures` */
    void *structures[MAX_FEATURE_STRUCTURES];
} enabled_set;

/* Chooses. What is required and missing is left out: dmattn_context_create() names it. */
dmattn_status dmattn_enabled_choose(const dmattn_runtime *runtime, const physical_device *physical,
                                    enabled_set *enabled);

/* Frees what dmattn_enabled_choose() made, even where it failed. */
void dmattn_enabled_free(enabled_set *enabled);

/* Lists a device's extensions; free(*list). */
dmattn_status dmattn_list_device_extensions(const dmattn_runtime *runtime, VkPhysicalDevice handle,
                                            VkExtensionProperties **list, uint32_t *count);

bool dmattn_has_extension(const VkExtensionProperties *list, uint32_t count, const char *name);

#endif
