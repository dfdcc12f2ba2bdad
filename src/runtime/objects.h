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
    struct device_buffer *next;
} device_buffer;

struct dmattn_device {
    const dmattn_runtime *runtime;
    const messenger *messenger; /* the runtime's */
    const physical_device *physical;
    device_table vk;
    VkDevice device;
    VkQueue queue;
    VkPhysicalDeviceMemoryProperties memory;
    dmattn_context *context;

    device_buffer *buffers; /* made by dmattn_buffer_create() */
    device_buffer *staging; /* made on first use */
    void *staging_data;

    VkCommandPool command_pool;
    VkCommandBuffer commands; /* of dmattn_commands_begin() */
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

/* Begins a command buffer of the device, with all that was waited for visible to it. */
dmattn_status dmattn_command_buffer_begin(dmattn_device *device, VkCommandBuffer commands);

/* Ends it, submits it and waits. */
dmattn_status dmattn_command_buffer_run(dmattn_device *device, VkCommandBuffer commands);

/* ---- buffer.c ------------------------------------------------------------------------------------------------ */

/* Destroys all buffers of a device, the staging buffer, too. */
void dmattn_buffers_destroy(dmattn_device *device);

#endif
