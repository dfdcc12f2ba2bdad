/* SPDX-License-Identifier: MIT
 * The host runtime: devices, buffers, copies, commands, timestamps. */
#include "problem.h"
#include "support/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- devices ------------------------------------------------------------------------------------------------- */

DEVICE_TEST(runtime, devices)
{
    const uint32_t count = dmattn_runtime_device_count(h.runtime);
    dmattn_device_info info;
    dmattn_device *device = h.device;
    for (uint32_t i = 0; i < count; i++) {
        ASSERT_OK(dmattn_runtime_device_info(h.runtime, i, &info));
        cr_expect(*info.name && *info.driver);
        cr_expect_eq(info.level == DMATTN_LEVEL_BEST, *info.unusable != 0, "%s: '%s'", info.name, info.unusable);
        if (!info.level) {
            EXPECT_FAILURE(dmattn_device_create(h.runtime, i, &device), DMATTN_ERROR_UNSUPPORTED, info.unusable);
            cr_expect_null(device);
            continue;
        }
        cr_expect(info.min_subgroup_size <= info.subgroup_size && info.subgroup_size <= info.max_subgroup_size);
        cr_expect(info.max_invocations >= 128 && info.shared_memory >= 16384, "%s", info.name);
        cr_expect(info.device_memory && info.max_allocation && info.api_version >= VK_API_VERSION_1_2);
    }
    EXPECT_FAILURE(dmattn_runtime_device_info(h.runtime, count, &info), DMATTN_ERROR_INVALID, "index");
    EXPECT_FAILURE(dmattn_runtime_device_info(h.runtime, 0, NULL), DMATTN_ERROR_INVALID, "info");
    device = h.device;
    EXPECT_FAILURE(dmattn_device_create(h.runtime, count, &device), DMATTN_ERROR_INVALID, "index");
    cr_expect_null(device);
    EXPECT_FAILURE(dmattn_device_create(h.runtime, h.index, NULL), DMATTN_ERROR_INVALID, "device");
    dmattn_device_destroy(NULL);
    dmattn_runtime_destroy(NULL);
    cr_expect_eq(dmattn_runtime_create(NULL, NULL), DMATTN_ERROR_INVALID);
}

DEVICE_TEST(runtime, find_device)
{
    uint32_t index = 99;
    char selector[64];
    snprintf(selector, sizeof selector, "%u", h.index);
    ASSERT_OK(dmattn_runtime_find_device(h.runtime, selector, &index));
    cr_expect_eq(index, h.index);
    /* A part of a name, or the whole name, finds a device with that name. */
    const size_t length = strlen(h.info.name);
    snprintf(selector, sizeof selector, "%.*s", (int)(length / 2 + 1), h.info.name + length / 4);
    ASSERT_OK(dmattn_runtime_find_device(h.runtime, selector, &index));
    dmattn_device_info info;
    ASSERT_OK(dmattn_runtime_device_info(h.runtime, index, &info));
    cr_expect(strstr(info.name, selector) || strstr(info.driver, selector), "%s is not part of %s", selector,
              info.name);
    ASSERT_OK(dmattn_runtime_find_device(h.runtime, NULL, &index));
    ASSERT_OK(dmattn_runtime_find_device(h.runtime, "best", &index));
    EXPECT_FAILURE(dmattn_runtime_find_device(h.runtime, "no such device", &index), DMATTN_ERROR_INVALID,
                   "no such device");
    EXPECT_FAILURE(dmattn_runtime_find_device(h.runtime, "1000", &index), DMATTN_ERROR_INVALID, "1000");
    EXPECT_FAILURE(dmattn_runtime_find_device(h.runtime, "best", NULL), DMATTN_ERROR_INVALID, "index");
}

DEVICE_TEST(runtime, handles)
{
    dmattn_device_handles handles;
    dmattn_device_get_handles(h.device, &handles);
    cr_expect(handles.get_instance_proc_addr && handles.instance && handles.physical_device && handles.device
              && handles.queue);
    cr_expect_geq(handles.api_version, VK_API_VERSION_1_2);
    cr_expect_not_null(dmattn_device_context(h.device));
}

