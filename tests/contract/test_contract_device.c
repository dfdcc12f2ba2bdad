/* SPDX-License-Identifier: MIT
 * Tests that need a device, of guarantees to an app that embeds the library: commands that several threads record at
 * once give the same results, devices used in turn give the same results, and each allocation of the host runtime may
 * fail. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L /* barriers */
#endif

#include "problem.h"
#include "support/counted_malloc.h"
#include "support/harness.h"

#include "runtime/objects.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define QUERIES 40
#define ROWS    (QUERIES * 4 * 16)

static const dmattn_attention_desc attention = {
    .batch = 1, .queries = QUERIES, .keys = QUERIES, .heads = 4, .kv_heads = 2, .head_dim = 16, .causal = true};
static const dmattn_dma_desc dma = {
    .attention = {.batch = 1, .queries = QUERIES, .keys = QUERIES, .heads = 4, .kv_heads = 2, .head_dim = 16},
    .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 8, .causal = true}};

/* ---- threads ----------------------------------------------------------------------------------------------------- */

#define THREADS 8

/* A thread's command buffer and the arguments of its run of the shared plan. */
typedef struct thread_run {
    const dmattn_plan *plan;
    dmattn_dma_args args;
    VkCommandPool pool;
    VkCommandBuffer commands;
    dmattn_status status;
    pthread_barrier_t *start;
} thread_run;

static void *record_dma(void *argument)
{
    thread_run *t = argument;
    pthread_barrier_wait(t->start);
    t->status = dmattn_dma_record(t->plan, t->commands, &t->args);
    return NULL;
}

static PFN_vkVoidFunction function(const char *name)
{
    return h.device->runtime->vk.GetDeviceProcAddr(h.device->device, name);
}

static void begin_commands(thread_run *t)
{
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = h.device->physical->queue_family};
    cr_assert_eq(h.device->vk.CreateCommandPool(h.device->device, &pool, NULL, &t->pool), VK_SUCCESS);
    const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = t->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 1};
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    cr_assert_eq(h.device->vk.AllocateCommandBuffers(h.device->device, &info, &t->commands), VK_SUCCESS);
    cr_assert_eq(h.device->vk.BeginCommandBuffer(t->commands, &begin), VK_SUCCESS);
}

/* One plan, eight threads, eight command buffers, one submission. */
DEVICE_TEST(contract_threads, eight_command_buffers)
{
    problem p;
    device_problem dp;
    static float want[ROWS], got[ROWS];
    thread_run runs[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t start;
    VkCommandBuffer commands[THREADS];
    dmattn_plan_info info;
    ASSERT_OK(problem_create_dma(&dma, NULL, &p));
    problem_randomize(&p, 1);
    ASSERT_OK(device_problem_create(&p, h.device, &dp));
    ASSERT_OK(device_problem_run(&dp));
    ASSERT_OK(device_problem_download(&dp, want, NULL));
    dmattn_plan_get_info(dp.plan, &info);
    cr_assert(!pthread_barrier_init(&start, NULL, THREADS));
    for (int i = 0; i < THREADS; i++) {
        thread_run *t = &runs[i];
        *t = (thread_run){.plan = dp.plan, .args = dp.dma_args, .start = &start};
        t->args.importance = t->args.begin = t->args.end = (dmattn_buffer){0}; /* in the workspace */
        ASSERT_OK(dmattn_buffer_create(h.device, sizeof got, &t->args.out));
        ASSERT_OK(dmattn_buffer_create(h.device, info.workspace_size, &t->args.workspace));
        begin_commands(t);
    }
    for (int i = 0; i < THREADS; i++)
        cr_assert(!pthread_create(&threads[i], NULL, record_dma, &runs[i]));
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(runs[i].status, DMATTN_SUCCESS, "%s", h.sentence);
        cr_assert_eq(h.device->vk.EndCommandBuffer(runs[i].commands), VK_SUCCESS);
        commands[i] = runs[i].commands;
    }
    const VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = THREADS, .pCommandBuffers = commands};
    const PFN_vkQueueWaitIdle wait = (PFN_vkQueueWaitIdle)function("vkQueueWaitIdle");
    cr_assert_eq(h.device->vk.QueueSubmit(h.device->queue, 1, &submit, VK_NULL_HANDLE), VK_SUCCESS);
    cr_assert_eq(wait(h.device->queue), VK_SUCCESS);
    for (int i = 0; i < THREADS; i++) {
        ASSERT_OK(dmattn_download(h.device, &runs[i].args.out, 0, got, sizeof got));
        cr_expect_arr_eq(got, want, sizeof want, "thread %d", i);
        dmattn_buffer_destroy(h.device, &runs[i].args.out);
        dmattn_buffer_destroy(h.device, &runs[i].args.workspace);
        h.device->vk.DestroyCommandPool(h.device->device, runs[i].pool, NULL);
    }
    pthread_barrier_destroy(&start);
    device_problem_destroy(&dp);
    problem_destroy(&p);
}

/* ---- devices ----------------------------------------------------------------------------------------------------- */

/* Two devices, each with a problem, record and run in turn; the results are those of each alone. test_runtime.c checks
 * that both give the same results for the same problem. */
