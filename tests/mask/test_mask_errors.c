/* SPDX-License-Identifier: MIT
 * What plans of masks and of dynamic mask attention refuse on a device, and their information. */
#include "problem.h"
#include "support/harness.h"

#include <stdio.h>
#include <string.h>

#define ATTENTION .batch = 2, .queries = 50, .keys = 70, .heads = 6, .kv_heads = 3, .head_dim = 16
#define TOPW      .select = DMATTN_SELECT_TOPW_CAUSAL, .window = 9, .causal = true

static const dmattn_dma_desc with_all = {
    .attention = {ATTENTION, .type = DMATTN_TYPE_F16, .lse = true},
    .importance = {.parameter_type = DMATTN_TYPE_BF16, .dt_bias = true},
    .selection = {TOPW, .key_valid = true, .documents = 3},
};

DEVICE_TEST(mask_plan, what_is_refused)
{
    dmattn_plan *plan = (dmattn_plan *)&h;
    const dmattn_mask_desc mask = {.batch = 1, .queries = 5, .keys = 5, .kv_heads = 1, .value_dim = 8};
    EXPECT_FAILURE(dmattn_mask_plan(h.context, NULL, &plan), DMATTN_ERROR_INVALID, "descriptor");
    cr_expect_null(plan);
    EXPECT_FAILURE(dmattn_mask_plan(h.context, &mask, NULL), DMATTN_ERROR_INVALID, "plan");
    EXPECT_FAILURE(dmattn_mask_plan(h.context, &mask, &plan), DMATTN_ERROR_INVALID, "list_queries");
    const dmattn_mask_desc lists = {.stages = DMATTN_STAGE_LISTS,
                                    .batch = 1u << 13,
                                    .queries = (1u << 30) - 1,
                                    .keys = (1u << 30) - 1,
                                    .kv_heads = 1,
                                    .list_queries = 2048,
                                    .list_capacity = (1u << 30) - 1}; /* lists of 2^64 bytes */
    EXPECT_FAILURE(dmattn_mask_plan(h.context, &lists, &plan), DMATTN_ERROR_UNSUPPORTED, "256 GiB");
    EXPECT_FAILURE(dmattn_dma_plan(h.context, NULL, &plan), DMATTN_ERROR_INVALID, "descriptor");
    EXPECT_FAILURE(dmattn_dma_plan(h.context, &with_all, NULL), DMATTN_ERROR_INVALID, "plan");
    cr_expect_eq(dmattn_dma_plan(NULL, &with_all, &plan), DMATTN_ERROR_INVALID);
    dmattn_dma_desc d = with_all;
    d.attention.level = DMATTN_LEVEL_MATRIX;
    d.attention.type = DMATTN_TYPE_F32; /* no device has matrices for it */
    EXPECT_FAILURE(dmattn_dma_plan(h.context, &d, &plan), DMATTN_ERROR_UNSUPPORTED, "matrix");
    d = with_all;
    d.attention.batch = (1u << 30) - 1;
    EXPECT_FAILURE(dmattn_dma_plan(h.context, &d, &plan), DMATTN_ERROR_UNSUPPORTED, "");
    cr_expect_null(plan);
}

