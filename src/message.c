/* SPDX-License-Identifier: MIT */
#include "message.h"

#include <stdarg.h>
#include <stdio.h>

void dmattn_make_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

static void send(const messenger *m, dmattn_severity severity, const char *format, va_list list)
{
    if (!m || !m->fn)
        return;
    char text[512];
    vsnprintf(text, sizeof text, format, list);
    dmattn_make_one_line(text);
    m->fn(m->user, severity, text);
}

void dmattn_message_send(const messenger *m, dmattn_severity severity, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    send(m, severity, format, list);
    va_end(list);
}

dmattn_status dmattn_fail(const messenger *m, dmattn_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    send(m, DMATTN_SEVERITY_ERROR, format, list);
    va_end(list);
    return status;
}

dmattn_status dmattn_fail_vulkan(const messenger *m, VkResult result, const char *call)
{
    const bool no_memory = result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY;
    const dmattn_status status = no_memory ? DMATTN_ERROR_OUT_OF_MEMORY : DMATTN_ERROR_VULKAN;
    return dmattn_fail(m, status, "%s failed: %s (%d)", call, dmattn_vk_result_string(result), (int)result);
}

const char *dmattn_vk_result_string(VkResult result)
{
    switch (result) {
#define NAME(r) \
    case r: return #r
        NAME(VK_SUCCESS);
        NAME(VK_NOT_READY);
        NAME(VK_TIMEOUT);
        NAME(VK_INCOMPLETE);
        NAME(VK_ERROR_OUT_OF_HOST_MEMORY);
        NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY);
        NAME(VK_ERROR_INITIALIZATION_FAILED);
        NAME(VK_ERROR_DEVICE_LOST);
        NAME(VK_ERROR_MEMORY_MAP_FAILED);
        NAME(VK_ERROR_LAYER_NOT_PRESENT);
        NAME(VK_ERROR_EXTENSION_NOT_PRESENT);
        NAME(VK_ERROR_FEATURE_NOT_PRESENT);
        NAME(VK_ERROR_INCOMPATIBLE_DRIVER);
        NAME(VK_ERROR_TOO_MANY_OBJECTS);
        NAME(VK_ERROR_FRAGMENTED_POOL);
        NAME(VK_ERROR_OUT_OF_POOL_MEMORY);
        NAME(VK_ERROR_UNKNOWN);
#undef NAME
    default: return "VkResult";
    }
}

uint32_t dmattn_version(void)
{
    return DMATTN_VERSION;
}

const char *dmattn_status_string(dmattn_status status)
{
    switch (status) {
    case DMATTN_SUCCESS: return "success";
    case DMATTN_ERROR_INVALID: return "invalid argument";
    case DMATTN_ERROR_UNSUPPORTED: return "unsupported";
    case DMATTN_ERROR_OUT_OF_MEMORY: return "out of memory";
    case DMATTN_ERROR_VULKAN: return "a Vulkan call failed";
    default: return "unknown status";
    }
}

const char *dmattn_level_string(dmattn_level level)
{
    switch (level) {
    case DMATTN_LEVEL_BEST: return "best";
    case DMATTN_LEVEL_PORTABLE: return "portable";
    case DMATTN_LEVEL_MATRIX: return "matrix";
    case DMATTN_LEVEL_MATRIX2: return "matrix2";
    default: return "unknown level";
    }
}
