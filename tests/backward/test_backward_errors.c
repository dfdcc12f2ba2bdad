/* SPDX-License-Identifier: MIT
 * What plans of gradients refuse on a device, and their information. */
#include "gradients.h"
#include "support/harness.h"

#include <stdio.h>
#include <string.h>

#define ATTENTION .batch = 2, .queries = 50, .keys = 70, .heads = 6, .kv_heads = 3, .head_dim = 16

static const dmattn_attention_desc intervals = {
    ATTENTION,    .type = DMATTN_TYPE_F16,   .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.heads = 3},
    .bias = true, .bias_shape = {.heads = 3}};
static const dmattn_attention_desc dense = {ATTENTION, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = 50},
                                            .bias = true, .bias_shape = {.queries = 50}};
static const dmattn_dma_desc dma = {
    .attention = {ATTENTION, .type = DMATTN_TYPE_F16},
    .importance = {.dt_bias = true},
    .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 9, .causal = true},
};

DEVICE_TEST(backward_plan, what_is_refused)
{
    dmattn_plan *plan = (dmattn_plan *)&h;
    const dmattn_attention_backward_desc desc = {.attention = dense};
    EXPECT_FAILURE(dmattn_attention_backward_plan(h.context, NULL, &plan), DMATTN_ERROR_INVALID, "descriptor");
    cr_expect_null(plan);
    EXPECT_FAILURE(dmattn_attention_backward_plan(h.context, &desc, NULL), DMATTN_ERROR_INVALID, "plan");
    cr_expect_eq(dmattn_attention_backward_plan(NULL, &desc, &plan), DMATTN_ERROR_INVALID);
    EXPECT_FAILURE(dmattn_dma_backward_plan(h.context, NULL, &plan), DMATTN_ERROR_INVALID, "descriptor");
    EXPECT_FAILURE(dmattn_dma_backward_plan(h.context, &(dmattn_dma_backward_desc){.dma = dma}, NULL),
                   DMATTN_ERROR_INVALID, "plan");

    dmattn_attention_backward_desc d = desc;
    d.attention.mask = DMATTN_MASK_SELECTED; /* beside a bias by query */
    d.attention.selected_count = 5;
    EXPECT_FAILURE(dmattn_attention_backward_plan(h.context, &d, &plan), DMATTN_ERROR_INVALID, "DMATTN_MASK_SELECTED");
    d = desc;
    d.attention.level = DMATTN_LEVEL_MATRIX;
    EXPECT_FAILURE(dmattn_attention_backward_plan(h.context, &d, &plan), DMATTN_ERROR_UNSUPPORTED, "level matrix");
    d = desc;
    d.attention.batch = d.attention.mask_shape.batch = (1u << 30) - 1;
    EXPECT_FAILURE(dmattn_attention_backward_plan(h.context, &d, &plan), DMATTN_ERROR_UNSUPPORTED, "");
    d = desc;
    d.gradients = DMATTN_GRADIENT_DT_WEIGHT;
    EXPECT_FAILURE(dmattn_attention_backward_plan(h.context, &d, &plan), DMATTN_ERROR_INVALID, "gradients");

    dmattn_dma_backward_desc given = {.dma = dma, .gradients = DMATTN_GRADIENT_A};
    given.dma.importance_given = true;
    EXPECT_FAILURE(dmattn_dma_backward_plan(h.context, &given, &plan), DMATTN_ERROR_INVALID, "gradients");
    given = (dmattn_dma_backward_desc){.dma = dma, .gradients = DMATTN_GRADIENT_BIAS};
    EXPECT_FAILURE(dmattn_dma_backward_plan(h.context, &given, &plan), DMATTN_ERROR_INVALID, "gradients");
    given = (dmattn_dma_backward_desc){.dma = dma, .gradients = DMATTN_GRADIENT_DT_BIAS};
    given.dma.importance.dt_bias = false;
    EXPECT_FAILURE(dmattn_dma_backward_plan(h.context, &given, &plan), DMATTN_ERROR_INVALID, "gradients");
    cr_expect_null(plan);
}

/* ---- recording ------------------------------------------------------------------------------------------------- */

/* Tries each buffer as missing, too small, and at an offset that is not aligned. Then nothing is recorded. No kernel
 * runs, so drivers need not compile any. */
static void try_buffers(problem *p, unsigned buffers)
{
    device_problem dp;
    device_gradients dg;
    ASSERT_OK(problem_add_backward(p, &(problem_backward){0}, NULL));
    problem_randomize(p, 1);
    ASSERT_OK(device_problem_create(p, h.device, &dp));
    ASSERT_OK(device_gradients_create(&dp, &dg));
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    unsigned tried = 0;
    for (int t = 0; t <= TENSOR_COUNT; t++) {
        const char *name = t < TENSOR_COUNT ? dmattn_tensor_name((tensor_id)t) : "workspace";
        dmattn_buffer *workspace = p->dma ? &dg.dma_args.workspace : &dg.args.workspace;
        dmattn_buffer *buffer = t < TENSOR_COUNT ? device_gradients_buffer(&dg, (tensor_id)t) : workspace;
        if (!buffer || !buffer->buffer)
            continue;
        char part[64];
        snprintf(part, sizeof part, "buffer %s ", name);
        const dmattn_buffer whole = *buffer;
        buffer->size--;
        EXPECT_FAILURE(device_gradients_record(&dg, commands), DMATTN_ERROR_INVALID, part);
        *buffer = whole;
        if (t != TENSOR_MASK) { /* a mask may begin at any byte */
            buffer->offset = 1;
            EXPECT_FAILURE(device_gradients_record(&dg, commands), DMATTN_ERROR_INVALID, part);
        }
        *buffer = (dmattn_buffer){0};
        EXPECT_FAILURE(device_gradients_record(&dg, commands), DMATTN_ERROR_INVALID, part);
        *buffer = whole;
        tried++;
    }
    cr_expect_eq(tried, buffers, "%u buffers", tried);
    ASSERT_OK(dmattn_commands_submit(h.device));
    uint32_t first = 0;
    ASSERT_OK(dmattn_download(h.device, device_gradients_buffer(&dg, TENSOR_DQ), 0, &first, sizeof first));
    cr_expect_eq(first, UINT32_MAX, "something was recorded");
    device_gradients_destroy(&dg);
    device_problem_destroy(&dp);
    problem_destroy(p);
}

