/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: sparse attention as Vulkan compute kernels. The embedding layer.
 *
 * The app brings its own VkInstance, VkDevice, command buffers and memory; dmattn records commands.
 *
 *     describe   fill a descriptor: shapes, types, what may be seen
 *     plan       dmattn_*_plan() checks it, chooses kernels and builds their pipelines (may be slow)
 *     record     dmattn_*_record() writes the commands into the app's command buffer (fast)
 *
 * Three operators are planned and recorded so:
 *
 *     attention  out of q, k, v and a mask that the app has
 *     mask       out of v (or of importance that the app has) which keys each query sees: a dynamic mask
 *     dma        both, dynamic mask attention, in one
 *
 * and the gradients of attention and of dma: attention_backward, dma_backward; and decode, dma for a few new tokens of
 * each sequence against a cache.
 *
 * Rules that hold for every function here:
 *
 * - Handles are opaque. Vulkan handles given to dmattn are borrowed and must outlive what was made with them. dmattn
 *   owns pipelines, pipeline layouts and host memory, nothing else: it allocates no device memory, submits nothing,
 *   waits for nothing, starts no thread, reads no file and no environment variable, prints nothing and has no global
 *   state.
 * - Descriptors: zero means default. Initialise with { 0 } and set what matters. They are copied.
 * - Errors: every fallible call returns a dmattn_status. On failure the out-pointer is set to NULL, nothing is
 *   leaked or half done, and one sentence that names the argument and the limit goes to the context's message
 *   callback.
 * - Threads: contexts and plans are immutable once made. Any number of threads may plan from one context and record
 *   from one plan at once. As in Vulkan, a command buffer belongs to one thread at a time, and destroying an object
 *   must not race with its use.
 */
#ifndef DMATTN_DMATTN_H
#define DMATTN_DMATTN_H

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
/** Of this header, one number. */
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

/* ---- attention, forward -------------------------------------------------------------------------------------- */

