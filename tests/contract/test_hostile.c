/* SPDX-License-Identifier: MIT
 * Hostile contents of buffers (hostile.h): attention, its gradients, and dynamic masks. */
#include "backward/backward.h"
#include "hostile.h"
#include "mask/desc.h"
#include "operators/dma.h"
#include "problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- attention and its gradients --------------------------------------------------------------------------------- */

#define INTERVALS                                                                                   \
    .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.batch = ITEMS, .heads = KV_HEADS}, .bias = true, \
    .bias_shape = {.batch = ITEMS, .heads = KV_HEADS}

static dmattn_plan *plan_attention(dmattn_attention_desc desc, dmattn_level level)
{
    dmattn_plan *plan;
    attention_tile tile;
    desc.level = level;
    ASSERT_OK(dmattn_attention_desc_resolve(&desc, &desc, &h.context->messenger));
    ASSERT_OK(dmattn_attention_plan_tile(h.context, &desc, harness_tile(&desc, &tile), &plan));
    return plan;
}

static dmattn_plan *plan_backward(dmattn_attention_desc desc, dmattn_level level)
{
    dmattn_plan *plan;
    backward_tiles tiles;
    dmattn_attention_backward_desc backward = {.attention = desc};
    backward.attention.level = level;
    ASSERT_OK(dmattn_attention_backward_desc_resolve(&backward, &backward, &h.context->messenger));
    const bool least = dmattn_backward_tiles_least(&h.context->caps, &backward, level, &tiles);
    ASSERT_OK(dmattn_attention_backward_plan_tiles(h.context, &backward, least ? &tiles : NULL, &plan));
    return plan;
}

HOSTILE_TEST(intervals)
{
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_attention_args args = {0};
        arena_create(&a, plan_attention((dmattn_attention_desc){SIZES, .lse = true, INTERVALS}, level), &args, 0);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
        hostile_fill_valid(&a);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_BEGIN, TENSOR_END);
    }
}

static void run_selected(uint32_t block, dmattn_level level)
{
    const dmattn_attention_desc desc = {SIZES,
                                        .lse = true,
                                        .causal = true,
                                        .mask = DMATTN_MASK_SELECTED,
                                        .selected_count = 12,
                                        .selected_block = block,
                                        .mask_shape = {.batch = ITEMS, .heads = KV_HEADS, .queries = QUERIES}};
    arena a;
    dmattn_attention_args args = {0};
    arena_create(&a, plan_attention(desc, level), &args, 0);
    RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
    hostile_fill_valid(&a);
    RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_SELECTED);
}

HOSTILE_TEST(gradients_of_selected)
{
    arena a;
    dmattn_attention_backward_args args = {0};
    const dmattn_attention_desc desc = {SIZES,
                                        .causal = true,
                                        .mask = DMATTN_MASK_SELECTED,
                                        .selected_count = 12,
                                        .mask_shape = {.batch = ITEMS, .heads = KV_HEADS, .queries = QUERIES},
                                        .bias = true,
                                        .bias_shape = {.batch = ITEMS, .heads = KV_HEADS}};
    arena_create(&a, plan_backward(desc, DMATTN_LEVEL_PORTABLE), &args, 0);
    RESULTS(&a, TENSOR_DQ, TENSOR_DK, TENSOR_DV, TENSOR_DBIAS);
    hostile_fill_valid(&a);
    RUN_KINDS(&a, 0, "gradients", TENSOR_SELECTED);
}

HOSTILE_TEST(selected)
{
    EACH_LEVEL(harness_offers)
    {
        run_selected(1, level);
        run_selected(32, level);
    }
}

HOSTILE_TEST(dense)
{
    const dmattn_attention_desc desc = {SIZES, .lse = true, .mask = DMATTN_MASK_DENSE,
                                        .mask_shape = {.batch = ITEMS, .queries = QUERIES}};
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_attention_args args = {0};
        arena_create(&a, plan_attention(desc, level), &args, 0);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
        hostile_fill_valid(&a);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_MASK);
    }
}

HOSTILE_TEST(attention_table)
{
    enum { PAGE = 8, ENTRIES = (KEYS + PAGE - 1) / PAGE, POOL = ITEMS * ENTRIES + 5 };
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_attention_args args = {0};
        arena_create(
            &a,
            plan_attention(
                (dmattn_attention_desc){SIZES, .lse = true, .causal = true, .page_size = PAGE, .pages = POOL}, level),
            &args, 0);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
        hostile_fill_valid(&a);
        int32_t *table = arena_input(&a, TENSOR_TABLE);
        for (int32_t i = 0; i < ITEMS * ENTRIES; i++)
            table[i] = POOL - 1 - i;
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_TABLE);
    }
}

