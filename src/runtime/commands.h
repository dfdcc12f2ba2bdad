/* SPDX-License-Identifier: MIT
 * Command buffers, submissions and timestamps. */
#ifndef DMATTN_RUNTIME_COMMANDS_H
#define DMATTN_RUNTIME_COMMANDS_H

#include "objects.h"

/* Makes the command buffers, the fence and the query pool, unless they exist. Called on first use, because a driver
 * that only compiles and has no hardware may have no fences. */
dmattn_status dmattn_commands_create(dmattn_device *device);
void dmattn_commands_destroy(dmattn_device *device);

/* Begins a command buffer of the device: the writes of completed submissions are visible to it, and it owns the shared
 * buffers. */
dmattn_status dmattn_command_buffer_begin(dmattn_device *device, VkCommandBuffer commands);

/* Ends it, submits it and waits. */
dmattn_status dmattn_command_buffer_run(dmattn_device *device, VkCommandBuffer commands);

#endif