/** Besides `causal`, which keys a query may see. */
typedef enum dmattn_mask {
    DMATTN_MASK_NONE = 0,      /**< all */
    DMATTN_MASK_DENSE = 1,     /**< uint8 tensor of shape `mask_shape`; a byte other than 0: may be seen */
    DMATTN_MASK_INTERVALS = 2, /**< int32 tensors `begin` and `end` of shape `mask_shape` with queries = 1: query t sees
                                  key j iff begin[j] <= t < end[j] */
    DMATTN_MASK_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_mask;

/** Attention: the operator and its shapes. For query t, key j, and query head h, which reads key and value head
 * h / (H / Hk):
 *
 *     S[t,j] = scale * (q_t . k_j), then cap * tanh(S / cap) if soft_cap, then + bias
 *     P      = softmax of S over the visible j;   out = P v;   lse = ln(sum of exp S)
 *
 * A query that sees no key gives out = 0 and lse = -infinity. Sums and the softmax are f32 at every level.
 * Algorithm: online softmax over key tiles (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022,
 * arXiv 2205.14135). With a dense mask, tiles are skipped that a bitmap, made once for each mask, reports empty. With
 * intervals, keys are gathered by lists ("tile lists" below), so that hidden ones are hardly looked at.
 *
 * Values: a hidden pair counts with a probability of 0, and 0 times NaN is NaN. So v must be finite, but for keys that
 * no query sees by `causal` and their interval, or by a dense mask without a query dimension: theirs may hold anything,
 * as may k of hidden pairs and gaps between rows. A bias of -infinity hides the key from the query; one that is NaN
 * counts as -infinity. */
typedef struct dmattn_attention_desc {
    dmattn_type type;              /**< of q, k, v and out */
    uint32_t batch;                /**< B, required */
    uint32_t queries;              /**< Sq, required */
    uint32_t keys;                 /**< Sk, required */
    uint32_t heads;                /**< H, required */
    uint32_t kv_heads;             /**< Hk, a divisor of H; 0: H */
    uint32_t head_dim;             /**< D, a multiple of 8, 8 to 256 */
    uint32_t value_dim;            /**< Dv, likewise; 0: D */
    float scale;                   /**< 0: 1 / sqrt(D) */
    float soft_cap;                /**< 0: off */
    bool causal;                   /**< query t stands at position t + Sk - Sq and sees the keys at and before it */
    bool lse;                      /**< write lse, too */
    dmattn_strides q_strides;      /**< q   [B, Sq, H,  D]  */
    dmattn_strides k_strides;      /**< k   [B, Sk, Hk, D]  */
    dmattn_strides v_strides;      /**< v   [B, Sk, Hk, Dv] */
    dmattn_strides out_strides;    /**< out [B, Sq, H,  Dv], no two elements in one place */
    dmattn_mask mask;              /**< what may be seen */
    dmattn_score_shape mask_shape; /**< of the dense mask, or of begin and of end alike */
    bool bias;                     /**< there is a bias */
    dmattn_type bias_type;         /**< its elements' */
    dmattn_score_shape bias_shape; /**< with interval masks, queries = 1 */
    bool lists;             /**< with interval masks: args.lists holds tile lists, made of the same begin and end by a
                               mask plan; otherwise they are made in the workspace */
    uint32_t list_capacity; /**< with interval masks and without lists: see dmattn_mask_desc */
    dmattn_level level;     /**< this level and no other; 0: the best */
    dmattn_level max_level; /**< no level above this one; 0: any */
} dmattn_attention_desc;

/** An operator for one descriptor: kernels that were chosen and their pipelines. */
typedef struct dmattn_plan dmattn_plan;

/** Checks the descriptor, chooses a kernel and its tile, builds pipelines. UNSUPPORTED: beyond a limit of the device.
 */
DMATTN_API dmattn_status dmattn_attention_plan(dmattn_context *context, const dmattn_attention_desc *desc,
                                               dmattn_plan **plan);

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

/** The buffers of one run. */
typedef struct dmattn_attention_args {
    dmattn_buffer q;         /**< [B, Sq, H, D] */
    dmattn_buffer k;         /**< [B, Sk, Hk, D] */
    dmattn_buffer v;         /**< [B, Sk, Hk, Dv] */
    dmattn_buffer out;       /**< [B, Sq, H, Dv], written */
    dmattn_buffer lse;       /**< f32 [B, H, Sq] contiguous, written, if desc.lse */
    dmattn_buffer mask;      /**< uint8, if DMATTN_MASK_DENSE */
    dmattn_buffer begin;     /**< int32, if DMATTN_MASK_INTERVALS */
    dmattn_buffer end;       /**< int32, if DMATTN_MASK_INTERVALS */
    dmattn_buffer bias;      /**< bias_type, if desc.bias */
    dmattn_buffer lists;     /**< if desc.lists */
    dmattn_buffer workspace; /**< info.workspace_size bytes, this run's alone until it is complete */
    bool reuse_mask_tiles;   /**< the workspace still holds the bitmap or lists of this mask from an earlier run of this
                                plan, as when many layers share a mask: do not make them again */
} dmattn_attention_args;

/** Records one run into `commands`, which must be recording, outside a render pass, on a queue with compute. Allocates
 * nothing and takes no lock. Changes the compute pipeline and push constants of `commands`, and no other state: bound
 * descriptor sets stay bound. Unused buffers are ignored. INVALID: a buffer is missing, too small or misaligned; then
 * nothing is recorded. */
DMATTN_API dmattn_status dmattn_attention_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                 const dmattn_attention_args *args);

/* ---- attention, backward ------------------------------------------------------------------------------------- */

