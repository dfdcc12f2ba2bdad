/* SPDX-License-Identifier: MIT
 * What the embedding layer refuses on a device, its messages, and that it releases everything. */
#include "problem.h"
#include "support/allocator.h"
#include "support/harness.h"

#include "attention/tile.h"
#include "context.h"
#include "kernel.h"

#include <stdio.h>
#include <string.h>

#define SIZES .batch = 2, .queries = 5, .keys = 7, .heads = 4, .kv_heads = 2, .head_dim = 16

/* ---- contexts ------------------------------------------------------------------------------------------------ */

static const VkPhysicalDeviceBufferDeviceAddressFeatures address_features = {
    .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES, .bufferDeviceAddress = VK_TRUE};
static const VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                                   .pNext = (void *)&address_features};
static const VkPhysicalDeviceFeatures2 no_features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};

/* A second context on the harness's device, with only the required extensions and features. */
static dmattn_context_desc context_desc(void)
{
    dmattn_device_handles handles;
    dmattn_device_get_handles(h.device, &handles);
    return (dmattn_context_desc){.get_instance_proc_addr = handles.get_instance_proc_addr,
                                 .instance = handles.instance,
                                 .physical_device = handles.physical_device,
                                 .device = handles.device,
                                 .api_version = handles.api_version,
                                 .enabled_features = &features,
                                 .message = harness_message,
                                 .message_user = &h};
}

static void expect_no_context(dmattn_context_desc desc, dmattn_status status, const char *part)
{
    dmattn_context *context = h.context;
    EXPECT_FAILURE(dmattn_context_create(&desc, &context), status, part);
    cr_expect_null(context);
}

static PFN_vkVoidFunction VKAPI_PTR no_function(VkInstance instance, const char *name)
{
    (void)instance;
    (void)name;
    return NULL;
}

DEVICE_TEST(context, what_is_refused)
{
    dmattn_context_desc desc = context_desc();
    desc.get_instance_proc_addr = NULL;
    expect_no_context(desc, DMATTN_ERROR_INVALID, "get_instance_proc_addr");
    desc.get_instance_proc_addr = no_function;
    expect_no_context(desc, DMATTN_ERROR_UNSUPPORTED, "vkGetPhysicalDeviceProperties2");
    desc = context_desc();
    desc.instance = VK_NULL_HANDLE;
    expect_no_context(desc, DMATTN_ERROR_INVALID, "instance");
    desc = context_desc();
    desc.physical_device = VK_NULL_HANDLE;
    expect_no_context(desc, DMATTN_ERROR_INVALID, "physical_device");
    desc = context_desc();
    desc.device = VK_NULL_HANDLE;
    expect_no_context(desc, DMATTN_ERROR_INVALID, "device is NULL");
    desc = context_desc();
    desc.enabled_features = NULL;
    expect_no_context(desc, DMATTN_ERROR_INVALID, "enabled_features");
    desc.enabled_features = &no_features;
    expect_no_context(desc, DMATTN_ERROR_UNSUPPORTED, "bufferDeviceAddress");
    desc = context_desc();
    desc.api_version = VK_API_VERSION_1_1;
    expect_no_context(desc, DMATTN_ERROR_UNSUPPORTED, "1.2");
    desc = context_desc();
    desc.enabled_extension_count = 1;
    expect_no_context(desc, DMATTN_ERROR_INVALID, "enabled_extensions");
    desc = context_desc();
    const VkAllocationCallbacks none = {0};
    desc.host_allocator = &none;
    expect_no_context(desc, DMATTN_ERROR_INVALID, "host_allocator");

    dmattn_context *context = h.context;
    cr_expect_eq(dmattn_context_create(NULL, &context), DMATTN_ERROR_INVALID);
    cr_expect_null(context);
    desc = context_desc();
    cr_expect_eq(dmattn_context_create(&desc, NULL), DMATTN_ERROR_INVALID);
    dmattn_context_destroy(NULL);
}

