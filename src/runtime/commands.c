/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include "debug_name.h"

#include <string.h>

/* ---- the Vulkan objects --------------------------------------------------------------------------------------- */

static dmattn_status create_all(dmattn_device *device)
{
    const messenger *m = device->messenger;
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                          .queueFamilyIndex = device->physical->queue_family};
    VkResult result = device->vk.CreateCommandPool(device->device, &pool, NULL, &device->command_pool);
    if (result < 0) {
        device->command_pool = VK_NULL_HANDLE;
        return dmattn_fail_vulkan(m, result, "vkCreateCommandPool");
    }
    VkCommandBuffer buffers[COMMANDS_IN_FLIGHT + 1];
    const VkCommandBufferAllocateInfo allocation = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                    .commandPool = device->command_pool,
                                                    .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                    .commandBufferCount = COMMANDS_IN_FLIGHT + 1};
    result = device->vk.AllocateCommandBuffers(device->device, &allocation, buffers);
    if (result < 0)
        return dmattn_fail_vulkan(m, result, "vkAllocateCommandBuffers");
    memcpy(device->ring, buffers, sizeof device->ring);
    device->transfer = buffers[COMMANDS_IN_FLIGHT];
    for (uint32_t i = 0; i < COMMANDS_IN_FLIGHT; i++)
        dmattn_debug_name(device, VK_OBJECT_TYPE_COMMAND_BUFFER, (uintptr_t)device->ring[i], "dmattn commands %u", i);
    dmattn_debug_name(device, VK_OBJECT_TYPE_COMMAND_BUFFER, (uintptr_t)device->transfer, "dmattn transfer");
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    result = device->vk.CreateFence(device->device, &fence, NULL, &device->fence);
    if (result < 0) {
        device->fence = VK_NULL_HANDLE;
        return dmattn_fail_vulkan(m, result, "vkCreateFence");
    }
    if (!device->physical->timestamp_bits)
        return DMATTN_SUCCESS;
    const VkQueryPoolCreateInfo queries = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                           .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                           .queryCount = DMATTN_TIMESTAMPS};
    result = device->vk.CreateQueryPool(device->device, &queries, NULL, &device->queries);
    if (result < 0) {
        device->queries = VK_NULL_HANDLE;
        return dmattn_fail_vulkan(m, result, "vkCreateQueryPool");
    }
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_commands_create(dmattn_device *device)
{
    if (device->command_pool)
        return DMATTN_SUCCESS;
    dmattn_status status = create_all(device);
    if (status)
        dmattn_commands_destroy(device);
    return status;
}

void dmattn_commands_destroy(dmattn_device *device)
{
    if (device->queries)
        device->vk.DestroyQueryPool(device->device, device->queries, NULL);
    if (device->fence)
        device->vk.DestroyFence(device->device, device->fence, NULL);
    if (device->command_pool) /* with its command buffers */
        device->vk.DestroyCommandPool(device->device, device->command_pool, NULL);
    device->queries = VK_NULL_HANDLE;
    device->fence = VK_NULL_HANDLE;
    device->command_pool = VK_NULL_HANDLE;
    device->commands = VK_NULL_HANDLE;
    device->transfer = VK_NULL_HANDLE;
}

/* ---- one command buffer -------------------------------------------------------------------------------------- */

/* Records a full barrier. If `from` and `to` differ, it also transfers the shared buffers from one queue family to the
 * other. */
static void hand_over(const dmattn_device *device, VkCommandBuffer commands, uint32_t from, uint32_t to)
{
    const VkAccessFlags all = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT;
    const VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT, .dstAccessMask = all};
    VkBufferMemoryBarrier shared[32] = {0};
    uint32_t count;
    const device_buffer *buffer = device->buffers;
    do { /* runs at least once, for the memory barrier */
        count = 0;
        for (; buffer && count < sizeof shared / sizeof *shared; buffer = buffer->next)
            if (buffer->shared)
                shared[count++] = (VkBufferMemoryBarrier){.sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
                                                          .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
                                                          .dstAccessMask = all,
                                                          .srcQueueFamilyIndex = from,
                                                          .dstQueueFamilyIndex = to,
                                                          .buffer = buffer->buffer,
                                                          .size = VK_WHOLE_SIZE};
        device->vk.CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                                      0, 1, &memory, count, shared, 0, NULL);
    } while (buffer);
}

dmattn_status dmattn_command_buffer_begin(dmattn_device *device, VkCommandBuffer commands)
{
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                           .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    VkResult result = device->vk.BeginCommandBuffer(commands, &info);
    if (result < 0)
        return dmattn_fail_vulkan(device->messenger, result, "vkBeginCommandBuffer");
    /* A fence makes the writes of an earlier submission available; only a barrier makes them visible. */
    hand_over(device, commands, VK_QUEUE_FAMILY_EXTERNAL, device->physical->queue_family);
    return DMATTN_SUCCESS;
}

