/* SPDX-License-Identifier: MIT */
#include "select.h"

#include <stddef.h>

/* The functions of <ctype.h> depend on the locale. */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool starts_with(const char *text, const char *start)
{
    while (*start && lower(*text) == lower(*start)) {
        text++;
        start++;
    }
    return !*start;
}

static bool contains(const char *text, const char *part)
{
    do {
        if (starts_with(text, part))
            return true;
    } while (*text++);
    return false;
}

/* Returns whether `text` is a decimal number. *number saturates at UINT32_MAX, which no device list reaches. */
static bool parse_index(const char *text, uint32_t *number)
{
    uint64_t n = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        n = n * 10 + (uint64_t)(*text - '0');
        if (n > UINT32_MAX)
            n = UINT32_MAX;
    }
    *number = (uint32_t)n;
    return true;
}

/* Lower is better. */
static int rank(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 1;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return 3;
    default: return 4;
    }
}

dmattn_status dmattn_select_device(const dmattn_device_info *infos, uint32_t count, const char *selector,
                                   uint32_t *index, const messenger *m)
{
    *index = 0;
    if (!count)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "there is no Vulkan device");
    uint32_t wanted = 0;
    bool any = !selector || (starts_with(selector, "best") && !selector[4]);
    bool by_index = !any && parse_index(selector, &wanted);
    if (by_index && wanted >= count)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "device index %s is above the last one (%u)", selector, count - 1);

    const dmattn_device_info *best = NULL, *refused = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const dmattn_device_info *info = &infos[i];
        if (by_index ? i != wanted : !any && !contains(info->name, selector) && !contains(info->driver, selector))
            continue;
        if (!info->level)
            refused = refused ? refused : info;
        else if (!best || rank(info->type) < rank(best->type))
            best = info;
    }
    if (!best && !refused)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "no device or driver name contains '%s'", selector);
    if (!best)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "no usable device matches '%s'; %s cannot be used: %s",
                           selector ? selector : "best", refused->name, refused->unusable);
    *index = (uint32_t)(best - infos);
    return DMATTN_SUCCESS;
}