/* The required extensions and features are enough. An API version of 0 is valid. Messages are optional. */
DEVICE_TEST(context, what_is_enough)
{
    dmattn_context_desc desc = context_desc();
    dmattn_context *context;
    desc.api_version = 0;
    desc.message = NULL;
    ASSERT_OK(dmattn_context_create(&desc, &context));
    dmattn_plan *plan;
    const dmattn_attention_desc good = {SIZES},
                                bad = {SIZES, .causal = true, .scale = (float)1e300 * 0 + 1, .value_dim = 3};
    ASSERT_OK(dmattn_attention_plan(context, &good, &plan));
    dmattn_plan_destroy(plan);
    cr_expect_eq(dmattn_attention_plan(context, &bad, &plan), DMATTN_ERROR_INVALID);
    dmattn_context_destroy(context);
}

/* ---- plans --------------------------------------------------------------------------------------------------- */

static void expect_no_plan(const dmattn_attention_desc *desc, dmattn_status status, const char *part)
{
    dmattn_plan *plan = (dmattn_plan *)&h;
    EXPECT_FAILURE(dmattn_attention_plan(h.context, desc, &plan), status, part);
    cr_expect_null(plan);
}

DEVICE_TEST(plan, what_is_refused)
{
    const dmattn_attention_desc good = {SIZES};
    dmattn_attention_desc d = good;
    dmattn_plan *plan = (dmattn_plan *)&h;
    expect_no_plan(NULL, DMATTN_ERROR_INVALID, "descriptor");
    EXPECT_FAILURE(dmattn_attention_plan(h.context, &good, NULL), DMATTN_ERROR_INVALID, "plan");
    cr_expect_eq(dmattn_attention_plan(NULL, &good, &plan), DMATTN_ERROR_INVALID);
    cr_expect_null(plan);
    cr_expect_eq(dmattn_attention_plan(NULL, NULL, NULL), DMATTN_ERROR_INVALID);
    dmattn_plan_destroy(NULL);

    d.head_dim = 12;
    expect_no_plan(&d, DMATTN_ERROR_INVALID, "head_dim");
    d = good;
    d.level = DMATTN_LEVEL_MATRIX;
    expect_no_plan(&d, DMATTN_ERROR_UNSUPPORTED, "matrix");
    d.level = DMATTN_LEVEL_MATRIX2;
    expect_no_plan(&d, DMATTN_ERROR_UNSUPPORTED, "matrix2");
    d.level = DMATTN_LEVEL_PORTABLE;
    ASSERT_OK(dmattn_attention_plan(h.context, &d, &plan));
    dmattn_plan_destroy(plan);
}

static dmattn_level highest_level(void)
{
    dmattn_level highest = DMATTN_LEVEL_PORTABLE;
    for (dmattn_level next = highest; next; next = harness_next_level(next))
        highest = next;
    return highest;
}

/* Expects a plan's level, the beginning of why_not_higher (if `why` is empty, it must be empty), and a part of the
 * kernel's name.
 */
static void expect_level(dmattn_context *context, const dmattn_attention_desc *desc, dmattn_level level,
                         const char *why, const char *part)
{
    dmattn_plan *plan;
    dmattn_plan_info info;
    ASSERT_OK(dmattn_attention_plan(context, desc, &plan));
    dmattn_plan_get_info(plan, &info);
    cr_expect_eq(info.level, level, "%s instead of %s", dmattn_level_string(info.level), dmattn_level_string(level));
    cr_expect(strstr(info.kernel, dmattn_level_string(level)) == info.kernel, "%s", info.kernel);
    cr_expect(strstr(info.kernel, part), "no '%s' in: %s", part, info.kernel);
    if (*why)
        cr_expect(strstr(info.why_not_higher, why) == info.why_not_higher, "'%s' does not begin: %s", why,
                  info.why_not_higher);
    else
        cr_expect_str_empty(info.why_not_higher);
    dmattn_plan_destroy(plan);
}

/* What plans say about levels agrees with what the device and the build have. */
DEVICE_TEST(plan, levels_offered)
{
    for (int i = DMATTN_LEVEL_PORTABLE; i <= DMATTN_LEVEL_MATRIX2; i++) {
        const dmattn_level level = (dmattn_level)i;
        const dmattn_attention_desc d = {
            .type = DMATTN_TYPE_F16, .queries = 1, .keys = 1, .heads = 1, .kv_heads = 1, .head_dim = 8, .value_dim = 8};
        attention_tile tile;
        char why[224], kernel_name[KERNEL_NAME];
        const bool can = dmattn_tile_choose(&h.context->caps, &d, level, &tile, why, sizeof why);
        dmattn_tile_kernel(&tile, "attention", kernel_name);
        cr_expect_eq(harness_offers(level), can && dmattn_kernel_find(kernel_name, level), "%s",
                     dmattn_level_string(level));
        if (harness_offers(level))
            cr_expect_geq(h.info.level, level);
    }
}

