/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: declarations that every operator uses: version, status, messages, levels, device features, contexts, tensors
 * and plans. Part of dmattn/dmattn.h; the rules in that header apply here.
 */
#ifndef DMATTN_CORE_H
#define DMATTN_CORE_H

#include <stdbool.h>
#include <stdint.h>
#include <vulkan/vulkan_core.h> /* types only: dmattn never links the Vulkan loader */

/** @def DMATTN_API
 * Marks the functions that the library exports. Programs that use a DLL must define DMATTN_SHARED; the CMake package
 * and the pkg-config file do it for them. */
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

#define DMATTN_VERSION_MAJOR 0 /**< major version; while it is 0, a new minor version may change the API */
#define DMATTN_VERSION_MINOR 1 /**< minor version */
#define DMATTN_VERSION_PATCH 0 /**< patch version */
/** The version of these headers as one number: major * 1000000 + minor * 1000 + patch. */
#define DMATTN_VERSION (DMATTN_VERSION_MAJOR * 1000000 + DMATTN_VERSION_MINOR * 1000 + DMATTN_VERSION_PATCH)

/** Returns the DMATTN_VERSION of the library that is linked or loaded. Compare it with the macro to find a mismatch. */
DMATTN_API uint32_t dmattn_version(void);

/* ---- limits --------------------------------------------------------------------------------------------------- */

#define DMATTN_MAX_HEAD_DIM  576 /**< the greatest D, the number of elements of a row of q and of k */
#define DMATTN_MAX_VALUE_DIM 512 /**< the greatest Dv, the number of elements of a row of v and of out */

/* ---- status and messages ------------------------------------------------------------------------------------- */

