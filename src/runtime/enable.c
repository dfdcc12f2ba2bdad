/* SPDX-License-Identifier: MIT */
#include "enable.h"

#include <stdlib.h>
#include <string.h>

/* The feature structures that dmattn may ask for. Each is sType, pNext, and then nothing but VkBool32. */
typedef struct feature_structure {
    VkStructureType type;
    size_t size;
    uint32_t core_version; /* the Vulkan version that has it; 0: none */
    const char *extension; /* that has it before; NULL: none */
} feature_structure;

static const feature_structure structures[] = {
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, sizeof(VkPhysicalDeviceFeatures2), VK_API_VERSION_1_1, NULL},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, sizeof(VkPhysicalDeviceVulkan11Features),
     VK_API_VERSION_1_2, NULL},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, sizeof(VkPhysicalDeviceVulkan12Features),
     VK_API_VERSION_1_2, NULL},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES, sizeof(VkPhysicalDeviceVulkan13Features),
     VK_API_VERSION_1_3, NULL},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
     sizeof(VkPhysicalDeviceBufferDeviceAddressFeatures), VK_API_VERSION_1_2, NULL},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES, sizeof(VkPhysicalDeviceTimelineSemaphoreFeatures),
     VK_API_VERSION_1_2, NULL},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES, sizeof(VkPhysicalDevice16BitStorageFeatures),
     VK_API_VERSION_1_1, NULL},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES, sizeof(VkPhysicalDevice8BitStorageFeatures),
     VK_API_VERSION_1_2, NULL},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES, sizeof(VkPhysicalDeviceShaderFloat16Int8Features),
     VK_API_VERSION_1_2, NULL},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES, sizeof(VkPhysicalDeviceVulkanMemoryModelFeatures),
     VK_API_VERSION_1_2, NULL},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
     sizeof(VkPhysicalDeviceSubgroupSizeControlFeatures), VK_API_VERSION_1_3,
     VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES, sizeof(VkPhysicalDeviceMaintenance4Features),
     VK_API_VERSION_1_3, VK_KHR_MAINTENANCE_4_EXTENSION_NAME},
#ifdef VK_EXT_pipeline_robustness
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_ROBUSTNESS_FEATURES_EXT,
     sizeof(VkPhysicalDevicePipelineRobustnessFeaturesEXT), 0, VK_EXT_PIPELINE_ROBUSTNESS_EXTENSION_NAME},
#endif
#ifdef VK_KHR_cooperative_matrix
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
     sizeof(VkPhysicalDeviceCooperativeMatrixFeaturesKHR), 0, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME},
#endif
#ifdef VK_NV_cooperative_matrix2
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV,
     sizeof(VkPhysicalDeviceCooperativeMatrix2FeaturesNV), 0, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME},
#endif
#ifdef VK_KHR_shader_bfloat16
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR, sizeof(VkPhysicalDeviceShaderBfloat16FeaturesKHR),
     0, VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME},
#endif
};
#define STRUCTURE_COUNT (sizeof structures / sizeof *structures)
_Static_assert(STRUCTURE_COUNT <= MAX_FEATURE_STRUCTURES, "MAX_FEATURE_STRUCTURES is too small");

/* ---- feature chains ------------------------------------------------------------------------------------------ */

static size_t word_count(size_t structure)
{
    return (structures[structure].size - sizeof(VkBaseOutStructure)) / sizeof(VkBool32);
}

/* A macro, because it serves const structures and others. */
#define WORDS(type, structure) ((type *)((structure) + 1))

static VkBaseOutStructure *new_structure(size_t i)
{
    VkBaseOutStructure *structure = calloc(1, structures[i].size);
    if (structure)
        structure->sType = structures[i].type;
    return structure;
}

/* Links structures, of which the first is VkPhysicalDeviceFeatures2, into a chain. */
static VkPhysicalDeviceFeatures2 *link_structures(void *const list[])
{
    VkBaseOutStructure *last = list[0];
    for (size_t i = 1; i < STRUCTURE_COUNT; i++)
        if (list[i]) {
            last->pNext = list[i];
            last = list[i];
        }
    return list[0];
}

static void free_structures(void *list[])
{
    for (size_t i = 0; i < STRUCTURE_COUNT; i++)
        free(list[i]);
}

/* Whether a structure may be used on a device: drivers ignore one that they do not know, but it is not valid. */
static bool is_usable(const enabled_set *enabled, const feature_structure *structure, uint32_t api_version)
{
    if (structure->core_version && structure->core_version <= api_version)
        return true;
    for (uint32_t i = 0; structure->extension && i < enabled->extension_count; i++)
        if (!strcmp(enabled->extensions[i], structure->extension))
            return true;
    return false;
}

