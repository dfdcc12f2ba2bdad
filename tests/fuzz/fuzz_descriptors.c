/* SPDX-License-Identifier: MIT
 * Descriptors of every operator on devices of every kind. Plans are made, their sizes are computed again in 128 bits,
 * and they are recorded on a Vulkan without a device (support/fake_vulkan.h). */
#include "fuzz.h"

#include "fuzzed.h"
#include "support/fake_vulkan.h"

#include "decode/desc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A plan with more work consists of so many dispatches that recording takes too long. */
#define MOST_FLOPS 2e13

static const fuzzed_operator *const fuzzed[] = {&fuzzed_attention, &fuzzed_backward,     &fuzzed_mask,
                                                &fuzzed_dma,       &fuzzed_dma_backward, &fuzzed_decode,
                                                &fuzzed_merge,     &fuzzed_selector,     &fuzzed_block_lists};

/* Checks sizes that every plan has. */
static void check_sizes(const dmattn_plan *plan)
{
    wide in_workspace = 0;
    for (int t = 0; t < TENSOR_COUNT; t++) {
        const plan_tensor *tensor = &plan->tensor[t];
        FUZZ_CHECK(tensor->bytes <= UINT64_C(1) << 62);
        if (!tensor->in_workspace)
            continue;
        FUZZ_CHECK((wide)tensor->offset + tensor->bytes <= plan->workspace_size);
        in_workspace += tensor->bytes;
    }
    FUZZ_CHECK(plan->workspace_size >= in_workspace && plan->workspace_size <= UINT64_C(1) << 62);
}

/* ---- devices ----------------------------------------------------------------------------------------------------- */

static fake_vulkan vulkan;
static unsigned errors;

static void hear(void *user, dmattn_severity severity, const char *text)
{
    (void)user;
    FUZZ_CHECK(text && *text && strlen(text) < 511 && !strchr(text, '\n'));
    errors += severity == DMATTN_SEVERITY_ERROR;
}

static void change_limits(VkPhysicalDeviceProperties2 *properties)
{
    static const uint32_t counts[] = {65535, 0x7fffffff, 0xffffffffu}, invocations[] = {128, 256, 512, 1024, 1536};
    static const uint32_t shared[] = {16384, 32768, 49152, 65536, 233472}, subgroups[] = {4, 8, 16, 32, 64, 128};
    VkPhysicalDeviceLimits *limits = &properties->properties.limits;
    limits->maxComputeWorkGroupCount[0] = counts[below(COUNT(counts))];
    limits->maxComputeWorkGroupCount[1] = limits->maxComputeWorkGroupCount[2] = once_in(12) ? 1u << 30 : 65535;
    limits->maxComputeWorkGroupInvocations = limits->maxComputeWorkGroupSize[0] =
        invocations[below(COUNT(invocations))];
    limits->maxComputeSharedMemorySize = shared[below(COUNT(shared))];
    const uint32_t subgroup = subgroups[below(COUNT(subgroups))];
    const bool nvidia = flip(), fixed = flip();
    for (VkBaseOutStructure *s = properties->pNext; s; s = s->pNext)
        if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES)
            ((VkPhysicalDeviceSubgroupProperties *)s)->subgroupSize = subgroup;
        else if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES) {
            ((VkPhysicalDeviceSubgroupSizeControlProperties *)s)->minSubgroupSize = fixed ? subgroup : 4;
            ((VkPhysicalDeviceSubgroupSizeControlProperties *)s)->maxSubgroupSize = fixed ? subgroup : 128;
        } else if (s->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES && nvidia)
            ((VkPhysicalDeviceDriverProperties *)s)->driverID = VK_DRIVER_ID_NVIDIA_PROPRIETARY;
}

/* ---- recording --------------------------------------------------------------------------------------------------- */

static bool any_commands(const fake_commands *c)
{
    return c->binds || c->pushes || c->barriers || c->dispatches || c->slices;
}

static dmattn_buffer buffer(uint64_t number, uint64_t bytes)
{
    return (dmattn_buffer){(VkBuffer)(uintptr_t)(number << 40), 0, bytes};
}

