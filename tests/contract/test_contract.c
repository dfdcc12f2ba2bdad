/* SPDX-License-Identifier: MIT
 * Guarantees to an app that embeds the library: which Vulkan functions it calls, which state it does not change, and
 * that it reports every failure and frees everything then. For each operator, on a fake Vulkan without a device. */
#include "support/allocator.h"
#include "support/counted_malloc.h"
#include "support/operators.h"
#include "support/sentences.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

/* A context and its messages. */
typedef struct rig {
    fake_vulkan vulkan;
    sentences said; /* the last message and the count */
    dmattn_context *context;
} rig;

static void rig_init(rig *r)
{
    memset(r, 0, sizeof *r);
    fake_vulkan_init(&r->vulkan);
    r->vulkan.desc.message = sentences_keep;
    r->vulkan.desc.message_user = &r->said;
}

static void rig_create(rig *r)
{
    rig_init(r);
    cr_assert_eq(dmattn_context_create(&r->vulkan.desc, &r->context), DMATTN_SUCCESS, "%s", r->said.text);
}

/* Expects that every object was destroyed and that Vulkan was used correctly. */
static void rig_destroy(rig *r)
{
    dmattn_context_destroy(r->context);
    cr_expect_eq(fake_vulkan_live(&r->vulkan), 0, "%d objects were not destroyed", fake_vulkan_live(&r->vulkan));
    cr_expect_eq(r->vulkan.wrong, 0, "incorrect use: %s", r->vulkan.rule);
}

static dmattn_plan *plan_of(rig *r, const operator_case *o)
{
    dmattn_plan *plan;
    cr_assert_eq(o->plan(r->context, &plan), DMATTN_SUCCESS, "%s: %s", o->name, r->said.text);
    return plan;
}

static void record(rig *r, const operator_case *o, const dmattn_plan *plan, fake_commands *commands)
{
    const VkCommandBuffer buffer = fake_commands_begin(&r->vulkan, commands);
    cr_expect_eq(o->record(plan, buffer), DMATTN_SUCCESS, "%s: %s", o->name, r->said.text);
}

/* ---- sizes beyond 64 bits ---------------------------------------------------------------------------------------- */

static void allow_large_grids(VkPhysicalDeviceProperties2 *properties)
{
    for (int i = 0; i < 3; i++)
        properties->properties.limits.maxComputeWorkGroupCount[i] = UINT32_MAX;
}

/* With 64 bits, the first has an importance of 0 bytes, the second lists of 64 GiB. */
Test(contract, sizes_beyond_64_bits)
{
    const dmattn_mask_desc descs[] = {{.stages = DMATTN_STAGE_IMPORTANCE,
                                       .batch = 1u << 15,
                                       .keys = 1u << 29,
                                       .kv_heads = 1u << 18,
                                       .type = DMATTN_TYPE_F16,
                                       .value_dim = 8,
                                       .v_strides = {0, 0, 8}},
                                      {.stages = DMATTN_STAGE_LISTS,
                                       .batch = 1u << 13,
                                       .queries = (1u << 30) - 1,
                                       .keys = (1u << 30) - 1,
                                       .kv_heads = 1,
                                       .list_queries = 2048,
                                       .list_capacity = (1u << 30) - 1}};
    for (size_t i = 0; i < 2; i++)
        for (int large = 0; large < 2; large++) {
            rig r;
            dmattn_plan *plan = (dmattn_plan *)&r;
            rig_init(&r);
            r.vulkan.change_limits = large ? allow_large_grids : NULL;
            cr_assert_eq(dmattn_context_create(&r.vulkan.desc, &r.context), DMATTN_SUCCESS, "%s", r.said.text);
            const dmattn_status status = dmattn_mask_plan(r.context, &descs[i], &plan);
            cr_expect(status == DMATTN_ERROR_INVALID || status == DMATTN_ERROR_UNSUPPORTED, "%zu: status %d", i,
                      status);
            cr_expect(!plan && *r.said.text);
            rig_destroy(&r);
        }
}

/* ---- parts that a descriptor does not request -------------------------------------------------------------------- */

