/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: the host runtime, for programs that have no Vulkan of their own (tools, tests, examples). It loads the
 * Vulkan loader, lists and creates devices, owns buffers, uploads, downloads, submits and times. Built on
 * dmattn/dmattn.h; apps that have a VkDevice need none of it.
 *
 *     dmattn_runtime   a Vulkan instance
 *     dmattn_device    a VkDevice with one compute queue, staging memory and a dmattn_context
 *
 * Errors as in dmattn/dmattn.h; sentences go to the runtime's message callback. A runtime may be used from several
 * threads; a device and all that was made with it belong to one thread at a time. Several devices may live at once.
 */
#ifndef DMATTN_RUNTIME_H
#define DMATTN_RUNTIME_H

#include "dmattn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- runtime ------------------------------------------------------------------------------------------------- */

/** A Vulkan instance and the devices that it has. */
typedef struct dmattn_runtime dmattn_runtime;

/** How to make a runtime. */
typedef struct dmattn_runtime_desc {
    bool validation; /**< load the Khronos validation layer (core and synchronization checks); its findings arrive as
                        messages of severity ERROR or WARNING that begin with "validation:" */
    dmattn_message_fn message; /**< optional */
    void *message_user;        /**< what it gets as `user` */
} dmattn_runtime_desc;

/** Loads the Vulkan loader and makes an instance. `desc` may be NULL. UNSUPPORTED: no loader, no Vulkan 1.2, or the
 * validation layer was asked for and is not there. No device at all is not an error. */
DMATTN_API dmattn_status dmattn_runtime_create(const dmattn_runtime_desc *desc, dmattn_runtime **runtime);

/** Destroys a runtime whose devices are all destroyed. NULL is fine. */
DMATTN_API void dmattn_runtime_destroy(dmattn_runtime *runtime);

/* ---- devices that there are ---------------------------------------------------------------------------------- */

/** A device that there is. */
typedef struct dmattn_device_info {
    char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];                    /**< as the driver says */
    char driver[VK_MAX_DRIVER_NAME_SIZE + VK_MAX_DRIVER_INFO_SIZE]; /**< the driver's name and version, as it says */
    VkPhysicalDeviceType type;                                      /**< discrete, integrated, CPU, ... */
    uint32_t vendor_id;                                             /**< its PCI id */
    uint32_t api_version;       /**< the device's own; what is used is the lower of it and the instance's */
    dmattn_level level;         /**< the highest level it can do; 0 if it cannot be used */
    char unusable[128];         /**< why not, as a sentence; empty if it can */
    uint32_t subgroup_size;     /**< the default one */
    uint32_t min_subgroup_size; /**< the smallest that a kernel may require */
    uint32_t max_subgroup_size; /**< the largest */
    uint32_t max_invocations;   /**< of a workgroup */
    uint32_t shared_memory;     /**< of a workgroup, in bytes */
    uint64_t device_memory;     /**< largest device-local heap, in bytes */
    uint64_t max_allocation;    /**< largest single allocation, in bytes */
    bool timestamps;            /**< of the compute queue; otherwise times are the host clock's */
    uint8_t uuid[VK_UUID_SIZE]; /**< by which other interfaces know the device, as CUDA does by cuDeviceGetUuid() */
} dmattn_device_info;

/** How many devices there are, those that cannot be used included. */
DMATTN_API uint32_t dmattn_runtime_device_count(const dmattn_runtime *runtime);

/** Tells what device `index` is. INVALID: there is none. */
DMATTN_API dmattn_status dmattn_runtime_device_info(const dmattn_runtime *runtime, uint32_t index,
                                                    dmattn_device_info *info);

/** Finds a device. `selector`: NULL or "best" (discrete, integrated, virtual, CPU, in this order; the first of equals),
 * a decimal index (whatever is all digits), or part of a name or of a driver's name, in any case of letters; of several
 * that match, the best. INVALID: none, or none that can be used. */
DMATTN_API dmattn_status dmattn_runtime_find_device(const dmattn_runtime *runtime, const char *selector,
                                                    uint32_t *index);

/* ---- device -------------------------------------------------------------------------------------------------- */

/** A VkDevice with one compute queue, staging memory and a context. */
typedef struct dmattn_device dmattn_device;

/** Creates the VkDevice with all that dmattn_get_device_needs() asks for and the device has, and its context. */
DMATTN_API dmattn_status dmattn_device_create(dmattn_runtime *runtime, uint32_t index, dmattn_device **device);

/** Waits for the device and destroys it with its context and all its buffers; plans must be gone. NULL is fine. */
DMATTN_API void dmattn_device_destroy(dmattn_device *device);

/** The device's context, for plans; lives as long as the device. */
DMATTN_API dmattn_context *dmattn_device_context(dmattn_device *device);

/** The Vulkan objects of a device, for programs that add commands of their own. Owned by the device. */
typedef struct dmattn_device_handles {
    PFN_vkGetInstanceProcAddr get_instance_proc_addr; /**< the loader's */
    VkInstance instance;                              /**< the runtime's */
    VkPhysicalDevice physical_device;                 /**< what it is made of */
    VkDevice device;                                  /**< the device itself */
    VkQueue queue;                                    /**< its queue, for compute and copies */
    uint32_t queue_family;                            /**< that of the queue */
    uint32_t api_version;                             /**< the lower of the instance's and the device's */
} dmattn_device_handles;