HOSTILE_TEST(attention_counts)
{
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_attention_args args = {0};
        arena_create(&a,
                     plan_attention((dmattn_attention_desc){SIZES, .lse = true, .causal = true, .counts = true}, level),
                     &args, 0);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
        hostile_fill_valid(&a);
        hostile_put_words(&a, TENSOR_COUNTS, (const int32_t[]){30, 70, 37, 81, QUERIES, KEYS}, 2 * ITEMS);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_COUNTS);
    }
}

/* Packed items: with any numbers in any of the items, runs write nothing but results. An item has the same results if
 * only items behind it change. */
static void run_packed(dmattn_attention_desc desc, const char *name, dmattn_level level)
{
    static const struct {
        int first, end; /* the items with hostile words */
    } hostile[] = {{2, 3}, {0, 1}, {1, 2}, {0, 3}};
    const int32_t valid[] = {25, 60, 21, 81, (int32_t)desc.queries, (int32_t)desc.keys};
    arena a;
    dmattn_attention_args args = {0};
    desc.counts = desc.causal = desc.lse = true;
    arena_create(&a, plan_attention(desc, level), &args, 0);
    RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
    hostile_fill_valid(&a);
    const uint64_t row = 2 * HEADS * DIM, of_others = (25 + 21) * row; /* items 0 and 1 */
    unsigned char *want = malloc(of_others);
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        for (int kind = -1; kind < HOSTILE_KINDS; kind++) {
            char what[96];
            snprintf(what, sizeof what, "%s, %s, items from %d, %s", name, dmattn_level_string(level), hostile[i].first,
                     kind < 0 ? "valid" : hostile_kind_names[kind]);
            hostile_put(&a, TENSOR_COUNT, kind < 0 ? 0 : kind, 0, a.bytes[TENSOR_COUNT]);
            hostile_put_words(&a, TENSOR_COUNTS, valid, 2 * ITEMS);
            if (kind >= 0)
                hostile_put(&a, TENSOR_COUNTS, kind, 8 * (uint64_t)hostile[i].first, 8 * (uint64_t)hostile[i].end);
            arena_run(&a, 0, what);
            hostile_expect_finite(&a, TENSOR_OUT, what);
            if (kind < 0)
                memcpy(want, arena_output(&a, TENSOR_OUT), of_others);
            else if (hostile[i].first == 2)
                cr_expect_eq(memcmp(arena_output(&a, TENSOR_OUT), want, of_others), 0, "%s: other items differ", what);
        }
    free(want);
    arena_destroy(&a);
}

HOSTILE_TEST(attention_packed)
{
    enum { PAGE = 8, POOL = 37, LONG = 1100 };
    EACH_LEVEL(harness_offers)
    {
        run_packed((dmattn_attention_desc){SIZES, .total_queries = 70, .total_keys = 200}, "rows", level);
        run_packed(
            (dmattn_attention_desc){SIZES, .total_queries = 70, .total_keys = 200, .page_size = PAGE, .pages = POOL},
            "pages", level);
    }
    dmattn_attention_desc in_splits = {SIZES, .total_queries = 70};
    in_splits.keys = LONG;
    run_packed(in_splits, "splits", DMATTN_LEVEL_PORTABLE);
}

/* That the validation layer finds a read behind a buffer, if it is asked for: k begins 64 bytes too late. */
DEVICE_TEST(hostile, gpu_validation)
{
    if (!h.gpu_validation)
        return;
    arena a;
    dmattn_attention_args args = {0};
    arena_create(&a, plan_attention((dmattn_attention_desc){SIZES, INTERVALS}, DMATTN_LEVEL_PORTABLE), &args, 0);
    RESULTS(&a, TENSOR_OUT);
    hostile_fill_valid(&a);
    args.k.offset += 64;
    args.k.size = VK_WHOLE_SIZE;
    h.expected = "does not belong to any buffer";
    arena_run(&a, 0, "k is too small");
    cr_expect_gt(h.expected_findings, 0, "the validation layer did not check addresses");
    arena_destroy(&a);
}

/* One list for all tiles: blocks of all keys. A query need not see any of them. */
static uint64_t list_bytes(uint32_t headers)
{
    return UINT64_C(16) * headers + 64 + 4 * ((KEYS + 31) / 32);
}

static void put_valid_lists(const arena *a, uint32_t headers)
{
    uint32_t *lists = arena_input(a, TENSOR_LISTS);
    const uint32_t offset = (16 * headers + 63) / 64, blocks = (KEYS + 31) / 32;
    for (uint32_t i = 0; i < headers; i++)
        memcpy(lists + 4 * i, (const uint32_t[]){offset, 32 * blocks, 0, 5}, 16);
    for (uint32_t i = 0; i < blocks; i++)
        lists[16 * offset + i] = i;
}

