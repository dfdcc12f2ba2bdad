/* SPDX-License-Identifier: MIT
 * dmattn_add_device_needs(): which features and extensions it adds to those of an app, in the app's own structures, in
 * structures of whole Vulkan versions, and in structures of its own. */
#include "capabilities.h"

#include <criterion/criterion.h>

#include <string.h>

/* The device supports all features, except those of the structure of this type. */
static VkStructureType lacking;

/* The number of VkBool32 members of a structure, which has no others after sType and pNext. */
static size_t word_count(VkStructureType type)
{
    size_t size = 0;
    switch ((int)type) {
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2: size = sizeof(VkPhysicalDeviceFeatures2); break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES:
        size = sizeof(VkPhysicalDeviceBufferDeviceAddressFeatures);
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES:
        size = sizeof(VkPhysicalDeviceVulkanMemoryModelFeatures);
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES:
        size = sizeof(VkPhysicalDeviceShaderFloat16Int8Features);
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES:
        size = sizeof(VkPhysicalDeviceSubgroupSizeControlFeatures);
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES:
        size = sizeof(VkPhysicalDeviceMaintenance4Features);
        break;
    case NEWER_STRUCTURE_TYPE_MATRIX_FEATURES: size = sizeof(newer_matrix_features); break;
    case NEWER_STRUCTURE_TYPE_MATRIX2_FEATURES: size = sizeof(newer_matrix2_features); break;
    case NEWER_STRUCTURE_TYPE_BFLOAT16_FEATURES: size = sizeof(newer_bfloat16_features); break;
    default: cr_assert(false, "unexpected structure of sType %d", (int)type);
    }
    return (size - sizeof(VkBaseOutStructure)) / sizeof(VkBool32);
}

static VKAPI_ATTR void VKAPI_CALL get_features(VkPhysicalDevice device, VkPhysicalDeviceFeatures2 *features)
{
    (void)device;
    for (VkBaseOutStructure *s = (void *)features; s; s = s->pNext)
        for (size_t i = 0; s->sType != lacking && i < word_count(s->sType); i++)
            ((VkBool32 *)(s + 1))[i] = VK_TRUE;
}

#define OFFERED 16

/* An app that enables no features or extensions itself. */
typedef struct app {
    VkExtensionProperties offered[OFFERED];
    const char *extensions[2 + DMATTN_MAX_DEVICE_EXTENSIONS];
    VkPhysicalDeviceFeatures2 features;
    dmattn_device_needs needs;
    dmattn_device_setup setup;
} app;

static void offer(app *a, const char *name)
{
    strcpy(a->offered[a->setup.offered_count++].extensionName, name);
}

static void app_init(app *a, uint32_t version)
{
    memset(a, 0, sizeof *a);
    lacking = VK_STRUCTURE_TYPE_APPLICATION_INFO; /* not a structure of features */
    dmattn_get_device_needs(version, &a->needs);
    a->features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    a->setup = (dmattn_device_setup){.get_features = get_features,
                                     .physical_device = (VkPhysicalDevice)(uintptr_t)1,
                                     .api_version = version,
                                     .offered = a->offered,
                                     .features = &a->features,
                                     .extensions = a->extensions};
    for (uint32_t i = 0; i < a->needs.recommended_extension_count; i++)
        offer(a, a->needs.recommended_extensions[i]);
}

static const VkBool32 *find(const VkPhysicalDeviceFeatures2 *chain, VkStructureType type)
{
    const VkBool32 *found = NULL;
    for (const VkBaseInStructure *s = (const void *)chain; s; s = s->pNext)
        if (s->sType == type) {
            cr_expect_null(found, "two structures of sType %d", (int)type);
            found = (const VkBool32 *)(s + 1);
        }
    return found;
}

/* Expects all features of `wanted` in the chain, each in its own structure. */
static void expect_all(const app *a, const VkPhysicalDeviceFeatures2 *wanted)
{
    for (const VkBaseInStructure *s = (const void *)wanted; s; s = s->pNext) {
        const VkBool32 *fields = find(&a->features, s->sType);
        cr_assert_not_null(fields, "no structure of sType %d", (int)s->sType);
        for (size_t i = 0; i < word_count(s->sType); i++)
            cr_expect(fields[i] || !((const VkBool32 *)(s + 1))[i], "field %zu of sType %d", i, (int)s->sType);
    }
}