/* Records with buffers of the exact sizes, which must succeed; then with one buffer that is too small or missing. */
static void record(const dmattn_plan *plan)
{
    uint64_t storage[128] = {0}; /* large enough for the args of any operator */
    fake_commands commands;
    dmattn_buffer *damaged = NULL;
    const operator_type *type = plan->type;
    uint64_t count = 0;
    for (const operator_buffer *b = type->buffers; b->tensor != TENSOR_COUNT; b++) {
        const plan_tensor *t = &plan->tensor[b->tensor];
        if (!t->bytes || (t->in_workspace && flip()))
            continue;
        dmattn_buffer *at = dmattn_operator_buffer(type, storage, b->tensor);
        *at = buffer(++count, t->bytes);
        if (!damaged || once_in(4))
            damaged = at;
    }
    dmattn_buffer *workspace = (dmattn_buffer *)((char *)storage + type->workspace);
    if (plan->workspace_size) {
        *workspace = buffer(++count, plan->workspace_size);
        damaged = once_in(8) ? workspace : damaged;
    }
    VkCommandBuffer handle = fake_commands_begin(&vulkan, &commands);
    FUZZ_CHECK(!dmattn_plan_record(plan, type, handle, storage, 0) && !errors);
    if (!damaged)
        return;
    damaged->size--;
    handle = fake_commands_begin(&vulkan, &commands);
    FUZZ_CHECK(dmattn_plan_record(plan, type, handle, storage, 0) == DMATTN_ERROR_INVALID && errors == 1);
    FUZZ_CHECK(!any_commands(&commands));
}

/* The call ended well, or it was refused with one message and recorded nothing. */
static void check_call(dmattn_status status, const fake_commands *commands)
{
    FUZZ_CHECK(!status || status == DMATTN_ERROR_INVALID);
    FUZZ_CHECK(errors == (status != DMATTN_SUCCESS) && any_commands(commands) == (status == DMATTN_SUCCESS));
    errors = 0;
}

/* A run of other lengths than those of the plan. */
static void record_lengths(const dmattn_plan *plan)
{
    const dmattn_buffer b = buffer(1, VK_WHOLE_SIZE);
    const uint32_t queries = once_in(4) ? wild_32() : small_size(), keys = once_in(4) ? wild_32() : small_size();
    const dmattn_attention_args attention = {b, b, b, b, b, b, b, b, b, b, b, b, .queries = queries, .keys = keys};
    const dmattn_dma_args dma = {.q = b,
                                 .k = b,
                                 .v = b,
                                 .out = b,
                                 .lse = b,
                                 .sink = b,
                                 .dt_weight = b,
                                 .a = b,
                                 .dt_bias = b,
                                 .key_valid = b,
                                 .query_offsets = b,
                                 .key_offsets = b,
                                 .importance = b,
                                 .workspace = b,
                                 .queries = queries,
                                 .keys = keys};
    fake_commands commands;
    const VkCommandBuffer handle = fake_commands_begin(&vulkan, &commands);
    errors = 0;
    check_call(plan->type == &dmattn_dma_operator ? dmattn_dma_record(plan, handle, &dma)
                                                  : dmattn_attention_record(plan, handle, &attention),
               &commands);
}

static dmattn_status fill(const dmattn_plan *plan, const dmattn_decode_fill_args *args)
{
    fake_commands commands;
    const dmattn_status status = dmattn_decode_fill_record(plan, fake_commands_begin(&vulkan, &commands), args);
    check_call(status, &commands);
    return status;
}

/* A prompt for the cache; if it is taken, also with k of just the right size, and one byte less. Then a chunk and a
 * copy of a sequence. */