/** Tells a device's Vulkan objects. */
DMATTN_API void dmattn_device_get_handles(const dmattn_device *device, dmattn_device_handles *handles);

/* ---- buffers ------------------------------------------------------------------------------------------------- */

/** Makes a device-local buffer of `size` bytes (at least 1), offset 0, contents undefined. OUT_OF_MEMORY, or
 * UNSUPPORTED where it is beyond the device's largest allocation. On failure *buffer is all zero. */
DMATTN_API dmattn_status dmattn_buffer_create(dmattn_device *device, uint64_t size, dmattn_buffer *buffer);

/** Destroys a buffer made by dmattn_buffer_create() and zeroes *buffer; a zero one is fine. */
DMATTN_API void dmattn_buffer_destroy(dmattn_device *device, dmattn_buffer *buffer);

/** Copies `size` bytes from host memory to buffer->offset + `offset`, through staging memory, and waits. Any offset,
 * any size. INVALID: outside the buffer. */
DMATTN_API dmattn_status dmattn_upload(dmattn_device *device, const dmattn_buffer *buffer, uint64_t offset,
                                       const void *data, uint64_t size);
/** The same, from the buffer to host memory. */
DMATTN_API dmattn_status dmattn_download(dmattn_device *device, const dmattn_buffer *buffer, uint64_t offset,
                                         void *data, uint64_t size);

/* ---- commands ------------------------------------------------------------------------------------------------ */

/** Begins the device's command buffer; one at a time. Writes that were waited for are visible to it. */
DMATTN_API dmattn_status dmattn_commands_begin(dmattn_device *device, VkCommandBuffer *commands);

/** What was recorded so far is complete, and what its compute shaders have written visible to those that come next,
 * before those begin. It is for compute shaders alone, because a barrier for all commands takes longer: 2.7 us more on
 * an NVIDIA H200. */
DMATTN_API void dmattn_commands_barrier(dmattn_device *device);

/** Slots for times in a command buffer. */
#define DMATTN_TIMESTAMPS 256

/** Takes the time when all that was recorded so far is complete, into `slot`, 0 to DMATTN_TIMESTAMPS - 1, each at most
 * once between begin and submit. */
DMATTN_API void dmattn_commands_timestamp(dmattn_device *device, uint32_t slot);

/** Ends, submits and waits. After a failure the device can begin again, unless the device was lost. */
DMATTN_API dmattn_status dmattn_commands_submit(dmattn_device *device);

/** Gives up what was begun, as after a failure while recording. */
DMATTN_API void dmattn_commands_cancel(dmattn_device *device);

/** Seconds from slot `from` to slot `to` of the last submission, negative if `to` was written first. Without timestamps
 * (dmattn_device_info) it is the host clock's time of the whole submission. INVALID: a slot was not written. */
DMATTN_API dmattn_status dmattn_elapsed(dmattn_device *device, uint32_t from, uint32_t to, double *seconds);

/* ---- sharing with CUDA and others ---------------------------------------------------------------------------- */

/** Memory that another interface of the same device (device_info.uuid) sees at an address of its own, and a timeline by
 * which the two take turns without the host: a Vulkan timeline semaphore that begins at 0. Both are opaque file
 * descriptors of Vulkan's, for cuImportExternalMemory() and cuImportExternalSemaphore() or their like. The caller owns
 * a descriptor: an import takes it over; without one, close() it. UNSUPPORTED where the device or the system has no
 * such thing (VK_KHR_external_memory_fd, VK_KHR_external_semaphore_fd).
 *
 *     the other side's stream    signal n + 1         …, wait for n + 2, use the results
 *     the device                 wait for n + 1, run, signal n + 2 (dmattn_commands_submit_shared)
 *
 * Shared buffers belong to the outside between submissions: all that is submitted takes them over when it begins and
 * hands them back when it ends (VK_QUEUE_FAMILY_EXTERNAL). So they must not be destroyed while anything that was begun
 * since they were made is not complete; dmattn_commands_submit() of nothing waits for all that was submitted. */
typedef struct dmattn_shared_memory {
    int fd;         /**< -1: none */
    uint64_t size;  /**< of the memory, which may be more than the buffer's */
    bool dedicated; /**< an import must be told that it is (CUDA_EXTERNAL_MEMORY_DEDICATED) */
} dmattn_shared_memory;

/** As dmattn_buffer_create(), in memory that is shared; the buffer is at its beginning. On failure memory->fd is -1. */
DMATTN_API dmattn_status dmattn_buffer_create_shared(dmattn_device *device, uint64_t size, dmattn_buffer *buffer,
                                                     dmattn_shared_memory *memory);

/** Exports the device's one timeline, again a descriptor each time. On failure *fd is -1. */
DMATTN_API dmattn_status dmattn_timeline_export(dmattn_device *device, int *fd);

/** As dmattn_commands_submit(), but waits for nothing: the device begins once the timeline is at `wait` or above, and
 * sets it to `signal`, which is above `wait` and whatever was signalled before, when it is done. There is no time to
 * read. The host gets ahead by 16 submissions; then dmattn_commands_begin() waits for the first of them. */
DMATTN_API dmattn_status dmattn_commands_submit_shared(dmattn_device *device, uint64_t wait, uint64_t signal);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_RUNTIME_H */
