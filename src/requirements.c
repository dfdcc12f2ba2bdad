/* SPDX-License-Identifier: MIT
 * The requirements of dmattn: the features and extensions that an app enables in vkCreateDevice.
 * dmattn_capabilities_level() checks the same list. The public functions and types call the requirements "needs". */
#include "newer_vulkan.h"

#include <dmattn/dmattn.h>

#include <stddef.h>
#include <string.h>

static const VkPhysicalDeviceBufferDeviceAddressFeatures buffer_address = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
    .bufferDeviceAddress = VK_TRUE,
};

static const VkPhysicalDeviceFeatures2 required = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
    .pNext = (void *)&buffer_address, /* pNext is not const in Vulkan, but nothing writes to this structure */
};

static const VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_size = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
    .subgroupSizeControl = VK_TRUE,
    .computeFullSubgroups = VK_TRUE,
};

/* For LocalSizeId, with which all SPIR-V 1.6 shaders state the size of their workgroups. */
static const VkPhysicalDeviceMaintenance4Features maintenance4 = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES,
    .pNext = (void *)&subgroup_size,
    .maintenance4 = VK_TRUE,
};

/* The rest is for cooperative matrices. */
static const VkPhysicalDeviceVulkanMemoryModelFeatures memory_model = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
    .pNext = (void *)&maintenance4,
    .vulkanMemoryModel = VK_TRUE,
    /* With the memory model enabled, the atomics in all kernels need this feature. */
    .vulkanMemoryModelDeviceScope = VK_TRUE,
};

static const VkPhysicalDeviceShaderFloat16Int8Features float16 = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
    .pNext = (void *)&memory_model,
    .shaderFloat16 = VK_TRUE,
};

static const newer_matrix_features matrix = {
    .sType = NEWER_STRUCTURE_TYPE_MATRIX_FEATURES,
    .pNext = (void *)&float16,
    .cooperativeMatrix = VK_TRUE,
};

static const newer_matrix2_features matrix2 = {
    .sType = NEWER_STRUCTURE_TYPE_MATRIX2_FEATURES,
    .pNext = (void *)&matrix,
    .cooperativeMatrixReductions = VK_TRUE,
    .cooperativeMatrixConversions = VK_TRUE,
    .cooperativeMatrixPerElementOperations = VK_TRUE,
};

static const newer_bfloat16_features bfloat16 = {
    .sType = NEWER_STRUCTURE_TYPE_BFLOAT16_FEATURES,
    .pNext = (void *)&matrix2,
    .shaderBFloat16Type = VK_TRUE,
    .shaderBFloat16CooperativeMatrix = VK_TRUE,
};

static const VkPhysicalDeviceFeatures2 recommended = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
    .features = {.shaderInt64 = VK_TRUE}, /* the matrix kernels use 64-bit addresses, too */
    .pNext = (void *)&bfloat16,
};

/* The first CORE_IN_1_3 extensions are core in Vulkan 1.3. */
#define CORE_IN_1_3 2
static const char *const extensions[] = {
    VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME, VK_KHR_MAINTENANCE_4_EXTENSION_NAME,
    NEWER_COOPERATIVE_MATRIX_EXTENSION_NAME,     NEWER_COOPERATIVE_MATRIX_2_EXTENSION_NAME,
    NEWER_SHADER_BFLOAT16_EXTENSION_NAME,
};

void dmattn_get_device_needs(uint32_t api_version, dmattn_device_needs *needs)
{
    const uint32_t core = api_version >= VK_API_VERSION_1_3 ? CORE_IN_1_3 : 0;
    if (!needs)
        return;
    *needs = (dmattn_device_needs){
        .api_version = VK_API_VERSION_1_2,
        .recommended_extension_count = sizeof extensions / sizeof *extensions - core,
        .recommended_extensions = extensions + core,
        .required = &required,
        .recommended = &recommended,
    };
}

/* ---- adding to the features of an app ---------------------------------------------------------------------------- */

/* All structures in the chains `required` and `recommended`. */
typedef struct needed_structures {
    VkPhysicalDeviceFeatures2 core;
    VkPhysicalDeviceBufferDeviceAddressFeatures address;
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model;
    VkPhysicalDeviceShaderFloat16Int8Features float16;
    VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_size;
    VkPhysicalDeviceMaintenance4Features maintenance4;
    newer_matrix_features matrix;
    newer_matrix2_features matrix2;
    newer_bfloat16_features bfloat16;
} needed_structures;
_Static_assert(sizeof(needed_structures) <= sizeof((dmattn_device_setup *)0)->storage, "storage is too small");
_Static_assert(sizeof extensions / sizeof *extensions <= DMATTN_MAX_DEVICE_EXTENSIONS, "too many extensions");

/* Describes a structure that has only VkBool32 members after sType and pNext. */
typedef struct needed_structure {
    VkStructureType type;
    size_t size, offset;   /* in needed_structures */
    uint32_t version;      /* the Vulkan version in which it is core; 0: none */
    const char *extension; /* the extension that defines it in earlier versions; NULL: none */
    VkStructureType whole; /* the structure with all features of that version; a chain must not hold both */
    size_t first;          /* the offset of the same members in that structure */
} needed_structure;