/* Plans with an importance that has an unknown type. It is refused, unless the app gives the importance. */
Test(contract, unknown_type_of_the_importance)
{
    const dmattn_importance unknown = {.parameter_type = (dmattn_type)-1};
    rig r;
    rig_create(&r);
    for (int given = 0; given < 2; given++) {
        const dmattn_dma_desc dma = {.attention = {.batch = 1, .queries = 5, .keys = 7, .heads = 2, .head_dim = 8},
                                     .importance = unknown,
                                     .importance_given = given};
        const dmattn_dma_backward_desc backward = {.dma = dma};
        const dmattn_decode_desc decode = {.attention = {.batch = 1, .queries = 1, .heads = 2, .head_dim = 8},
                                           .importance = unknown,
                                           .importance_given = given,
                                           .selection = {.causal = true, .sliding = 5}};
        for (int i = 0; i < 3; i++) {
            dmattn_plan *plan;
            r.said = (sentences){0};
            const dmattn_status status = i == 0   ? dmattn_dma_plan(r.context, &dma, &plan)
                                         : i == 1 ? dmattn_dma_backward_plan(r.context, &backward, &plan)
                                                  : dmattn_decode_plan(r.context, &decode, &plan);
            const char *sentence = given ? "planned" : "parameter_type -1 is not a dmattn_type";
            cr_expect_eq(status, given ? DMATTN_SUCCESS : DMATTN_ERROR_INVALID, "operator %d: %s", i, r.said.text);
            cr_expect(r.said.count == 1 && strstr(r.said.text, sentence), "operator %d: %s", i, r.said.text);
            dmattn_plan_destroy(plan);
        }
    }
    rig_destroy(&r);
}

/* ---- outputs that are NULL --------------------------------------------------------------------------------------- */

Test(contract, null_outputs)
{
    rig r;
    dmattn_context *context = (dmattn_context *)&r;
    rig_create(&r);
    cr_expect_eq(dmattn_context_create(&r.vulkan.desc, NULL), DMATTN_ERROR_INVALID);
    cr_expect_eq(dmattn_context_create(NULL, &context), DMATTN_ERROR_INVALID);
    cr_expect_null(context);
    cr_expect_eq(dmattn_add_device_needs(NULL), DMATTN_ERROR_INVALID);
    dmattn_get_device_needs(VK_API_VERSION_1_3, NULL);
    for (size_t i = 0; i < OPERATORS; i++) {
        const operator_case *o = &operators[i];
        dmattn_plan *plan = plan_of(&r, o);
        dmattn_plan_info info;
        dmattn_cache_layout layout;
        dmattn_plan_get_info(plan, NULL);
        memset(&info, 1, sizeof info);
        dmattn_plan_get_info(NULL, &info);
        cr_expect(!info.level && !info.workspace_size && !*info.kernel && !*info.why_not_higher);
        cr_expect_eq(dmattn_decode_get_layout(plan, NULL), DMATTN_ERROR_INVALID);
        cr_expect(strstr(r.said.text, "`layout` is NULL"), "%s", r.said.text);
        cr_expect_eq(dmattn_decode_get_layout(NULL, NULL), DMATTN_ERROR_INVALID);
        memset(&layout, 1, sizeof layout);
        cr_expect_eq(dmattn_decode_get_layout(NULL, &layout), DMATTN_ERROR_INVALID);
        cr_expect_eq(layout.pages_size, 0);
        cr_expect_eq(o->plan(r.context, NULL), DMATTN_ERROR_INVALID, "%s", o->name);
        dmattn_plan_destroy(plan);
    }
    rig_destroy(&r);
}

/* ---- functions of Vulkan ----------------------------------------------------------------------------------------- */

