/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: the host runtime, for programs without their own Vulkan device, such as tools and tests. It loads the Vulkan
 * loader, lists and creates devices, owns buffers, copies data, submits commands and measures times. It is built on
 * dmattn/dmattn.h. Apps with their own VkDevice do not need it.
 *
 *     dmattn_runtime   a Vulkan instance
 *     dmattn_device    a VkDevice with one compute queue, staging memory and a dmattn_context
 *
 * Errors: as in dmattn/dmattn.h; explanations go to the runtime's message callback. If the runtime or device itself is
 * NULL, a function returns INVALID, or does nothing, or returns 0 or NULL. Threads: several threads may use a
 * runtime at once; a device, and everything created from it, may be used by only one thread at a time. A program may
 * have several devices at once.
 */
#ifndef DMATTN_RUNTIME_H
#define DMATTN_RUNTIME_H

#include "dmattn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- runtime ------------------------------------------------------------------------------------------------- */

/** A Vulkan instance and its list of physical devices. */
typedef struct dmattn_runtime dmattn_runtime;

/** Options of a runtime. */
typedef struct dmattn_runtime_desc {
    bool validation; /**< load the Khronos validation layer (core and synchronization checks). It reports messages of
                        severity ERROR or WARNING that start with "validation:" */
    dmattn_message_fn message; /**< optional message callback */
    void *message_user;        /**< first argument of the message callback */
} dmattn_runtime_desc;

/** Loads the Vulkan loader and creates an instance. Destroy it with dmattn_runtime_destroy(). `desc` may be NULL.
 * UNSUPPORTED: there is no loader or no Vulkan 1.2, or the requested validation layer is not installed. A system
 * without devices is not an error. */
DMATTN_API dmattn_status dmattn_runtime_create(const dmattn_runtime_desc *desc, dmattn_runtime **runtime);

/** Destroys a runtime. All its devices must have been destroyed before. NULL is ignored. */
DMATTN_API void dmattn_runtime_destroy(dmattn_runtime *runtime);

/* ---- physical devices ---------------------------------------------------------------------------------------- */

/** Properties of a physical device. */
typedef struct dmattn_device_info {
    char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE]; /**< name from the driver */
    char driver[VK_MAX_DRIVER_NAME_SIZE
                + VK_MAX_DRIVER_INFO_SIZE]; /**< name and version of the driver, from the driver */
    VkPhysicalDeviceType type;              /**< discrete, integrated, CPU and so on */
    uint32_t vendor_id;                     /**< PCI vendor ID */
    uint32_t api_version;   /**< Vulkan version of the device; dmattn uses the lower of it and the instance's version */
    dmattn_level level;     /**< highest level that it supports; 0 if dmattn cannot use it */
    char unusable[128];     /**< why dmattn cannot use it, as a sentence; otherwise empty */
    uint32_t subgroup_size; /**< default subgroup size */
    uint32_t min_subgroup_size; /**< smallest size that a kernel can require */
    uint32_t max_subgroup_size; /**< largest size that a kernel can require */
    uint32_t max_invocations;   /**< maximum number of invocations per workgroup */
    uint32_t shared_memory;     /**< shared memory per workgroup, in bytes */
    uint64_t device_memory;     /**< size of the largest device-local heap, in bytes */
    uint64_t max_allocation;    /**< size of the largest buffer that the driver promises to
                                   allow, in bytes; a larger one may work */
    bool timestamps;            /**< the compute queue has timestamps; false: times come from the host clock */
    uint8_t uuid[VK_UUID_SIZE]; /**< identifies the device in other APIs, for example cuDeviceGetUuid() of CUDA */
} dmattn_device_info;

/** Returns the number of physical devices, including those that dmattn cannot use. */
DMATTN_API uint32_t dmattn_runtime_device_count(const dmattn_runtime *runtime);

/** Writes the properties of device `index` to *info. INVALID: `index` is out of range. */
DMATTN_API dmattn_status dmattn_runtime_device_info(const dmattn_runtime *runtime, uint32_t index,
                                                    dmattn_device_info *info);

