/* SPDX-License-Identifier: MIT
 * The parts that dmattn uses of Vulkan extensions that are newer than the headers of older systems:
 * VK_KHR_cooperative_matrix (headers 1.3.255), VK_NV_cooperative_matrix2 (1.4.300) and VK_KHR_shader_bfloat16
 * (1.4.311). It is declared here with names of dmattn, so that every build has the same features. If the headers have
 * an extension, the compiler checks these declarations against them. The members have the names of the Vulkan
 * specification. */
#ifndef DMATTN_NEWER_VULKAN_H
#define DMATTN_NEWER_VULKAN_H

#include <vulkan/vulkan_core.h>

#include <stddef.h>

/* ---- drivers ------------------------------------------------------------------------------------------------- */

#define NEWER_DRIVER_ID_MESA_HONEYKRISP ((VkDriverId)26) /* headers 1.3.290 */

/* ---- VK_KHR_cooperative_matrix ------------------------------------------------------------------------------- */

#define NEWER_COOPERATIVE_MATRIX_EXTENSION_NAME "VK_KHR_cooperative_matrix"
#define NEWER_STRUCTURE_TYPE_MATRIX_FEATURES    ((VkStructureType)1000506000)
#define NEWER_STRUCTURE_TYPE_MATRIX_PROPERTIES  ((VkStructureType)1000506001)
#define NEWER_GET_COOPERATIVE_MATRIX_PROPERTIES "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR"

enum newer_component_type {
    NEWER_COMPONENT_FLOAT16 = 0,
    NEWER_COMPONENT_FLOAT32 = 1,
    NEWER_COMPONENT_SINT8 = 3,
    NEWER_COMPONENT_SINT32 = 5,
    NEWER_COMPONENT_BFLOAT16 = 1000141000, /* of VK_KHR_shader_bfloat16 */
};

enum newer_scope {
    NEWER_SCOPE_WORKGROUP = 2,
    NEWER_SCOPE_SUBGROUP = 3,
};

/* VkPhysicalDeviceCooperativeMatrixFeaturesKHR */
typedef struct newer_matrix_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix;
    VkBool32 cooperativeMatrixRobustBufferAccess;
} newer_matrix_features;

/* VkCooperativeMatrixPropertiesKHR */
typedef struct newer_matrix_properties {
    VkStructureType sType;
    void *pNext;
    uint32_t MSize, NSize, KSize;
    uint32_t AType, BType, CType, ResultType; /* enum newer_component_type, or another one */
    VkBool32 saturatingAccumulation;
    uint32_t scope; /* enum newer_scope, or another one */
} newer_matrix_properties;

typedef VkResult(VKAPI_PTR *newer_get_matrix_properties)(VkPhysicalDevice device, uint32_t *count,
                                                         newer_matrix_properties *properties);

/* ---- VK_NV_cooperative_matrix2 ------------------------------------------------------------------------------- */

#define NEWER_COOPERATIVE_MATRIX_2_EXTENSION_NAME "VK_NV_cooperative_matrix2"
#define NEWER_STRUCTURE_TYPE_MATRIX2_FEATURES     ((VkStructureType)1000593000)

/* VkPhysicalDeviceCooperativeMatrix2FeaturesNV */
typedef struct newer_matrix2_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrixWorkgroupScope;
    VkBool32 cooperativeMatrixFlexibleDimensions;
    VkBool32 cooperativeMatrixReductions;
    VkBool32 cooperativeMatrixConversions;
    VkBool32 cooperativeMatrixPerElementOperations;
    VkBool32 cooperativeMatrixTensorAddressing;
    VkBool32 cooperativeMatrixBlockLoads;
} newer_matrix2_features;

/* ---- VK_KHR_shader_bfloat16 ---------------------------------------------------------------------------------- */

#define NEWER_SHADER_BFLOAT16_EXTENSION_NAME   "VK_KHR_shader_bfloat16"
#define NEWER_STRUCTURE_TYPE_BFLOAT16_FEATURES ((VkStructureType)1000141000)

/* VkPhysicalDeviceShaderBfloat16FeaturesKHR */
typedef struct newer_bfloat16_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 shaderBFloat16Type;
    VkBool32 shaderBFloat16DotProduct;
    VkBool32 shaderBFloat16CooperativeMatrix;
} newer_bfloat16_features;

/* ---- checks against the headers that have them --------------------------------------------------------------- */

