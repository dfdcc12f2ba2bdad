/* SPDX-License-Identifier: MIT
 * The app's own Vulkan: instance, device and queues. Only app_open() passes it to dmattn. */
#ifndef EXAMPLE_VULKAN_APP_H
#define EXAMPLE_VULKAN_APP_H

#include "memory.h"

#include <dmattn/dmattn.h>

#include <stdbool.h>
#include <stddef.h>

typedef struct app_queue {
    uint32_t family;
    VkQueue queue;
    VkCommandPool pool;
} app_queue;

typedef struct app {
    VkInstance instance;
    VkDebugUtilsMessengerEXT messenger;
    unsigned findings; /* errors that the validation layer reported */
    VkPhysicalDevice physical_device;
    VkPhysicalDeviceProperties properties;
    VkDevice device;
    app_queue compute, transfer; /* the same queue if the device has only one */
    VkSemaphore timeline;        /* each submission waits for the one before it, on either queue */
    uint64_t submitted;
    memory *memory;
    dmattn_context *dmattn;
} app;

/* `selector`: the index of the device or part of its name; NULL or "best": a discrete GPU, or else the first device. */
void app_open(app *a, const char *selector, bool validation);
void app_close(app *a);

#endif
