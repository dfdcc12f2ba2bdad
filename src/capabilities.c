/* SPDX-License-Identifier: MIT */
#include "capabilities.h"

#include <stdio.h>
#include <string.h>

void dmattn_device_properties_chain(device_properties *p, bool size_control)
{
    memset(p, 0, sizeof *p);
    p->core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
    p->core.pNext = &p->subgroup;
    p->subgroup.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES;
    p->subgroup.pNext = &p->driver;
    p->driver.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES;
    p->driver.pNext = size_control ? &p->size_control : NULL;
    p->size_control.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES;
}

#define MAX_MATRIX_PRODUCTS 128 /* drivers report about 20 */

/* Other features that shaders with cooperative matrices need. */
typedef struct companions {
    bool matrix, memory_model, float16, int64;
    bool matrix2, maintenance4;
} companions;

static void read_feature(capabilities *caps, companions *c, const VkBaseInStructure *s)
{
    switch ((int)s->sType) {
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2:
        c->int64 |= ((const VkPhysicalDeviceFeatures2 *)s)->features.shaderInt64;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES: {
        const VkPhysicalDeviceVulkan12Features *f = (const void *)s;
        caps->buffer_device_address |= f->bufferDeviceAddress;
        c->memory_model |= f->vulkanMemoryModel && f->vulkanMemoryModelDeviceScope;
        c->float16 |= f->shaderFloat16;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES: {
        const VkPhysicalDeviceVulkanMemoryModelFeatures *f = (const void *)s;
        c->memory_model |= f->vulkanMemoryModel && f->vulkanMemoryModelDeviceScope;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES:
        c->float16 |= ((const VkPhysicalDeviceShaderFloat16Int8Features *)s)->shaderFloat16;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES:
        caps->buffer_device_address |= ((const VkPhysicalDeviceBufferDeviceAddressFeatures *)s)->bufferDeviceAddress;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES: {
        const VkPhysicalDeviceVulkan13Features *f = (const void *)s;
        caps->subgroup_size_control |= f->subgroupSizeControl;
        caps->full_subgroups |= f->computeFullSubgroups;
        c->maintenance4 |= f->maintenance4;
        break;
    }
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES:
        c->maintenance4 |= ((const VkPhysicalDeviceMaintenance4Features *)s)->maintenance4;
        break;
    case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES: {
        const VkPhysicalDeviceSubgroupSizeControlFeatures *f = (const void *)s;
        caps->subgroup_size_control |= f->subgroupSizeControl;
        caps->full_subgroups |= f->computeFullSubgroups;
        break;
    }
    case NEWER_STRUCTURE_TYPE_MATRIX_FEATURES:
        c->matrix |= ((const newer_matrix_features *)s)->cooperativeMatrix;
        break;
    case NEWER_STRUCTURE_TYPE_MATRIX2_FEATURES: {
        const newer_matrix2_features *f = (const void *)s;
        c->matrix2 |= f->cooperativeMatrixReductions && f->cooperativeMatrixConversions
                      && f->cooperativeMatrixPerElementOperations;
        break;
    }
    case NEWER_STRUCTURE_TYPE_BFLOAT16_FEATURES: {
        const newer_bfloat16_features *f = (const void *)s;
        caps->bf16_matrices |= f->shaderBFloat16Type && f->shaderBFloat16CooperativeMatrix;
        break;
    }
    default: break;
    }
}

/* The drivers with a known fragment layout. Kernels that rely on it check it when they run. */
static const struct {
    VkDriverId driver;
    uint32_t layout;
} known_layouts[] = {
    {VK_DRIVER_ID_NVIDIA_PROPRIETARY, LAYOUT_QUAD_ROWS}, /* the layout of the mma instructions, from Ampere to Hopper */
};

static uint32_t layout_of(VkDriverId driver)
{
    for (size_t i = 0; i < sizeof known_layouts / sizeof *known_layouts; i++)
        if (known_layouts[i].driver == driver)
            return known_layouts[i].layout;
    return LAYOUT_UNKNOWN;
}

#define VENDOR_INTEL 0x8086

/* The ids are those of include/drm/intel/pciids.h of Linux (INTEL_PTL_IDS, INTEL_WCL_IDS, for which its driver has one
 * description); those of Panther Lake are also in include/pci_ids/iris_pci_ids.h of Mesa. */
static const uint16_t xe3_devices[] = {
    0xb080, 0xb081, 0xb082, 0xb083, 0xb084, 0xb085, 0xb086, 0xb087, 0xb08f, 0xb090, 0xb0a0, 0xb0b0, /* Panther Lake */
    0xfd80, 0xfd81,                                                                                 /* Wildcat Lake */
};

intel_generation dmattn_intel_generation(uint32_t vendor, uint32_t device)
{
    if (vendor == VENDOR_INTEL)
        for (size_t i = 0; i < sizeof xe3_devices / sizeof *xe3_devices; i++)
            if (xe3_devices[i] == device)
                return INTEL_XE3;
    return INTEL_OTHER;
}

void dmattn_capabilities_read(capabilities *caps, uint32_t api_version, const device_properties *p,
                              const VkPhysicalDeviceFeatures2 *features)
{
    const VkPhysicalDeviceLimits *limits = &p->core.properties.limits;
    bool sized = p->driver.pNext != NULL;
    companions c = {0};
    *caps = (capabilities){
        .api_version = api_version,
        .subgroup_size = p->subgroup.subgroupSize,
        .min_subgroup_size = sized ? p->size_control.minSubgroupSize : p->subgroup.subgroupSize,
        .max_subgroup_size = sized ? p->size_control.maxSubgroupSize : p->subgroup.subgroupSize,
        .subgroup_stages = p->subgroup.supportedStages,
        .subgroup_operations = p->subgroup.supportedOperations,
        .required_subgroup_size_stages = sized ? p->size_control.requiredSubgroupSizeStages : 0,
        .max_invocations = limits->maxComputeWorkGroupInvocations < limits->maxComputeWorkGroupSize[0]
                               ? limits->maxComputeWorkGroupInvocations
                               : limits->maxComputeWorkGroupSize[0],
        .shared_memory = limits->maxComputeSharedMemorySize,
        .driver = p->driver.driverID,
        .driver_version = p->core.properties.driverVersion,
        .intel = dmattn_intel_generation(p->core.properties.vendorID, p->core.properties.deviceID),
    };
    memcpy(caps->max_workgroup_count, limits->maxComputeWorkGroupCount, sizeof caps->max_workgroup_count);
    for (const VkBaseInStructure *s = (const void *)features; s; s = s->pNext)
        read_feature(caps, &c, s);
    caps->cooperative_matrix = c.matrix && c.memory_model && c.float16 && c.int64;
    caps->cooperative_matrix2 = c.matrix2 && c.maintenance4; /* its shaders are SPIR-V 1.6 */
    caps->fragment_layout = layout_of(caps->driver);
}

/* Larger shapes first, because fewer instructions do the same work. m = n = k before others, because every level can
 * use it. */
static const matrix_shape shapes[] = {{16, 16, 16}, {8, 16, 16}, {16, 8, 16}, {8, 8, 16}, {16, 16, 8}, {8, 8, 8}};

static bool has_shape(const newer_matrix_properties *products, uint32_t count, int type, const matrix_shape *x)
{
    for (uint32_t i = 0; i < count; i++) {
        const newer_matrix_properties *p = &products[i];
        if ((int)p->AType == type && (int)p->BType == type && p->CType == NEWER_COMPONENT_FLOAT32
            && p->ResultType == NEWER_COMPONENT_FLOAT32 && p->scope == NEWER_SCOPE_SUBGROUP && p->MSize == x->m
            && p->NSize == x->n && p->KSize == x->k)
            return true;
    }
    return false;
}

static matrix_shape choose_shape(const newer_matrix_properties *products, uint32_t count, int type)
{
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        if (has_shape(products, count, type, &shapes[s]))
            return shapes[s];
    return (matrix_shape){0};
}

void dmattn_capabilities_read_matrices(capabilities *caps, const newer_matrix_properties *products, uint32_t count)
{
    caps->matrix[DMATTN_TYPE_F16] = choose_shape(products, count, NEWER_COMPONENT_FLOAT16);
    caps->narrow_matrices = has_shape(products, count, NEWER_COMPONENT_FLOAT16, &(matrix_shape){16, 8, 16});
    if (caps->bf16_matrices)
        caps->matrix[DMATTN_TYPE_BF16] = choose_shape(products, count, NEWER_COMPONENT_BFLOAT16);
}

VkResult dmattn_capabilities_ask_matrices(capabilities *caps, PFN_vkGetInstanceProcAddr get, VkInstance instance,
                                          VkPhysicalDevice device)
{
    const newer_get_matrix_properties ask =
        (newer_get_matrix_properties)get(instance, NEWER_GET_COOPERATIVE_MATRIX_PROPERTIES);
    newer_matrix_properties products[MAX_MATRIX_PRODUCTS];
    uint32_t count = MAX_MATRIX_PRODUCTS;
    for (uint32_t i = 0; i < count; i++)
        products[i] = (newer_matrix_properties){.sType = NEWER_STRUCTURE_TYPE_MATRIX_PROPERTIES};
    if (!caps->cooperative_matrix || !ask)
        return VK_SUCCESS;
    const VkResult result = ask(device, &count, products);
    if (result < 0)
        return result;
    dmattn_capabilities_read_matrices(caps, products, count); /* VK_INCOMPLETE is no failure */
    return VK_SUCCESS;
}

/* Whether the device can run kernels at all; if not, the reason in `why`. */
static bool can_portable(const capabilities *caps, char *why, size_t size)
{
    const VkSubgroupFeatureFlags operations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    if (caps->api_version < VK_API_VERSION_1_2)
        snprintf(why, size, "Vulkan %u.%u, but 1.2 is needed", VK_API_VERSION_MAJOR(caps->api_version),
                 VK_API_VERSION_MINOR(caps->api_version));
    else if (!caps->buffer_device_address)
        snprintf(why, size, "the feature bufferDeviceAddress is missing or not enabled");
    else if (!(caps->subgroup_stages & VK_SHADER_STAGE_COMPUTE_BIT)
             || (caps->subgroup_operations & operations) != operations)
        snprintf(why, size, "compute shaders cannot shuffle within a subgroup");
    else if (caps->subgroup_size < 4 || caps->subgroup_size > 128)
        snprintf(why, size, "subgroups have %u invocations, but 4 to 128 are needed", caps->subgroup_size);
    else
        return true;
    return false;
}

bool dmattn_capabilities_can(const capabilities *caps, dmattn_level level, char *why, size_t size)
{
    if (size)
        why[0] = 0;
    if (!can_portable(caps, why, size))
        return false;
    if (level == DMATTN_LEVEL_PORTABLE)
        return true;
    if (!caps->cooperative_matrix)
        snprintf(why, size,
                 "VK_KHR_cooperative_matrix is missing or not enabled with vulkanMemoryModel, its DeviceScope, "
                 "shaderFloat16 and shaderInt64");
    else if (!caps->matrix[DMATTN_TYPE_F16].m && !caps->matrix[DMATTN_TYPE_BF16].m)
        snprintf(why, size, "the device has no matrices of 16-bit elements summed up in f32");
    else if (!caps->full_subgroups)
        snprintf(why, size, "the feature computeFullSubgroups is missing or not enabled");
    else if (~caps->subgroup_operations & VK_SUBGROUP_FEATURE_VOTE_BIT)
        snprintf(why, size, "compute shaders cannot vote within a subgroup");
    else if (level == DMATTN_LEVEL_MATRIX2 && !caps->cooperative_matrix2)
        snprintf(why, size, "VK_NV_cooperative_matrix2 is missing or not enabled with maintenance4");
    else if (level == DMATTN_LEVEL_MATRIX2 && caps->api_version < VK_API_VERSION_1_3)
        snprintf(why, size, "VK_NV_cooperative_matrix2 is used only with Vulkan 1.3");
    else
        return true;
    return false;
}

dmattn_level dmattn_capabilities_level(const capabilities *caps, char *why, size_t size)
{
    char higher[128];
    if (!dmattn_capabilities_can(caps, DMATTN_LEVEL_PORTABLE, why, size))
        return DMATTN_LEVEL_BEST;
    dmattn_level level = DMATTN_LEVEL_MATRIX2;
    while (!dmattn_capabilities_can(caps, level, higher, sizeof higher))
        level--;
    return level;
}

bool dmattn_capabilities_can_require(const capabilities *caps, uint32_t size)
{
    return caps->subgroup_size_control && caps->required_subgroup_size_stages & VK_SHADER_STAGE_COMPUTE_BIT
           && caps->min_subgroup_size <= size && size <= caps->max_subgroup_size;
}

matrix_shape dmattn_capabilities_matrix(const capabilities *caps, dmattn_type type, dmattn_type *operands)
{
    *operands = type == DMATTN_TYPE_BF16 && !caps->matrix[DMATTN_TYPE_BF16].m ? DMATTN_TYPE_F16 : type;
    return caps->matrix[*operands];
}
