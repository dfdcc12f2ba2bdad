/* SPDX-License-Identifier: MIT
 * Shares memory and a timeline with another interface. The test itself acts as that interface, through Vulkan. Drivers
 * for CPUs do not export timelines; fake_cuda.c, loaded in place of the Vulkan loader, does. */
#include "support/harness.h"

#include "runtime/objects.h"

#include <string.h>
#include <unistd.h>

/* ---- the other interface--------------------------------------------------------------------------------------- */

static PFN_vkVoidFunction device_function(const char *name)
{
    dmattn_device_handles handles;
    dmattn_device_get_handles(h.device, &handles);
    return handles.get_instance_proc_addr(handles.instance, name);
}

#define VULKAN(name) ((PFN_##name)device_function(#name))

static uint64_t timeline_value(void)
{
    uint64_t value = UINT64_MAX;
    VULKAN(vkGetSemaphoreCounterValue)(h.device->device, h.device->timeline, &value);
    return value;
}

static void signal_timeline(uint64_t value)
{
    const VkSemaphoreSignalInfo info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO, .semaphore = h.device->timeline, .value = value};
    cr_assert_eq(VULKAN(vkSignalSemaphore)(h.device->device, &info), VK_SUCCESS);
}

static void wait_for_timeline(uint64_t value)
{
    const VkSemaphoreWaitInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
                                      .semaphoreCount = 1,
                                      .pSemaphores = &h.device->timeline,
                                      .pValues = &value};
    cr_assert_eq(VULKAN(vkWaitSemaphores)(h.device->device, &info, UINT64_C(60000000000)), VK_SUCCESS);
}

/* Returns false, and logs the reason, if the device or the system cannot share. */
static bool share(uint64_t size, dmattn_buffer *buffer)
{
    int fd;
    dmattn_shared_memory memory;
    if (dmattn_timeline_export(h.device, &fd)) {
        cr_log_info("dmattn tests: skipped: %s", h.sentence);
        return false;
    }
    cr_expect(fd >= 0 && !close(fd));
    ASSERT_OK(dmattn_buffer_create_shared(h.device, size, buffer, &memory));
    cr_expect(memory.fd >= 0 && !close(memory.fd));
    cr_expect(buffer->buffer && !buffer->offset && buffer->size == size && memory.size >= size);
    return true;
}

/* ---- order of runs -------------------------------------------------------------------------------------------- */

/* A run begins only when the timeline reaches its value, runs keep their order, and the host may enqueue more runs than
 * there are command buffers. */
DEVICE_TEST(sharing, turns)
{
    enum { ROUNDS = 3 * COMMANDS_IN_FLIGHT };
    dmattn_buffer buffer;
    VkCommandBuffer commands;
    if (!share(64, &buffer))
        return;
    cr_expect_eq(timeline_value(), 0);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    VULKAN(vkCmdFillBuffer)(commands, buffer.buffer, 0, VK_WHOLE_SIZE, 77);
    ASSERT_OK(dmattn_commands_submit_shared(h.device, 1, 2));
    cr_expect_eq(timeline_value(), 0, "the run did not wait for the timeline");
    signal_timeline(1);
    wait_for_timeline(2);
    uint32_t words[16];
    ASSERT_OK(dmattn_download(h.device, &buffer, 0, words, sizeof words));
    cr_expect(words[0] == 77 && words[15] == 77);

    for (uint64_t i = 0; i < ROUNDS; i++) {
        ASSERT_OK(dmattn_commands_begin(h.device, &commands));
        VULKAN(vkCmdUpdateBuffer)(commands, buffer.buffer, 4 * (i % 16), 4, &i);
        ASSERT_OK(dmattn_commands_submit_shared(h.device, 2 * i + 3, 2 * i + 4));
        if (i >= COMMANDS_IN_FLIGHT - 1) { /* otherwise the next one would wait forever */
            signal_timeline(2 * (i - COMMANDS_IN_FLIGHT + 1) + 3);
            wait_for_timeline(2 * (i - COMMANDS_IN_FLIGHT + 1) + 4);
        }
    }
    for (uint64_t i = ROUNDS - COMMANDS_IN_FLIGHT + 1; i < ROUNDS; i++) {
        signal_timeline(2 * i + 3);
        wait_for_timeline(2 * i + 4);
    }
    ASSERT_OK(dmattn_commands_begin(h.device, &commands)); /* a submission for which the host waits */
    ASSERT_OK(dmattn_commands_submit(h.device));
    ASSERT_OK(dmattn_download(h.device, &buffer, 0, words, sizeof words));
    for (uint32_t i = 0; i < 16; i++)
        cr_expect_eq(words[i], ROUNDS - 16 + i, "%u: %u", i, words[i]);
    dmattn_buffer_destroy(h.device, &buffer);
}