DEVICE_TEST(plan, levels)
{
    const dmattn_attention_desc f16 = {SIZES, .type = DMATTN_TYPE_F16}, bf16 = {SIZES, .type = DMATTN_TYPE_BF16},
                                f32 = {SIZES};
    const dmattn_level highest = highest_level();
    dmattn_attention_desc d = f16;
    expect_level(h.context, &d, highest, highest == DMATTN_LEVEL_MATRIX2 ? "" : "matrix2: ", "f16");
    for (int i = DMATTN_LEVEL_PORTABLE; i <= DMATTN_LEVEL_MATRIX2; i++) {
        /* exactly this level */
        const dmattn_level level = (dmattn_level)i;
        char name[32];
        snprintf(name, sizeof name, "level %s: ", dmattn_level_string(level));
        d = f16;
        d.level = level;
        if (harness_offers(level)) {
            expect_level(h.context, &d, level, "", "f16");
            d.max_level = level;
            expect_level(h.context, &d, level, "", "f16");
        } else
            expect_no_plan(&d, DMATTN_ERROR_UNSUPPORTED, name);
        /* no level above it */
        d = f16;
        d.max_level = level;
        dmattn_level best = level;
        while (!harness_offers(best))
            best = (dmattn_level)(best - 1);
        snprintf(name, sizeof name, "%s: ", dmattn_level_string(level));
        expect_level(h.context, &d, best, best == level ? "" : name, "f16");
        d.level = (dmattn_level)(level + 1);
        if (d.level <= DMATTN_LEVEL_MATRIX2)
            expect_no_plan(&d, DMATTN_ERROR_INVALID, "above max_level");
    }
    d = f16;
    d.max_level = (dmattn_level)(DMATTN_LEVEL_MATRIX2 + 1);
    expect_no_plan(&d, DMATTN_ERROR_INVALID, "max_level 4");
    d = f16;
    d.level = (dmattn_level)(DMATTN_LEVEL_MATRIX2 + 1);
    expect_no_plan(&d, DMATTN_ERROR_INVALID, "level 4");

    /* only the portable level computes f32; bf16 runs as f16 only on request */
    expect_level(h.context, &f32, DMATTN_LEVEL_PORTABLE, "matrix2: ", "f32");
    const bool converts = !h.context->caps.matrix[DMATTN_TYPE_BF16].m;
    expect_level(h.context, &bf16, converts ? DMATTN_LEVEL_PORTABLE : highest,
                 converts || highest < DMATTN_LEVEL_MATRIX2 ? "matrix2: " : "", "bf16");
    for (dmattn_level level = harness_next_level(DMATTN_LEVEL_PORTABLE); level; level = harness_next_level(level)) {
        d = f32;
        d.level = level;
        expect_no_plan(&d, DMATTN_ERROR_UNSUPPORTED, "f32");
        d = bf16;
        d.level = level;
        expect_level(h.context, &d, level, "", converts ? "bf16 as f16" : "bf16");
    }
}

/* dmattn uses only features that the context lists. The harness's device may have matrices, but this context does not
 * list them. */
DEVICE_TEST(plan, levels_without_features)
{
    dmattn_context_desc desc = context_desc();
    dmattn_context *context;
    ASSERT_OK(dmattn_context_create(&desc, &context));
    dmattn_attention_desc d = {SIZES, .type = DMATTN_TYPE_F16};
    expect_level(context, &d, DMATTN_LEVEL_PORTABLE, "matrix2: VK_KHR_cooperative_matrix is missing", "f16");
    d.max_level = DMATTN_LEVEL_MATRIX;
    expect_level(context, &d, DMATTN_LEVEL_PORTABLE, "matrix: VK_KHR_cooperative_matrix is missing", "f16");
    d.max_level = DMATTN_LEVEL_PORTABLE;
    expect_level(context, &d, DMATTN_LEVEL_PORTABLE, "", "f16");
    for (int level = DMATTN_LEVEL_MATRIX; level <= DMATTN_LEVEL_MATRIX2; level++) {
        dmattn_plan *plan = (dmattn_plan *)&h;
        d.level = (dmattn_level)level;
        d.max_level = DMATTN_LEVEL_BEST;
        EXPECT_FAILURE(dmattn_attention_plan(context, &d, &plan), DMATTN_ERROR_UNSUPPORTED,
                       "VK_KHR_cooperative_matrix is missing");
        cr_expect_null(plan);
    }
    dmattn_context_destroy(context);
}