static dmattn_status command_buffer_end(dmattn_device *device, VkCommandBuffer commands)
{
    if (device->shares)
        hand_over(device, commands, device->physical->queue_family, VK_QUEUE_FAMILY_EXTERNAL);
    VkResult result = device->vk.EndCommandBuffer(commands);
    if (result < 0) { /* it may still count as recording, and then it could not begin again */
        device->vk.ResetCommandBuffer(commands, 0);
        return dmattn_fail_vulkan(device->messenger, result, "vkEndCommandBuffer");
    }
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_command_buffer_run(dmattn_device *device, VkCommandBuffer commands)
{
    const messenger *m = device->messenger;
    TRY(command_buffer_end(device, commands));
    VkResult result = device->vk.ResetFences(device->device, 1, &device->fence);
    if (result < 0)
        return dmattn_fail_vulkan(m, result, "vkResetFences");
    const VkSubmitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &commands};
    result = device->vk.QueueSubmit(device->queue, 1, &info, device->fence);
    if (result < 0)
        return dmattn_fail_vulkan(m, result, "vkQueueSubmit");
    result = device->vk.WaitForFences(device->device, 1, &device->fence, VK_TRUE, UINT64_MAX);
    if (result < 0) {
        /* The next submission uses the same command buffer and fence, so this one must have ended. */
        device->vk.DeviceWaitIdle(device->device);
        return dmattn_fail_vulkan(m, result, "vkWaitForFences");
    }
    return DMATTN_SUCCESS;
}

/* ---- the device's commands ----------------------------------------------------------------------------------- */

/* Waits until the command buffer ring[turn] is no longer in use. */
static dmattn_status wait_for_turn(dmattn_device *device, uint32_t turn)
{
    if (!device->busy_until[turn])
        return DMATTN_SUCCESS;
    const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                      .semaphoreCount = 1,
                                      .pSemaphores = &device->timeline,
                                      .pValues = &device->busy_until[turn]};
    VkResult result = device->vk.WaitSemaphores(device->device, &info, UINT64_MAX);
    if (result < 0)
        return dmattn_fail_vulkan(device->messenger, result, "vkWaitSemaphores");
    device->busy_until[turn] = 0;
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_commands_begin(dmattn_device *device, VkCommandBuffer *commands)
{
    if (commands)
        *commands = VK_NULL_HANDLE;
    if (!device)
        return DMATTN_ERROR_INVALID;
    if (!commands)
        return dmattn_fail(device->messenger, DMATTN_ERROR_INVALID, "commands is NULL");
    if (device->recording)
        return dmattn_fail(device->messenger, DMATTN_ERROR_INVALID,
                           "commands were already begun and neither submitted nor cancelled");
    TRY(dmattn_commands_create(device));
    const uint32_t turn = (device->turn + 1) % COMMANDS_IN_FLIGHT;
    TRY(wait_for_turn(device, turn));
    TRY(dmattn_command_buffer_begin(device, device->ring[turn]));
    device->turn = turn;
    device->commands = device->ring[turn];
    device->recording = true;
    device->recorded = 0;
    memset(device->recorded_at, 0, sizeof device->recorded_at);
    *commands = device->commands;
    return DMATTN_SUCCESS;
}

void dmattn_commands_barrier(dmattn_device *device)
{
    if (!device)
        return;
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
    const VkPipelineStageFlags shaders = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    if (device->recording)
        device->vk.CmdPipelineBarrier(device->commands, shaders, shaders, 0, 1, &barrier, 0, NULL, 0, NULL);
    else
        dmattn_message_send(device->messenger, DMATTN_SEVERITY_ERROR, "barrier: no commands were begun");
}

void dmattn_commands_timestamp(dmattn_device *device, uint32_t slot)
{
    if (!device)
        return;
    const char *why = !device->recording          ? "no commands were begun"
                      : slot >= DMATTN_TIMESTAMPS ? "there is no such slot"
                      : device->recorded_at[slot] ? "it was written since the commands were begun"
                                                  : NULL;
    if (why) {
        dmattn_message_send(device->messenger, DMATTN_SEVERITY_ERROR, "timestamp slot %u: %s", slot, why);
        return;
    }
    device->recorded_at[slot] = ++device->recorded;
    if (!device->queries)
        return;
    if (device->recorded == 1)
        device->vk.CmdResetQueryPool(device->commands, device->queries, 0, DMATTN_TIMESTAMPS);
    /* A timestamp at BOTTOM_OF_PIPE waits for all earlier commands but does not delay later ones, which could start,
     * and even end, before the time is taken. The barrier delays them, so commands between two timestamps run between
     * their times. It has no memory dependency: timing neither costs a cache flush nor hides a missing barrier. */
    device->vk.CmdPipelineBarrier(device->commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT,
                                  VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 0, NULL, 0, NULL, 0, NULL);
    device->vk.CmdWriteTimestamp(device->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, device->queries, slot);
}