/* One problem on two devices that exist at the same time. */
DEVICE_TEST(runtime, two_devices)
{
    dmattn_device *second, *devices[2] = {h.device, NULL};
    ASSERT_OK(dmattn_device_create(h.runtime, h.index, &second));
    devices[1] = second;
    const dmattn_attention_desc desc = {
        .batch = 1, .queries = 20, .keys = 30, .heads = 2, .head_dim = 16, .lse = true, .causal = true};
    problem p;
    device_problem dp[2];
    static float out[2][20 * 2 * 16], lse[2][20 * 2];
    ASSERT_OK(problem_create(&desc, NULL, &p));
    problem_randomize(&p, 1);
    for (int i = 0; i < 2; i++)
        ASSERT_OK(device_problem_create(&p, devices[i], &dp[i]));
    for (int i = 0; i < 2; i++)
        ASSERT_OK(device_problem_run(&dp[i]));
    for (int i = 0; i < 2; i++)
        ASSERT_OK(device_problem_download(&dp[i], out[i], lse[i]));
    cr_expect_arr_eq(out[0], out[1], sizeof out[0]);
    cr_expect_arr_eq(lse[0], lse[1], sizeof lse[0]);
    cr_expect(isfinite(out[0][0]));
    for (int i = 0; i < 2; i++)
        device_problem_destroy(&dp[i]);
    problem_destroy(&p);
    dmattn_device_destroy(second);
}

/* ---- buffers ------------------------------------------------------------------------------------------------- */

static unsigned char *noise(size_t size, uint64_t seed)
{
    unsigned char *bytes = malloc(size);
    cr_assert_not_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)random_bits(&seed);
    return bytes;
}

/* Compares the buffer with a model in host memory after every copy. */
DEVICE_TEST(buffers, odd_copies)
{
    enum { SIZE = 4099 };
    dmattn_buffer buffer;
    ASSERT_OK(dmattn_buffer_create(h.device, SIZE, &buffer));
    cr_expect(buffer.offset == 0 && buffer.size == SIZE);
    unsigned char *model = noise(SIZE, 1), *back = malloc(SIZE);
    ASSERT_OK(dmattn_upload(h.device, &buffer, 0, model, SIZE));
    uint64_t state = 2;
    for (int round = 0; round < 60; round++) {
        uint64_t offset = random_bits(&state) % SIZE, size = random_bits(&state) % (round < 30 ? 9 : SIZE - offset + 1);
        size = size < SIZE - offset ? size : SIZE - offset;
        unsigned char *piece = noise(size + 1, state);
        ASSERT_OK(dmattn_upload(h.device, &buffer, offset, piece, size));
        memcpy(model + offset, piece, size);
        offset = random_bits(&state) % SIZE;
        size = random_bits(&state) % (SIZE - offset + 1);
        ASSERT_OK(dmattn_download(h.device, &buffer, offset, back, size));
        cr_assert(!memcmp(back, model + offset, size), "round %d: %llu bytes at %llu", round, (unsigned long long)size,
                  (unsigned long long)offset);
        free(piece);
    }
    /* a range of the buffer */
    const dmattn_buffer range = {buffer.buffer, 1001, 503};
    ASSERT_OK(dmattn_download(h.device, &range, 3, back, 500));
    cr_expect_arr_eq(back, model + 1004, 500);
    EXPECT_FAILURE(dmattn_download(h.device, &range, 4, back, 500), DMATTN_ERROR_INVALID, "outside");
    free(model);
    free(back);
    dmattn_buffer_destroy(h.device, &buffer);
    cr_expect(!buffer.buffer && !buffer.size);
}

/* Copies larger than the staging buffer. */
DEVICE_TEST(buffers, large_copies)
{
    const uint64_t size = (UINT64_C(37) << 20) + 5;
    dmattn_buffer buffer;
    ASSERT_OK(dmattn_buffer_create(h.device, size, &buffer));
    unsigned char *data = noise(size, 1), *back = calloc(1, size);
    ASSERT_OK(dmattn_upload(h.device, &buffer, 0, data, size));
    ASSERT_OK(dmattn_download(h.device, &buffer, 0, back, size));
    cr_expect(!memcmp(data, back, size));
    ASSERT_OK(dmattn_upload(h.device, &buffer, 3, data, size - 3));
    ASSERT_OK(dmattn_download(h.device, &buffer, 1, back, size - 1));
    cr_expect(!memcmp(data + 1, back, 2) && !memcmp(data, back + 2, size - 3));
    free(data);
    free(back);
    dmattn_buffer_destroy(h.device, &buffer);
}

