/* SPDX-License-Identifier: MIT */
#include "transfer.h"

#include "buffer.h"
#include "commands.h"

#include <inttypes.h>
#include <string.h>

/* Large enough that a submission costs little compared to the copy, small enough for any host. */
#define STAGING_SIZE (UINT64_C(16) << 20)

static dmattn_status make_staging(dmattn_device *device)
{
    if (device->staging)
        return DMATTN_SUCCESS;
    /* Cached, because a download reads it with the CPU. */
    device_buffer *made = NULL;
    TRY(dmattn_buffer_allocate(device, STAGING_SIZE,
                               VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                               VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                               VK_MEMORY_PROPERTY_HOST_CACHED_BIT, false, &made));
    VkResult result = device->vk.MapMemory(device->device, made->memory, 0, VK_WHOLE_SIZE, 0, &device->staging_data);
    if (result < 0) {
        dmattn_buffer_free(device, made);
        return dmattn_fail_vulkan(device->messenger, result, "vkMapMemory");
    }
    device->staging = made;
    return DMATTN_SUCCESS;
}

void dmattn_staging_destroy(dmattn_device *device)
{
    dmattn_buffer_free(device, device->staging);
    device->staging = NULL;
    device->staging_data = NULL;
}

static dmattn_status check_range(const dmattn_device *device, const char *call, const dmattn_buffer *buffer,
                                 uint64_t offset, const void *data, uint64_t size)
{
    const messenger *m = device->messenger;
    if (!buffer || !buffer->buffer)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s: the buffer is NULL", call);
    if (!data && size)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "%s: data is NULL", call);
    uint64_t available = buffer->size;
    for (const device_buffer *b = device->buffers; b; b = b->next) {
        if (b->buffer != buffer->buffer)
            continue;
        uint64_t rest = buffer->offset < b->size ? b->size - buffer->offset : 0;
        available = available < rest ? available : rest; /* buffer->size may be VK_WHOLE_SIZE, the largest number */
        break;
    }
    if (offset > available || size > available - offset)
        return dmattn_fail(m, DMATTN_ERROR_INVALID,
                           "%s: %" PRIu64 " bytes at offset %" PRIu64 " are outside the buffer of %" PRIu64 " bytes",
                           call, size, offset, available);
    return DMATTN_SUCCESS;
}

/* Copies at most STAGING_SIZE bytes between staging memory and `offset` of a buffer. */
static dmattn_status copy_staged(dmattn_device *device, VkBuffer buffer, uint64_t offset, uint64_t size, bool download)
{
    const VkBufferCopy region = {.srcOffset = download ? offset : 0, .dstOffset = download ? 0 : offset, .size = size};
    const VkBuffer staging = device->staging->buffer;
    TRY(dmattn_commands_create(device));
    TRY(dmattn_command_buffer_begin(device, device->transfer));
    device->vk.CmdCopyBuffer(device->transfer, download ? buffer : staging, download ? staging : buffer, 1, &region);
    if (download) { /* a fence alone does not make the writes visible to the host */
        const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                         .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                         .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
        device->vk.CmdPipelineBarrier(device->transfer, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0,
                                      1, &barrier, 0, NULL, 0, NULL);
    }
    return dmattn_command_buffer_run(device, device->transfer);
}

dmattn_status dmattn_upload(dmattn_device *device, const dmattn_buffer *buffer, uint64_t offset, const void *data,
                            uint64_t size)
{
    if (!device)
        return DMATTN_ERROR_INVALID;
    TRY(check_range(device, "upload", buffer, offset, data, size));
    if (size)
        TRY(make_staging(device));
    const unsigned char *bytes = data;
    for (uint64_t done = 0; done < size;) {
        uint64_t chunk = size - done < STAGING_SIZE ? size - done : STAGING_SIZE;
        memcpy(device->staging_data, bytes + done, (size_t)chunk);
        TRY(copy_staged(device, buffer->buffer, buffer->offset + offset + done, chunk, false));
        done += chunk;
    }
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_download(dmattn_device *device, const dmattn_buffer *buffer, uint64_t offset, void *data,
                              uint64_t size)
{
    if (!device)
        return DMATTN_ERROR_INVALID;
    TRY(check_range(device, "download", buffer, offset, data, size));
    if (size)
        TRY(make_staging(device));
    unsigned char *bytes = data;
    for (uint64_t done = 0; done < size;) {
        uint64_t chunk = size - done < STAGING_SIZE ? size - done : STAGING_SIZE;
        TRY(copy_staged(device, buffer->buffer, buffer->offset + offset + done, chunk, true));
        memcpy(bytes + done, device->staging_data, (size_t)chunk);
        done += chunk;
    }
    return DMATTN_SUCCESS;
}