/* Grids that are too large even if they are divided into parts. */
DEVICE_TEST(plan, large_grids)
{
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    dmattn_device_handles handles;
    dmattn_device_get_handles(h.device, &handles);
    PFN_vkGetPhysicalDeviceProperties2 get = (PFN_vkGetPhysicalDeviceProperties2)handles.get_instance_proc_addr(
        handles.instance, "vkGetPhysicalDeviceProperties2");
    get(handles.physical_device, &properties);
    const uint32_t *allowed = properties.properties.limits.maxComputeWorkGroupCount;
    const uint32_t most = PART_GROUPS << PART_Z_BITS;
    dmattn_attention_desc d = {.batch = 1, .queries = 1, .keys = 1, .heads = 1, .head_dim = 8};
    if (allowed[1] <= most) {
        d.heads = most + 1;
        expect_no_plan(&d, DMATTN_ERROR_UNSUPPORTED, "dimension 1");
        d.heads = 1;
    }
    if (allowed[2] <= most) {
        d.batch = most + 1;
        expect_no_plan(&d, DMATTN_ERROR_UNSUPPORTED, "dimension 2");
        /* the mask's bitmap has a workgroup for each batch item and head */
        d = (dmattn_attention_desc){.batch = most / 2 + 1,
                                    .queries = 1,
                                    .keys = 1,
                                    .heads = 2,
                                    .head_dim = 8,
                                    .mask = DMATTN_MASK_DENSE,
                                    .mask_shape = {.batch = most / 2 + 1, .heads = 2}};
        expect_no_plan(&d, DMATTN_ERROR_UNSUPPORTED, "bitmap");
    }
}

DEVICE_TEST(plan, info)
{
    const dmattn_attention_desc d = {SIZES,
                                     .value_dim = 24,
                                     .type = DMATTN_TYPE_F16,
                                     .causal = true,
                                     .lse = true,
                                     .mask = DMATTN_MASK_INTERVALS,
                                     .mask_shape = {.heads = 2},
                                     .bias = true,
                                     .bias_shape = {.batch = 2}};
    dmattn_plan *plan;
    dmattn_plan_info info;
    h.kernel[0] = 0;
    ASSERT_OK(dmattn_attention_plan(h.context, &d, &plan));
    dmattn_plan_get_info(plan, &info);
    cr_expect(strstr(h.kernel, info.kernel), "'%s' does not contain '%s'", h.kernel, info.kernel);
    cr_expect(info.workspace_size && info.workspace_alignment);
    cr_expect_eq(info.data_alignment, 16);
    cr_expect(info.stages & VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT);
    cr_expect(info.reads & VK_ACCESS_SHADER_READ_BIT);
    cr_expect(info.writes & VK_ACCESS_SHADER_WRITE_BIT);
    /* 5 queries, 7 keys: 3 + 4 + 5 + 6 + 7 pairs for each of 8 heads */
    cr_expect_eq(info.flops, 2.0 * (16 + 24) * 25 * 8);
    const double want = 2.0 * (2 * 5 * 4 * (16 + 24) + 2 * 7 * 2 * (16 + 24)) + 4 * 2 * 4 * 5 + 8 * 2 * 7 + 4 * 2 * 7;
    cr_expect_eq(info.bytes, want, "%g instead of %g", info.bytes, want);
    dmattn_plan_destroy(plan);

    const dmattn_attention_desc plain = {SIZES, .type = DMATTN_TYPE_F16, .out_strides = {400, 65, 16}};
    ASSERT_OK(dmattn_attention_plan(h.context, &plain, &plan));
    dmattn_plan_get_info(plan, &info);
    cr_expect_eq(info.workspace_size, 0);
    cr_expect_eq(info.data_alignment, 2);
    dmattn_plan_destroy(plan);
}

/* ---- recording ----------------------------------------------------------------------------------------------- */

static dmattn_buffer *buffer_of(dmattn_attention_args *args, int tensor)
{
    return tensor == TENSOR_COUNT ? &args->workspace
                                  : dmattn_operator_buffer(&dmattn_attention_operator, args, (tensor_id)tensor);
}