static bool is_in(const char *const *names, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

/* The library can call only the functions that it loads. None of these allocates device memory, makes a buffer, binds
 * descriptor sets, draws, submits or waits. A new function must be added here and to docs/embedding.md. */
Test(contract, functions)
{
    static const char *const all[] = {"vkGetPhysicalDeviceProperties2",
                                      "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR",
                                      "vkGetDeviceProcAddr",
                                      "vkCreateShaderModule",
                                      "vkDestroyShaderModule",
                                      "vkCreatePipelineLayout",
                                      "vkDestroyPipelineLayout",
                                      "vkCreatePipelineCache",
                                      "vkDestroyPipelineCache",
                                      "vkCreateComputePipelines",
                                      "vkDestroyPipeline",
                                      "vkGetBufferDeviceAddress",
                                      "vkCmdBindPipeline",
                                      "vkCmdPushConstants",
                                      "vkCmdPipelineBarrier",
                                      "vkCmdDispatch",
                                      "vkCmdDispatchBase"};
    rig r;
    rig_create(&r);
    for (int i = 0; i < OPERATORS; i++)
        dmattn_plan_destroy(plan_of(&r, &operators[i]));
    cr_expect_eq(r.vulkan.refused_count, 0, "%s was requested", r.vulkan.refused[0]);
    for (uint32_t i = 0; i < r.vulkan.loaded_count; i++)
        cr_expect(is_in(all, sizeof all / sizeof *all, r.vulkan.loaded[i]), "%s is loaded", r.vulkan.loaded[i]);
    rig_destroy(&r);
}

/* Pipelines have names where the app has enabled VK_EXT_debug_utils. */
Test(contract, debug_names)
{
    rig r;
    rig_init(&r);
    r.vulkan.debug_utils = true;
    cr_assert_eq(dmattn_context_create(&r.vulkan.desc, &r.context), DMATTN_SUCCESS, "%s", r.said.text);
    for (int i = 0; i < OPERATORS; i++)
        dmattn_plan_destroy(plan_of(&r, &operators[i]));
    cr_expect_eq(r.vulkan.named, r.vulkan.made[FAKE_PIPELINE]);
    rig_destroy(&r);
}

/* Leaves nonzero bytes on the stack, which uninitialized variables then contain. Called through a pointer, so that it
 * is not inlined. */
static void fill(int byte)
{
    volatile unsigned char bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)byte;
}
static void (*volatile fill_stack)(int byte) = fill;

/* A record call changes only the compute pipeline and the push constants of the command buffer's state. fake_vulkan.c
 * checks each command, and has no others. The same call records the same commands. */
Test(contract, commands)
{
    rig r;
    unsigned slices = 0;
    rig_create(&r);
    for (int i = 0; i < OPERATORS; i++) {
        const operator_case *o = &operators[i];
        dmattn_plan *plan = plan_of(&r, o), *twin = plan_of(&r, o);
        fake_commands first, second, third;
        const unsigned calls = r.vulkan.calls;
        fill_stack(0x11);
        record(&r, o, plan, &first);
        fill_stack(0xee);
        record(&r, o, plan, &second);
        record(&r, o, twin, &third);
        cr_expect_eq(r.vulkan.calls, calls, "%s: recording creates an object", o->name);
        cr_expect(first.dispatches + first.slices >= 1, "%s", o->name);
        cr_expect_eq(first.binds, first.pushes, "%s", o->name);
        cr_expect_lt(first.barriers, first.binds, "%s", o->name);
        cr_expect(first.hash == second.hash && first.hash == third.hash, "%s: the same call records different commands",
                  o->name);
        cr_expect_eq(r.vulkan.wrong, 0, "%s: broken: %s", o->name, r.vulkan.rule);
        slices += first.slices > first.binds;
        dmattn_plan_destroy(plan);
        dmattn_plan_destroy(twin);
    }
    cr_expect_geq(slices, 1, "no operator was divided into slices");
    rig_destroy(&r);
}

/* Each kernel is divided by its own work. The gradient of a bias takes two products, 2 * 2 * 64 * 2^32 FLOP, which is
 * 5.5 times that of a slice, and its grid can be divided into any number of rows. */
