/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: what every operator needs. Part of dmattn/dmattn.h, whose rules hold here.
 */
#ifndef DMATTN_CORE_H
#define DMATTN_CORE_H

#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h> /* types only: dmattn never links the Vulkan loader */

/** @def DMATTN_API
 * Marks what the library exports. Those who use a DLL define DMATTN_SHARED; the CMake package and pkg-config do. */
#if defined(DMATTN_SHARED) && defined(_WIN32)
#ifdef DMATTN_BUILDING
#define DMATTN_API __declspec(dllexport)
#else
#define DMATTN_API __declspec(dllimport)
#endif
#elif defined(DMATTN_BUILDING) && defined(__GNUC__)
#define DMATTN_API __attribute__((visibility("default")))
#else
#define DMATTN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- version ------------------------------------------------------------------------------------------------- */

#define DMATTN_VERSION_MAJOR 0 /**< first number; while it is 0, the second may change the interface */
#define DMATTN_VERSION_MINOR 1 /**< second number */
#define DMATTN_VERSION_PATCH 0 /**< third number */
/** Of these headers, one number. */
#define DMATTN_VERSION (DMATTN_VERSION_MAJOR * 1000000 + DMATTN_VERSION_MINOR * 1000 + DMATTN_VERSION_PATCH)

/** The DMATTN_VERSION of the library that is running. */
DMATTN_API uint32_t dmattn_version(void);

/* ---- status and messages ------------------------------------------------------------------------------------- */