/** Finds a usable device and writes its index to *index. `selector` is NULL or "best", a decimal index, or part of a
 * device or driver name (upper and lower case are equal). If several devices match, the best one is chosen: discrete
 * before integrated, virtual and CPU, and the first among equals. INVALID: no device matches, or none that matches is
 * usable. */
DMATTN_API dmattn_status dmattn_runtime_find_device(const dmattn_runtime *runtime, const char *selector,
                                                    uint32_t *index);

/* ---- device -------------------------------------------------------------------------------------------------- */

/** A VkDevice with one compute queue, staging memory and a dmattn_context. */
typedef struct dmattn_device dmattn_device;

/** Creates a VkDevice with all extensions and features of dmattn_get_device_needs() that device `index` supports, and
 * its context. Destroy it with dmattn_device_destroy(). INVALID: `index` is out of range. UNSUPPORTED: dmattn cannot
 * use the device. */
DMATTN_API dmattn_status dmattn_device_create(dmattn_runtime *runtime, uint32_t index, dmattn_device **device);

/** Waits until the device is idle and destroys it, its context and all its buffers. All plans of its context must have
 * been destroyed before. NULL is ignored. */
DMATTN_API void dmattn_device_destroy(dmattn_device *device);

/** Returns the device's context, for planning. Owned by the device. */
DMATTN_API dmattn_context *dmattn_device_context(dmattn_device *device);

/** Vulkan objects of a device, for programs that record commands of their own. Owned by the device or its runtime. */
typedef struct dmattn_device_handles {
    PFN_vkGetInstanceProcAddr get_instance_proc_addr; /**< function of the Vulkan loader */
    VkInstance instance;                              /**< instance of the runtime */
    VkPhysicalDevice physical_device;                 /**< the physical device */
    VkDevice device;                                  /**< the device */
    VkQueue queue;                                    /**< its queue, for compute and transfers */
    uint32_t queue_family;                            /**< queue family of `queue` */
    uint32_t api_version; /**< the lower of the instance's version and the device's version */
} dmattn_device_handles;

/** Writes the Vulkan objects of `device` to *handles. A `handles` of NULL is ignored. */
DMATTN_API void dmattn_device_get_handles(const dmattn_device *device, dmattn_device_handles *handles);

/* ---- buffers ------------------------------------------------------------------------------------------------- */

/** Creates a device-local buffer of `size` bytes (at least 1) with offset 0 and undefined contents. Destroy it with
 * dmattn_buffer_destroy(), or with the device. OUT_OF_MEMORY: the driver has no memory for it. UNSUPPORTED: `size`
 * exceeds the device's maxBufferSize. On failure *buffer is zeroed. */
DMATTN_API dmattn_status dmattn_buffer_create(dmattn_device *device, uint64_t size, dmattn_buffer *buffer);

/** Destroys a buffer of dmattn_buffer_create() or dmattn_buffer_create_shared(), and zeroes *buffer. No submitted
 * commands may still use it. A zeroed buffer is ignored. */
DMATTN_API void dmattn_buffer_destroy(dmattn_device *device, dmattn_buffer *buffer);

/** Copies `size` bytes from `data` to buffer->offset + `offset` through staging memory, and waits until the copy is
 * complete. Offset and size need no alignment. INVALID: the range is outside the buffer. */
DMATTN_API dmattn_status dmattn_upload(dmattn_device *device, const dmattn_buffer *buffer, uint64_t offset,
                                       const void *data, uint64_t size);
/** Copies `size` bytes from buffer->offset + `offset` to `data`, and waits; see dmattn_upload(). */
DMATTN_API dmattn_status dmattn_download(dmattn_device *device, const dmattn_buffer *buffer, uint64_t offset,
                                         void *data, uint64_t size);

/* ---- commands ------------------------------------------------------------------------------------------------ */

/** Begins the device's command buffer and writes it to *commands. Only one can be recording at a time. All writes of
 * completed submissions, uploads and downloads are visible to its commands. Owned by the device. */
DMATTN_API dmattn_status dmattn_commands_begin(dmattn_device *device, VkCommandBuffer *commands);

