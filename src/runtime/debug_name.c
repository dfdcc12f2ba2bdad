/* SPDX-License-Identifier: MIT */
#include "debug_name.h"

#include <stdarg.h>
#include <stdio.h>

void dmattn_debug_name(const dmattn_device *device, VkObjectType type, uint64_t handle, const char *format, ...)
{
    if (!device->runtime->vk.SetDebugUtilsObjectNameEXT)
        return;
    char name[64];
    va_list list;
    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    const VkDebugUtilsObjectNameInfoEXT info = {.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT,
                                                .objectType = type,
                                                .objectHandle = handle,
                                                .pObjectName = name};
    /* Without the name everything works the same, so a failure is ignored. */
    (void)device->runtime->vk.SetDebugUtilsObjectNameEXT(device->device, &info);
}