/* The headers of items 0 and 2, or all their words, hold anything. The lists end at the buffer's last word. */
static void run_lists(arena *a, uint32_t headers, const char *name)
{
    arena_run(a, 0, name);
    unsigned char *want = hostile_copy_item(a), *valid = malloc(a->size);
    memcpy(valid, a->before, a->size);
    for (int kind = 0; kind < 2 * HOSTILE_KINDS; kind++) {
        char what[96];
        const bool all = kind >= HOSTILE_KINDS;
        const uint64_t item = UINT64_C(16) * headers / ITEMS;
        snprintf(what, sizeof what, "%s, %s, %s", name, hostile_kind_names[kind % HOSTILE_KINDS],
                 all ? "all words" : "headers");
        memcpy(a->before, valid, a->size);
        hostile_put(a, TENSOR_LISTS, kind % HOSTILE_KINDS, 0, all ? a->bytes[TENSOR_LISTS] : item);
        hostile_put(a, TENSOR_LISTS, kind % HOSTILE_KINDS, 2 * item, 3 * item);
        arena_run(a, 0, what);
        if (!all)
            hostile_expect_item(a, want, what);
        hostile_expect_finite(a, TENSOR_OUT, what);
        hostile_expect_finite(a, TENSOR_DQ, what);
    }
    free(want);
    free(valid);
    arena_destroy(a);
}

/* Makes the arena of a plan with lists from the app, and valid contents. Returns the number of headers. */
static uint32_t create_with_lists(arena *a, dmattn_plan *plan, void *args)
{
    dmattn_plan_info info;
    dmattn_plan_get_info(plan, &info);
    const uint32_t headers = ITEMS * KV_HEADS * ((QUERIES - 1) / info.list_queries + 1);
    arena_create(a, plan, args, list_bytes(headers));
    hostile_fill_valid(a);
    put_valid_lists(a, headers);
    return headers;
}

static const dmattn_attention_desc with_lists = {SIZES, .lse = true, INTERVALS, .lists = true};

HOSTILE_TEST(lists)
{
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_attention_args args = {0};
        const uint32_t headers = create_with_lists(&a, plan_attention(with_lists, level), &args);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
        run_lists(&a, headers, dmattn_level_string(level));
    }
}

HOSTILE_TEST(lists_backward)
{
    EACH_LEVEL(harness_offers_backward)
    {
        arena a;
        dmattn_attention_backward_args args = {0};
        const uint32_t headers = create_with_lists(&a, plan_backward(with_lists, level), &args);
        RESULTS(&a, TENSOR_DQ, TENSOR_DK, TENSOR_DV, TENSOR_DBIAS);
        run_lists(&a, headers, dmattn_level_string(level));
    }
}

HOSTILE_TEST(intervals_backward)
{
    EACH_LEVEL(harness_offers_backward)
    {
        arena a;
        dmattn_attention_backward_args args = {0};
        arena_create(&a, plan_backward((dmattn_attention_desc){SIZES, INTERVALS}, level), &args, 0);
        RESULTS(&a, TENSOR_DQ, TENSOR_DK, TENSOR_DV, TENSOR_DBIAS);
        hostile_fill_valid(&a);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_BEGIN, TENSOR_END);
    }
}

/* ---- dynamic masks ----------------------------------------------------------------------------------------------- */

#define SELECTION                                      \
    .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, \
                  .window = 8,                         \
                  .sinks = 2,                          \
                  .recent = 3,                         \
                  .sliding = 40,                       \
                  .causal = true,                      \
                  .key_valid = true,                   \
                  .documents = 2}

HOSTILE_TEST(mask)
{
    const dmattn_mask_desc desc = {.batch = ITEMS,
                                   .queries = QUERIES,
                                   .keys = KEYS,
                                   .kv_heads = KV_HEADS,
                                   .type = DMATTN_TYPE_F16,
                                   .value_dim = DIM,
                                   SELECTION,
                                   .list_queries = 8};
    arena a;
    dmattn_plan *plan;
    dmattn_mask_args args = {0};
    ASSERT_OK(dmattn_mask_plan(h.context, &desc, &plan));
    arena_create(&a, plan, &args, 0);
    RESULTS(&a, TENSOR_IMPORTANCE, TENSOR_BEGIN, TENSOR_END, TENSOR_LISTS);
    hostile_fill_valid(&a);
    RUN_KINDS(&a, 0, "mask", TENSOR_KEY_VALID, TENSOR_QUERY_OFFSETS, TENSOR_KEY_OFFSETS);
}