/** Records a barrier from compute shaders to compute shaders: all earlier dispatches complete, and their writes are
 * visible, before later dispatches start. It does not cover other commands, because a barrier for all commands takes
 * longer (2.7 us more on an NVIDIA H200). */
DMATTN_API void dmattn_commands_barrier(dmattn_device *device);

/** Number of timestamp slots of a command buffer. */
#define DMATTN_TIMESTAMPS 256

/** Records a timestamp into `slot` (0 to DMATTN_TIMESTAMPS - 1): the time at which all earlier commands are complete.
 * Each slot can be written at most once between begin and submit. */
DMATTN_API void dmattn_commands_timestamp(dmattn_device *device, uint32_t slot);

/** Ends the command buffer, submits it and waits until it is complete. Also waits for all earlier submissions. After a
 * failure, dmattn_commands_begin() can be called again, unless the device was lost. */
DMATTN_API dmattn_status dmattn_commands_submit(dmattn_device *device);

/** Discards the command buffer that is recording, for example after a failure while recording. */
DMATTN_API void dmattn_commands_cancel(dmattn_device *device);

/** Writes the time in seconds from slot `from` to slot `to` of the last submission to *seconds; negative if `to` was
 * written first. Without dmattn_device_info::timestamps it is the host time of the whole submission. INVALID: a slot
 * was not written. */
DMATTN_API dmattn_status dmattn_elapsed(dmattn_device *device, uint32_t from, uint32_t to, double *seconds);

/* ---- sharing memory with CUDA and other APIs ----------------------------------------------------------------- */

/** Exported memory of a shared buffer. Another API that uses the same device (dmattn_device_info::uuid) imports it, for
 * example CUDA with cuImportExternalMemory(). A timeline semaphore that starts at 0 synchronizes both sides without
 * the host; import it with cuImportExternalSemaphore(). Both are exported as opaque file descriptors of Vulkan. The
 * caller owns each descriptor; an import takes over ownership, otherwise close() it. The device needs
 * VK_KHR_external_memory_fd and VK_KHR_external_semaphore_fd. One exchange:
 *
 *     other API's stream   signal n + 1;                        wait for n + 2; use the results
 *     Vulkan device        wait for n + 1; run; signal n + 2    (dmattn_commands_submit_shared)
 *
 * Between submissions, shared buffers are owned by the other side (VK_QUEUE_FAMILY_EXTERNAL). Each submission acquires
 * all shared buffers of the device when it starts and releases them when it ends. So a shared buffer must not be
 * destroyed while a command buffer that was begun after its creation is recording or pending. An empty
 * dmattn_commands_submit() waits for all submissions. */
typedef struct dmattn_shared_memory {
    int fd;         /**< opaque file descriptor, owned by the caller; -1: none */
    uint64_t size;  /**< size of the memory in bytes; may be larger than the buffer */
    bool dedicated; /**< a dedicated allocation: an import must set a flag (CUDA_EXTERNAL_MEMORY_DEDICATED) */
} dmattn_shared_memory;

/** Creates a buffer in shared memory, at offset 0 of that memory; see dmattn_buffer_create(). UNSUPPORTED: also if the
 * device or the system cannot export memory. On failure memory->fd is -1. */
DMATTN_API dmattn_status dmattn_buffer_create_shared(dmattn_device *device, uint64_t size, dmattn_buffer *buffer,
                                                     dmattn_shared_memory *memory);

/** Exports the device's timeline semaphore as a new file descriptor, which the caller owns. There is one timeline per
 * device. UNSUPPORTED: the device or the system cannot export semaphores. On failure *fd is -1. */
DMATTN_API dmattn_status dmattn_timeline_export(dmattn_device *device, int *fd);

/** Ends the command buffer and submits it without waiting. The device starts it when the timeline has reached `wait`,
 * and sets the timeline to `signal` when it is complete. `signal` must be greater than `wait` and than all earlier
 * signals. dmattn_elapsed() does not work for these submissions. At most 16 submissions can be pending; after that
 * dmattn_commands_begin() waits for the oldest. */
DMATTN_API dmattn_status dmattn_commands_submit_shared(dmattn_device *device, uint64_t wait, uint64_t signal);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_RUNTIME_H */