/** What every fallible call returns. */
typedef enum dmattn_status {
    DMATTN_SUCCESS = 0,                 /**< done */
    DMATTN_ERROR_INVALID = -1,          /**< an argument breaks the contract written here */
    DMATTN_ERROR_UNSUPPORTED = -2,      /**< the arguments are right, but this device or this version cannot do it */
    DMATTN_ERROR_OUT_OF_MEMORY = -3,    /**< host or device memory, that of a driver included */
    DMATTN_ERROR_VULKAN = -4,           /**< a Vulkan call failed; the message names the call and its VkResult */
    DMATTN_STATUS_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_status;

/** A short English name, never NULL; static storage. */
DMATTN_API const char *dmattn_status_string(dmattn_status status);

/** How much a message matters. */
typedef enum dmattn_severity {
    DMATTN_SEVERITY_INFO = 0,             /**< which kernel a plan took */
    DMATTN_SEVERITY_WARNING = 1,          /**< works, but worse than it could */
    DMATTN_SEVERITY_ERROR = 2,            /**< the sentence that goes with a failed status */
    DMATTN_SEVERITY_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_severity;

/** Hears messages. `text` is one sentence without a newline, valid during the call. Called from the thread that called
 * dmattn. */
typedef void (*dmattn_message_fn)(void *user, dmattn_severity severity, const char *text);

/* ---- levels -------------------------------------------------------------------------------------------------- */

/** How a kernel computes. Every level gives the same results within the rounding of its types. Those above PORTABLE are
 * for f16 and bf16, round probabilities to that type and sum up in f32. A device without matrices of bf16 computes it
 * at PORTABLE, or, where a level above is asked for, in f16, beyond whose range (65504) values are clamped. */
typedef enum dmattn_level {
    DMATTN_LEVEL_BEST = 0,             /**< as a request: the highest that the device and this library offer */
    DMATTN_LEVEL_PORTABLE = 1,         /**< subgroup shuffles only, any subgroup size from 4 to 128, f32 arithmetic */
    DMATTN_LEVEL_MATRIX = 2,           /**< VK_KHR_cooperative_matrix */
    DMATTN_LEVEL_MATRIX2 = 3,          /**< VK_NV_cooperative_matrix2 at subgroup scope */
    DMATTN_LEVEL_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_level;

/** "portable", "matrix" and so on; static storage. */
DMATTN_API const char *dmattn_level_string(dmattn_level level);

/* ---- what to enable before vkCreateDevice -------------------------------------------------------------------- */

/** What to enable. The features are chains of structures in which a VK_TRUE marks what is needed. */
typedef struct dmattn_device_needs {
    uint32_t api_version;                      /**< lowest Vulkan version of instance and device: VK_API_VERSION_1_2 */
    uint32_t required_extension_count;         /**< of required_extensions */
    const char *const *required_extensions;    /**< a device without one of them cannot be used */
    uint32_t recommended_extension_count;      /**< of recommended_extensions */
    const char *const *recommended_extensions; /**< enable those that the device has */
    const VkPhysicalDeviceFeatures2 *required; /**< a device without one of these features cannot be used */
    const VkPhysicalDeviceFeatures2 *recommended; /**< each of these that it has makes dmattn faster or safer */
} dmattn_device_needs;

/** What dmattn wants of a device of Vulkan version `api_version` (the lower of the instance's and the device's). An
 * extension that this version has made core is not listed. All storage is static. Buffers need
 * VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT, and their memory VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT. */
DMATTN_API void dmattn_get_device_needs(uint32_t api_version, dmattn_device_needs *needs);

/** More extensions than dmattn_add_device_needs() ever adds. */
#define DMATTN_MAX_DEVICE_EXTENSIONS 16

/** What an app enables at vkCreateDevice, for dmattn to add to. It must stay where it is as long as the chain of
 * features is used, which then leads through it. */
typedef struct dmattn_device_setup {
    PFN_vkGetPhysicalDeviceFeatures2 get_features; /**< required: vkGetPhysicalDeviceFeatures2 */
    VkPhysicalDevice physical_device;              /**< required */
    uint32_t api_version;                          /**< as in dmattn_context_desc */
    uint32_t offered_count;                        /**< of offered */
    const VkExtensionProperties *offered; /**< the device's extensions, by vkEnumerateDeviceExtensionProperties() */
    VkPhysicalDeviceFeatures2 *features;  /**< required: the app's own chain, which it gives to VkDeviceCreateInfo */
    const char **extensions;  /**< required: names of the app's own, and room for DMATTN_MAX_DEVICE_EXTENSIONS more */
    uint32_t extension_count; /**< of extensions */
    uint64_t storage[128];    /**< of structures that are added to the chain */
} dmattn_device_setup;

/** Adds what dmattn_get_device_needs() lists and the device has. A feature is set in the structure that the chain has
 * for it, its own or Vulkan's of a whole version, and otherwise in one that is chained behind; names that are there
 * already are not repeated. What is required and missing is left out: dmattn_context_create() will say so. INVALID:
 * what is required here is NULL. */
DMATTN_API dmattn_status dmattn_add_device_needs(dmattn_device_setup *setup);

/* ---- context: one for each VkDevice -------------------------------------------------------------------------- */

/** What dmattn knows of a VkDevice; plans are made with it. */
typedef struct dmattn_context dmattn_context;

/** The device, and what was enabled on it: Vulkan cannot be asked. dmattn uses nothing that is not listed here. */
typedef struct dmattn_context_desc {
    PFN_vkGetInstanceProcAddr get_instance_proc_addr; /**< required */
    VkInstance instance;                              /**< required */
    VkPhysicalDevice physical_device;                 /**< required */
    VkDevice device;                                  /**< required */
    uint32_t api_version; /**< the lower of VkApplicationInfo's apiVersion and the device's; 0: VK_API_VERSION_1_2 */
    uint32_t enabled_extension_count;                  /**< of enabled_extensions */
    const char *const *enabled_extensions;             /**< those given to vkCreateDevice */
    const VkPhysicalDeviceFeatures2 *enabled_features; /**< required: the chain given to VkDeviceCreateInfo's pNext */
    VkPipelineCache pipeline_cache;                    /**< optional; NULL: the context keeps one of its own */
    const VkAllocationCallbacks *host_allocator; /**< optional, for dmattn's and the driver's host memory; copied */
    dmattn_message_fn message;                   /**< optional */
    void *message_user;                          /**< what it gets as `user` */
} dmattn_context_desc;

/** Makes a context. UNSUPPORTED: the device lacks something in `required` (the message says what).
 * Nothing in `desc` need outlive the call but the Vulkan objects. */
DMATTN_API dmattn_status dmattn_context_create(const dmattn_context_desc *desc, dmattn_context **context);

/** Destroys a context whose plans are all destroyed. NULL is fine. */
DMATTN_API void dmattn_context_destroy(dmattn_context *context);

/* ---- tensors ------------------------------------------------------------------------------------------------- */

/** Of a tensor's elements. */
typedef enum dmattn_type {
    DMATTN_TYPE_F32 = 0,              /**< IEEE binary32 */
    DMATTN_TYPE_F16 = 1,              /**< IEEE binary16 */
    DMATTN_TYPE_BF16 = 2,             /**< upper half of an f32 */
    DMATTN_TYPE_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_type;

/** Strides of a tensor [batch, sequence, head, dim] in elements; that of dim is always 1. All three zero: contiguous in
 * that order. Otherwise they hold as they are, and 0 repeats an input along that dimension. Rows whose address and
 * strides are multiples of 16 bytes are read fastest. */
typedef struct dmattn_strides {
    uint64_t batch;    /**< from a batch item to the next */
    uint64_t sequence; /**< from a token to the next */
    uint64_t head;     /**< from a head to the next */
} dmattn_strides;

/** A tensor {B,1} x {H,Hk,1} x {Sq,1} x Sk over the scores, in which an extent of 1 means the same for all (broadcast).
 * Zero extents mean 1. Strides in elements; that of the key is always 1. All three zero: contiguous. */
typedef struct dmattn_score_shape {
    uint32_t batch;        /**< B or 1 */
    uint32_t heads;        /**< H, Hk or 1 */
    uint32_t queries;      /**< Sq or 1 */
    uint64_t batch_stride; /**< of no matter if batch is 1 */
    uint64_t head_stride;  /**< of no matter if heads is 1 */
    uint64_t query_stride; /**< of no matter if queries is 1 */
} dmattn_score_shape;

/** A range of a VkBuffer, in bytes. `size` is how much from `offset` on may be read or written, VK_WHOLE_SIZE to vouch
 * for it unchecked. The buffer needs VK_BUFFER_USAGE_STORAGE_BUFFER_BIT and VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT.
 */
typedef struct dmattn_buffer {
    VkBuffer buffer;     /**< VK_NULL_HANDLE where an optional one is left out */
    VkDeviceSize offset; /**< where the range begins */
    VkDeviceSize size;   /**< how long it is */
} dmattn_buffer;

/* ---- plans --------------------------------------------------------------------------------------------------- */

/** An operator for one descriptor: kernels that were chosen and their pipelines. */
typedef struct dmattn_plan dmattn_plan;

/** Destroys a plan that no pending command buffer uses. NULL is fine. */
DMATTN_API void dmattn_plan_destroy(dmattn_plan *plan);

/** What an app needs to know of a plan, and what it may want to. The app orders a run against other work, also what
 * fills and forks a cache, with stages, reads and writes; barriers between dmattn's own dispatches are recorded. */
typedef struct dmattn_plan_info {
    dmattn_level level;         /**< the level of the attention kernel; masks are made at the portable one */
    const char *why_not_higher; /**< a sentence: the highest level allowed, and why it was not taken; empty if it was or
                                   a level was asked for. Lives as long as the plan */
    const char *kernel;         /**< name of the kernel and its tile; lives as long as the plan */
    uint64_t workspace_size;    /**< bytes of scratch that one run needs; may be 0. A plan of fewer queries or keys may
                                   need more: its keys may be shared out among more workgroups */
    uint64_t workspace_alignment; /**< of its offset */
    uint64_t data_alignment;      /**< of the offsets of q, k, v, out and their gradients: 16, or the size of an element
                                     where strides are not multiples of 16 bytes */
    uint32_t list_queries; /**< queries to a tile list that attention reads, or that the mask plan makes; 0: none */
    uint64_t lists_size;   /**< bytes of the lists that a mask plan makes; they lie at a multiple of 64 bytes */
    VkPipelineStageFlags stages; /**< pipeline stages of a run */
    VkAccessFlags reads;         /**< accesses by which a run reads */
    VkAccessFlags writes;        /**< accesses by which a run writes */
    double flops; /**< of attention: 2 * (D + Dv) for each pair of query and key that `causal` leaves; masks are not
                     counted. Of a mask: those of the importance */
    double bytes; /**< every input read and every output written once, but for lists */
} dmattn_plan_info;

/** Fills in what there is to know of a plan. Neither may be NULL. */
DMATTN_API void dmattn_plan_get_info(const dmattn_plan *plan, dmattn_plan_info *info);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_CORE_H */
