/* SPDX-License-Identifier: MIT
 * Buffers and their memory. */
#ifndef DMATTN_RUNTIME_BUFFER_H
#define DMATTN_RUNTIME_BUFFER_H

#include "objects.h"

#define DEVICE_BUFFER_USAGE                                                                                            \
    (VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT \
     | VK_BUFFER_USAGE_TRANSFER_DST_BIT)

/* Makes a buffer that the caller frees. Its memory has the properties `wanted`, and `preferred` if possible; `shared`:
 * the memory can be exported. */
dmattn_status dmattn_buffer_allocate(dmattn_device *device, uint64_t size, VkBufferUsageFlags usage,
                                     VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags preferred, bool shared,
                                     device_buffer **buffer);

/* Destroys such a buffer; NULL is allowed. */
void dmattn_buffer_free(dmattn_device *device, device_buffer *buffer);

/* Makes a buffer as dmattn_buffer_create() does and adds it to device->buffers, which owns it. */
dmattn_status dmattn_buffer_add(dmattn_device *device, uint64_t size, bool shared, device_buffer **buffer);

/* Destroys all of device->buffers. */
void dmattn_buffers_destroy(dmattn_device *device);

#endif