/* Tries each buffer as missing, too small, and at an offset that is not aligned. */
static void try_buffers(const dmattn_attention_desc *desc)
{
    attention_tile tile;
    problem p;
    device_problem dp;
    ASSERT_OK(problem_create(desc, NULL, &p));
    problem_randomize(&p, 1);
    p.tile = harness_tile(&p.desc, &tile);
    ASSERT_OK(device_problem_create(&p, h.device, &dp));
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    for (int t = 0; t <= TENSOR_COUNT; t++) {
        const char *name = t < TENSOR_COUNT ? dmattn_tensor_name((tensor_id)t) : "workspace";
        dmattn_attention_args args = dp.args;
        dmattn_buffer *buffer = buffer_of(&args, t);
        if (!buffer || !buffer->buffer)
            continue;
        char part[64];
        snprintf(part, sizeof part, "buffer %s ", name);
        buffer->size--;
        EXPECT_FAILURE(dmattn_attention_record(dp.plan, commands, &args), DMATTN_ERROR_INVALID, part);
        buffer->size = 0;
        EXPECT_FAILURE(dmattn_attention_record(dp.plan, commands, &args), DMATTN_ERROR_INVALID, part);
        *buffer = *buffer_of(&dp.args, t);
        if (t != TENSOR_MASK) { /* a mask may begin at any byte */
            buffer->offset = 1;
            EXPECT_FAILURE(dmattn_attention_record(dp.plan, commands, &args), DMATTN_ERROR_INVALID, part);
        }
        *buffer = (dmattn_buffer){0};
        EXPECT_FAILURE(dmattn_attention_record(dp.plan, commands, &args), DMATTN_ERROR_INVALID, part);
    }
    dmattn_attention_args args = dp.args;
    args.q.size = args.out.size = VK_WHOLE_SIZE;
    EXPECT_FAILURE(dmattn_attention_record(dp.plan, commands, NULL), DMATTN_ERROR_INVALID, "args");
    EXPECT_FAILURE(dmattn_attention_record(dp.plan, NULL, &args), DMATTN_ERROR_INVALID, "command buffer");
    cr_expect_eq(dmattn_attention_record(NULL, commands, &args), DMATTN_ERROR_INVALID);
    /* Nothing was recorded: out keeps what device_problem_create() put there, NaN. */
    ASSERT_OK(dmattn_commands_submit(h.device));
    uint32_t first = 0;
    ASSERT_OK(dmattn_download(h.device, &dp.args.out, 0, &first, sizeof first));
    cr_expect_eq(first, UINT32_MAX);
    /* with right buffers, it runs */
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_attention_record(dp.plan, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    ASSERT_OK(dmattn_download(h.device, &dp.args.out, 0, &first, sizeof first));
    cr_expect_neq(first, UINT32_MAX);
    device_problem_destroy(&dp);
    problem_destroy(&p);
}

DEVICE_TEST(record, dense)
{
    try_buffers(&(dmattn_attention_desc){SIZES, .lse = true, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = 5},
                                         .bias = true, .bias_type = DMATTN_TYPE_F16, .bias_shape = {.queries = 5}});
}

DEVICE_TEST(record, intervals)
{
    try_buffers(&(dmattn_attention_desc){SIZES, .type = DMATTN_TYPE_F16, .lse = true, .mask = DMATTN_MASK_INTERVALS,
                                         .mask_shape = {.heads = 2}, .bias = true});
}

DEVICE_TEST(record, selected)
{
    try_buffers(&(dmattn_attention_desc){SIZES, .type = DMATTN_TYPE_F16, .mask = DMATTN_MASK_SELECTED,
                                         .selected_count = 3, .mask_shape = {.heads = 2, .queries = 5}});
}

DEVICE_TEST(record, odd_strides)
{
    try_buffers(&(dmattn_attention_desc){SIZES, .out_strides = {400, 65, 16}});
}

/* ---- host memory --------------------------------------------------------------------------------------------- */

static const dmattn_attention_desc with_mask = {SIZES, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = 5}};

