/* SPDX-License-Identifier: MIT
 * Names of Vulkan objects, which the validation layer and debuggers show. */
#ifndef DMATTN_RUNTIME_DEBUG_NAME_H
#define DMATTN_RUNTIME_DEBUG_NAME_H

#include "objects.h"

/* Names an object if the runtime was made with validation, which enables VK_EXT_debug_utils; otherwise does nothing. */
void dmattn_debug_name(const dmattn_device *device, VkObjectType type, uint64_t handle, const char *format, ...)
    DMATTN_PRINTF(4, 5);

#endif
