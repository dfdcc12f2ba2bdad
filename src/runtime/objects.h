/* SPDX-License-Identifier: MIT
 * The runtime's objects, as its files share them. */
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
    uint32_t queue_family;          /* the one that is used */
    uint32_t timestamp_bits;        /* of that family; 0: no timestamps */
    double timestamp_period;        /* seconds of a tick */
    uint64_t max_memory_allocation; /* bytes */
    uint64_t max_buffer_size;       /* bytes; UINT64_MAX where the device does not say */
} physical_device;

struct dmattn_runtime {
    messenger messenger;
    vulkan_loader loader;
    instance_table vk;
    VkInstance instance; /* VK_NULL_HANDLE where there is no driver at all */
    VkDebugUtilsMessengerEXT debug_messenger;
    uint32_t api_version; /* of the instance */
    uint32_t device_count;
    physical_device *devices;
    dmattn_device_info *infos; /* of `devices`; read once, so that threads may share a runtime */
};

/* ---- device -------------------------------------------------------------------------------------------------- */

typedef struct device_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    uint64_t size;
    bool shared;              /* made by dmattn_buffer_create_shared() */
    bool dedicated;           /* its memory is its alone in Vulkan's sense, which an import must be told */
    uint64_t allocation_size; /* of its memory */
    struct device_buffer *next;
} device_buffer;

#define DEVICE_BUFFER_USAGE                                                                                            \
    (VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT \
     | VK_BUFFER_USAGE_TRANSFER_DST_BIT)

/* Submissions that the host may be ahead of the device; more wait. */
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
    bool shares;            /* there is or was a shared one among them */
    device_buffer *staging; /* made on first use */
    void *staging_data;

    VkSemaphore timeline; /* made by dmattn_timeline_export() */
    uint64_t signalled;   /* its value once all that was submitted is complete, but for what others signal */

    VkCommandPool command_pool;
    VkCommandBuffer ring[COMMANDS_IN_FLIGHT]; /* of dmattn_commands_begin(), in turn */
    uint64_t busy_until[COMMANDS_IN_FLIGHT];  /* the timeline's value when each is complete; 0: it is */
    uint32_t turn;
    VkCommandBuffer commands; /* of them, the one that records or did last */
    VkCommandBuffer transfer; /* of upload and download, which may come while `commands` is recording */
    VkFence fence;
    VkQueryPool queries;
    bool recording;
    uint32_t recorded;                       /* timestamps in the recording */
    uint32_t recorded_at[DMATTN_TIMESTAMPS]; /* of each slot, its place among them from 1 on; 0: not written */
    uint32_t written_at[DMATTN_TIMESTAMPS];  /* likewise, in the last submission */
    uint64_t ticks[DMATTN_TIMESTAMPS];
    double host_seconds; /* of the last submission */
};

/* ---- physical.c ---------------------------------------------------------------------------------------------- */

/* Lists and reads the devices of a new runtime. */
dmattn_status dmattn_physical_devices_read(dmattn_runtime *runtime);

/* ---- commands.c ---------------------------------------------------------------------------------------------- */

/* Makes the command buffers and what goes with them, unless they are there: on first use, because a driver that only
 * compiles, without hardware, may have no fences. */
dmattn_status dmattn_commands_create(dmattn_device *device);
void dmattn_commands_destroy(dmattn_device *device);

/* Begins a command buffer of the device, with all that was waited for visible to it, and shared buffers its own. */
dmattn_status dmattn_command_buffer_begin(dmattn_device *device, VkCommandBuffer commands);

/* Ends it, submits it and waits. */
dmattn_status dmattn_command_buffer_run(dmattn_device *device, VkCommandBuffer commands);

/* ---- buffer.c ------------------------------------------------------------------------------------------------ */

/* Makes a buffer as dmattn_buffer_create() does, which the device's list holds; `shared`: in memory to export. */
dmattn_status dmattn_device_buffer_create(dmattn_device *device, uint64_t size, bool shared, device_buffer **buffer);

/* Destroys all buffers of a device, the staging buffer, too. */
void dmattn_buffers_destroy(dmattn_device *device);

/* ---- sharing.c ----------------------------------------------------------------------------------------------- */

/* A full barrier that, where `from` and `to` differ, also hands the shared buffers from one queue family to another. */
void dmattn_hand_over(const dmattn_device *device, VkCommandBuffer commands, uint32_t from, uint32_t to);

#endif