/* Adds the features of a chain to those wanted. */
static dmattn_status want_features(const messenger *m, enabled_set *enabled, const VkPhysicalDeviceFeatures2 *chain,
                                   uint32_t api_version)
{
    for (const VkBaseInStructure *from = (const void *)chain; from; from = from->pNext) {
        size_t i = 0;
        while (i < STRUCTURE_COUNT && structures[i].type != from->sType)
            i++;
        if (i == STRUCTURE_COUNT)
            return dmattn_fail(m, DMATTN_ERROR_UNSUPPORTED,
                               "the runtime does not know the feature structure of sType %d that dmattn asks for",
                               (int)from->sType);
        if (!is_usable(enabled, &structures[i], api_version))
            continue;
        if (!enabled->structures[i])
            enabled->structures[i] = new_structure(i);
        VkBaseOutStructure *to = enabled->structures[i];
        if (!to)
            return dmattn_fail(m, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for feature structures");
        for (size_t w = 0; w < word_count(i); w++)
            WORDS(VkBool32, to)[w] |= WORDS(const VkBool32, from)[w];
    }
    return DMATTN_SUCCESS;
}

/* Leaves of the features wanted those that the device has. */
static dmattn_status keep_supported(const dmattn_runtime *runtime, VkPhysicalDevice handle, enabled_set *enabled)
{
    void *supported[STRUCTURE_COUNT] = {NULL};
    bool complete = true;
    for (size_t i = 0; i < STRUCTURE_COUNT; i++)
        if (enabled->structures[i]) {
            supported[i] = new_structure(i);
            complete = complete && supported[i];
        }
    if (!complete) {
        free_structures(supported);
        return dmattn_fail(&runtime->messenger, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for feature structures");
    }
    runtime->vk.GetPhysicalDeviceFeatures2(handle, link_structures(supported));
    for (size_t i = 0; i < STRUCTURE_COUNT; i++) {
        VkBaseOutStructure *to = enabled->structures[i];
        const VkBaseOutStructure *from = supported[i];
        for (size_t w = 0; to && w < word_count(i); w++)
            WORDS(VkBool32, to)[w] &= WORDS(const VkBool32, from)[w];
    }
    free_structures(supported);
    return DMATTN_SUCCESS;
}

/* ---- extensions ---------------------------------------------------------------------------------------------- */

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

static dmattn_status choose_extensions(const dmattn_runtime *runtime, VkPhysicalDevice handle,
                                       const dmattn_device_needs *needs, enabled_set *enabled)
{
    /* Where a device has the first, Vulkan demands that it be enabled; its macro is in a header for betas. The others
     * are for sharing.c. */
    static const char *const own[] = {"VK_KHR_portability_subset", VK_KHR_EXTERNAL_MEMORY_FD_EXTENSION_NAME,
                                      VK_KHR_EXTERNAL_SEMAPHORE_FD_EXTENSION_NAME};
    const struct {
        uint32_t count;
        const char *const *names;
    } lists[] = {{needs->required_extension_count, needs->required_extensions},
                 {needs->recommended_extension_count, needs->recommended_extensions},
                 {sizeof own / sizeof *own, own}};

    VkExtensionProperties *offered = NULL;
    uint32_t offered_count = 0, total = 0;
    TRY(dmattn_list_device_extensions(runtime, handle, &offered, &offered_count));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        total += lists[i].count;
    enabled->extensions = calloc(total, sizeof *enabled->extensions);
    for (size_t i = 0; enabled->extensions && i < sizeof lists / sizeof *lists; i++)
        for (uint32_t k = 0; k < lists[i].count; k++)
            if (dmattn_has_extension(offered, offered_count, lists[i].names[k]))
                enabled->extensions[enabled->extension_count++] = lists[i].names[k];
    free(offered);
    if (!enabled->extensions)
        return dmattn_fail(&runtime->messenger, DMATTN_ERROR_OUT_OF_MEMORY, "no host memory for %u extension names",
                           total);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_enabled_choose(const dmattn_runtime *runtime, const physical_device *physical,
                                    enabled_set *enabled)
{
    const messenger *m = &runtime->messenger;
    dmattn_device_needs needs;
    memset(enabled, 0, sizeof *enabled);
    dmattn_get_device_needs(physical->api_version, &needs);
    TRY(choose_extensions(runtime, physical->handle, &needs, enabled));
    TRY(want_features(m, enabled, needs.required, physical->api_version));
    TRY(want_features(m, enabled, needs.recommended, physical->api_version));
    /* The runtime's own; and the head of the chain, if nothing else had one. */
    static const VkPhysicalDeviceTimelineSemaphoreFeatures timeline = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_TIMELINE_SEMAPHORE_FEATURES, .timelineSemaphore = VK_TRUE};
    static const VkPhysicalDeviceFeatures2 own = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                                  .pNext = (void *)&timeline}; /* as in needs.c */
    TRY(want_features(m, enabled, &own, physical->api_version));
    TRY(keep_supported(runtime, physical->handle, enabled));
    enabled->features = link_structures(enabled->structures);
    return DMATTN_SUCCESS;
}

void dmattn_enabled_free(enabled_set *enabled)
{
    free_structures(enabled->structures);
    free(enabled->extensions);
    memset(enabled, 0, sizeof *enabled);
}
