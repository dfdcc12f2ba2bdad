/* SPDX-License-Identifier: MIT
 * What kernels need to know about a device, as plain numbers. Tile choice and limits are functions of these numbers and
 * are tested without a device. */
#ifndef DMATTN_CAPABILITIES_H
#define DMATTN_CAPABILITIES_H

#include "../shaders/lib/fragment_layout.h"
#include "../shaders/lib/shared.h"
#include "newer_vulkan.h"

#include <dmattn/dmattn.h>

#include <stddef.h>

/* A product that cooperative matrices compute: m x k times k x n, summed up in f32. m = 0: none. */
typedef struct matrix_shape {
    uint32_t m, n, k;
} matrix_shape;

/* The generations of Intel's GPUs that tiles are chosen for. No property of Vulkan tells them, the device's id does. */
typedef enum intel_generation { INTEL_OTHER, INTEL_XE3 } intel_generation;

typedef struct capabilities {
    uint32_t api_version;
    uint32_t subgroup_size; /* the default one */
    uint32_t min_subgroup_size;
    uint32_t max_subgroup_size;
    VkShaderStageFlags subgroup_stages;
    VkSubgroupFeatureFlags subgroup_operations;
    VkShaderStageFlags required_subgroup_size_stages;
    uint32_t max_invocations; /* of a workgroup */
    uint32_t max_workgroup_count[3];
    uint32_t shared_memory; /* of a workgroup, bytes */
    VkDriverId driver;
    uint32_t driver_version; /* as the driver encodes it; Mesa: VK_MAKE_API_VERSION(0, major, minor, patch) */
    intel_generation intel;
    matrix_shape matrix[TYPE_COUNT]; /* by the type of its elements */
    bool narrow_matrices;            /* there are matrices of f16 of 16 x 8 x 16 */
    /* features */
    bool buffer_device_address;
    bool subgroup_size_control;
    bool full_subgroups;
    bool cooperative_matrix;  /* VK_KHR_cooperative_matrix, and the other features that its shaders need */
    bool cooperative_matrix2; /* of VK_NV_cooperative_matrix2: reductions, conversions, functions of elements; and the
                                 other features that its shaders need */
    bool bf16_matrices;       /* of VK_KHR_shader_bfloat16 */
    uint32_t fragment_layout; /* of matrices of 16 x 16 x 16: shaders/lib/fragment_layout.h */
} capabilities;

/* The structures to chain to vkGetPhysicalDeviceProperties2, and their values. */
typedef struct device_properties {
    VkPhysicalDeviceProperties2 core;
    VkPhysicalDeviceSubgroupProperties subgroup;
    VkPhysicalDeviceDriverProperties driver;
    VkPhysicalDeviceSubgroupSizeControlProperties size_control;
} device_properties;

/* The generation of a PCI device. INTEL_OTHER: another vendor, or a device that is not known. */
intel_generation dmattn_intel_generation(uint32_t vendor, uint32_t device);

/* Prepares the chain. `size_control`: whether the device knows VkPhysicalDeviceSubgroupSizeControlProperties (Vulkan
 * 1.3, or VK_EXT_subgroup_size_control). The struct must not move afterwards. */
void dmattn_device_properties_chain(device_properties *properties, bool size_control);

/* Reads capabilities from a filled chain and from the enabled features (before a device is created: the supported
 * ones). `features` may be NULL: none. */
void dmattn_capabilities_read(capabilities *caps, uint32_t api_version, const device_properties *properties,
                              const VkPhysicalDeviceFeatures2 *features);

/* Chooses shapes among the products that a device reports. Call it after dmattn_capabilities_read(). */
void dmattn_capabilities_read_matrices(capabilities *caps, const newer_matrix_properties *products, uint32_t count);

/* Reads the device's matrix products, if it has cooperative matrices. Returns what the Vulkan function
 * NEWER_GET_COOPERATIVE_MATRIX_PROPERTIES returned. */
VkResult dmattn_capabilities_ask_matrices(capabilities *caps, PFN_vkGetInstanceProcAddr get, VkInstance instance,
                                          VkPhysicalDevice device);

/* Whether the device supports a level; if not, the reason in `why`. */
bool dmattn_capabilities_can(const capabilities *caps, dmattn_level level, char *why, size_t size);

/* The highest level that the device supports. DMATTN_LEVEL_BEST (0) if there is none, with the reason in `why`. */
dmattn_level dmattn_capabilities_level(const capabilities *caps, char *why, size_t size);

/* Whether a compute pipeline can require subgroups of this size. */
bool dmattn_capabilities_can_require(const capabilities *caps, uint32_t size);

/* The subgroup size that kernels run with: the one that suits the device's registers if it can be required, otherwise
 * the default (registers.c). */
uint32_t dmattn_capabilities_subgroup_size(const capabilities *caps);

/* The number of 32-bit registers that a lane of such a subgroup has before they are spilled to memory. */
#define ANY_REGISTERS UINT32_MAX
uint32_t dmattn_capabilities_registers(const capabilities *caps);

/* The same for kernels by matrices whose sums are in registers. More than the above where the driver gives a subgroup
 * as many registers as its kernel needs, and then runs fewer subgroups at the same time. */
uint32_t dmattn_capabilities_matrix_registers(const capabilities *caps);

/* How many of them were taken off for addresses. Kernels with more addresses need as many again. */
uint32_t dmattn_capabilities_address_registers(const capabilities *caps);

/* Whether the driver is Intel's. Estimates have terms that only its compiler needs. */
bool dmattn_capabilities_is_intel(const capabilities *caps);

/* Whether the device is of Intel's generation Xe3 and its driver the one whose compiler was asked, Mesa's. */
bool dmattn_capabilities_is_xe3(const capabilities *caps);

/* Whether the driver runs kernels on the CPU. There, loads in flight gain nothing. */
bool dmattn_capabilities_is_cpu(const capabilities *caps);

/* Whether each element of a matrix operand is in registers twice, as on RDNA3. Its driver has no matrices of bf16,
 * those of later cards do. */
bool dmattn_capabilities_holds_operands_twice(const capabilities *caps);

/* The matrices that multiply tensors of a type, and the type of their operands: f16 if the device has none of bf16. */
matrix_shape dmattn_capabilities_matrix(const capabilities *caps, dmattn_type type, dmattn_type *operands);

#endif
