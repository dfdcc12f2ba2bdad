/* SPDX-License-Identifier: MIT */
#include "provenance.h"

#include <dmattn/dmattn.h>

#include <stdio.h>

const char *bench_version(void)
{
    static char text[48];
    const uint32_t version = dmattn_version();
    snprintf(text, sizeof text, "%u.%u.%u", version / 1000000, version / 1000 % 1000, version % 1000);
    return text;
}

const char *bench_commit(void)
{
    return DMATTN_COMMIT; /* defined by bench/CMakeLists.txt for this file only */
}

const char *device_type_string(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "cpu";
    default: return "other";
    }
}