DEVICE_TEST(buffers, invalid_arguments)
{
    dmattn_buffer buffer = {.size = 7}, none = {0};
    unsigned char byte = 1;
    EXPECT_FAILURE(dmattn_buffer_create(h.device, 0, &buffer), DMATTN_ERROR_INVALID, "size");
    cr_expect(!buffer.buffer && !buffer.size);
    EXPECT_FAILURE(dmattn_buffer_create(h.device, 8, NULL), DMATTN_ERROR_INVALID, "buffer");
    dmattn_buffer_destroy(h.device, &none);
    dmattn_buffer_destroy(h.device, NULL);

    ASSERT_OK(dmattn_buffer_create(h.device, 8, &buffer));
    EXPECT_FAILURE(dmattn_upload(h.device, &buffer, 8, &byte, 1), DMATTN_ERROR_INVALID, "outside");
    EXPECT_FAILURE(dmattn_upload(h.device, &buffer, 9, &byte, 0), DMATTN_ERROR_INVALID, "outside");
    EXPECT_FAILURE(dmattn_upload(h.device, &buffer, UINT64_MAX, &byte, 2), DMATTN_ERROR_INVALID, "outside");
    EXPECT_FAILURE(dmattn_upload(h.device, &buffer, 1, &byte, UINT64_MAX), DMATTN_ERROR_INVALID, "outside");
    EXPECT_FAILURE(dmattn_download(h.device, &buffer, 1, &byte, 8), DMATTN_ERROR_INVALID, "outside");
    EXPECT_FAILURE(dmattn_upload(h.device, &buffer, 0, NULL, 1), DMATTN_ERROR_INVALID, "data");
    EXPECT_FAILURE(dmattn_upload(h.device, &none, 0, &byte, 1), DMATTN_ERROR_INVALID, "buffer");
    EXPECT_FAILURE(dmattn_download(h.device, NULL, 0, &byte, 1), DMATTN_ERROR_INVALID, "buffer");
    /* the range is larger than the buffer */
    const dmattn_buffer claim = {buffer.buffer, 4, 1000}, whole = {buffer.buffer, 4, VK_WHOLE_SIZE};
    EXPECT_FAILURE(dmattn_download(h.device, &claim, 0, &byte, 5), DMATTN_ERROR_INVALID, "outside");
    EXPECT_FAILURE(dmattn_download(h.device, &whole, 4, &byte, 1), DMATTN_ERROR_INVALID, "outside");
    ASSERT_OK(dmattn_upload(h.device, &buffer, 8, NULL, 0));
    ASSERT_OK(dmattn_download(h.device, &whole, 3, &byte, 1));
    dmattn_buffer_destroy(h.device, &buffer);
}

/* Sizes beyond a limit of the device fail with a status. Beyond max_allocation the driver decides. */
DEVICE_TEST(buffers, too_large)
{
    const uint64_t sizes[] = {UINT64_MAX, UINT64_C(1) << 62, h.info.max_allocation + 1, UINT64_C(1) << 46};
    /* Vulkan lets a driver allocate more than that. The layer warns of it with severity ERROR. */
    h.expected = "maxMemoryAllocationSize";
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        dmattn_buffer buffer = {.size = 7};
        h.sentences = 0;
        if (!sizes[i]) /* there is no limit */
            continue;
        dmattn_status status = dmattn_buffer_create(h.device, sizes[i], &buffer);
        if (!status && sizes[i] == h.info.max_allocation + 1) {
            cr_expect_eq(buffer.size, sizes[i]);
            dmattn_buffer_destroy(h.device, &buffer);
            continue;
        }
        cr_expect(status == DMATTN_ERROR_UNSUPPORTED || status == DMATTN_ERROR_OUT_OF_MEMORY, "%llu bytes: %s",
                  (unsigned long long)sizes[i], dmattn_status_string(status));
        cr_expect_eq(h.sentences, 1);
        cr_expect(!buffer.buffer && !buffer.size);
    }
    dmattn_buffer buffer; /* the device still works */
    ASSERT_OK(dmattn_buffer_create(h.device, 100, &buffer));
    dmattn_buffer_destroy(h.device, &buffer);
}

/* The device destroys the buffers that remain. */
DEVICE_TEST(buffers, left_to_the_device)
{
    dmattn_buffer buffer;
    for (int i = 0; i < 5; i++)
        ASSERT_OK(dmattn_buffer_create(h.device, 1000, &buffer));
}

/* ---- commands ------------------------------------------------------------------------------------------------ */

static PFN_vkCmdFillBuffer fill_function(void)
{
    dmattn_device_handles handles;
    dmattn_device_get_handles(h.device, &handles);
    return (PFN_vkCmdFillBuffer)handles.get_instance_proc_addr(handles.instance, "vkCmdFillBuffer");
}