DEVICE_TEST(contract_devices, in_turn)
{
    dmattn_device *devices[2] = {h.device, NULL};
    problem p[2];
    device_problem dp[2];
    static float want[2][ROWS], got[ROWS];
    ASSERT_OK(problem_create(&attention, NULL, &p[0]));
    ASSERT_OK(problem_create_dma(&dma, NULL, &p[1]));
    for (int i = 0; i < 2; i++) { /* both on the first device, one by one */
        problem_randomize(&p[i], (uint64_t)i + 1);
        ASSERT_OK(device_problem_create(&p[i], h.device, &dp[i]));
        ASSERT_OK(device_problem_run(&dp[i]));
        ASSERT_OK(device_problem_download(&dp[i], want[i], NULL));
        device_problem_destroy(&dp[i]);
    }
    ASSERT_OK(dmattn_device_create(h.runtime, h.index, &devices[1]));
    for (int round = 0; round < 2; round++) { /* the second time with the problems swapped */
        VkCommandBuffer commands[2];
        for (int i = 0; i < 2; i++)
            ASSERT_OK(device_problem_create(&p[i], devices[i ^ round], &dp[i]));
        for (int repeat = 0; repeat < 3; repeat++) {
            for (int i = 0; i < 2; i++)
                ASSERT_OK(dmattn_commands_begin(devices[i ^ round], &commands[i]));
            for (int i = 0; i < 2; i++)
                ASSERT_OK(device_problem_record(&dp[i], commands[i], false));
            for (int i = 0; i < 2; i++)
                ASSERT_OK(dmattn_commands_submit(devices[i ^ round]));
            for (int i = 0; i < 2; i++) {
                ASSERT_OK(device_problem_download(&dp[i], got, NULL));
                cr_expect_arr_eq(got, want[i], sizeof got, "problem %d, round %d", i, round);
            }
        }
        for (int i = 0; i < 2; i++)
            device_problem_destroy(&dp[i]);
    }
    for (int i = 0; i < 2; i++)
        problem_destroy(&p[i]);
    dmattn_device_destroy(devices[1]);
}

/* ---- memory of the host runtime ---------------------------------------------------------------------------------- */

/* Makes a runtime and everything that can be made with it, up to the first failure. */
static dmattn_status use_runtime(void)
{
    const dmattn_runtime_desc desc = {.message = harness_message, .message_user = &h};
    dmattn_runtime *runtime = (dmattn_runtime *)&h;
    dmattn_device *device = NULL;
    dmattn_plan *plan = NULL;
    dmattn_attention_args args = {0};
    VkCommandBuffer commands;
    double seconds;
    static float data[ROWS];
    dmattn_status status = dmattn_runtime_create(&desc, &runtime);
    cr_assert_eq(runtime != NULL, !status);
    if (status)
        return status;
    device = (dmattn_device *)&h;
    status = dmattn_device_create(runtime, h.index, &device);
    cr_assert_eq(device != NULL, !status);
    if (!status)
        status = dmattn_attention_plan(dmattn_device_context(device), &attention, &plan);
    dmattn_buffer *const buffers[] = {&args.q, &args.k, &args.v, &args.out};
    for (int i = 0; i < 4 && !status; i++) {
        status = dmattn_buffer_create(device, sizeof data, buffers[i]);
        cr_expect_eq(buffers[i]->buffer != VK_NULL_HANDLE, !status);
        if (!status)
            status = dmattn_upload(device, buffers[i], 0, data, sizeof data);
    }
    if (!status)
        status = dmattn_commands_begin(device, &commands);
    if (!status) {
        dmattn_commands_timestamp(device, 0);
        status = dmattn_attention_record(plan, commands, &args);
        dmattn_commands_timestamp(device, 1);
    }
    if (!status)
        status = dmattn_commands_submit(device);
    if (!status)
        status = dmattn_elapsed(device, 0, 1, &seconds);
    if (!status)
        status = dmattn_download(device, &args.out, 0, data, sizeof data);
    dmattn_plan_destroy(plan);
    dmattn_device_destroy(device);
    dmattn_runtime_destroy(runtime);
    return status;
}

DEVICE_TEST(contract_memory, each_malloc_of_the_runtime_fails)
{
    unsigned long long count = 0;
    for (unsigned long long n = 0; n <= count; n++) {
        const long long live = counted_live;
        h.sentences = 0;
        counted_begin(n);
        const dmattn_status status = use_runtime();
        const unsigned long long calls = counted_calls;
        counted_begin(0);
        cr_expect_eq(status, n ? DMATTN_ERROR_OUT_OF_MEMORY : DMATTN_SUCCESS, "allocation %llu: %s (%s)", n,
                     dmattn_status_string(status), h.sentence);
        cr_expect_eq(h.sentences, n ? 1u : 0u, "allocation %llu: %u messages; the last one: %s", n, h.sentences,
                     h.sentence);
        cr_expect_eq(counted_live, live, "allocation %llu: %lld were not freed", n, counted_live - live);
        count = n ? count : calls;
    }
    cr_expect_geq(count, 10);
}
