/* SPDX-License-Identifier: MIT
 * Makes and destroys one object of each kind, and makes calls that fail, for the leak sanitizer, which does not run in
 * the processes of Criterion. Without the sanitizer this tests little.
 *
 * A second runtime stays open meanwhile and keeps the loader and the drivers in memory. So the sanitizer can name the
 * library that allocated a block, and lsan.supp can suppress leaks of drivers. */
#include "problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define LEAK_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAK_SANITIZER 1
#endif
#endif
#ifdef LEAK_SANITIZER
int __lsan_do_recoverable_leak_check(void);
#else
static int __lsan_do_recoverable_leak_check(void)
{
    return 0;
}
#endif

static char sentence[512];

static void keep(void *user, dmattn_severity severity, const char *text)
{
    (void)user;
    if (severity == DMATTN_SEVERITY_ERROR)
        snprintf(sentence, sizeof sentence, "%s", text);
}

static const messenger log_to_sentence = {keep, NULL};

#define EXPECT(condition)                                                                     \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            fprintf(stderr, "leak.c:%d: expected %s (%s)\n", __LINE__, #condition, sentence); \
            return false;                                                                     \
        }                                                                                     \
    } while (0)

#define SIZES .batch = 2, .queries = 5, .keys = 7, .heads = 4, .kv_heads = 2, .head_dim = 16
static const dmattn_attention_desc good[] = {
    {SIZES, .lse = true, .causal = true},
    {SIZES, .type = DMATTN_TYPE_F16, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = 5}},
    {SIZES, .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.heads = 2}, .bias = true, .bias_type = DMATTN_TYPE_BF16},
};
static const dmattn_attention_desc bad[] = {
    {SIZES, .value_dim = 3},
    {SIZES, .level = DMATTN_LEVEL_MATRIX2},
    {.batch = (1u << 30) - 1, .queries = 1, .keys = 1, .heads = (1u << 30) - 1, .head_dim = 8},
};

static bool run_good(dmattn_device *device, const dmattn_attention_desc *desc)
{
    problem p;
    device_problem dp;
    EXPECT(!problem_create(desc, &log_to_sentence, &p));
    problem_randomize(&p, 1);
    float *out = malloc(2 * 5 * 4 * 16 * sizeof *out), lse[2 * 5 * 4];
    EXPECT(!device_problem_create(&p, device, &dp));
    EXPECT(!device_problem_run(&dp));
    EXPECT(!device_problem_download(&dp, out, lse));
    dp.args.q.size = 3;
    EXPECT(device_problem_run(&dp) == DMATTN_ERROR_INVALID);
    device_problem_destroy(&dp);
    problem_destroy(&p);
    free(out);
    return true;
}

static bool run_dma(dmattn_device *device)
{
    const dmattn_dma_desc desc = {.attention = {SIZES, .lse = true},
                                  .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 3, .causal = true}};
    const dmattn_mask_desc refused = {.batch = 1, .queries = 1, .keys = 1, .kv_heads = 1, .value_dim = 8};
    problem p;
    device_problem dp;
    dmattn_plan *plan;
    EXPECT(!problem_create_dma(&desc, &log_to_sentence, &p));
    problem_randomize(&p, 1);
    EXPECT(!device_problem_create(&p, device, &dp));
    EXPECT(!device_problem_run(&dp));
    EXPECT(!device_problem_download_mask(&dp, &p));
    dp.dma_args.v.size = 3;
    EXPECT(device_problem_run(&dp) == DMATTN_ERROR_INVALID);
    EXPECT(dmattn_mask_plan(dmattn_device_context(device), &refused, &plan) && !plan);
    device_problem_destroy(&dp);
    problem_destroy(&p);
    return true;
}

static bool plan_decoding(dmattn_device *device)
{
    dmattn_decode_desc desc = {.attention = {.batch = 2, .queries = 3, .heads = 4, .kv_heads = 2, .head_dim = 16},
                               .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 3, .causal = true}};
    dmattn_context *context = dmattn_device_context(device);
    dmattn_plan *plan;
    EXPECT(!dmattn_decode_plan(context, &desc, &plan));
    EXPECT(dmattn_decode_record(plan, NULL, &(dmattn_decode_args){0}) == DMATTN_ERROR_INVALID);
    dmattn_plan_destroy(plan);
    desc.rollback = 17;
    EXPECT(dmattn_decode_plan(context, &desc, &plan) == DMATTN_ERROR_INVALID && !plan);
    return true;
}

static bool run_device(dmattn_runtime *runtime, uint32_t index)
{
    dmattn_device *device;
    dmattn_buffer left, refused;
    VkCommandBuffer commands;
    EXPECT(!dmattn_device_create(runtime, index, &device));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!run_good(device, &good[i]))
            return false;
    if (!run_dma(device) || !plan_decoding(device))
        return false;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dmattn_plan *plan;
        EXPECT(dmattn_attention_plan(dmattn_device_context(device), &bad[i], &plan) && !plan);
    }
    EXPECT(!dmattn_buffer_create(device, 1000,
                                 &left)); /* the device destroys it, as well as the recording command buffer */
    EXPECT(dmattn_buffer_create(device, UINT64_MAX, &refused));
    EXPECT(!dmattn_commands_begin(device, &commands));
    dmattn_device_destroy(device);
    return true;
}

static bool run_all(const char *selector)
{
    const dmattn_runtime_desc desc = {.message = keep};
    dmattn_runtime *runtime;
    dmattn_device *none;
    uint32_t index;
    EXPECT(!dmattn_runtime_create(&desc, &runtime));
    EXPECT(dmattn_runtime_find_device(runtime, "no such device", &index));
    EXPECT(!dmattn_runtime_find_device(runtime, selector, &index));
    EXPECT(dmattn_device_create(runtime, 1000, &none) && !none);
    for (int i = 0; i < 2; i++)
        if (!run_device(runtime, index))
            return false;
    dmattn_runtime_destroy(runtime);
    return true;
}

/* Overwrites the stack below, which may still hold addresses of leaked blocks. */
static void clear_stack(void)
{
    volatile char bytes[65536];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = 0;
}

int main(void)
{
    const char *required = getenv("DMATTN_REQUIRE_DEVICE");
    dmattn_runtime *anchor = NULL;
    dmattn_device *anchor_device = NULL;
    uint32_t index;
    dmattn_status status = dmattn_runtime_create(&(dmattn_runtime_desc){.message = keep}, &anchor);
    if ((status == DMATTN_ERROR_UNSUPPORTED || (anchor && !dmattn_runtime_device_count(anchor)))
        && !(required && !strcmp(required, "1"))) {
        dmattn_runtime_destroy(anchor);
        printf("dmattn tests: no device (%s)\n", sentence);
        return 0;
    }
    const char *selector = getenv("DMATTN_TEST_DEVICE");
    bool ok = !status && !dmattn_runtime_find_device(anchor, selector, &index)
              && !dmattn_device_create(anchor, index, &anchor_device) && run_all(selector);
    if (!ok)
        fprintf(stderr, "%s\n", sentence);
    clear_stack();
    const int leaks = __lsan_do_recoverable_leak_check();
    dmattn_device_destroy(anchor_device);
    dmattn_runtime_destroy(anchor);
    fflush(NULL);
    /* Not exit(), because the sanitizer would check again then, after the drivers are unloaded. */
    _Exit(ok && !leaks ? 0 : 1);
}