DEVICE_TEST(host_memory, nothing_is_left)
{
    allocator a;
    allocator_init(&a);
    dmattn_context_desc desc = context_desc();
    dmattn_context *context;
    dmattn_plan *plans[2];
    {
        const VkAllocationCallbacks copied = a.callbacks;
        desc.host_allocator = &copied;
        ASSERT_OK(dmattn_context_create(&desc, &context));
        desc.host_allocator = NULL;
    }
    cr_expect_gt(a.live, 0);
    const int64_t of_context = a.live;
    ASSERT_OK(dmattn_attention_plan(context, &with_mask, &plans[0]));
    cr_expect_gt(a.live, of_context);
    ASSERT_OK(dmattn_attention_plan(context, &(dmattn_attention_desc){SIZES}, &plans[1]));

    /* Recording allocates nothing. Buffers and commands are from the harness. */
    problem p;
    device_problem dp;
    ASSERT_OK(problem_create(&with_mask, NULL, &p));
    problem_randomize(&p, 1);
    ASSERT_OK(device_problem_create(&p, h.device, &dp));
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    const uint64_t before = a.calls;
    for (int i = 0; i < 10; i++)
        ASSERT_OK(dmattn_attention_record(plans[i % 2], commands, &dp.args));
    cr_expect_eq(a.calls, before);
    dmattn_commands_cancel(h.device);
    device_problem_destroy(&dp);
    problem_destroy(&p);

    dmattn_plan_destroy(plans[1]);
    dmattn_plan_destroy(plans[0]);
    dmattn_context_destroy(context);
    cr_expect_eq(a.live, 0, "%lld allocations were not freed", (long long)a.live);
}

static dmattn_status plan_forward(dmattn_context *context, dmattn_plan **plan)
{
    return dmattn_attention_plan(context, &with_mask, plan);
}

static dmattn_status plan_decoding(dmattn_context *context, dmattn_plan **plan)
{
    const dmattn_decode_desc desc = {.attention = {.batch = 2, .queries = 3, .heads = 4, .kv_heads = 2, .head_dim = 16},
                                     .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 3, .causal = true}};
    return dmattn_decode_plan(context, &desc, plan);
}

/* Makes and destroys a context and a plan. Returns the status of the call that failed, or success. */
static dmattn_status make_both(allocator *a, dmattn_status (*make_plan)(dmattn_context *, dmattn_plan **))
{
    dmattn_context_desc desc = context_desc();
    desc.host_allocator = &a->callbacks;
    dmattn_context *context = h.context;
    dmattn_plan *plan = NULL;
    dmattn_status status = dmattn_context_create(&desc, &context);
    cr_assert_eq(status == DMATTN_SUCCESS, context != NULL);
    if (!status) {
        plan = (dmattn_plan *)&h;
        status = make_plan(context, &plan);
        cr_assert_eq(status == DMATTN_SUCCESS, plan != NULL);
    }
    dmattn_plan_destroy(plan);
    dmattn_context_destroy(context);
    return status;
}

/* test_contract.c does the same for every operator, without a device. */
static void fail_each_allocation(dmattn_status (*make_plan)(dmattn_context *, dmattn_plan **))
{
    allocator a;
    allocator_init(&a);
    ASSERT_OK(make_both(&a, make_plan));
    const uint64_t count = a.calls;
    cr_expect_geq(count, 2);
    for (uint64_t n = 1; n <= count; n++) {
        a.calls = 0;
        a.fail_at = n;
        h.sentences = 0;
        dmattn_status status = make_both(&a, make_plan);
        /* A driver may succeed without this allocation, for example without a cache. */
        cr_expect(status == DMATTN_ERROR_OUT_OF_MEMORY || status == DMATTN_ERROR_VULKAN || status == DMATTN_SUCCESS,
                  "allocation %llu: %s", (unsigned long long)n, dmattn_status_string(status));
        cr_expect_eq(h.sentences, status ? 1u : 0u, "allocation %llu: %u sentences", (unsigned long long)n,
                     h.sentences);
        cr_expect_eq(a.live, 0, "allocation %llu failed: %lld allocations were not freed", (unsigned long long)n,
                     (long long)a.live);
        if (n == 1)
            cr_expect_eq(status, DMATTN_ERROR_OUT_OF_MEMORY);
    }
}

DEVICE_TEST(host_memory, each_allocation_fails)
{
    fail_each_allocation(plan_forward);
}

DEVICE_TEST(host_memory, each_allocation_of_decoding_fails)
{
    fail_each_allocation(plan_decoding);
}