/** Result of every function that can fail. Failures are negative. */
typedef enum dmattn_status {
    DMATTN_SUCCESS = 0,                 /**< the call did all of its work */
    DMATTN_ERROR_INVALID = -1,          /**< an argument violates this documentation */
    DMATTN_ERROR_UNSUPPORTED = -2,      /**< the arguments are valid, but this device, its enabled features or this
                                           build cannot do it */
    DMATTN_ERROR_OUT_OF_MEMORY = -3,    /**< host or device memory ran out, in dmattn or in the driver */
    DMATTN_ERROR_VULKAN = -4,           /**< a Vulkan call failed; the message names the call and its VkResult */
    DMATTN_STATUS_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_status;

/** Returns a short English name of `status`. Never NULL; the string is static. */
DMATTN_API const char *dmattn_status_string(dmattn_status status);

/** Severity of a message. */
typedef enum dmattn_severity {
    DMATTN_SEVERITY_INFO = 0,             /**< for example, which kernel a plan uses */
    DMATTN_SEVERITY_WARNING = 1,          /**< it works, but slower or with less checking than possible */
    DMATTN_SEVERITY_ERROR = 2,            /**< explains a status that is not SUCCESS */
    DMATTN_SEVERITY_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_severity;

/** Message callback. `text` is one sentence without a newline; it is valid only during the call. `user` is the pointer
 * given together with the callback. dmattn calls it on the thread that called dmattn, so that a callback used from
 * several threads must be thread-safe. */
typedef void (*dmattn_message_fn)(void *user, dmattn_severity severity, const char *text);

/* ---- levels -------------------------------------------------------------------------------------------------- */

/** Kernel level: which GPU features a kernel uses. All levels give the same results up to the rounding of the element
 * type. MATRIX and MATRIX2 support f16 and bf16 only; they round probabilities to that type and accumulate in f32. On a
 * device without bf16 matrices, bf16 tensors run at PORTABLE. If a plan then explicitly requests a matrix level, the
 * kernel converts bf16 to f16 and clamps values to the f16 range, +-65504. */
typedef enum dmattn_level {
    DMATTN_LEVEL_BEST = 0,             /**< in a descriptor: the highest level that the device and this build support */
    DMATTN_LEVEL_PORTABLE = 1,         /**< f32 arithmetic and subgroup shuffles, subgroup sizes 4 to 128 */
    DMATTN_LEVEL_MATRIX = 2,           /**< uses VK_KHR_cooperative_matrix */
    DMATTN_LEVEL_MATRIX2 = 3,          /**< also uses VK_NV_cooperative_matrix2, at subgroup scope */
    DMATTN_LEVEL_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_level;

/** Returns "portable", "matrix" or "matrix2"; "best" for DMATTN_LEVEL_BEST. The string is static. */
DMATTN_API const char *dmattn_level_string(dmattn_level level);

/* ---- what to enable before vkCreateDevice -------------------------------------------------------------------- */

/** Requirements: the extensions and features that an app should enable on its device. Both feature lists are pNext
 * chains in which VK_TRUE marks a feature. */
typedef struct dmattn_device_needs {
    uint32_t api_version;                         /**< minimum version of instance and device: VK_API_VERSION_1_2 */
    uint32_t required_extension_count;            /**< length of required_extensions */
    const char *const *required_extensions;       /**< names; dmattn needs all of them */
    uint32_t recommended_extension_count;         /**< length of recommended_extensions */
    const char *const *recommended_extensions;    /**< names; enable those that the device supports */
    const VkPhysicalDeviceFeatures2 *required;    /**< dmattn needs all of these features */
    const VkPhysicalDeviceFeatures2 *recommended; /**< enable those that the device supports, for speed and safety */
} dmattn_device_needs;

/** Writes the requirements for a device to *needs. `api_version` is the lower of the instance's version and the
 * device's version; extensions that are core in that version are not listed. Everything that *needs points to is
 * static. In addition, buffers need VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT and their memory needs
 * VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT. A `needs` of NULL is ignored. */
DMATTN_API void dmattn_get_device_needs(uint32_t api_version, dmattn_device_needs *needs);

/** Upper bound of the number of extensions that dmattn_add_device_needs() adds. */
#define DMATTN_MAX_DEVICE_EXTENSIONS 16

/** Arguments of dmattn_add_device_needs(): what the app enables at vkCreateDevice, to which dmattn adds its own needs.
 * The app's feature chain then also contains structures that are stored here, so this struct must neither move nor be
 * freed while that chain is used. */
typedef struct dmattn_device_setup {
    PFN_vkGetPhysicalDeviceFeatures2 get_features; /**< vkGetPhysicalDeviceFeatures2; required */
    VkPhysicalDevice physical_device;              /**< the device; required */
    uint32_t api_version;                          /**< as in dmattn_context_desc */
    uint32_t offered_count;                        /**< length of `offered` */
    const VkExtensionProperties *offered;          /**< result of vkEnumerateDeviceExtensionProperties() */
    VkPhysicalDeviceFeatures2 *features;           /**< the app's chain for VkDeviceCreateInfo; required; changed */
    const char **extensions;  /**< the app's extension names, with room for DMATTN_MAX_DEVICE_EXTENSIONS more; required;
                                 the added names are static strings */
    uint32_t extension_count; /**< number of names in `extensions`: in: the app's; out: all */
    uint64_t storage[128];    /**< private: structures that are added to the chain */
} dmattn_device_setup;

/** Adds the required and recommended extensions and features that the device supports. If the chain already has a
 * structure with a feature (the feature's own one or VkPhysicalDeviceVulkan1xFeatures), the feature is set there;
 * otherwise a structure is appended to the chain. Extension names that are already present are not added again. A
 * required feature that the device lacks is skipped without an error: dmattn_context_create() reports it.
 * INVALID: `setup` or one of its required members is NULL. */
DMATTN_API dmattn_status dmattn_add_device_needs(dmattn_device_setup *setup);

/* ---- context: one for each VkDevice -------------------------------------------------------------------------- */

/** A VkDevice as dmattn sees it. Plans are created from it. Any number of threads may use it at once. */
typedef struct dmattn_context dmattn_context;

/** Describes a VkDevice and what was enabled on it, because Vulkan has no query for that. dmattn uses only the
 * extensions and features that are listed here. The struct and its arrays may be freed after the call; the Vulkan
 * objects are borrowed and must outlive the context. */
typedef struct dmattn_context_desc {
    PFN_vkGetInstanceProcAddr get_instance_proc_addr; /**< dmattn loads all Vulkan functions with it; required */
    VkInstance instance;                              /**< the device's instance; required */
    VkPhysicalDevice physical_device;                 /**< the device's physical device; required */
    VkDevice device;                                  /**< the device; required */
    uint32_t api_version;                  /**< the lower of VkApplicationInfo::apiVersion and the device's version; 0:
                                              VK_API_VERSION_1_2 */
    uint32_t enabled_extension_count;      /**< length of enabled_extensions */
    const char *const *enabled_extensions; /**< the names given to vkCreateDevice */
    const VkPhysicalDeviceFeatures2 *enabled_features; /**< the chain given to VkDeviceCreateInfo::pNext; required */
    VkPipelineCache pipeline_cache;                    /**< optional; NULL: the context creates its own cache */
    const VkAllocationCallbacks *host_allocator;       /**< optional; used by dmattn and passed to Vulkan; copied */
    dmattn_message_fn message;                         /**< optional message callback */
    void *message_user;                                /**< first argument of the message callback */
    bool keep_pipelines; /**< pipelines stay until the context is destroyed; false: until the last plan that uses them
                            is. For apps that often destroy plans and make others of the same kinds */
} dmattn_context_desc;

/** Creates a context for a device. Destroy it with dmattn_context_destroy().
 * UNSUPPORTED: a required extension or feature is not enabled; the message names it. */
DMATTN_API dmattn_status dmattn_context_create(const dmattn_context_desc *desc, dmattn_context **context);

/** Destroys a context. All its plans must have been destroyed before. NULL is ignored. */
DMATTN_API void dmattn_context_destroy(dmattn_context *context);

/* ---- tensors ------------------------------------------------------------------------------------------------- */

/** Element type of a tensor. */
typedef enum dmattn_type {
    DMATTN_TYPE_F32 = 0,              /**< IEEE binary32 */
    DMATTN_TYPE_F16 = 1,              /**< IEEE binary16 */
    DMATTN_TYPE_BF16 = 2,             /**< bfloat16: the upper 16 bits of an f32 */
    DMATTN_TYPE_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_type;

/** Format of rows of keys or values: how their elements are stored. A block has 32 consecutive elements of a row.
 *
 * INT8 and E4M3 have a scale for each row of each token and kv head. The scales are an f32 tensor of their own, and an
 * element is the scale times the stored number. When dmattn makes such rows or blocks:
 *
 *     INT8   scale = largest magnitude / 127; x / scale is rounded to nearest, ties to even
 *     E4M3   scale = largest magnitude / 448; x / scale is rounded to nearest, ties to even
 *     Q8_0   d = largest magnitude of the block / 127; x / d is rounded to nearest, ties to even
 *     Q4_0   d = -m / 8, where m is the first element of the block with the largest magnitude, with its sign;
 *            x / d + 8.5 is rounded towards 0, at most 15
 *
 * x is multiplied by 1 / scale or 1 / d, where d is not yet rounded to f16. A scale or d below 2^-126 counts as 0, so
 * rows and blocks of zeros are zeros. If a row or a block has NaN or an infinity, all its elements are NaN. If d is
 * beyond the range of f16, it is an infinity, and the elements of the block are infinite or NaN. The greatest numbers
 * of f32 may become infinite, too. */
typedef enum dmattn_format {
    DMATTN_FORMAT_TYPE = 0,             /**< elements of the descriptor's `type` */
    DMATTN_FORMAT_F32 = 1,              /**< elements of IEEE binary32 */
    DMATTN_FORMAT_F16 = 2,              /**< elements of IEEE binary16 */
    DMATTN_FORMAT_BF16 = 3,             /**< elements of bfloat16 */
    DMATTN_FORMAT_INT8 = 4,             /**< int8, with scales */
    DMATTN_FORMAT_E4M3 = 5,             /**< fp8 e4m3 "fn" (4 bits of exponent with bias 7, 3 of mantissa; the greatest
                                           number is 448, 0x7f and 0xff are NaN, there are no infinities), with scales */
    DMATTN_FORMAT_Q8_0 = 6,             /**< ggml's q8_0, blocks of 34 bytes: d in f16, then 32 int8 q; d * q */
    DMATTN_FORMAT_Q4_0 = 7,             /**< ggml's q4_0, blocks of 18 bytes: d in f16, then 16 bytes. The lower 4 bits
                                           of byte i are q of element i, the upper ones of element i + 16; d * (q - 8) */
    DMATTN_FORMAT_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_format;

/** Strides of a tensor [batch, sequence, head, dim], in elements. The stride of dim is always 1. If all three strides
 * are 0, the tensor is contiguous in this order. Otherwise the strides are used as given, and a stride of 0 repeats an
 * input along that dimension. Access is fastest if all rows start at multiples of 16 bytes. */
typedef struct dmattn_strides {
    uint64_t batch;    /**< from one batch item to the next */
    uint64_t sequence; /**< from one token to the next */
    uint64_t head;     /**< from one head to the next */
} dmattn_strides;

/** Shape of a mask or bias tensor [batch, heads, queries, keys] that is combined with the scores [B, H, Sq, Sk]. An
 * extent of 1 broadcasts over that dimension; an extent of 0 means 1. The number of keys is always Sk; lists of
 * selected keys have selected_count numbers instead. Strides are in elements; the stride of the last dimension is
 * always 1. If all three strides are 0, the tensor is contiguous. */
typedef struct dmattn_score_shape {
    uint32_t batch;        /**< extent: B or 1 */
    uint32_t heads;        /**< extent: H, Hk or 1 */
    uint32_t queries;      /**< extent: Sq or 1 */
    uint64_t batch_stride; /**< ignored if batch is 1 */
    uint64_t head_stride;  /**< ignored if heads is 1 */
    uint64_t query_stride; /**< ignored if queries is 1 */
} dmattn_score_shape;

/** A range of a VkBuffer, in bytes. The buffer is borrowed: it must have its memory when a run is recorded and must
 * live until the last submission of that command buffer is complete. It needs VK_BUFFER_USAGE_STORAGE_BUFFER_BIT and
 * VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT. */
typedef struct dmattn_buffer {
    VkBuffer buffer;     /**< VK_NULL_HANDLE: no buffer, for optional arguments */
    VkDeviceSize offset; /**< start of the range, in bytes; alignment: dmattn_plan_info */
    VkDeviceSize size;   /**< bytes that may be accessed from `offset` on; VK_WHOLE_SIZE turns the check off */
} dmattn_buffer;

/* ---- plans --------------------------------------------------------------------------------------------------- */

/** An operator for one descriptor: its kernels, compiled to pipelines. Immutable; any number of threads may record from
 * it at once. It must live until all command buffers that it was recorded into are no longer pending.
 *
 * The plans of a context share pipelines: a kernel with the same constants is compiled once. Several threads may make
 * plans at the same time, and each compiles what no other one is compiling. */
typedef struct dmattn_plan dmattn_plan;

/** Destroys a plan. No pending command buffer may use it. NULL is ignored. */
DMATTN_API void dmattn_plan_destroy(dmattn_plan *plan);

/** Properties of a plan. The app synchronizes a run with other work by `stages`, `reads` and `writes`; the same values
 * hold for the calls that fill and fork a cache. dmattn records the barriers between its own dispatches. */
typedef struct dmattn_plan_info {
    dmattn_level level;         /**< level of the attention kernel; mask kernels are always portable */
    const char *why_not_higher; /**< why the plan does not use the allowed levels above its own, such as "matrix2: ...;
                                   matrix: ..."; empty if there are none, or if the descriptor requests a level.
                                   Owned by the plan */
    const char *kernel;         /**< name of the attention kernel and its tile, for logs. Owned by the plan */
    uint64_t workspace_size;    /**< bytes of scratch memory that one run needs; may be 0. A plan for fewer queries or
                                   keys may need more, because it may split the keys among more workgroups */
    uint64_t workspace_alignment; /**< alignment of the workspace offset, in bytes */
    uint64_t data_alignment; /**< alignment of the offsets of q, k, v, out and their gradients, in bytes: 16, or the
                                element size if a stride is not a multiple of 16 bytes */
    uint32_t list_queries;   /**< queries per tile list, for plans that read or write tile lists; otherwise 0 */
    uint64_t lists_size;     /**< bytes of the tile lists that a mask plan writes; their offset is a multiple of 64 */
    VkPipelineStageFlags stages; /**< pipeline stages that a run uses */
    VkAccessFlags reads;         /**< access types with which a run reads */
    VkAccessFlags writes;        /**< access types with which a run writes */
    double flops; /**< floating-point operations of a run. Attention: 2 * (D + Dv) for each pair of query and key that
                     `causal` leaves visible, other masks ignored. Mask plan: those of the importance */
    double bytes; /**< memory traffic of a run in bytes: each input read once, each output written once, without tile
                     lists */
} dmattn_plan_info;

/** Writes the properties of `plan` to *info. If `plan` is NULL, *info is zeroed, with empty strings. An `info` of NULL
 * is ignored. */
DMATTN_API void dmattn_plan_get_info(const dmattn_plan *plan, dmattn_plan_info *info);

/* ---- checking without planning ------------------------------------------------------------------------------- */

/** What dmattn_*_check() answers: what planning a descriptor would give. A check compiles nothing and calls no Vulkan
 * function. It takes microseconds, and sends no message. */
typedef struct dmattn_support {
    dmattn_status
        status;               /**< what dmattn_*_plan() would return, unless memory runs out or a Vulkan call fails; the
                                 check returns it, too. If it is not SUCCESS, the members below are zero, except `message` */
    dmattn_level level;       /**< as in dmattn_plan_info, like the members after it */
    uint32_t list_queries;    /**< as in dmattn_plan_info */
    uint64_t workspace_size;  /**< as in dmattn_plan_info */
    uint64_t data_alignment;  /**< as in dmattn_plan_info */
    uint64_t lists_size;      /**< as in dmattn_plan_info */
    double flops;             /**< as in dmattn_plan_info */
    double bytes;             /**< as in dmattn_plan_info */
    char message[512];        /**< the sentence that explains `status`; empty with SUCCESS */
    char why_not_higher[448]; /**< as in dmattn_plan_info */
    char kernel[128];         /**< as in dmattn_plan_info */
} dmattn_support;

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_CORE_H */