#define NEWER_SAME_VALUE(own, theirs) _Static_assert((int)(own) == (int)(theirs), #theirs)
#define NEWER_SAME_SIZE(own, theirs)  _Static_assert(sizeof(own) == sizeof(theirs), #theirs)
#define NEWER_SAME_MEMBER(own, theirs, member)                                         \
    _Static_assert(offsetof(own, member) == offsetof(theirs, member)                   \
                       && sizeof(((own *)0)->member) == sizeof(((theirs *)0)->member), \
                   #theirs "." #member)

#ifdef VK_KHR_cooperative_matrix
NEWER_SAME_VALUE(NEWER_STRUCTURE_TYPE_MATRIX_FEATURES,
                 VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR);
NEWER_SAME_VALUE(NEWER_STRUCTURE_TYPE_MATRIX_PROPERTIES, VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR);
NEWER_SAME_VALUE(NEWER_COMPONENT_FLOAT16, VK_COMPONENT_TYPE_FLOAT16_KHR);
NEWER_SAME_VALUE(NEWER_COMPONENT_FLOAT32, VK_COMPONENT_TYPE_FLOAT32_KHR);
NEWER_SAME_VALUE(NEWER_COMPONENT_SINT8, VK_COMPONENT_TYPE_SINT8_KHR);
NEWER_SAME_VALUE(NEWER_COMPONENT_SINT32, VK_COMPONENT_TYPE_SINT32_KHR);
NEWER_SAME_VALUE(NEWER_SCOPE_WORKGROUP, VK_SCOPE_WORKGROUP_KHR);
NEWER_SAME_VALUE(NEWER_SCOPE_SUBGROUP, VK_SCOPE_SUBGROUP_KHR);
NEWER_SAME_SIZE(newer_matrix_features, VkPhysicalDeviceCooperativeMatrixFeaturesKHR);
NEWER_SAME_MEMBER(newer_matrix_features, VkPhysicalDeviceCooperativeMatrixFeaturesKHR, cooperativeMatrix);
NEWER_SAME_MEMBER(newer_matrix_features, VkPhysicalDeviceCooperativeMatrixFeaturesKHR,
                  cooperativeMatrixRobustBufferAccess);
NEWER_SAME_SIZE(newer_matrix_properties, VkCooperativeMatrixPropertiesKHR);
NEWER_SAME_MEMBER(newer_matrix_properties, VkCooperativeMatrixPropertiesKHR, MSize);
NEWER_SAME_MEMBER(newer_matrix_properties, VkCooperativeMatrixPropertiesKHR, NSize);
NEWER_SAME_MEMBER(newer_matrix_properties, VkCooperativeMatrixPropertiesKHR, KSize);
NEWER_SAME_MEMBER(newer_matrix_properties, VkCooperativeMatrixPropertiesKHR, AType);
NEWER_SAME_MEMBER(newer_matrix_properties, VkCooperativeMatrixPropertiesKHR, BType);
NEWER_SAME_MEMBER(newer_matrix_properties, VkCooperativeMatrixPropertiesKHR, CType);
NEWER_SAME_MEMBER(newer_matrix_properties, VkCooperativeMatrixPropertiesKHR, ResultType);
NEWER_SAME_MEMBER(newer_matrix_properties, VkCooperativeMatrixPropertiesKHR, saturatingAccumulation);
NEWER_SAME_MEMBER(newer_matrix_properties, VkCooperativeMatrixPropertiesKHR, scope);
#endif

#ifdef VK_NV_cooperative_matrix2
NEWER_SAME_VALUE(NEWER_STRUCTURE_TYPE_MATRIX2_FEATURES,
                 VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV);
NEWER_SAME_SIZE(newer_matrix2_features, VkPhysicalDeviceCooperativeMatrix2FeaturesNV);
NEWER_SAME_MEMBER(newer_matrix2_features, VkPhysicalDeviceCooperativeMatrix2FeaturesNV,
                  cooperativeMatrixWorkgroupScope);
NEWER_SAME_MEMBER(newer_matrix2_features, VkPhysicalDeviceCooperativeMatrix2FeaturesNV, cooperativeMatrixReductions);
NEWER_SAME_MEMBER(newer_matrix2_features, VkPhysicalDeviceCooperativeMatrix2FeaturesNV, cooperativeMatrixConversions);
NEWER_SAME_MEMBER(newer_matrix2_features, VkPhysicalDeviceCooperativeMatrix2FeaturesNV,
                  cooperativeMatrixPerElementOperations);
#endif

#ifdef VK_KHR_shader_bfloat16
NEWER_SAME_VALUE(NEWER_STRUCTURE_TYPE_BFLOAT16_FEATURES,
                 VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_BFLOAT16_FEATURES_KHR);
NEWER_SAME_VALUE(NEWER_COMPONENT_BFLOAT16, VK_COMPONENT_TYPE_BFLOAT16_KHR);
NEWER_SAME_SIZE(newer_bfloat16_features, VkPhysicalDeviceShaderBfloat16FeaturesKHR);
NEWER_SAME_MEMBER(newer_bfloat16_features, VkPhysicalDeviceShaderBfloat16FeaturesKHR, shaderBFloat16Type);
NEWER_SAME_MEMBER(newer_bfloat16_features, VkPhysicalDeviceShaderBfloat16FeaturesKHR, shaderBFloat16DotProduct);
NEWER_SAME_MEMBER(newer_bfloat16_features, VkPhysicalDeviceShaderBfloat16FeaturesKHR, shaderBFloat16CooperativeMatrix);
#endif

#undef NEWER_SAME_VALUE
#undef NEWER_SAME_SIZE
#undef NEWER_SAME_MEMBER

#endif