static uint32_t times(const app *a, const char *name)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->setup.extension_count; i++)
        count += !strcmp(a->extensions[i], name);
    return count;
}

Test(needs, alone)
{
    static const uint32_t versions[] = {VK_API_VERSION_1_2, VK_API_VERSION_1_3};
    for (int i = 0; i < 2; i++) {
        app a;
        app_init(&a, versions[i]);
        cr_expect_eq(dmattn_add_device_needs(&a.setup), DMATTN_SUCCESS);
        expect_all(&a, a.needs.required);
        expect_all(&a, a.needs.recommended);
        cr_expect_eq(a.setup.extension_count, a.needs.recommended_extension_count);
        cr_expect_eq(a.features.features.shaderFloat64, VK_FALSE, "a feature that dmattn does not need is enabled");
        /* A second call adds nothing. */
        cr_expect_eq(dmattn_add_device_needs(&a.setup), DMATTN_SUCCESS);
        expect_all(&a, a.needs.recommended);
        cr_expect_eq(a.setup.extension_count, a.needs.recommended_extension_count);
    }
}

/* Vulkan forbids chaining the structure of a whole version together with those of its features. */
Test(needs, whole_versions)
{
    app a;
    app_init(&a, VK_API_VERSION_1_3);
    VkPhysicalDeviceVulkan13Features v13 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES,
                                            .synchronization2 = VK_TRUE};
    VkPhysicalDeviceVulkan12Features v12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &v13, .timelineSemaphore = VK_TRUE};
    a.features.pNext = &v12;
    cr_expect_eq(dmattn_add_device_needs(&a.setup), DMATTN_SUCCESS);
    cr_expect(v12.bufferDeviceAddress && v12.vulkanMemoryModel && v12.vulkanMemoryModelDeviceScope
              && v12.shaderFloat16);
    cr_expect(v13.subgroupSizeControl && v13.computeFullSubgroups && v13.maintenance4);
    cr_expect(v12.timelineSemaphore && v13.synchronization2, "a feature that the app enables is disabled");
    cr_expect(!v12.bufferDeviceAddressCaptureReplay && !v12.shaderInt8 && !v13.inlineUniformBlock,
              "a feature that nobody needs is enabled");
    cr_expect_null(find(&a.features, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES));
    cr_expect_null(find(&a.features, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES));
    cr_expect_null(find(&a.features, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES));
    cr_expect_null(find(&a.features, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES));
    cr_expect_null(find(&a.features, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES));
    cr_expect(a.features.features.shaderInt64);
    cr_expect_not_null(find(&a.features, NEWER_STRUCTURE_TYPE_MATRIX_FEATURES));
}

/* The app has the structure of a feature, and an extension, itself. */
Test(needs, own)
{
    app a;
    app_init(&a, VK_API_VERSION_1_2);
    VkPhysicalDeviceBufferDeviceAddressFeatures address = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
        .bufferDeviceAddressMultiDevice = VK_TRUE};
    a.features.pNext = &address;
    a.extensions[0] = "VK_EXT_of_the_app";
    a.extensions[1] = VK_KHR_MAINTENANCE_4_EXTENSION_NAME;
    a.setup.extension_count = 2;
    cr_expect_eq(dmattn_add_device_needs(&a.setup), DMATTN_SUCCESS);
    cr_expect(address.bufferDeviceAddress && address.bufferDeviceAddressMultiDevice);
    cr_expect(!address.bufferDeviceAddressCaptureReplay);
    expect_all(&a, a.needs.recommended);
    cr_expect_eq(times(&a, "VK_EXT_of_the_app"), 1);
    cr_expect_eq(times(&a, VK_KHR_MAINTENANCE_4_EXTENSION_NAME), 1);
    cr_expect_eq(a.setup.extension_count, 1 + a.needs.recommended_extension_count);
}