Test(contract, slices_of_the_gradient_of_a_bias)
{
    const dmattn_attention_backward_desc desc = {.attention = {.batch = 1,
                                                               .queries = 1 << 16,
                                                               .keys = 1 << 16,
                                                               .heads = 1,
                                                               .head_dim = 64,
                                                               .bias = true,
                                                               .bias_shape = {.queries = 1 << 16}},
                                                 .gradients = DMATTN_GRADIENT_BIAS};
    const dmattn_buffer any = {.buffer = (VkBuffer)(uintptr_t)(UINT64_C(1) << 40), .size = VK_WHOLE_SIZE};
    const dmattn_attention_backward_args args = {
        .q = any, .k = any, .v = any, .out = any, .dout = any, .lse = any, .bias = any, .dbias = any, .workspace = any};
    rig r;
    dmattn_plan *plan;
    fake_commands commands;
    rig_create(&r);
    cr_assert_eq(dmattn_attention_backward_plan(r.context, &desc, &plan), DMATTN_SUCCESS, "%s", r.said.text);
    const VkCommandBuffer buffer = fake_commands_begin(&r.vulkan, &commands);
    cr_expect_eq(dmattn_attention_backward_record(plan, buffer, &args), DMATTN_SUCCESS, "%s", r.said.text);
    cr_expect_eq(commands.slices, 6, "%u slices", commands.slices);
    dmattn_plan_destroy(plan);
    rig_destroy(&r);
}

/* Each context calls its own device, even if there are others. */
Test(contract, two_devices)
{
    rig r[2];
    for (int d = 0; d < 2; d++)
        rig_create(&r[d]);
    for (int i = 0; i < OPERATORS; i++) {
        dmattn_plan *plans[2];
        fake_commands commands[2];
        for (int d = 0; d < 2; d++)
            plans[d] = plan_of(&r[d], &operators[i]);
        for (int d = 0; d < 2; d++)
            record(&r[d], &operators[i], plans[d], &commands[d]);
        cr_expect_eq(commands[0].hash, commands[1].hash);
        for (int d = 0; d < 2; d++)
            dmattn_plan_destroy(plans[d]);
    }
    for (int d = 0; d < 2; d++)
        rig_destroy(&r[d]);
}

/* Every pipeline is made with the app's cache, which the context does not destroy, or with one cache of the context. */
Test(contract, pipeline_cache)
{
    for (int given = 0; given < 2; given++) {
        rig r;
        rig_init(&r);
        if (given)
            r.vulkan.desc.pipeline_cache = r.vulkan.cache = fake_vulkan_cache(&r.vulkan);
        cr_assert_eq(dmattn_context_create(&r.vulkan.desc, &r.context), DMATTN_SUCCESS, "%s", r.said.text);
        for (int i = 0; i < OPERATORS; i++)
            dmattn_plan_destroy(plan_of(&r, &operators[i]));
        cr_expect_geq(r.vulkan.made[FAKE_PIPELINE], OPERATORS);
        cr_expect_eq(r.vulkan.made[FAKE_CACHE], 1);
        cr_expect_eq(r.vulkan.destroyed[FAKE_CACHE], 0);
        if (given) {
            dmattn_context_destroy(r.context);
            r.context = NULL;
            cr_expect_eq(r.vulkan.destroyed[FAKE_CACHE], 0);
            fake_vulkan_cache_destroy(&r.vulkan, r.vulkan.cache);
        }
        rig_destroy(&r);
    }
}

/* ---- host memory ------------------------------------------------------------------------------------------------- */

/* All host memory comes from the app's callbacks, if it has any. Recording allocates none. */
Test(contract, recording_allocates_nothing)
{
    for (int given = 0; given < 2; given++) {
        allocator a;
        rig r;
        allocator_init(&a);
        rig_init(&r);
        if (given)
            r.vulkan.desc.host_allocator = &a.callbacks;
        cr_assert_eq(dmattn_context_create(&r.vulkan.desc, &r.context), DMATTN_SUCCESS, "%s", r.said.text);
        for (int i = 0; i < OPERATORS; i++) {
            dmattn_plan *plan = plan_of(&r, &operators[i]);
            fake_commands commands;
            const uint64_t calls = a.calls;
            counted_begin(0);
            for (int repeat = 0; repeat < 3; repeat++)
                record(&r, &operators[i], plan, &commands);
            cr_expect_eq(counted_calls, 0, "%s: recording allocates", operators[i].name);
            cr_expect_eq(a.calls, calls, "%s: recording allocates", operators[i].name);
            dmattn_plan_destroy(plan);
        }
        cr_expect_eq(a.calls > 0, given);
        rig_destroy(&r);
        cr_expect_eq(a.live, 0);
    }
}

