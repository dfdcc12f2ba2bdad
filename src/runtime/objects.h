/* SPDX-License-Identifier: MIT
 * The structures behind dmattn_runtime and dmattn_device. The functions on them are in the headers beside this one. */
#ifndef DMATTN_RUNTIME_OBJECTS_H
#define DMATTN_RUNTIME_OBJECTS_H

#include <dmattn/runtime.h>

#include "../message.h"
#include "platform.h"
#include "table.h"

/* ---- runtime ------------------------------------------------------------------------------------------------- */

typedef struct physical_device {
    VkPhysicalDevice handle;
    uint32_t api_version;           /* the lower of the instance's and the device's */
    uint32_t queue_family;          /* the family of the one queue */
    uint32_t timestamp_bits;        /* of that family; 0: it has no timestamps */
    double timestamp_period;        /* seconds per tick */
    uint64_t max_memory_allocation; /* bytes */
    uint64_t max_buffer_size;       /* bytes; UINT64_MAX where the device does not say */
} physical_device;

struct dmattn_runtime {
    messenger messenger;
    vulkan_loader loader;
    instance_table vk;
    VkInstance instance; /* VK_NULL_HANDLE if no driver is installed */
    VkDebugUtilsMessengerEXT debug_messenger;
    uint32_t api_version; /* of the instance */
    uint32_t device_count;
    physical_device *devices;
    dmattn_device_info *infos; /* of `devices`; read once, because threads may share a runtime */
};

/* ---- device -------------------------------------------------------------------------------------------------- */

typedef struct device_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    uint64_t size;
    bool shared;              /* made by dmattn_buffer_create_shared() */
    bool dedicated;           /* the memory is a dedicated allocation; an import must state that */
    uint64_t allocation_size; /* bytes of memory; may exceed `size` */
    struct device_buffer *next;
} device_buffer;

/* The maximum number of submissions in flight. To begin one more, dmattn_commands_begin() waits for the oldest one. */
#define COMMANDS_IN_FLIGHT 16

struct dmattn_device {
    const dmattn_runtime *runtime;
    const messenger *messenger; /* the runtime's */
    const physical_device *physical;
    device_table vk;
    VkDevice device;
    VkQueue queue;
    VkPhysicalDeviceMemoryProperties memory;
    dmattn_context *context;

    device_buffer *buffers; /* made by dmattn_buffer_create() and dmattn_buffer_create_shared() */
    bool shares;            /* a shared buffer was made at least once */
    device_buffer *staging; /* made on first use */
    void *staging_data;

    VkSemaphore timeline; /* made by dmattn_timeline_export() */
    uint64_t signalled;   /* the highest value that a submission of this device signals */

    VkCommandPool command_pool;
    VkCommandBuffer ring[COMMANDS_IN_FLIGHT]; /* dmattn_commands_begin() takes them in turn */
    uint64_t busy_until[COMMANDS_IN_FLIGHT];  /* the timeline value at which each completes; 0: not in use */
    uint32_t turn;
    VkCommandBuffer commands; /* the one of `ring` that was begun last */
    VkCommandBuffer transfer; /* for upload and download, which are allowed while `commands` is recording */
    VkFence fence;
    VkQueryPool queries;
    bool recording;
    uint32_t recorded;                       /* count of timestamps in the recording */
    uint32_t recorded_at[DMATTN_TIMESTAMPS]; /* the order in which slots were written, from 1; 0: not written */
    uint32_t written_at[DMATTN_TIMESTAMPS];  /* the same for the last submission */
    uint64_t ticks[DMATTN_TIMESTAMPS];
    double host_seconds; /* duration of the last submission, by the host's clock */
};

#endif
