/* SPDX-License-Identifier: MIT
 * What the app does on its device: buffers, copies, submissions, and pipelines of its own shaders. */
#ifndef EXAMPLE_WORK_H
#define EXAMPLE_WORK_H

#include "vulkan_app.h"

/* A buffer that both queues may use. */
buffer app_buffer(app *a, memory_kind kind, VkDeviceSize size);

/* Begins a command buffer that may be submitted repeatedly, but not while it is pending. */
VkCommandBuffer app_begin(app *a, const app_queue *queue);

/* Submits commands that begin when all earlier submissions are complete. */
void app_submit(app *a, const app_queue *queue, VkCommandBuffer commands);
/* Waits for all submissions. */
void app_wait(app *a);

/* Submits the copy and returns; later submissions see the data. */
void app_upload(app *a, const buffer *to, const void *data, VkDeviceSize size);

/* Copies and waits. */
void app_download(app *a, const buffer *from, void *data, VkDeviceSize size);

/* Makes a compute pipeline of one of this app's shaders. */
VkPipeline app_pipeline(app *a, VkPipelineLayout layout, const char *name);

#endif
