/* SPDX-License-Identifier: MIT
 * What docs/ shows in C compiles, makes its plans and records its commands, on a Vulkan without a device. */
#include "fake_vulkan.h"

#include <criterion/criterion.h>

#include <stdio.h>

/* ---- what the blocks speak of ------------------------------------------------------------------------------------ */

enum { LENGTH = 512 };

static const uint32_t B = 2, Sq = LENGTH, Sk = LENGTH, H = 4, Hk = 2, D = 64, w = 16;
static const uint32_t total_q = LENGTH, total_k = LENGTH, sequences = 3, left = 100, prefix = 20, pages = 64,
                      max_keys = 1024;
static const float scale = 0.125f, cap = 30;
static int32_t begin_of[LENGTH], end_of[LENGTH];

static dmattn_context *context;
static dmattn_plan *plan, *attend, *mask_plan;
static dmattn_plan_info info;
static VkCommandBuffer commands;

/* Buffers of the fake one's, far apart. */
#define AT(n)                                                                     \
    {                                                                             \
        .buffer = (VkBuffer)(uintptr_t)(UINT64_C(n) << 40), .size = VK_WHOLE_SIZE \
    }
static const dmattn_buffer q = AT(1), k = AT(2), v = AT(3), out = AT(4), lse = AT(5), mask = AT(6), bias = AT(7),
                           begin = AT(8), end = AT(9), lists = AT(10), workspace = AT(11), mask_workspace = AT(12);
static const dmattn_buffer dt_weight = AT(13), a = AT(14), cu_seqlens_q = AT(15), cu_seqlens_k = AT(16);
static const dmattn_buffer dout = AT(17), dq = AT(18), dk = AT(19), dv = AT(20);
static const dmattn_buffer state = AT(21), page_pool = AT(22), block_table = AT(23);

static void app_barrier(VkCommandBuffer buffer)
{
    (void)buffer;
}

/* ---- the blocks -------------------------------------------------------------------------------------------------- */

static const char *where = "before the first block"; /* the block that is being run */

static void at(const char *place)
{
    where = place;
}

static void hear(void *user, dmattn_severity severity, const char *text)
{
    (void)user;
    cr_expect(severity != DMATTN_SEVERITY_ERROR, "%s: %s", where, text);
}

/* A reader's own variables may have these names. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#include "doc_fragments.h"
#pragma GCC diagnostic pop

static void run(void (*blocks)(void))
{
    fake_vulkan vulkan;
    fake_commands recorded;
    fake_vulkan_init(&vulkan);
    vulkan.desc.message = hear;
    cr_assert_eq(dmattn_context_create(&vulkan.desc, &context), DMATTN_SUCCESS);
    commands = fake_commands_begin(&vulkan, &recorded);
    blocks();
    cr_expect_gt(recorded.dispatches, 0);
    cr_expect_eq(vulkan.wrong, 0, "broken: %s", vulkan.rule);
}

Test(docs, porting)
{
    run(porting);
}