/* The count includes the allocations of the test's own callbacks, which are the same in both runs. */
Test(contract, no_memory_beside_the_callbacks)
{
    allocator a;
    rig r;
    allocator_init(&a);
    rig_init(&r);
    r.vulkan.desc.host_allocator = &a.callbacks;
    counted_begin(0);
    cr_assert_eq(dmattn_context_create(&r.vulkan.desc, &r.context), DMATTN_SUCCESS, "%s", r.said.text);
    for (int i = 0; i < OPERATORS; i++)
        dmattn_plan_destroy(plan_of(&r, &operators[i]));
    cr_expect_gt(a.calls, 0);
    cr_expect_eq(counted_calls, a.calls);
    rig_destroy(&r);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

/* Makes a context and a plan, records it and destroys both. Returns the status of the first failure. */
static dmattn_status make_both(rig *r, const operator_case *o)
{
    dmattn_plan *plan = (dmattn_plan *)r;
    fake_commands commands;
    r->context = (dmattn_context *)r;
    dmattn_status status = dmattn_context_create(&r->vulkan.desc, &r->context);
    cr_expect_eq(r->context != NULL, !status);
    if (status)
        return status;
    r->said.count = 0;
    status = o->plan(r->context, &plan);
    cr_expect_eq(plan != NULL, !status);
    if (!status)
        status = o->record(plan, fake_commands_begin(&r->vulkan, &commands));
    dmattn_plan_destroy(plan);
    dmattn_context_destroy(r->context);
    r->context = NULL;
    return status;
}

/* Expects one message that contains both words, and no remaining objects. */
static void expect_failure(rig *r, const char *name, dmattn_status got, dmattn_status want, const char *call,
                           const char *result)
{
    cr_expect_eq(got, want, "%s: %s instead of %s (%s)", name, dmattn_status_string(got), dmattn_status_string(want),
                 r->said.text);
    cr_expect(r->said.count == 1 && r->said.severity == DMATTN_SEVERITY_ERROR, "%s: %u messages; the last one: %s",
              name, r->said.count, r->said.text);
    cr_expect(strstr(r->said.text, call) && strstr(r->said.text, result), "%s: no '%s' and '%s' in: %s", name, call,
              result, r->said.text);
    rig_destroy(r);
}

static const struct {
    VkResult result;
    const char *name;
    dmattn_status status;
} results[] = {
    {VK_ERROR_OUT_OF_HOST_MEMORY, "VK_ERROR_OUT_OF_HOST_MEMORY", DMATTN_ERROR_OUT_OF_MEMORY},
    {VK_ERROR_OUT_OF_DEVICE_MEMORY, "VK_ERROR_OUT_OF_DEVICE_MEMORY", DMATTN_ERROR_OUT_OF_MEMORY},
    {VK_ERROR_DEVICE_LOST, "VK_ERROR_DEVICE_LOST", DMATTN_ERROR_VULKAN},
};

/* Each call that can fail does so once with each error; then, with a working device, the same succeeds. */
Test(contract, each_vulkan_call_fails)
{
    for (int i = 0; i < OPERATORS; i++) {
        const operator_case *o = &operators[i];
        rig r;
        rig_init(&r);
        cr_assert_eq(make_both(&r, o), DMATTN_SUCCESS, "%s: %s", o->name, r.said.text);
        const unsigned count = r.vulkan.calls;
        cr_expect_geq(count, 4, "expected a cache, a layout, a module and a pipeline");
        for (size_t f = 0; f < sizeof results / sizeof *results; f++)
            for (unsigned n = 1; n <= count; n++) {
                rig_init(&r);
                r.vulkan.fail_at = n;
                r.vulkan.failure = results[f].result;
                const dmattn_status status = make_both(&r, o);
                cr_assert_not_null(r.vulkan.failed);
                expect_failure(&r, o->name, status, results[f].status, r.vulkan.failed, results[f].name);
            }
    }
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

/* A check answers what the plan then has, calls no Vulkan function and sends no message. */
Test(contract, checks_tell_what_plans_have)
{
    rig r;
    rig_create(&r);
    for (int i = 0; i < OPERATORS; i++) {
        const operator_case *o = &operators[i];
        const unsigned calls = r.vulkan.calls, made = r.vulkan.made[FAKE_PIPELINE];
        dmattn_plan_info info;
        dmattn_support s;
        memset(&s, 1, sizeof s);
        r.said.count = 0;
        cr_expect_eq(o->check(r.context, &s), DMATTN_SUCCESS, "%s: %s", o->name, s.message);
        cr_expect_eq(s.status, DMATTN_SUCCESS);
        cr_expect(!*s.message && !r.said.count, "%s: %s", o->name, s.message);
        cr_expect(r.vulkan.calls == calls && r.vulkan.made[FAKE_PIPELINE] == made, "%s calls Vulkan", o->name);
        cr_expect_eq(o->check(r.context, NULL), DMATTN_SUCCESS);
        dmattn_plan *plan = plan_of(&r, o);
        dmattn_plan_get_info(plan, &info);
        cr_expect(s.level == info.level && s.list_queries == info.list_queries
                      && s.workspace_size == info.workspace_size && s.data_alignment == info.data_alignment
                      && s.lists_size == info.lists_size,
                  "%s", o->name);
        cr_expect(s.flops >= info.flops && s.flops <= info.flops && s.bytes >= info.bytes && s.bytes <= info.bytes,
                  "%s", o->name);
        cr_expect_str_eq(s.why_not_higher, info.why_not_higher);
        cr_expect_str_eq(s.kernel, info.kernel);
        dmattn_plan_destroy(plan);
    }
    rig_destroy(&r);
}

/* A check of what cannot be planned gives the status and the sentence of the plan. */
Test(contract, checks_tell_why_not)
{
    static const dmattn_attention_desc refused[] = {
        {.batch = 1, .queries = 5, .keys = 5, .heads = 2, .kv_heads = 3, .head_dim = 64},
        {.batch = 1, .queries = 5, .keys = 5, .heads = 2, .head_dim = 584},
        {.batch = 1, .queries = 5, .keys = 5, .heads = 2, .head_dim = 64, .value_dim = 520},
        {.batch = 1, .queries = 5, .keys = 5, .heads = 2, .head_dim = 64, .level = DMATTN_LEVEL_MATRIX}, /* in f32 */
    };
    rig r;
    rig_create(&r);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const dmattn_status want = i ? DMATTN_ERROR_UNSUPPORTED : DMATTN_ERROR_INVALID;
        dmattn_plan *plan;
        dmattn_support s;
        r.said = (sentences){0};
        cr_expect_eq(dmattn_attention_check(r.context, &refused[i], &s), want, "%s", s.message);
        cr_expect(s.status == want && !r.said.count && !s.level && !s.workspace_size && !*s.kernel);
        cr_expect_eq(dmattn_attention_check(r.context, &refused[i], NULL), want);
        cr_expect_eq(dmattn_attention_plan(r.context, &refused[i], &plan), want);
        cr_expect_str_eq(s.message, r.said.text);
        cr_expect(*s.message);
    }
    dmattn_support s;
    cr_expect_eq(dmattn_attention_check(r.context, NULL, &s), DMATTN_ERROR_INVALID);
    cr_expect(strstr(s.message, "NULL"), "%s", s.message);
    cr_expect_eq(dmattn_attention_check(NULL, &refused[0], &s), DMATTN_ERROR_INVALID);
    cr_expect(s.status == DMATTN_ERROR_INVALID && strstr(s.message, "context is NULL"), "%s", s.message);
    rig_destroy(&r);
}

/* ---- pipelines that plans share ---------------------------------------------------------------------------------- */

static unsigned live_pipelines(const rig *r)
{
    return r->vulkan.made[FAKE_PIPELINE] - r->vulkan.destroyed[FAKE_PIPELINE];
}

/* An equal plan makes nothing in Vulkan, and still works when the first one is destroyed. */
Test(contract, equal_plans_share_pipelines)
{
    rig r;
    rig_create(&r);
    for (int i = 0; i < OPERATORS; i++) {
        fake_commands commands;
        dmattn_plan *first = plan_of(&r, &operators[i]);
        const unsigned calls = r.vulkan.calls, live = live_pipelines(&r);
        dmattn_plan *second = plan_of(&r, &operators[i]);
        cr_expect_gt(live, 0);
        cr_expect_eq(r.vulkan.calls, calls, "%s: a second plan calls Vulkan", operators[i].name);
        dmattn_plan_destroy(first);
        cr_expect_eq(live_pipelines(&r), live, "%s: a pipeline that is in use was destroyed", operators[i].name);
        record(&r, &operators[i], second, &commands);
        dmattn_plan_destroy(second);
        cr_expect_eq(live_pipelines(&r), 0, "%s: pipelines without a plan are left", operators[i].name);
    }
    rig_destroy(&r);
}

/* Plans that differ only in their lengths share all pipelines; a plan with another soft cap shares those that it does
 * not concern. */
Test(contract, different_plans_share_pipelines)
{
    dmattn_attention_desc desc = {.type = DMATTN_TYPE_F16,
                                  .batch = 1,
                                  .queries = 4096,
                                  .keys = 4096,
                                  .heads = 16,
                                  .head_dim = 64,
                                  .max_level = DMATTN_LEVEL_PORTABLE,
                                  .mask = DMATTN_MASK_DENSE};
    dmattn_plan *plans[3];
    rig r;
    rig_create(&r);
    cr_assert_eq(dmattn_attention_plan(r.context, &desc, &plans[0]), DMATTN_SUCCESS, "%s", r.said.text);
    cr_expect_eq(live_pipelines(&r), 2, "the bitmap, and attention");
    desc.queries = desc.keys = 8192;
    cr_assert_eq(dmattn_attention_plan(r.context, &desc, &plans[1]), DMATTN_SUCCESS, "%s", r.said.text);
    cr_expect_eq(live_pipelines(&r), 2);
    desc.soft_cap = 30;
    cr_assert_eq(dmattn_attention_plan(r.context, &desc, &plans[2]), DMATTN_SUCCESS, "%s", r.said.text);
    cr_expect_eq(live_pipelines(&r), 4, "all kernels of attention have the constants of scores");
    for (int i = 0; i < 3; i++)
        dmattn_plan_destroy(plans[i]);
    rig_destroy(&r);
}

/* With keep_pipelines, they stay for later plans, until the context is destroyed. */
Test(contract, kept_pipelines)
{
    rig r;
    rig_init(&r);
    r.vulkan.desc.keep_pipelines = true;
    cr_assert_eq(dmattn_context_create(&r.vulkan.desc, &r.context), DMATTN_SUCCESS, "%s", r.said.text);
    for (int i = 0; i < OPERATORS; i++)
        dmattn_plan_destroy(plan_of(&r, &operators[i]));
    const unsigned calls = r.vulkan.calls;
    cr_expect_eq(r.vulkan.destroyed[FAKE_PIPELINE], 0);
    for (int i = 0; i < OPERATORS; i++)
        dmattn_plan_destroy(plan_of(&r, &operators[i]));
    cr_expect_eq(r.vulkan.calls, calls);
    rig_destroy(&r);
}

/* A plan that fails does not change its context. */
Test(contract, failures_leave_the_context)
{
    rig r;
    rig_create(&r);
    for (int i = 0; i < OPERATORS; i++) {
        const int live = fake_vulkan_live(&r.vulkan);
        dmattn_plan *plan = plan_of(&r, &operators[i]);
        dmattn_plan_destroy(plan);
        r.vulkan.calls = 0;
        r.vulkan.fail_at = 2; /* its first pipeline, after that kernel's module */
        r.vulkan.failure = VK_ERROR_DEVICE_LOST;
        plan = (dmattn_plan *)&r;
        cr_expect_eq(operators[i].plan(r.context, &plan), DMATTN_ERROR_VULKAN);
        cr_expect_null(plan);
        cr_expect_eq(fake_vulkan_live(&r.vulkan), live);
        r.vulkan.fail_at = 0;
        dmattn_plan_destroy(plan_of(&r, &operators[i]));
    }
    rig_destroy(&r);
}

/* Each allocation through the callbacks fails once, including those of the driver, which fake_vulkan.c makes. */
Test(contract, each_allocation_fails)
{
    for (int i = 0; i < OPERATORS; i++) {
        uint64_t count = 0;
        for (uint64_t n = 0; n <= count; n++) { /* the first round counts the allocations */
            allocator a;
            rig r;
            allocator_init(&a);
            rig_init(&r);
            r.vulkan.desc.host_allocator = &a.callbacks;
            a.fail_at = n;
            const dmattn_status status = make_both(&r, &operators[i]);
            if (n)
                expect_failure(&r, operators[i].name, status, DMATTN_ERROR_OUT_OF_MEMORY, "", "");
            else
                cr_assert_eq(status, DMATTN_SUCCESS, "%s", r.said.text);
            cr_expect_eq(a.live, 0, "%s, allocation %llu: %lld were not freed", operators[i].name,
                         (unsigned long long)n, (long long)a.live);
            count = n ? count : a.calls;
        }
        cr_expect_geq(count, 6);
    }
}

/* The same for malloc(), without callbacks. */
Test(contract, each_malloc_fails)
{
    for (int i = 0; i < OPERATORS; i++) {
        unsigned long long count = 0;
        for (unsigned long long n = 0; n <= count; n++) {
            rig r;
            rig_init(&r);
            const long long live = counted_live;
            counted_begin(n);
            const dmattn_status status = make_both(&r, &operators[i]);
            const unsigned long long calls = counted_calls;
            counted_begin(0);
            if (n)
                expect_failure(&r, operators[i].name, status, DMATTN_ERROR_OUT_OF_MEMORY, "", "");
            else
                cr_assert_eq(status, DMATTN_SUCCESS, "%s", r.said.text);
            cr_expect_eq(counted_live, live, "%s, allocation %llu: %lld were not freed", operators[i].name, n,
                         counted_live - live);
            count = n ? count : calls;
        }
        cr_expect_geq(count, 6);
    }
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

/* The 65535 workgroups in each dimension that Vulkan guarantees suffice for long sequences with many heads. */
Test(contract, long_sequences)
{
    const dmattn_attention_desc attention = {.type = DMATTN_TYPE_F16,
                                             .batch = 4,
                                             .queries = 1 << 17,
                                             .keys = 1 << 17,
                                             .heads = 32,
                                             .kv_heads = 8,
                                             .head_dim = 128};
    const dmattn_selection topw = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 2048, .causal = true};
    dmattn_attention_backward_desc backward = {.attention = attention};
    dmattn_dma_backward_desc dma = {.dma = {.attention = attention, .selection = topw}};
    rig r;
    dmattn_plan *plan;
    rig_create(&r);
    for (int causal = 0; causal < 2; causal++) {
        backward.attention.causal = causal;
        cr_expect_eq(dmattn_attention_plan(r.context, &backward.attention, &plan), DMATTN_SUCCESS, "%s", r.said.text);
        dmattn_plan_destroy(plan);
        cr_expect_eq(dmattn_attention_backward_plan(r.context, &backward, &plan), DMATTN_SUCCESS, "%s", r.said.text);
        dmattn_plan_destroy(plan);
    }
    cr_expect_eq(dmattn_dma_plan(r.context, &dma.dma, &plan), DMATTN_SUCCESS, "%s", r.said.text);
    dmattn_plan_destroy(plan);
    cr_expect_eq(dmattn_dma_backward_plan(r.context, &dma, &plan), DMATTN_SUCCESS, "%s", r.said.text);
    dmattn_plan_destroy(plan);
    rig_destroy(&r);
}
