/* SPDX-License-Identifier: MIT */
#include "enable.h"

#include <stdlib.h>
#include <string.h>

bool dmattn_has_extension(const VkExtensionProperties *list, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(list[i].extensionName, name))
            return true;
    return false;
}

dmattn_status dmattn_list_device_extensions(const dmattn_runtime *runtime, VkPhysicalDevice handle,
                                            VkExtensionProperties **list, uint32_t *count)
{
    const messenger *m = &runtime->messenger;
    *list = NULL;
    *count = 0;
    VkResult result = runtime->vk.EnumerateDeviceExtensionProperties(handle, NULL, count, NULL);
    if (result < 0)
        return dmattn_fail_vulkan(m, result, "vkEnumerateDeviceExtensionProperties");
    *list = calloc(*count + 1, sizeof **list);
    if (!*list)
        return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for %u device extensions", *count);
    result = runtime->vk.EnumerateDeviceExtensionProperties(handle, NULL, count, *list);
    if (result < 0) {
        free(*list);
        *list = NULL;
        return dmattn_fail_vulkan(m, result, "vkEnumerateDeviceExtensionProperties");
    }
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_enabled_choose(const dmattn_runtime *runtime, const physical_device *physical,
                                    enabled_set *enabled)
{
    /* Vulkan requires that the first be enabled if the device has it; its macro is only in the header of beta
     * extensions. The others are for sharing.c. */
    static const char *const own[OWN_EXTENSIONS] = {"VK_KHR_portability_subset",
                                                    VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
                                                    VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME};
    VkExtensionProperties *offered;
    uint32_t offered_count;
    TRY(dmattn_list_device_extensions(runtime, physical->handle, &offered, &offered_count));
    /* Every Vulkan 1.2 device supports timeline semaphores. */
    enabled->timeline = (VkPhysicalDeviceTimelineSemaphoreFeatures){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES, .timelineSemaphore = VK_TRUE};
    enabled->features =
        (VkPhysicalDeviceFeatures2){.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &enabled->timeline};
    enabled->setup = (dmattn_device_setup){.get_features = runtime->vk.GetPhysicalDeviceFeatures2,
                                           .physical_device = physical->handle,
                                           .api_version = physical->api_version,
                                           .offered_count = offered_count,
                                           .offered = offered,
                                           .features = &enabled->features,
                                           .extensions = enabled->extensions};
    for (size_t i = 0; i < OWN_EXTENSIONS; i++)
        if (dmattn_has_extension(offered, offered_count, own[i]))
            enabled->extensions[enabled->setup.extension_count++] = own[i];
    const dmattn_status status = dmattn_add_device_needs(&enabled->setup);
    free(offered);
    return status;
}
