/* SPDX-License-Identifier: MIT
 * The app's own Vulkan: instance, device, queues, command buffers. dmattn gets to see it in app_open() and nowhere
 * else.
 *
 * An example may give up at the first failure: die() says what it was and ends the program. refuse() does so where an
 * option or a file is wrong. */
#ifndef EXAMPLE_VULKAN_APP_H
#define EXAMPLE_VULKAN_APP_H

#include "memory.h"

#include <dmattn/dmattn.h>

#include <stdbool.h>
#include <stddef.h>

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
__attribute__((noreturn, format(printf, 1, 2))) void refuse(const char *format, ...);

/* Vulkan's errors are negative. */
#define VK(call)                                                \
    do {                                                        \
        const VkResult result_ = (call);                        \
        if (result_ < 0)                                        \
            die("%s failed: VkResult %d", #call, (int)result_); \
    } while (0)

/* dmattn has sent the sentence to app_message() already. */
#define DMATTN(call)                                                    \
    do {                                                                \
        const dmattn_status status_ = (call);                           \
        if (status_)                                                    \
            die("%s failed: %s", #call, dmattn_status_string(status_)); \
    } while (0)

typedef struct app_queue {
    uint32_t family;
    VkQueue queue;
    VkCommandPool pool;
} app_queue;

typedef struct app {
    VkInstance instance;
    VkDebugUtilsMessengerEXT messenger;
    unsigned findings; /* of the validation layer, errors */
    VkPhysicalDevice physical_device;
    VkPhysicalDeviceProperties properties;
    VkDevice device;
    app_queue compute, transfer; /* the same where the device has but one */
    VkSemaphore timeline;        /* each submission waits for the one before, whatever queue that was on */
    uint64_t submitted;
    memory *memory;
    dmattn_context *dmattn;
} app;

/* device_index: -1 takes a discrete GPU if there is one. */
void app_open(app *a, int device_index, bool validation);
void app_close(app *a);

/* A buffer that both queues may use. */
buffer app_buffer(app *a, memory_kind kind, VkDeviceSize size);

/* Begins a command buffer that may be submitted many times, one after the other. */
VkCommandBuffer app_begin(app *a, const app_queue *queue);

/* Submits after all that was submitted before. */
void app_submit(app *a, const app_queue *queue, VkCommandBuffer commands);
void app_wait(app *a);

/* Submits the copy and returns: what is submitted later finds the data there. */
void app_upload(app *a, const buffer *to, const void *data, VkDeviceSize size);
/* Waits. */
void app_download(app *a, const buffer *from, void *data, VkDeviceSize size);

/* A compute pipeline of one of this app's shaders; they all have the same push constants. */
VkPipeline app_pipeline(app *a, VkPipelineLayout layout, const char *name);

#endif