/* Intervals that exceed the bound of the selection: lists must end at the end of their memory. */
HOSTILE_TEST(broken_promise)
{
    enum { LENGTH = 2048 };
    const dmattn_mask_desc desc = {.stages = DMATTN_STAGE_INTERVALS | DMATTN_STAGE_LISTS,
                                   .batch = ITEMS,
                                   .queries = LENGTH,
                                   .keys = LENGTH,
                                   .kv_heads = 1,
                                   .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 4, .causal = true},
                                   .list_queries = 16};
    arena a;
    dmattn_plan *plan;
    dmattn_mask_args args = {0};
    ASSERT_OK(dmattn_mask_plan(h.context, &desc, &plan));
    arena_create(&a, plan, &args, 0);
    RESULTS(&a, TENSOR_LISTS);
    hostile_fill_numbers(&a);
    int32_t *begin = arena_input(&a, TENSOR_BEGIN), *end = arena_input(&a, TENSOR_END);
    for (int32_t i = 0; i < ITEMS * LENGTH; i++) {
        begin[i] = i % LENGTH;
        end[i] = i % LENGTH + 4;
    }
    arena_run(&a, DMATTN_STAGE_INTERVALS, "the promised bound");
    const uint64_t header = LENGTH / desc.list_queries * 16, words = (a.bytes[TENSOR_LISTS] - ITEMS * header) / ITEMS;
    unsigned char *want = malloc(a.size);
    memcpy(want, a.after, a.size);
    for (int32_t i = 0; i < ITEMS * LENGTH; i++)
        if (i / LENGTH != 1) {
            begin[i] = 0;
            end[i] = LENGTH;
        }
    arena_run(&a, DMATTN_STAGE_INTERVALS, "a broken promise");
    const uint64_t lists = a.at[TENSOR_LISTS];
    cr_expect_eq(memcmp(a.after + lists + header, want + lists + header, header), 0,
                 "headers of the valid item differ");
    cr_expect_eq(memcmp(a.after + lists + ITEMS * header + words, want + lists + ITEMS * header + words, words), 0,
                 "lists of the valid item differ");
    free(want);
    arena_destroy(&a);
}

static dmattn_plan *plan_dma(dmattn_level level)
{
    const dmattn_dma_desc desc = {.attention = {SIZES, .lse = true, .level = level}, SELECTION};
    dma_descs descs;
    attention_tile tile;
    dmattn_plan *plan;
    ASSERT_OK(dmattn_dma_desc_resolve(&desc, &descs, &h.context->messenger));
    ASSERT_OK(dmattn_dma_plan_tile(h.context, &desc, harness_tile(&descs.attention, &tile), &plan));
    return plan;
}

HOSTILE_TEST(dma)
{
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_dma_args args = {0};
        arena_create(&a, plan_dma(level), &args, 0);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE, TENSOR_IMPORTANCE, TENSOR_BEGIN, TENSOR_END);
        hostile_fill_valid(&a);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_KEY_VALID, TENSOR_QUERY_OFFSETS, TENSOR_KEY_OFFSETS);
    }
}

/* Intervals and lists from an earlier run of the plan are overwritten with arbitrary words. */
HOSTILE_TEST(dma_reuse)
{
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_dma_args args = {0};
        arena_create(&a, plan_dma(level), &args, 0);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
        hostile_fill_valid(&a);
        for (int kind = 0; kind < HOSTILE_KINDS; kind++) {
            hostile_put(&a, TENSOR_COUNT, kind, 0, a.bytes[TENSOR_COUNT]);
            hostile_put(&a, TENSOR_BEGIN, kind, 0, a.bytes[TENSOR_BEGIN]);
            hostile_put(&a, TENSOR_END, kind, 0, a.bytes[TENSOR_END]);
            arena_run(&a, ALL_STAGES, hostile_kind_names[kind]);
        }
        arena_destroy(&a);
    }
}

/* The gradients make lists from intervals that this selection cannot have. */
HOSTILE_TEST(dma_backward)
{
    EACH_LEVEL(harness_offers_backward)
    {
        const dmattn_dma_backward_desc desc = {.dma = {.attention = {SIZES, .level = level}, SELECTION}};
        arena a;
        dma_backward_descs descs;
        backward_tiles tiles;
        dmattn_plan *plan;
        dmattn_dma_backward_args args = {0};
        ASSERT_OK(dmattn_dma_backward_desc_resolve(&desc, &descs, &h.context->messenger));
        const bool least = dmattn_backward_tiles_least(&h.context->caps, &descs.attention, level, &tiles);
        ASSERT_OK(dmattn_dma_backward_plan_tiles(h.context, &desc, least ? &tiles : NULL, &plan));
        arena_create(&a, plan, &args, 0);
        RESULTS(&a, TENSOR_DQ, TENSOR_DK, TENSOR_DV, TENSOR_DIMPORTANCE, TENSOR_DDT_WEIGHT, TENSOR_DA, TENSOR_DDT_BIAS);
        hostile_fill_valid(&a);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_BEGIN, TENSOR_END);
    }
}
