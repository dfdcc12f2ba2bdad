/* SPDX-License-Identifier: MIT
 * What to enable before vkCreateDevice. dmattn_device_facts_level() checks the same list. */
#include <dmattn/dmattn.h>

#include <stddef.h>

static const VkPhysicalDeviceBufferDeviceAddressFeatures buffer_address = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES,
    .bufferDeviceAddress = VK_TRUE,
};

static const VkPhysicalDeviceFeatures2 required = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
    .pNext = (void *)&buffer_address, /* Vulkan's chains are not const; nobody writes to this one */
};

static const VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_size = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
    .subgroupSizeControl = VK_TRUE,
    .computeFullSubgroups = VK_TRUE,
};

/* For shaders whose workgroup's size is a constant by LocalSizeId, as in all of SPIR-V 1.6. */
static const VkPhysicalDeviceMaintenance4Features maintenance4 = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES,
    .pNext = (void *)&subgroup_size,
    .maintenance4 = VK_TRUE,
};

/* For cooperative matrices; headers that do not know them leave them out. */
static const VkPhysicalDeviceVulkanMemoryModelFeatures memory_model = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
    .pNext = (void *)&maintenance4,
    .vulkanMemoryModel = VK_TRUE,
    /* Once the memory model is enabled, what atomics do in all kernels must be, too. */
    .vulkanMemoryModelDeviceScope = VK_TRUE,
};

static const VkPhysicalDeviceShaderFloat16Int8Features float16 = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
    .pNext = (void *)&memory_model,
    .shaderFloat16 = VK_TRUE,
};

#ifdef VK_KHR_cooperative_matrix
static const VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
    .pNext = (void *)&float16,
    .cooperativeMatrix = VK_TRUE,
};
#define AFTER_MATRIX matrix
#else
#define AFTER_MATRIX float16
#endif

#ifdef VK_NV_cooperative_matrix2
static const VkPhysicalDeviceCooperativeMatrix2FeaturesNV matrix2 = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV,
    .pNext = (void *)&AFTER_MATRIX,
    .cooperativeMatrixReductions = VK_TRUE,
    .cooperativeMatrixConversions = VK_TRUE,
    .cooperativeMatrixPerElementOperations = VK_TRUE,
};
#define AFTER_MATRIX2 matrix2
#else
#define AFTER_MATRIX2 AFTER_MATRIX
#endif

#ifdef VK_KHR_shader_bfloat16
static const VkPhysicalDeviceShaderBfloat16FeaturesKHR bfloat16 = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR,
    .pNext = (void *)&AFTER_MATRIX2,
    .shaderBFloat16Type = VK_TRUE,
    .shaderBFloat16CooperativeMatrix = VK_TRUE,
};
#define AFTER_BFLOAT16 bfloat16
#else
#define AFTER_BFLOAT16 AFTER_MATRIX2
#endif

static const VkPhysicalDeviceFeatures2 recommended = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
    .features = {.shaderInt64 = VK_TRUE}, /* with matrices, too: for addresses */
    .pNext = (void *)&AFTER_BFLOAT16,
};

/* The first ones have been core since Vulkan 1.3. */
#define CORE_IN_1_3 2
static const char *const extensions[] = {
    VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME, VK_KHR_MAINTENANCE_4_EXTENSION_NAME,
#ifdef VK_KHR_cooperative_matrix
    VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME,
#endif
#ifdef VK_NV_cooperative_matrix2
    VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME,
#endif
#ifdef VK_KHR_shader_bfloat16
    VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME,
#endif
};

void dmattn_get_device_needs(uint32_t api_version, dmattn_device_needs *needs)
{
    const uint32_t core = api_version >= VK_API_VERSION_1_3 ? CORE_IN_1_3 : 0;
    *needs = (dmattn_device_needs){
        .api_version = VK_API_VERSION_1_2,
        .recommended_extension_count = sizeof extensions / sizeof *extensions - core,
        .recommended_extensions = extensions + core,
        .required = &required,
        .recommended = &recommended,
    };
}