/* More shared buffers than one barrier holds; and the device is destroyed while a run is pending. */
DEVICE_TEST(sharing, many_buffers)
{
    dmattn_buffer buffers[40];
    VkCommandBuffer commands;
    for (int i = 0; i < 40; i++)
        if (!share(4, &buffers[i]))
            return;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    for (uint32_t i = 0; i < 40; i++)
        VULKAN(vkCmdFillBuffer)(commands, buffers[i].buffer, 0, VK_WHOLE_SIZE, i);
    ASSERT_OK(dmattn_commands_submit_shared(h.device, 0, 1));
    for (uint32_t i = 0, word = 99; i < 40; i++) {
        ASSERT_OK(dmattn_download(h.device, &buffers[i], 0, &word, sizeof word));
        cr_expect_eq(word, i);
    }
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    VULKAN(vkCmdFillBuffer)(commands, buffers[0].buffer, 0, VK_WHOLE_SIZE, 1);
    ASSERT_OK(dmattn_commands_submit_shared(h.device, 1, 2));
}

/* ---- invalid arguments and failures --------------------------------------------------------------------------- */

DEVICE_TEST(sharing, invalid_arguments)
{
    dmattn_buffer buffer;
    dmattn_shared_memory memory;
    VkCommandBuffer commands;
    EXPECT_FAILURE(dmattn_commands_submit_shared(h.device, 0, 1), DMATTN_ERROR_INVALID, "begun");
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    EXPECT_FAILURE(dmattn_commands_submit_shared(h.device, 0, 1), DMATTN_ERROR_INVALID, "exported");
    EXPECT_FAILURE(dmattn_timeline_export(h.device, NULL), DMATTN_ERROR_INVALID, "fd");
    memory.fd = 7; /* not a descriptor: nothing may close it */
    EXPECT_FAILURE(dmattn_buffer_create_shared(h.device, 4, NULL, &memory), DMATTN_ERROR_INVALID, "buffer");
    cr_expect_eq(memory.fd, -1);
    buffer.size = 7;
    EXPECT_FAILURE(dmattn_buffer_create_shared(h.device, 4, &buffer, NULL), DMATTN_ERROR_INVALID, "memory");
    cr_expect(!buffer.buffer && !buffer.size);
    if (!share(4, &buffer))
        return;
    memory.fd = 7;
    EXPECT_FAILURE(dmattn_buffer_create_shared(h.device, 0, &buffer, &memory), DMATTN_ERROR_INVALID, "size");
    cr_expect(memory.fd == -1 && !buffer.buffer && !buffer.size);
    const uint64_t wrong[][2] = {{0, 0}, {5, 5}, {5, 4}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ASSERT_OK(dmattn_commands_begin(h.device, &commands));
        EXPECT_FAILURE(dmattn_commands_submit_shared(h.device, wrong[i][0], wrong[i][1]), DMATTN_ERROR_INVALID,
                       "value to wait for");
    }
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_commands_submit_shared(h.device, 0, 3));
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    EXPECT_FAILURE(dmattn_commands_submit_shared(h.device, 0, 3), DMATTN_ERROR_INVALID, "last one signalled");
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_commands_submit_shared(h.device, 3, 4));
    wait_for_timeline(4);
}

static VKAPI_ATTR VkResult VKAPI_CALL no_memory_fd(VkDevice device, const VkMemoryGetFdInfoKHR *info, int *fd)
{
    (void)device, (void)info;
    *fd = 5;
    return VK_ERROR_TOO_MANY_OBJECTS;
}