/* Reads the timestamps of a completed submission. */
static dmattn_status read_timestamps(dmattn_device *device)
{
    uint64_t results[DMATTN_TIMESTAMPS][2]; /* the time, and whether it is available */
    memset(results, 0, sizeof results);
    VkResult result =
        device->vk.GetQueryPoolResults(device->device, device->queries, 0, DMATTN_TIMESTAMPS, sizeof results, results,
                                       sizeof *results, VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WITH_AVAILABILITY_BIT);
    if (result < 0) /* VK_NOT_READY is no failure: a slot that was not written is never ready */
        return dmattn_fail_vulkan(device->messenger, result, "vkGetQueryPoolResults");
    for (uint32_t i = 0; i < DMATTN_TIMESTAMPS; i++) {
        if (device->recorded_at[i] && !results[i][1])
            return dmattn_fail(device->messenger, DMATTN_ERROR_VULKAN, "the driver did not write timestamp slot %u", i);
        device->ticks[i] = results[i][0];
    }
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_commands_submit(dmattn_device *device)
{
    if (!device)
        return DMATTN_ERROR_INVALID;
    if (!device->recording)
        return dmattn_fail(device->messenger, DMATTN_ERROR_INVALID, "submit: no commands were begun");
    device->recording = false;
    memset(device->written_at, 0, sizeof device->written_at);
    double start = dmattn_clock_seconds();
    TRY(dmattn_command_buffer_run(device, device->commands));
    device->host_seconds = dmattn_clock_seconds() - start;
    if (device->queries && device->recorded)
        TRY(read_timestamps(device));
    memcpy(device->written_at, device->recorded_at, sizeof device->written_at);
    return DMATTN_SUCCESS;
}

dmattn_status dmattn_commands_submit_shared(dmattn_device *device, uint64_t wait, uint64_t signal)
{
    if (!device)
        return DMATTN_ERROR_INVALID;
    const messenger *m = device->messenger;
    if (!device->recording)
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "submit: no commands were begun");
    const char *why = !device->timeline             ? "the timeline was not exported"
                      : signal <= wait              ? "the value to signal is not above the value to wait for"
                      : signal <= device->signalled ? "the value to signal is not above the last one signalled"
                                                    : NULL;
    if (why) {
        dmattn_commands_cancel(device);
        return dmattn_fail(m, DMATTN_ERROR_INVALID, "submit: %s", why);
    }
    device->recording = false;
    memset(device->written_at, 0, sizeof device->written_at);
    TRY(command_buffer_end(device, device->commands));
    const VkPipelineStageFlags stage = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    const VkTimelineSemaphoreSubmitInfo values = {.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
                                                  .waitSemaphoreValueCount = 1,
                                                  .pWaitSemaphoreValues = &wait,
                                                  .signalSemaphoreValueCount = 1,
                                                  .pSignalSemaphoreValues = &signal};
    const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .pNext = &values,
                               .waitSemaphoreCount = 1,
                               .pWaitSemaphores = &device->timeline,
                               .pWaitDstStageMask = &stage,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &device->commands,
                               .signalSemaphoreCount = 1,
                               .pSignalSemaphores = &device->timeline};
    VkResult result = device->vk.QueueSubmit(device->queue, 1, &info, VK_NULL_HANDLE);
    if (result < 0)
        return dmattn_fail_vulkan(m, result, "vkQueueSubmit");
    device->busy_until[device->turn] = device->signalled = signal;
    return DMATTN_SUCCESS;
}

void dmattn_commands_cancel(dmattn_device *device)
{
    if (!device || !device->recording)
        return;
    device->recording = false;
    device->vk.ResetCommandBuffer(device->commands, 0);
}

dmattn_status dmattn_elapsed(dmattn_device *device, uint32_t from, uint32_t to, double *seconds)
{
    if (seconds)
        *seconds = 0;
    if (!device)
        return DMATTN_ERROR_INVALID;
    if (!seconds)
        return dmattn_fail(device->messenger, DMATTN_ERROR_INVALID, "seconds is NULL");
    const uint32_t slots[] = {from, to};
    for (size_t i = 0; i < 2; i++)
        if (slots[i] >= DMATTN_TIMESTAMPS || !device->written_at[slots[i]])
            return dmattn_fail(device->messenger, DMATTN_ERROR_INVALID,
                               "timestamp slot %u was not written in the last submission", slots[i]);
    if (!device->queries) {
        *seconds = device->host_seconds;
        return DMATTN_SUCCESS;
    }
    /* The counter may have wrapped between the two timestamps, so the earlier one is subtracted from the later one. */
    const bool forwards = device->written_at[from] <= device->written_at[to];
    const uint32_t bits = device->physical->timestamp_bits;
    const uint64_t mask = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
    uint64_t ticks = forwards ? device->ticks[to] - device->ticks[from] : device->ticks[from] - device->ticks[to];
    *seconds = (double)(ticks & mask) * device->physical->timestamp_period * (forwards ? 1 : -1);
    return DMATTN_SUCCESS;
}