/** Gradients, as bits. */
typedef enum dmattn_gradient {
    DMATTN_GRADIENT_Q = 1,                /**< dq */
    DMATTN_GRADIENT_K = 2,                /**< dk */
    DMATTN_GRADIENT_V = 4,                /**< dv */
    DMATTN_GRADIENT_BIAS = 8,             /**< dbias, of attention alone */
    DMATTN_GRADIENT_IMPORTANCE = 16,      /**< dimportance; this and the next of dynamic mask attention alone */
    DMATTN_GRADIENT_DT_WEIGHT = 32,       /**< ddt_weight */
    DMATTN_GRADIENT_A = 64,               /**< da */
    DMATTN_GRADIENT_DT_BIAS = 128,        /**< ddt_bias */
    DMATTN_GRADIENT_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_gradient;

/** Attention, backward: which gradients, and where. They are those of sum(out * dout), from out and lse of a forward
 * run:
 *
 *     P  = exp(S - lse);  dP = dout v^T;  D[t] = sum of out[t] * dout[t];  dS = P * (dP - D)
 *     dv = P^T dout;  dbias = dS, summed over what the bias broadcasts
 *     dq = scale * dS k;  dk = scale * dS^T q, after dS is multiplied by 1 - tanh^2 if there is a soft cap
 *
 * Those of a query that sees no key are 0, and so are those of a key that no query sees. No atomics: results are the
 * same from run to run.
 * Algorithm: scores are computed again tile by tile (Dao et al. 2022, arXiv 2205.14135), once for tiles of queries, of
 * which each makes its dq, and once for tiles of keys, of which each makes its dk, dv and dbias. With intervals, tiles
 * of queries read the same lists as forward, and tiles of keys are of keys that live at about the same time, in the
 * order of a Hilbert curve over (begin, end), so that the queries that see any of them are hardly more than those that
 * see each.
 *
 * Values: as forward, and k, q and dout must be finite where v must be. Where scores are so large, above some 2^24,
 * that lse, an f32, has no digits left for the number of keys that share them, the gradients are as many times too
 * large. */
typedef struct dmattn_attention_backward_desc {
    dmattn_attention_desc attention; /**< as it was run forward; its lse and out_strides are those of inputs here */
    uint32_t gradients;              /**< those to compute; 0: all that there are */
    dmattn_strides dout_strides;     /**< dout [B, Sq, H,  Dv] */
    dmattn_strides dq_strides;       /**< dq   [B, Sq, H,  D ], no two elements in one place, as for those below */
    dmattn_strides dk_strides;       /**< dk   [B, Sk, Hk, D ] */
    dmattn_strides dv_strides;       /**< dv   [B, Sk, Hk, Dv] */
} dmattn_attention_backward_desc;

/** As dmattn_attention_plan(), levels likewise; the gradient of a bias with a query dimension is made by a portable
 * kernel at all of them. info.flops are 5/2 of forward's, all gradients being computed: 4 * (D + Dv) of the least work,
 * and 2 * D for the scores. */
DMATTN_API dmattn_status dmattn_attention_backward_plan(dmattn_context *context,
                                                        const dmattn_attention_backward_desc *desc, dmattn_plan **plan);

/** The buffers of one run; of gradients, those that are computed. */
typedef struct dmattn_attention_backward_args {
    dmattn_buffer q;         /**< [B, Sq, H, D] */
    dmattn_buffer k;         /**< [B, Sk, Hk, D] */
    dmattn_buffer v;         /**< [B, Sk, Hk, Dv] */
    dmattn_buffer out;       /**< [B, Sq, H, Dv], as forward has written it */
    dmattn_buffer dout;      /**< [B, Sq, H, Dv], the gradient of out */
    dmattn_buffer lse;       /**< f32 [B, H, Sq] contiguous, as forward has written it */
    dmattn_buffer mask;      /**< as in dmattn_attention_args */
    dmattn_buffer begin;     /**< as in dmattn_attention_args */
    dmattn_buffer end;       /**< as in dmattn_attention_args */
    dmattn_buffer bias;      /**< as in dmattn_attention_args */
    dmattn_buffer lists;     /**< if desc.attention.lists, made for this plan's info.list_queries */
    dmattn_buffer dq;        /**< [B, Sq, H, D], written */
    dmattn_buffer dk;        /**< [B, Sk, Hk, D], written */
    dmattn_buffer dv;        /**< [B, Sk, Hk, Dv], written */
    dmattn_buffer dbias;     /**< f32, contiguous, of the extents of bias_shape: summed over what they broadcast */
    dmattn_buffer workspace; /**< info.workspace_size bytes, this run's alone until it is complete */
} dmattn_attention_backward_args;

/** As dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_attention_backward_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                          const dmattn_attention_backward_args *args);

/* ---- dynamic masks ------------------------------------------------------------------------------------------- */

/** A dynamic mask is made in three stages, each from the products of the one before, which the app may also make itself
 * or keep, say for other layers or for decoding. All are contiguous.
 *
 *     importance  f32 [B, Hk, Sk], from v; also the bias of the attention
 *     intervals   int32 begin, end [B, Hk, Sk]: query t sees key j iff begin[j] <= t < end[j]; 0, 0 if none does
 *     tile lists  for each tile of queries the keys that some query of it sees
 *
 * Source: trainable dynamic mask sparse attention, arXiv 2508.02124. That every key is seen by one interval of queries,
 * by which the mask takes O(N) memory, follows from its definition: a key that has fallen out of the w most important
 * ones of a growing prefix never comes back. Which query it falls out at is answered by a wavelet tree that a merge
 * sort leaves behind (shaders/lib/tree.glsl). */
typedef enum dmattn_mask_stage {
    DMATTN_STAGE_IMPORTANCE = 1,       /**< how much each key counts */
    DMATTN_STAGE_INTERVALS = 2,        /**< the queries that see it */
    DMATTN_STAGE_LISTS = 4,            /**< the keys that each tile of queries sees */
    DMATTN_STAGE_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_mask_stage;

/** importance[h,j] of kv head h and key j, with z = dt_bias[h] + the sum over all kv heads g and dims i of
 * v[j,g,i] dt_weight[h, g Dv + i]. What would be NaN is -infinity. */
typedef enum dmattn_activation {
    DMATTN_ACTIVATION_EXP_SOFTPLUS = 0,     /**< exp(a[h] * ln(1 + e^z)) */
    DMATTN_ACTIVATION_SOFTPLUS = 1,         /**< a[h] * ln(1 + e^z) */
    DMATTN_ACTIVATION_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_activation;

/** How the importance comes of the values. */
typedef struct dmattn_importance {
    dmattn_activation activation; /**< of z */
    dmattn_type parameter_type;   /**< of dt_weight, a and dt_bias */
    bool dt_bias;                 /**< there is a dt_bias; otherwise it is 0 */
} dmattn_importance;

/** Which keys are kept. Of equally important keys the later one wins; an importance of NaN counts as -infinity. */
typedef enum dmattn_select {
    DMATTN_SELECT_ALL = 0,              /**< all */
    DMATTN_SELECT_TOPW_CAUSAL = 1,      /**< the `window` most important of those at or before each query's position */
    DMATTN_SELECT_TOPW_SHARED = 2,      /**< the `window` most important of all, the same for every query */
    DMATTN_SELECT_THRESHOLD = 3,        /**< those whose importance is above `threshold` */
    DMATTN_SELECT_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_select;

/** Which keys a query sees. The query at position p (query t stands at t + Sk - Sq) sees key j, if it is valid,
 * iff
 *
 *     (not causal or j <= p) and (j is kept or a sink or recent) and (sliding is 0 or j is a sink or p - sliding < j),
 *
 * sinks being the keys j < sinks, and recent ones those with p - recent < j <= p. Sinks and recent keys count among the
 * `window` if they are kept, and are seen besides if they are not.
 *
 * Documents: several sequences, packed one behind the other. Query t and key j are of document d where
 * query_offsets[d] <= t < query_offsets[d+1], key_offsets likewise; all of the above holds within a document as if
 * there were no others, and no query sees another's keys. Offsets ascend; documents may be empty; what lies outside of
 * all of them sees nothing and is not seen. */
typedef struct dmattn_selection {
    dmattn_select select; /**< which keys are kept */
    uint32_t window;      /**< w; at least 1 with TOPW_CAUSAL and TOPW_SHARED */
    float threshold;      /**< with THRESHOLD */
    uint32_t sinks;       /**< how many first keys are seen in any case */
    uint32_t recent;      /**< how many latest ones are */
    uint32_t sliding;     /**< how far back a query sees, sinks aside; 0: to the beginning */
    bool causal;          /**< no query sees a key behind its position */
    bool key_valid;       /**< there is a uint8 tensor [B, Sk], 0: the key is padding, never seen and not counted */
    uint32_t documents;   /**< there are int32 query_offsets and key_offsets [B, documents + 1]; 0: one document, all */
} dmattn_selection;

/** A dynamic mask: which stages of it, and how. The buffer of tile lists begins with a header of four uint32 for each
 * batch item, kv head and tile of `list_queries` queries, in this order, and holds the words of the lists behind them:
 *
 *     header[0]  where the list's words are: 64 * header[0] bytes from the beginning of the buffer
 *     header[1]  the number of slots
 *     header[2]  how many of them, at the beginning, are full: all queries of the tile see their keys
 *     header[3]  0: a slot is a word, which is a key. 5: a word is a block of 32 slots, the keys 32 * word and on
 *
 * Slots that are full ascend, and so do those that are not. A key that no query of the tile sees may be among the
 * latter. Blocks stand where a tile has more keys than `list_capacity`. */
typedef struct dmattn_mask_desc {
    uint32_t stages;   /**< bits of dmattn_mask_stage, neighbours; 0: all. What they need and do not make is an input */
    uint32_t batch;    /**< B, required */
    uint32_t queries;  /**< Sq, required but for importance alone */
    uint32_t keys;     /**< Sk, required */
    uint32_t kv_heads; /**< Hk, required */
    /* importance */
    dmattn_type type;             /**< of v */
    uint32_t value_dim;           /**< Dv, a multiple of 8, 8 to 256 */
    dmattn_strides v_strides;     /**< v [B, Sk, Hk, Dv] */
    dmattn_importance importance; /**< how it comes of v */
    /* intervals */
    dmattn_selection selection; /**< of lists alone, which need nothing of it but causal: it then also applies */
    /* lists */
    uint32_t list_queries;  /**< dmattn_plan_info.list_queries of the attention plan that will read them, required */
    uint32_t list_capacity; /**< keys of a tile that fit in its list; more are listed as blocks of 32, hidden ones among
                               them: as right, but slower. 0: as many as the selection can keep; where it sets no bound,
                               4096. Rounded up to what is needed at least */
} dmattn_mask_desc;

/** Checks the descriptor and builds pipelines. UNSUPPORTED: beyond a limit of the device. For each key and kv head the
 * workspace takes some 22 bytes to select by importance, or, if that is more, what lists of nodes above the tiles take:
 * with 16 queries to a list some 10 + (window + 512) / 64 bytes. */
DMATTN_API dmattn_status dmattn_mask_plan(dmattn_context *context, const dmattn_mask_desc *desc, dmattn_plan **plan);

/** The buffers of one run. What its stages make is written, what they need besides is read. */
typedef struct dmattn_mask_args {
    dmattn_buffer v;             /**< [B, Sk, Hk, Dv] */
    dmattn_buffer dt_weight;     /**< parameter_type [Hk, Hk * Dv] */
    dmattn_buffer a;             /**< parameter_type [Hk] */
    dmattn_buffer dt_bias;       /**< parameter_type [Hk], if desc.importance.dt_bias */
    dmattn_buffer key_valid;     /**< uint8 [B, Sk], if desc.selection.key_valid */
    dmattn_buffer query_offsets; /**< int32 [B, documents + 1], if desc.selection.documents */
    dmattn_buffer key_offsets;   /**< int32 [B, documents + 1], if desc.selection.documents */
    dmattn_buffer importance;    /**< f32 [B, Hk, Sk], made, or given */
    dmattn_buffer begin;         /**< int32 [B, Hk, Sk], made, or given */
    dmattn_buffer end;           /**< int32 [B, Hk, Sk], made, or given */
    dmattn_buffer lists;         /**< info.lists_size bytes */
    dmattn_buffer workspace;     /**< info.workspace_size bytes, this run's alone until it is complete */
    uint32_t reuse; /**< bits of dmattn_mask_stage whose products are still there: do not make them again */
} dmattn_mask_args;

/** As dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_mask_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                            const dmattn_mask_args *args);

/* ---- dynamic mask attention ---------------------------------------------------------------------------------- */

/** Dynamic mask attention: the mask, and attention with it and with the importance as its bias, in one plan. */
typedef struct dmattn_dma_desc {
    dmattn_attention_desc attention; /**< without causal, which is the selection's, mask, bias and lists */
    dmattn_importance importance;    /**< how it comes of v */
    bool importance_given;           /**< it is an input, in args.importance */
    dmattn_selection selection;      /**< which keys are seen, and causal */
    uint32_t list_capacity;          /**< see dmattn_mask_desc */
} dmattn_dma_desc;

/** As dmattn_mask_plan() and dmattn_attention_plan(). */
DMATTN_API dmattn_status dmattn_dma_plan(dmattn_context *context, const dmattn_dma_desc *desc, dmattn_plan **plan);

/** The buffers of one run. Importance, begin and end are optional outputs: what is left out is made in the workspace.
 */
typedef struct dmattn_dma_args {
    dmattn_buffer q;             /**< [B, Sq, H, D] */
    dmattn_buffer k;             /**< [B, Sk, Hk, D] */
    dmattn_buffer v;             /**< [B, Sk, Hk, Dv] */
    dmattn_buffer out;           /**< [B, Sq, H, Dv], written */
    dmattn_buffer lse;           /**< f32 [B, H, Sq] contiguous, written, if desc.attention.lse */
    dmattn_buffer dt_weight;     /**< as in dmattn_mask_args, unless desc.importance_given */
    dmattn_buffer a;             /**< as in dmattn_mask_args, unless desc.importance_given */
    dmattn_buffer dt_bias;       /**< as in dmattn_mask_args, unless desc.importance_given */
    dmattn_buffer key_valid;     /**< as in dmattn_mask_args */
    dmattn_buffer query_offsets; /**< as in dmattn_mask_args */
    dmattn_buffer key_offsets;   /**< as in dmattn_mask_args */
    dmattn_buffer importance;    /**< f32 [B, Hk, Sk]; an input if desc.importance_given */
    dmattn_buffer begin;         /**< int32 [B, Hk, Sk] */
    dmattn_buffer end;           /**< int32 [B, Hk, Sk] */
    dmattn_buffer workspace;     /**< info.workspace_size bytes, this run's alone until it is complete */
    bool reuse_mask; /**< the mask's products are still there from an earlier run of this plan with the same buffers: do
                        not make them again */
} dmattn_dma_args;

/** As dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_dma_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                           const dmattn_dma_args *args);

/* ---- dynamic mask attention, backward ------------------------------------------------------------------------ */

/** Dynamic mask attention, backward: which gradients, and where. With g = the gradient of a key's importance, which is
 * that of its bias, and z as in dmattn_activation:
 *
 *     dz = g * importance * a * sigmoid(z) (EXP_SOFTPLUS), or g * a * sigmoid(z)
 *     da[h] = sum over batch and keys of g * importance * ln(1 + e^z), or of g * ln(1 + e^z);  ddt_bias[h] = sum of dz
 *     ddt_weight[h,i] = sum of dz[h,j] * v[j,i];  dv[j,i] += sum over h of dz[h,j] * dt_weight[h,i]
 *
 * The selection passes no gradient. The parameters' gradients are f32, contiguous, in the shapes of the parameters. */
typedef struct dmattn_dma_backward_desc {
    dmattn_dma_desc dma; /**< as it was run forward */
    uint32_t gradients;  /**< those to compute; 0: all that there are, but that of an importance that is not given */
    dmattn_strides dout_strides; /**< as in dmattn_attention_backward_desc */
    dmattn_strides dq_strides;   /**< as in dmattn_attention_backward_desc */
    dmattn_strides dk_strides;   /**< as in dmattn_attention_backward_desc */
    dmattn_strides dv_strides;   /**< as in dmattn_attention_backward_desc */
} dmattn_dma_backward_desc;

/** As dmattn_attention_backward_plan(). */
DMATTN_API dmattn_status dmattn_dma_backward_plan(dmattn_context *context, const dmattn_dma_backward_desc *desc,
                                                  dmattn_plan **plan);

/** The buffers of one run; of gradients, those that are computed. */
typedef struct dmattn_dma_backward_args {
    dmattn_buffer q;           /**< [B, Sq, H, D] */
    dmattn_buffer k;           /**< [B, Sk, Hk, D] */
    dmattn_buffer v;           /**< [B, Sk, Hk, Dv] */
    dmattn_buffer out;         /**< [B, Sq, H, Dv], as forward has written it */
    dmattn_buffer dout;        /**< [B, Sq, H, Dv], the gradient of out */
    dmattn_buffer lse;         /**< f32 [B, H, Sq] contiguous, as forward has written it */
    dmattn_buffer dt_weight;   /**< as in dmattn_dma_args */
    dmattn_buffer a;           /**< as in dmattn_dma_args */
    dmattn_buffer dt_bias;     /**< as in dmattn_dma_args */
    dmattn_buffer importance;  /**< f32 [B, Hk, Sk], of the forward run */
    dmattn_buffer begin;       /**< int32 [B, Hk, Sk], of the forward run */
    dmattn_buffer end;         /**< int32 [B, Hk, Sk], of the forward run */
    dmattn_buffer dq;          /**< [B, Sq, H, D], written */
    dmattn_buffer dk;          /**< [B, Sk, Hk, D], written */
    dmattn_buffer dv;          /**< [B, Sk, Hk, Dv], written */
    dmattn_buffer dimportance; /**< f32 [B, Hk, Sk], written */
    dmattn_buffer ddt_weight;  /**< f32 [Hk, Hk * Dv], written */
    dmattn_buffer da;          /**< f32 [Hk], written */
    dmattn_buffer ddt_bias;    /**< f32 [Hk], written */
    dmattn_buffer workspace;   /**< info.workspace_size bytes, this run's alone until it is complete */
} dmattn_dma_backward_args;

/** As dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_dma_backward_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                    const dmattn_dma_backward_args *args);

/* ---- decoding ------------------------------------------------------------------------------------------------ */

/** A step of decoding: up to 16 new tokens of each of several sequences join a cache of keys and values, and their
 * queries attend to it, as dynamic mask attention over the whole sequences does: nothing is approximated. One dispatch
 * a step.
 *
 * A sequence has a state, of tokens that were so far; sequences are independent of each other. What happens to them is
 * up to `counts` and `keep`, device buffers, so that steps can be recorded ahead: a sequence pauses (count 0), starts
 * anew (keep 0), or takes tokens back that were a draft (keep less than it has).
 *
 * Source: that an evicted key never returns follows from the definition of the mask (dynamic masks, above). The keys
 * are shared out among workgroups, whose results are joined by their softmax (Dao et al. 2023, "Flash-Decoding"), in
 * order: the same bits from run to run. k and v of a token must be finite if some query sees it.
 *
 * Levels: PORTABLE; MATRIX for a bounded cache of a 16-bit type, which the best choice takes where it is faster: for
 * few sequences, or many rows of each. MATRIX2 would add nothing. */
typedef enum dmattn_cache {
    /** A key that has fallen out of the w most important ones never comes back, so its place can be taken. The state
     * holds window + sinks + recent keys (without TOPW_CAUSAL, sliding + sinks), and as many as may be new or taken
     * back, however long the sequence is. */
    DMATTN_CACHE_BOUNDED = 0,
    /** All keys, in pages of a pool that the app hands out: for selections that may show any key, and dense masks. Only
     * keys that some query sees are read. */
    DMATTN_CACHE_PAGED = 1,
    DMATTN_CACHE_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_cache;

/** New tokens of a sequence in one step, at most. */
#define DMATTN_DECODE_MAX_TOKENS 16

/** Decoding: how much may come in a step, and what is kept. */
typedef struct dmattn_decode_desc {
    /** batch: sequences. queries: new tokens of a sequence in a step, at most (T, 1 to 16). keys: 0 or T, as k and v
     * are those of the new tokens. Without causal, which is the selection's, bias and lists. mask: NONE, or, if paged,
     * DENSE: of the keys 0 to max_keys - 1 of each sequence. */
    dmattn_attention_desc attention;
    dmattn_importance importance; /**< how it comes of v */
    bool importance_given;        /**< it is an input, in args.importance */
    bool no_importance;           /**< there is none, and no bias; then select must be ALL */
    /** causal. BOUNDED: TOPW_CAUSAL, or any other but TOPW_SHARED with sliding. PAGED: ALL or THRESHOLD. No documents
     * and no key_valid: a sequence is a document. */
    dmattn_selection selection;
    dmattn_cache cache; /**< what is kept of the sequences */
    uint32_t rollback; /**< BOUNDED: tokens of a sequence that can be taken back, counted from the most it has had, 0 to
                          16 */
    uint32_t page_size; /**< PAGED: tokens to a page, a multiple of 16 from 16 to 256 */
    uint32_t pages;     /**< PAGED: in the pool */
    uint32_t max_keys;  /**< PAGED: of a sequence, at most */
} dmattn_decode_desc;

/** Checks the descriptor and builds pipelines, those for filling and copying states, too. */
DMATTN_API dmattn_status dmattn_decode_plan(dmattn_context *context, const dmattn_decode_desc *desc,
                                            dmattn_plan **plan);

/** Where things are in a cache, in bytes. The state of sequence b lies at b * sequence_size, and all zeros are one
 * without tokens. It begins with twelve uint32 for each kv head, the first of which is the number of tokens. BOUNDED,
 * the slots follow, of which these tell where slot 0 of kv head 0 is; that of kv head h is h * slots elements, or rows,
 * behind. */
typedef struct dmattn_cache_layout {
    uint64_t state_size;    /**< of all sequences */
    uint64_t sequence_size; /**< a multiple of 16 */
    uint32_t slots;         /**< BOUNDED: of a kv head */
    uint64_t slot_words;    /**< four words a slot: uint32 position + 1 of its token, 0: empty; f32 importance; int32
                               position of the token that made it fall out of the w most important ones, its own if it
                               never was one, INT32_MAX: it is one; 0 */
    uint64_t keys;          /**< rows of D elements of `type` */
    uint64_t values;        /**< rows of Dv */
    /** PAGED. Page n of the pool lies at n * page_size. It holds k [Hk, page_size, D], then v [Hk, page_size, Dv],
     * then, with importance, that, f32 [Hk, page_size]. */
    uint64_t page_size;
    uint64_t pages_size;  /**< of the pool */
    uint32_t table_pages; /**< of a row of the block table */
} dmattn_cache_layout;

/** Tells where things are. INVALID: not a plan of decoding; then *layout is all zero. */
DMATTN_API dmattn_status dmattn_decode_get_layout(const dmattn_plan *plan, dmattn_cache_layout *layout);

/** The buffers of one step. */
typedef struct dmattn_decode_args {
    dmattn_buffer q;          /**< [B, T, H, D]: of a sequence with fewer new tokens the first ones */
    dmattn_buffer k;          /**< [B, T, Hk, D], as q */
    dmattn_buffer v;          /**< [B, T, Hk, Dv], as q */
    dmattn_buffer out;        /**< [B, T, H, Dv], as q, written */
    dmattn_buffer lse;        /**< f32 [B, H, T] contiguous, written, if desc.attention.lse */
    dmattn_buffer dt_weight;  /**< as in dmattn_mask_args, at a multiple of 16 bytes */
    dmattn_buffer a;          /**< as in dmattn_mask_args */
    dmattn_buffer dt_bias;    /**< as in dmattn_mask_args */
    dmattn_buffer importance; /**< f32 [B, Hk, T], if desc.importance_given */
    dmattn_buffer counts;     /**< optional: int32 [B], new tokens of each sequence, 0 to T; without it, T */
    dmattn_buffer keep;  /**< optional: int32 [B]; if it is from 0 to less than a sequence has, that many of its tokens
                            are kept before the new ones come. 0 starts anew. BOUNDED, where more are taken back than
                            desc.rollback allows, or than came after a prompt, out and lse of the sequence are NaN until
                            it starts anew or gets a prompt */
    dmattn_buffer state; /**< layout.state_size bytes, at a multiple of 16, zeros at first */
    dmattn_buffer pages; /**< PAGED: layout.pages_size bytes, at a multiple of 16 */
    dmattn_buffer table; /**< PAGED: the block table, int32 [B, layout.table_pages]: page of the pool for each page_size
                            tokens of a sequence, those of the new tokens included. What is behind them may be anything.
                            Tokens beyond max_keys are dropped */
    dmattn_buffer mask;  /**< uint8 of shape {B,1} x {H,Hk,1} x {T,1} x max_keys, if DMATTN_MASK_DENSE */
    dmattn_buffer workspace; /**< info.workspace_size bytes, this step's alone until it is complete */
} dmattn_decode_args;

/** As dmattn_attention_record(). Steps that follow each other on the same state need a barrier between them, as any run
 * that reads what another has written; rows of out and lse of tokens that are not there are not written. */
DMATTN_API dmattn_status dmattn_decode_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                              const dmattn_decode_args *args);

/** A prompt, for which attention has been run: its k, v and importance as they went into it or came out, of all its
 * tokens, in however many runs. */
typedef struct dmattn_decode_fill_args {
    uint32_t sequence;        /**< to fill; whatever its state was */
    uint32_t keys;            /**< tokens of the prompt (Sk), 1 or more */
    dmattn_buffer k;          /**< [Sk, Hk, D] */
    dmattn_buffer v;          /**< [Sk, Hk, Dv] */
    dmattn_strides k_strides; /**< of batch nothing is used; all zero: contiguous */
    dmattn_strides v_strides; /**< of batch nothing is used; all zero: contiguous */
    dmattn_buffer importance; /**< f32 [Hk, Sk] contiguous, unless desc.no_importance */
    dmattn_buffer state;      /**< as in dmattn_decode_args */
    dmattn_buffer pages;      /**< as in dmattn_decode_args */
    dmattn_buffer table;      /**< as in dmattn_decode_args */
} dmattn_decode_fill_args;

/** Puts a prompt into a sequence's cache. INVALID: as ever, and more keys than max_keys. */
DMATTN_API dmattn_status dmattn_decode_fill_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                   const dmattn_decode_fill_args *args);

/** Makes sequence `to` what sequence `from` is: a beam, or a prefix that several share. PAGED, the block table is the
 * app's to copy: a page that both go on writing must be two. */
DMATTN_API dmattn_status dmattn_decode_fork_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                   const dmattn_buffer *state, uint32_t from, uint32_t to);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_DMATTN_H */