#define MEMBER(name) sizeof((needed_structures *)0)->name, offsetof(needed_structures, name)
#define WHOLE(major, minor, field)                                         \
    VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_##major##_##minor##_FEATURES, \
        offsetof(VkPhysicalDeviceVulkan##major##minor##Features, field)
#define NO_WHOLE (VkStructureType)0, 0

static const needed_structure structures[] = {
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, MEMBER(core), VK_API_VERSION_1_1, NULL, NO_WHOLE},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES, MEMBER(address), VK_API_VERSION_1_2, NULL,
     WHOLE(1, 2, bufferDeviceAddress)},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES, MEMBER(memory_model), VK_API_VERSION_1_2, NULL,
     WHOLE(1, 2, vulkanMemoryModel)},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES, MEMBER(float16), VK_API_VERSION_1_2, NULL,
     WHOLE(1, 2, shaderFloat16)},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES, MEMBER(subgroup_size), VK_API_VERSION_1_3,
     VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME, WHOLE(1, 3, subgroupSizeControl)},
    {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES, MEMBER(maintenance4), VK_API_VERSION_1_3,
     VK_KHR_MAINTENANCE_4_EXTENSION_NAME, WHOLE(1, 3, maintenance4)},
    {NEWER_STRUCTURE_TYPE_MATRIX_FEATURES, MEMBER(matrix), 0, NEWER_COOPERATIVE_MATRIX_EXTENSION_NAME, NO_WHOLE},
    {NEWER_STRUCTURE_TYPE_MATRIX2_FEATURES, MEMBER(matrix2), 0, NEWER_COOPERATIVE_MATRIX_2_EXTENSION_NAME, NO_WHOLE},
    {NEWER_STRUCTURE_TYPE_BFLOAT16_FEATURES, MEMBER(bfloat16), 0, NEWER_SHADER_BFLOAT16_EXTENSION_NAME, NO_WHOLE},
};
#define STRUCTURE_COUNT (sizeof structures / sizeof *structures)

/* The VkBool32 members of a structure. A macro, because the structure may be const. */
#define WORDS(type, structure) ((type *)((structure) + 1))

static bool is_offered(const dmattn_device_setup *setup, const char *name)
{
    for (uint32_t i = 0; i < setup->offered_count; i++)
        if (!strcmp(setup->offered[i].extensionName, name))
            return true;
    return false;
}

static bool is_enabled(const dmattn_device_setup *setup, const char *name)
{
    for (uint32_t i = 0; i < setup->extension_count; i++)
        if (!strcmp(setup->extensions[i], name))
            return true;
    return false;
}

static void add_extensions(dmattn_device_setup *setup, const char *const *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (is_offered(setup, names[i]) && !is_enabled(setup, names[i]))
            setup->extensions[setup->extension_count++] = names[i];
}

/* Zeroes the structure of type `t` in `all` and chains it after `last`. */
static VkBaseOutStructure *add_structure(void *all, const needed_structure *t, VkBaseOutStructure *last)
{
    VkBaseOutStructure *made = (void *)((char *)all + t->offset);
    memset(made, 0, t->size);
    made->sType = t->type;
    if (last)
        last->pNext = made;
    return made;
}

/* Finds the members of a structure in the app's chain, in the structure itself or in `whole`. If the chain has neither,
 * adds the structure. */
static VkBool32 *fields_of(dmattn_device_setup *setup, const needed_structure *t)
{
    VkBaseOutStructure *last = NULL, *whole = NULL;
    for (VkBaseOutStructure *s = (void *)setup->features; s; s = s->pNext) {
        if (s->sType == t->type)
            return WORDS(VkBool32, s);
        if (t->whole && s->sType == t->whole)
            whole = s;
        last = s;
    }
    return whole ? (VkBool32 *)(void *)((char *)whole + t->first)
                 : WORDS(VkBool32, add_structure(setup->storage, t, last));
}

/* Enables, in the app's chain, those features of `chain` that the device supports. */
static void add_features(dmattn_device_setup *setup, const VkPhysicalDeviceFeatures2 *chain,
                         const needed_structures *supported)
{
    for (const VkBaseInStructure *wanted = (const void *)chain; wanted; wanted = wanted->pNext)
        for (size_t i = 0; i < STRUCTURE_COUNT; i++) {
            const VkBaseInStructure *has = (const void *)((const char *)supported + structures[i].offset);
            const size_t count = (structures[i].size - sizeof *has) / sizeof(VkBool32);
            for (size_t w = 0; structures[i].type == wanted->sType && w < count; w++)
                if (WORDS(const VkBool32, wanted)[w] && WORDS(const VkBool32, has)[w])
                    fields_of(setup, &structures[i])[w] = VK_TRUE;
        }
}

dmattn_status dmattn_add_device_needs(dmattn_device_setup *setup)
{
    if (!setup || !setup->get_features || !setup->physical_device || !setup->features || !setup->extensions
        || (setup->offered_count && !setup->offered))
        return DMATTN_ERROR_INVALID;
    const uint32_t version = setup->api_version ? setup->api_version : VK_API_VERSION_1_2;
    dmattn_device_needs needs;
    dmattn_get_device_needs(version, &needs);
    add_extensions(setup, needs.required_extensions, needs.required_extension_count);
    add_extensions(setup, needs.recommended_extensions, needs.recommended_extension_count);

    needed_structures supported = {0};
    VkBaseOutStructure *last = NULL;
    for (size_t i = 0; i < STRUCTURE_COUNT; i++) {
        const needed_structure *t = &structures[i];
        if ((t->version && t->version <= version) || (t->extension && is_enabled(setup, t->extension)))
            last = add_structure(&supported, t, last);
    }
    setup->get_features(setup->physical_device, &supported.core);
    add_features(setup, needs.required, &supported);
    add_features(setup, needs.recommended, &supported);
    return DMATTN_SUCCESS;
}