static void record_cache(const dmattn_plan *plan)
{
    dmattn_decode_desc c;
    FUZZ_CHECK(!dmattn_decode_desc_resolve(&drawn_decode, &c, NULL));
    const dmattn_attention_desc *a = &c.attention;
    const dmattn_buffer any = buffer(1, VK_WHOLE_SIZE);
    dmattn_decode_fill_args args = {.sequence = once_in(4) ? wild_32() : below(a->batch),
                                    .keys = once_in(4) ? wild_32() : small_size(),
                                    .k = any,
                                    .v = any,
                                    .importance = any,
                                    .state = any,
                                    .pages = any,
                                    .table = any};
    args.k_strides = any_strides(args.keys, a->kv_heads, a->head_dim);
    args.v_strides = any_strides(args.keys, a->kv_heads, a->value_dim);
    errors = 0;
    if (!fill(plan, &args)) {
        FUZZ_CHECK(args.sequence < a->batch && args.keys && (c.cache != DMATTN_CACHE_PAGED || args.keys <= c.max_keys));
        dmattn_strides s = args.k_strides;
        if (!s.batch && !s.sequence && !s.head)
            s = (dmattn_strides){0, (uint64_t)a->kv_heads * a->head_dim, a->head_dim};
        const wide element = a->type == DMATTN_TYPE_F32 ? 4 : 2;
        const wide bytes = element * span(&s, 1, args.keys, a->kv_heads, a->head_dim);
        FUZZ_CHECK(bytes <= UINT64_C(1) << 62);
        args.k.size = (VkDeviceSize)bytes;
        FUZZ_CHECK(!fill(plan, &args));
        args.k.size--;
        FUZZ_CHECK(fill(plan, &args) == DMATTN_ERROR_INVALID);
    }
    const dmattn_decode_chunk_args chunk = {.sequence = args.sequence,
                                            .first = once_in(4) ? wild_32() : small_size(),
                                            .keys = args.keys,
                                            .q = any,
                                            .k = any,
                                            .v = any,
                                            .out = any,
                                            .lse = any,
                                            .dt_weight = any,
                                            .a = any,
                                            .dt_bias = any,
                                            .importance = any,
                                            .sink = any,
                                            .state = any,
                                            .workspace = any};
    fake_commands of_chunk;
    const dmattn_status chunk_status =
        dmattn_decode_chunk_record(plan, fake_commands_begin(&vulkan, &of_chunk), &chunk);
    check_call(chunk_status, &of_chunk);
    FUZZ_CHECK(chunk_status
               || (chunk.sequence < a->batch && chunk.keys && chunk.keys <= c.chunk_tokens
                   && (uint64_t)chunk.first + chunk.keys < 1u << 30));
    const uint32_t from = once_in(3) ? wild_32() : below(a->batch), to = once_in(3) ? wild_32() : below(a->batch);
    fake_commands commands;
    const dmattn_status status =
        dmattn_decode_fork_record(plan, fake_commands_begin(&vulkan, &commands), &any, from, to);
    check_call(status, &commands);
    FUZZ_CHECK(!status == (from < a->batch && to < a->batch && from != to));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    dmattn_context *context;
    errors = 0;
    choices_begin(data, bytes);
    fake_vulkan_init(&vulkan);
    vulkan.change_limits = change_limits;
    vulkan.desc.message = hear;
    const dmattn_status created = dmattn_context_create(&vulkan.desc, &context);
    FUZZ_CHECK(errors == (created != DMATTN_SUCCESS) && !context == (created != DMATTN_SUCCESS));
    dmattn_plan *plan = (dmattn_plan *)&vulkan;
    if (context) {
        const fuzzed_operator *operator= fuzzed[below(COUNT(fuzzed))];
        const dmattn_status status = operator->plan(context, &plan);
        FUZZ_CHECK(errors == (status != DMATTN_SUCCESS) && !plan == (status != DMATTN_SUCCESS));
        FUZZ_CHECK(!status || status == DMATTN_ERROR_INVALID || status == DMATTN_ERROR_UNSUPPORTED);
        if (plan) {
            dmattn_plan_info info;
            dmattn_plan_get_info(plan, &info);
            FUZZ_CHECK(isfinite(info.flops) && info.flops >= 0 && isfinite(info.bytes) && info.bytes >= 0);
            FUZZ_CHECK(plan->type == operator->type && info.kernel && info.why_not_higher && info.data_alignment);
            check_sizes(plan);
            if (operator->check)
                operator->check(plan, &info);
            if ((operator->work ? operator->work(info.flops) : info.flops) < MOST_FLOPS)
                record(plan);
            if ((plan->type == &dmattn_attention_operator || plan->type == &dmattn_dma_operator)
                && (operator->work ? operator->work(info.flops) : info.flops) < MOST_FLOPS)
                record_lengths(plan);
            if (plan->type == &dmattn_decode_operator)
                record_cache(plan);
        }
        dmattn_plan_destroy(plan);
        dmattn_context_destroy(context);
    }
    FUZZ_CHECK(!fake_vulkan_live(&vulkan) && !vulkan.wrong);
    return 0;
}
