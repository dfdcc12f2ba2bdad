/* SPDX-License-Identifier: MIT
 * Where results come from: the program and the kind of device. */
#ifndef DMATTN_BENCH_PROVENANCE_H
#define DMATTN_BENCH_PROVENANCE_H

#include <vulkan/vulkan_core.h>

/* The version of the library that is running, such as "0.1.0"; static storage. */
const char *bench_version(void);

/* The commit that vkbench was built from, or "unknown". */
const char *bench_commit(void);

/* "discrete", "integrated", "virtual", "cpu" or "other". */
const char *device_type_string(VkPhysicalDeviceType type);

#endif