DEVICE_TEST(backward_record, dense_buffers)
{
    problem p;
    ASSERT_OK(problem_create(&dense, NULL, &p));
    try_buffers(&p, 13);
}

DEVICE_TEST(backward_record, interval_buffers)
{
    problem p;
    ASSERT_OK(problem_create(&intervals, NULL, &p));
    try_buffers(&p, 14);
}

DEVICE_TEST(backward_record, dma_buffers)
{
    problem p;
    ASSERT_OK(problem_create_dma(&dma, NULL, &p));
    try_buffers(&p, 19);
}

/* Each kind of plan can be recorded only by its own function. */
DEVICE_TEST(backward_record, other_plans)
{
    dmattn_plan *of_dma, *of_attention, *forward;
    ASSERT_OK(dmattn_dma_backward_plan(h.context, &(dmattn_dma_backward_desc){.dma = dma}, &of_dma));
    ASSERT_OK(dmattn_attention_backward_plan(h.context, &(dmattn_attention_backward_desc){.attention = dense},
                                             &of_attention));
    ASSERT_OK(dmattn_attention_plan(h.context, &dense, &forward));
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    EXPECT_FAILURE(dmattn_attention_record(of_attention, commands, &(dmattn_attention_args){0}), DMATTN_ERROR_INVALID,
                   "not for attention");
    EXPECT_FAILURE(dmattn_attention_backward_record(forward, commands, &(dmattn_attention_backward_args){0}),
                   DMATTN_ERROR_INVALID, "not for the gradients of attention");
    EXPECT_FAILURE(dmattn_dma_backward_record(of_attention, commands, &(dmattn_dma_backward_args){0}),
                   DMATTN_ERROR_INVALID, "not for the gradients of dynamic mask attention");
    EXPECT_FAILURE(dmattn_attention_backward_record(of_attention, commands, NULL), DMATTN_ERROR_INVALID, "args");
    EXPECT_FAILURE(dmattn_dma_backward_record(of_dma, commands, NULL), DMATTN_ERROR_INVALID, "args");
    EXPECT_FAILURE(dmattn_dma_backward_record(of_dma, NULL, &(dmattn_dma_backward_args){0}), DMATTN_ERROR_INVALID,
                   "command buffer");
    cr_expect_eq(dmattn_attention_backward_record(NULL, commands, NULL), DMATTN_ERROR_INVALID);
    cr_expect_eq(dmattn_dma_backward_record(NULL, commands, NULL), DMATTN_ERROR_INVALID);
    dmattn_commands_cancel(h.device);
    dmattn_plan_destroy(of_dma);
    dmattn_plan_destroy(of_attention);
    dmattn_plan_destroy(forward);
}

DEVICE_TEST(backward_plan, info)
{
    dmattn_plan *plan;
    dmattn_plan_info info;
    h.kernel[0] = 0;
    ASSERT_OK(
        dmattn_attention_backward_plan(h.context, &(dmattn_attention_backward_desc){.attention = intervals}, &plan));
    dmattn_plan_get_info(plan, &info);
    cr_expect(strstr(h.kernel, info.kernel), "'%s' does not contain '%s'", h.kernel, info.kernel);
    dmattn_level highest = DMATTN_LEVEL_PORTABLE;
    for (dmattn_level level = highest; level; level = harness_next_level(level))
        highest = harness_offers_backward(level) ? level : highest;
    cr_expect_eq(info.level, highest);
    cr_expect(highest == DMATTN_LEVEL_MATRIX2 || strstr(info.why_not_higher, "matrix2: "), "%s", info.why_not_higher);
    cr_expect(info.workspace_size && info.list_queries && !info.lists_size);
    cr_expect_eq(info.data_alignment, 16);
    cr_expect_eq(info.flops, 2.0 * 5 * 16 * 50 * 70 * 2 * 6);
    dmattn_plan_destroy(plan);

    dmattn_attention_desc forbidden = dense; /* limits the level; then rows may begin at any element */
    forbidden.max_level = DMATTN_LEVEL_PORTABLE;
    ASSERT_OK(dmattn_attention_backward_plan(
        h.context, &(dmattn_attention_backward_desc){.attention = forbidden, .dv_strides = {5000, 51, 17}}, &plan));
    dmattn_plan_get_info(plan, &info);
    cr_expect_eq(info.why_not_higher[0], 0);
    cr_expect_eq(info.list_queries, 0);
    cr_expect_eq(info.data_alignment, 4);
    dmattn_plan_destroy(plan);
}