static void wait_for_fill(VkCommandBuffer commands)
{
    dmattn_device_handles handles;
    dmattn_device_get_handles(h.device, &handles);
    PFN_vkCmdPipelineBarrier barrier =
        (PFN_vkCmdPipelineBarrier)handles.get_instance_proc_addr(handles.instance, "vkCmdPipelineBarrier");
    const VkMemoryBarrier writes = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                    .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                    .dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT};
    barrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &writes, 0, NULL, 0, NULL);
}

static uint32_t first_word(const dmattn_buffer *buffer)
{
    uint32_t word = 0;
    ASSERT_OK(dmattn_download(h.device, buffer, 0, &word, sizeof word));
    return word;
}

DEVICE_TEST(commands, cancel_and_begin_again)
{
    dmattn_buffer buffer;
    VkCommandBuffer commands;
    const uint32_t zero = 0;
    ASSERT_OK(dmattn_buffer_create(h.device, 1024, &buffer));
    ASSERT_OK(dmattn_upload(h.device, &buffer, 0, &zero, sizeof zero));
    EXPECT_FAILURE(dmattn_commands_submit(h.device), DMATTN_ERROR_INVALID, "begun");
    dmattn_commands_cancel(h.device);

    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    fill_function()(commands, buffer.buffer, 0, VK_WHOLE_SIZE, 1);
    VkCommandBuffer second = commands;
    EXPECT_FAILURE(dmattn_commands_begin(h.device, &second), DMATTN_ERROR_INVALID, "begun");
    cr_expect_null(second);
    dmattn_commands_cancel(h.device);
    EXPECT_FAILURE(dmattn_commands_submit(h.device), DMATTN_ERROR_INVALID, "begun");
    cr_expect_eq(first_word(&buffer), 0);

    EXPECT_FAILURE(dmattn_commands_begin(h.device, NULL), DMATTN_ERROR_INVALID, "commands");
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    fill_function()(commands, buffer.buffer, 0, VK_WHOLE_SIZE, 2);
    cr_expect_eq(first_word(&buffer), 0); /* copies are allowed during recording, and run first */
    dmattn_commands_barrier(h.device);    /* orders shaders only, not copies */
    wait_for_fill(commands);
    fill_function()(commands, buffer.buffer, 0, VK_WHOLE_SIZE, 3);
    ASSERT_OK(dmattn_commands_submit(h.device));
    cr_expect_eq(first_word(&buffer), 3);
    dmattn_buffer_destroy(h.device, &buffer);
}

DEVICE_TEST(commands, left_recording)
{
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands)); /* then the device is destroyed */
}

DEVICE_TEST(commands, times)
{
    dmattn_buffer buffer;
    VkCommandBuffer commands;
    double seconds = -1, backwards = -1;
    ASSERT_OK(dmattn_buffer_create(h.device, 1 << 20, &buffer));
    EXPECT_FAILURE(dmattn_elapsed(h.device, 0, 1, &seconds), DMATTN_ERROR_INVALID, "0");
    for (int round = 0; round < 3; round++) {
        ASSERT_OK(dmattn_commands_begin(h.device, &commands));
        dmattn_commands_timestamp(h.device, 7);
        fill_function()(commands, buffer.buffer, 0, VK_WHOLE_SIZE, 1);
        dmattn_commands_timestamp(h.device, 3);
        dmattn_commands_timestamp(h.device, DMATTN_TIMESTAMPS - 1);
        ASSERT_OK(dmattn_commands_submit(h.device));
        ASSERT_OK(dmattn_elapsed(h.device, 7, 3, &seconds));
        cr_expect(isfinite(seconds) && seconds >= 0, "%g", seconds);
        ASSERT_OK(dmattn_elapsed(h.device, 3, 7, &backwards));
        cr_expect_eq(backwards, h.info.timestamps ? -seconds : seconds);
        ASSERT_OK(dmattn_elapsed(h.device, 3, DMATTN_TIMESTAMPS - 1, &seconds));
        cr_expect(isfinite(seconds) && seconds >= 0, "%g", seconds);
        EXPECT_FAILURE(dmattn_elapsed(h.device, 7, 4, &seconds), DMATTN_ERROR_INVALID, "4");
        EXPECT_FAILURE(dmattn_elapsed(h.device, 0, 3, &seconds), DMATTN_ERROR_INVALID, "0");
        EXPECT_FAILURE(dmattn_elapsed(h.device, 7, DMATTN_TIMESTAMPS, &seconds), DMATTN_ERROR_INVALID, "256");
        EXPECT_FAILURE(dmattn_elapsed(h.device, 7, 3, NULL), DMATTN_ERROR_INVALID, "seconds");
    }
    /* the slots of the last submission only */
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    dmattn_commands_timestamp(h.device, 0);
    ASSERT_OK(dmattn_commands_submit(h.device));
    EXPECT_FAILURE(dmattn_elapsed(h.device, 7, 3, &seconds), DMATTN_ERROR_INVALID, "7");
    ASSERT_OK(dmattn_elapsed(h.device, 0, 0, &seconds));
    cr_expect(!h.info.timestamps || seconds == 0);
    /* all of them */
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    for (uint32_t slot = 0; slot < DMATTN_TIMESTAMPS; slot++)
        dmattn_commands_timestamp(h.device, slot);
    ASSERT_OK(dmattn_commands_submit(h.device));
    ASSERT_OK(dmattn_elapsed(h.device, 0, DMATTN_TIMESTAMPS - 1, &seconds));
    cr_expect(isfinite(seconds) && seconds >= 0);
    dmattn_buffer_destroy(h.device, &buffer);
}