static VKAPI_ATTR VkResult VKAPI_CALL no_semaphore_fd(VkDevice device, const VkSemaphoreGetFdInfoKHR *info, int *fd)
{
    (void)device, (void)info;
    *fd = 5;
    return VK_ERROR_TOO_MANY_OBJECTS;
}

static VKAPI_ATTR VkResult VKAPI_CALL no_semaphore(VkDevice device, const VkSemaphoreCreateInfo *info,
                                                   const VkAllocationCallbacks *callbacks, VkSemaphore *semaphore)
{
    (void)device, (void)info, (void)callbacks, (void)semaphore;
    return VK_ERROR_OUT_OF_HOST_MEMORY;
}

static VKAPI_ATTR VkResult VKAPI_CALL no_wait(VkDevice device, const VkSemaphoreWaitInfo *info, uint64_t timeout)
{
    (void)device, (void)info, (void)timeout;
    return VK_ERROR_DEVICE_LOST;
}

static VKAPI_ATTR VkResult VKAPI_CALL no_submission(VkQueue queue, uint32_t count, const VkSubmitInfo *infos,
                                                    VkFence fence)
{
    (void)queue, (void)count, (void)infos, (void)fence;
    return VK_ERROR_OUT_OF_DEVICE_MEMORY;
}

DEVICE_TEST(sharing, calls_that_fail)
{
    const device_table working = h.device->vk;
    dmattn_buffer buffer;
    dmattn_shared_memory memory;
    VkCommandBuffer commands;
    int fd;
    /* a driver that cannot export */
    h.device->vk.GetMemoryFdKHR = NULL;
    h.device->vk.GetSemaphoreFdKHR = NULL;
    EXPECT_FAILURE(dmattn_buffer_create_shared(h.device, 4, &buffer, &memory), DMATTN_ERROR_UNSUPPORTED, "memory");
    cr_expect(memory.fd == -1 && !buffer.buffer);
    EXPECT_FAILURE(dmattn_timeline_export(h.device, &fd), DMATTN_ERROR_UNSUPPORTED, "timeline");
    cr_expect_eq(fd, -1);
    h.device->vk = working;
    h.device->vk.GetMemoryFdKHR = no_memory_fd;
    h.device->vk.GetSemaphoreFdKHR = no_semaphore_fd;
    h.device->vk.CreateSemaphore = no_semaphore;
    if (working.GetMemoryFdKHR) {
        EXPECT_FAILURE(dmattn_buffer_create_shared(h.device, 4, &buffer, &memory), DMATTN_ERROR_VULKAN,
                       "vkGetMemoryFdKHR");
        cr_expect(memory.fd == -1 && !buffer.buffer && !h.device->buffers);
    }
    if (working.GetSemaphoreFdKHR) {
        EXPECT_FAILURE(dmattn_timeline_export(h.device, &fd), DMATTN_ERROR_OUT_OF_MEMORY, "vkCreateSemaphore");
        cr_expect_eq(fd, -1);
        h.device->vk.CreateSemaphore = working.CreateSemaphore;
        EXPECT_FAILURE(dmattn_timeline_export(h.device, &fd), DMATTN_ERROR_VULKAN, "vkGetSemaphoreFdKHR");
        cr_expect_eq(fd, -1);
    }
    h.device->vk = working;
    if (!share(4, &buffer))
        return;
    h.device->vk.QueueSubmit = no_submission;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    EXPECT_FAILURE(dmattn_commands_submit_shared(h.device, 0, 1), DMATTN_ERROR_OUT_OF_MEMORY, "vkQueueSubmit");
    h.device->vk = working;
    for (uint64_t i = 0; i < COMMANDS_IN_FLIGHT; i++) {
        ASSERT_OK(dmattn_commands_begin(h.device, &commands));
        ASSERT_OK(dmattn_commands_submit_shared(h.device, 0, i + 1));
    }
    h.device->vk.WaitSemaphores = no_wait;
    EXPECT_FAILURE(dmattn_commands_begin(h.device, &commands), DMATTN_ERROR_VULKAN, "vkWaitSemaphores");
    cr_expect_null(commands);
    h.device->vk = working;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_commands_submit(h.device));
}