/* The device lacks an extension, and so its structure; a recommended feature; a required feature. */
Test(needs, missing)
{
    app a;
    app_init(&a, VK_API_VERSION_1_2);
    a.setup.offered_count = 0;
    offer(&a, VK_KHR_MAINTENANCE_4_EXTENSION_NAME);
    cr_expect_eq(dmattn_add_device_needs(&a.setup), DMATTN_SUCCESS);
    cr_expect_eq(a.setup.extension_count, 1);
    cr_expect_not_null(find(&a.features, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES));
    cr_expect_null(find(&a.features, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES));

    static const VkStructureType types[] = {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
                                            VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES};
    for (int i = 0; i < 2; i++) {
        app_init(&a, VK_API_VERSION_1_3);
        lacking = types[i];
        cr_expect_eq(dmattn_add_device_needs(&a.setup), DMATTN_SUCCESS);
        cr_expect_null(find(&a.features, types[i]));
        cr_expect_not_null(find(&a.features, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES));
    }
}

Test(needs, invalid)
{
    app a;
    app_init(&a, VK_API_VERSION_1_3);
    const dmattn_device_setup right = a.setup;
    cr_expect_eq(dmattn_add_device_needs(NULL), DMATTN_ERROR_INVALID);
    a.setup.get_features = NULL;
    cr_expect_eq(dmattn_add_device_needs(&a.setup), DMATTN_ERROR_INVALID);
    a.setup = right;
    a.setup.physical_device = VK_NULL_HANDLE;
    cr_expect_eq(dmattn_add_device_needs(&a.setup), DMATTN_ERROR_INVALID);
    a.setup = right;
    a.setup.features = NULL;
    cr_expect_eq(dmattn_add_device_needs(&a.setup), DMATTN_ERROR_INVALID);
    a.setup = right;
    a.setup.extensions = NULL;
    cr_expect_eq(dmattn_add_device_needs(&a.setup), DMATTN_ERROR_INVALID);
    a.setup = right;
    a.setup.offered = NULL;
    a.setup.offered_count = 1;
    cr_expect_eq(dmattn_add_device_needs(&a.setup), DMATTN_ERROR_INVALID);
    cr_expect_null(a.features.pNext);
}

/* ---- the list of requirements ------------------------------------------------------------------------------------ */

static const void *find_structure(const VkPhysicalDeviceFeatures2 *chain, VkStructureType type)
{
    for (const VkBaseInStructure *s = (const void *)chain; s; s = s->pNext)
        if (s->sType == type)
            return s;
    return NULL;
}

static bool recommends(const dmattn_device_needs *needs, const char *extension)
{
    for (uint32_t i = 0; i < needs->recommended_extension_count; i++)
        if (!strcmp(needs->recommended_extensions[i], extension))
            return true;
    return false;
}

/* The requirements must agree with what dmattn_capabilities_level() checks. */
Test(device_needs, versions)
{
    static const uint32_t versions[] = {VK_API_VERSION_1_2, VK_API_VERSION_1_3};
    for (int i = 0; i < 2; i++) {
        dmattn_device_needs needs;
        dmattn_get_device_needs(versions[i], &needs);
        cr_expect_eq(needs.api_version, VK_API_VERSION_1_2);
        cr_expect_eq(needs.required->sType, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2);
        cr_expect_eq(needs.recommended->sType, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2);
        cr_expect_eq(needs.required_extension_count, 0);
        cr_expect(find_structure(needs.required, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES)
                  || find_structure(needs.required, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES));
        cr_expect_eq(recommends(&needs, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME), versions[i] < VK_API_VERSION_1_3);
        cr_expect_eq(recommends(&needs, VK_KHR_MAINTENANCE_4_EXTENSION_NAME), versions[i] < VK_API_VERSION_1_3);

        device_properties p;
        capabilities caps;
        dmattn_device_properties_chain(&p, true);
        dmattn_capabilities_read(&caps, versions[i], &p, needs.required);
        cr_expect(caps.buffer_device_address);
        dmattn_capabilities_read(&caps, versions[i], &p, needs.recommended);
        cr_expect(caps.subgroup_size_control && caps.full_subgroups);
        cr_expect(caps.cooperative_matrix);
        cr_expect(recommends(&needs, NEWER_COOPERATIVE_MATRIX_EXTENSION_NAME));
        cr_expect(caps.cooperative_matrix2);
        cr_expect(recommends(&needs, NEWER_COOPERATIVE_MATRIX_2_EXTENSION_NAME));
        cr_expect(caps.bf16_matrices);
        cr_expect(recommends(&needs, NEWER_SHADER_BFLOAT16_EXTENSION_NAME));
    }
}