/* Misuse gives a message and is ignored. */
DEVICE_TEST(commands, misuse)
{
    VkCommandBuffer commands;
    h.sentences = 0;
    dmattn_commands_barrier(h.device);
    dmattn_commands_timestamp(h.device, 0);
    cr_expect_eq(h.sentences, 2);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    h.sentences = 0;
    dmattn_commands_timestamp(h.device, DMATTN_TIMESTAMPS);
    dmattn_commands_timestamp(h.device, 1);
    cr_expect_eq(h.sentences, 1);
    dmattn_commands_timestamp(h.device, 1); /* twice */
    cr_expect_eq(h.sentences, 2);
    ASSERT_OK(dmattn_commands_submit(h.device));
}

/* ---- NULL instead of a runtime or a device ------------------------------------------------------------------- */

Test(null_handles, runtime)
{
    dmattn_device *device = (dmattn_device *)&device;
    dmattn_device_info info;
    uint32_t index = 5;
    cr_expect_eq(dmattn_runtime_device_count(NULL), 0);
    cr_expect_eq(dmattn_runtime_device_info(NULL, 0, &info), DMATTN_ERROR_INVALID);
    cr_expect_eq(dmattn_runtime_find_device(NULL, NULL, &index), DMATTN_ERROR_INVALID);
    cr_expect_eq(dmattn_device_create(NULL, 0, &device), DMATTN_ERROR_INVALID);
    cr_expect_null(device);
    dmattn_runtime_destroy(NULL);
}

Test(null_handles, device)
{
    dmattn_buffer buffer = {.size = 1};
    dmattn_shared_memory memory = {0};
    dmattn_device_handles handles = {.queue_family = 7};
    VkCommandBuffer commands = (VkCommandBuffer)&commands;
    double seconds = 1;
    int fd = 0;
    char byte = 0;
    cr_expect_eq(dmattn_buffer_create(NULL, 1, &buffer), DMATTN_ERROR_INVALID);
    cr_expect_eq(buffer.size, 0);
    cr_expect_eq(dmattn_upload(NULL, &buffer, 0, &byte, 1), DMATTN_ERROR_INVALID);
    cr_expect_eq(dmattn_download(NULL, &buffer, 0, &byte, 1), DMATTN_ERROR_INVALID);
    cr_expect_eq(dmattn_commands_begin(NULL, &commands), DMATTN_ERROR_INVALID);
    cr_expect(commands == VK_NULL_HANDLE);
    cr_expect_eq(dmattn_commands_submit(NULL), DMATTN_ERROR_INVALID);
    cr_expect_eq(dmattn_commands_submit_shared(NULL, 0, 1), DMATTN_ERROR_INVALID);
    cr_expect_eq(dmattn_elapsed(NULL, 0, 1, &seconds), DMATTN_ERROR_INVALID);
    cr_expect(seconds == 0);
    cr_expect_eq(dmattn_buffer_create_shared(NULL, 1, &buffer, &memory), DMATTN_ERROR_INVALID);
    cr_expect_eq(memory.fd, -1);
    cr_expect_eq(dmattn_timeline_export(NULL, &fd), DMATTN_ERROR_INVALID);
    cr_expect_eq(fd, -1);
    cr_expect_null(dmattn_device_context(NULL));
    dmattn_device_get_handles(NULL, &handles);
    cr_expect_eq(handles.queue_family, 0);
    dmattn_commands_barrier(NULL);
    dmattn_commands_timestamp(NULL, 0);
    dmattn_commands_cancel(NULL);
    dmattn_buffer_destroy(NULL, &buffer);
    dmattn_device_destroy(NULL);
}