/* Tries each buffer as missing, too small, and at an offset that is not aligned. Then nothing is recorded. */
DEVICE_TEST(mask_record, buffers)
{
    problem p;
    device_problem dp;
    ASSERT_OK(problem_create_dma(&with_all, NULL, &p));
    problem_randomize(&p, 1);
    ASSERT_OK(device_problem_create(&p, h.device, &dp));
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    unsigned tried = 0;
    for (int t = 0; t <= TENSOR_COUNT; t++) {
        const char *name = t < TENSOR_COUNT ? dmattn_tensor_name((tensor_id)t) : "workspace";
        dmattn_dma_args *args = &dp.dma_args;
        /* a copy that may be changed */
        dmattn_buffer *buffer =
            t < TENSOR_COUNT ? (dmattn_buffer *)device_problem_buffer(&dp, (tensor_id)t) : &args->workspace;
        if (!buffer || !buffer->buffer)
            continue;
        char part[64];
        snprintf(part, sizeof part, "buffer %s ", name);
        const dmattn_buffer whole = *buffer;
        buffer->size--;
        EXPECT_FAILURE(dmattn_dma_record(dp.plan, commands, args), DMATTN_ERROR_INVALID, part);
        *buffer = whole;
        if (t != TENSOR_KEY_VALID) { /* key_valid may begin at any byte */
            buffer->offset = 1;
            EXPECT_FAILURE(dmattn_dma_record(dp.plan, commands, args), DMATTN_ERROR_INVALID, part);
        }
        *buffer = (dmattn_buffer){0};
        if (t != TENSOR_IMPORTANCE && t != TENSOR_BEGIN && t != TENSOR_END) /* these are optional */
            EXPECT_FAILURE(dmattn_dma_record(dp.plan, commands, args), DMATTN_ERROR_INVALID, part);
        *buffer = whole;
        tried++;
    }
    cr_expect_eq(tried, 15);
    EXPECT_FAILURE(dmattn_dma_record(dp.plan, commands, NULL), DMATTN_ERROR_INVALID, "args");
    EXPECT_FAILURE(dmattn_dma_record(dp.plan, NULL, &dp.dma_args), DMATTN_ERROR_INVALID, "command buffer");
    cr_expect_eq(dmattn_dma_record(NULL, commands, &dp.dma_args), DMATTN_ERROR_INVALID);
    ASSERT_OK(dmattn_commands_submit(h.device));
    uint32_t first = 0;
    ASSERT_OK(dmattn_download(h.device, &dp.dma_args.out, 0, &first, sizeof first));
    cr_expect_eq(first, UINT32_MAX, "something was recorded");
    device_problem_destroy(&dp);
    problem_destroy(&p);
}

/* Each kind of plan can be recorded only by its own function. */
DEVICE_TEST(mask_record, other_plans)
{
    dmattn_plan *dma, *mask, *attention;
    const dmattn_mask_desc mask_desc = {
        .batch = 1, .queries = 5, .keys = 5, .kv_heads = 1, .value_dim = 8, .list_queries = 16};
    ASSERT_OK(dmattn_dma_plan(h.context, &with_all, &dma));
    ASSERT_OK(dmattn_mask_plan(h.context, &mask_desc, &mask));
    ASSERT_OK(dmattn_attention_plan(h.context, &(dmattn_attention_desc){ATTENTION}, &attention));
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    EXPECT_FAILURE(dmattn_mask_record(dma, commands, &(dmattn_mask_args){0}), DMATTN_ERROR_INVALID, "not for a mask");
    EXPECT_FAILURE(dmattn_attention_record(mask, commands, &(dmattn_attention_args){0}), DMATTN_ERROR_INVALID,
                   "not for attention");
    EXPECT_FAILURE(dmattn_dma_record(attention, commands, &(dmattn_dma_args){0}), DMATTN_ERROR_INVALID,
                   "not for dynamic mask attention");
    EXPECT_FAILURE(dmattn_mask_record(mask, commands, NULL), DMATTN_ERROR_INVALID, "args");
    cr_expect_eq(dmattn_mask_record(NULL, commands, &(dmattn_mask_args){0}), DMATTN_ERROR_INVALID);
    dmattn_commands_cancel(h.device);
    dmattn_plan_destroy(dma);
    dmattn_plan_destroy(mask);
    dmattn_plan_destroy(attention);
}

DEVICE_TEST(mask_plan, info)
{
    dmattn_plan *plan;
    dmattn_plan_info info, attention;
    h.kernel[0] = 0;
    ASSERT_OK(dmattn_dma_plan(h.context, &with_all, &plan));
    dmattn_plan_get_info(plan, &attention);
    cr_expect(strstr(h.kernel, attention.kernel), "'%s' does not contain '%s'", h.kernel, attention.kernel);
    cr_expect(attention.workspace_size && attention.list_queries && !attention.lists_size);
    cr_expect_gt(attention.flops, 0);
    dmattn_plan_destroy(plan);

    dmattn_mask_desc d = {.batch = 2, .queries = 50, .keys = 70, .kv_heads = 3, .value_dim = 16, .selection = {TOPW}};
    d.list_queries = attention.list_queries;
    ASSERT_OK(dmattn_mask_plan(h.context, &d, &plan));
    dmattn_plan_get_info(plan, &info);
    cr_expect_eq(info.list_queries, attention.list_queries);
    cr_expect_geq(info.lists_size, 2 * 3 * (16 + 4 * 9));
    cr_expect_eq(info.data_alignment, 16);
    cr_expect_eq(info.flops, 2.0 * 2 * 70 * 3 * 3 * 16);
    cr_expect_leq(info.workspace_size, 24 * 2 * 3 * 1024);
    dmattn_plan_destroy(plan);
}
