/* SPDX-License-Identifier: MIT
 * Buffers with arbitrary contents: for any numbers of keys, queries, pages or lengths in buffers, kernels read and
 * write only within their tensors. Each operator runs with three batch items. First all items are valid. Then items 0
 * and 2 hold words of one kind after another; nothing but results is written, and item 1 has the same bits as
 * before. */
#include "attention/backward.h"
#include "decode/stage.h"
#include "mask/desc.h"
#include "operators/dma.h"
#include "problem.h"
#include "reference/element.h"
#include "support/arena.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS    3
#define QUERIES  40
#define KEYS     100
#define HEADS    4
#define KV_HEADS 2
#define DIM      16
#define SIZES                                                                                                        \
    .type = DMATTN_TYPE_F16, .batch = ITEMS, .queries = QUERIES, .keys = KEYS, .heads = HEADS, .kv_heads = KV_HEADS, \
    .head_dim = DIM

/* ---- contents ---------------------------------------------------------------------------------------------------- */

enum { ALL_ONES, TOP_BIT, LARGEST, FALLING, NEAR, MIXED, RANDOM, KINDS };
static const char *const kind_names[KINDS] = {"0xffffffff", "0x80000000", "0x7fffffff", "falling",
                                              "near",       "mixed",      "random"};

static uint32_t hostile_word(int kind, uint32_t i, uint64_t *state)
{
    static const uint32_t mixed[] = {0, 1, 31, 32, 0xffff, 0x10000, 0x3fffffff, 0x40000000, 0x7ffffffe, 0xfffffffe};
    const uint32_t random = (uint32_t)random_bits(state);
    switch (kind) {
    case ALL_ONES: return 0xffffffff;
    case TOP_BIT: return 0x80000000;
    case LARGEST: return 0x7fffffff;
    case FALLING: return 3 * KEYS - i % (4 * KEYS);
    case NEAR: return random % (2 * KEYS) - KEYS / 4;
    case MIXED: return mixed[random % (sizeof mixed / sizeof *mixed)];
    default: return random;
    }
}

/* Fills a part of a tensor, a multiple of 4 bytes. */
static void put_hostile(const arena *a, tensor_id tensor, int kind, uint64_t first, uint64_t end)
{
    unsigned char *data = arena_input(a, tensor);
    uint64_t state = 1 + (uint64_t)kind + 100 * (uint64_t)tensor;
    for (uint64_t i = first; i < end && data; i += 4) {
        const uint32_t word = hostile_word(kind, (uint32_t)(i / 4), &state);
        memcpy(data + i, &word, 4);
    }
}

static void put_numbers(const arena *a, tensor_id tensor, dmattn_type type, double offset)
{
    uint64_t state = 1 + (uint64_t)tensor;
    for (uint64_t i = 0; i < a->bytes[tensor] / dmattn_type_size(type); i++)
        element_store(type, arena_input(a, tensor), i, offset + random_uniform(&state) - 0.5);
}

/* Fills all inputs that hold numbers with finite numbers. */
static void put_all_numbers(const arena *a)
{
    const tensor_id rows[] = {TENSOR_Q, TENSOR_K, TENSOR_V, TENSOR_OUT, TENSOR_DOUT, TENSOR_PAGES};
    const tensor_id floats[] = {TENSOR_BIAS, TENSOR_DT_WEIGHT, TENSOR_A, TENSOR_DT_BIAS, TENSOR_IMPORTANCE};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        put_numbers(a, rows[i], DMATTN_TYPE_F16, 0);
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        put_numbers(a, floats[i], DMATTN_TYPE_F32, 0);
    put_numbers(a, TENSOR_LSE, DMATTN_TYPE_F32, 5);
}

static void put_words(const arena *a, tensor_id tensor, const int32_t *words, size_t count)
{
    if (arena_input(a, tensor))
        memcpy(arena_input(a, tensor), words, count * sizeof *words);
}

/* Intervals: 9 queries from query j / 3 on see key j. Dense mask: two thirds of the pairs are visible.
 * Selected keys: every seventh one. */
static void put_valid_mask(const arena *a)
{
    int32_t *begin = arena_input(a, TENSOR_BEGIN), *end = arena_input(a, TENSOR_END);
    for (uint64_t i = 0; begin && i < a->bytes[TENSOR_BEGIN] / 4; i++) {
        begin[i] = (int32_t)(i % KEYS) / 3;
        end[i] = begin[i] + 9;
    }
    int32_t *selected = arena_input(a, TENSOR_SELECTED);
    for (uint64_t i = 0; selected && i < a->bytes[TENSOR_SELECTED] / 4; i++)
        selected[i] = (int32_t)(i * 7 % KEYS);
    const tensor_id bytes[] = {TENSOR_MASK, TENSOR_KEY_VALID};
    for (size_t n = 0; n < sizeof bytes / sizeof *bytes; n++)
        for (uint64_t i = 0; i < a->bytes[bytes[n]]; i++)
            ((unsigned char *)arena_input(a, bytes[n]))[i] = i % 3 != 0;
    const int32_t queries[] = {0, 11, 40, 0, 11, 40, 0, 11, 40}, keys[] = {0, 31, 100, 0, 31, 100, 0, 31, 100};
    put_words(a, TENSOR_QUERY_OFFSETS, queries, 9);
    put_words(a, TENSOR_KEY_OFFSETS, keys, 9);
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* The results in which each batch item has its own elements. */
static const tensor_id item_results[] = {TENSOR_OUT, TENSOR_LSE,        TENSOR_DQ,          TENSOR_DK,
                                         TENSOR_DV,  TENSOR_DBIAS,      TENSOR_DIMPORTANCE, TENSOR_BEGIN,
                                         TENSOR_END, TENSOR_IMPORTANCE, TENSOR_STATE};
#define ITEM_RESULTS (sizeof item_results / sizeof *item_results)

static void declare_results(arena *a, const tensor_id *results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        a->result[results[i]] = true;
}
#define RESULTS(a, ...) \
    declare_results((a), (const tensor_id[]){__VA_ARGS__}, sizeof((const tensor_id[]){__VA_ARGS__}) / sizeof(tensor_id))

/* Returns item 1 of the results. It must differ from the buffer's previous contents. */
static unsigned char *copy_item(const arena *a)
{
    unsigned char *copy = malloc(a->size);
    memcpy(copy, a->after, a->size);
    for (size_t i = 0; i < ITEM_RESULTS; i++) {
        const uint64_t bytes = a->bytes[item_results[i]] / ITEMS, first = a->at[item_results[i]] + bytes;
        if (bytes && a->result[item_results[i]])
            cr_expect_neq(memcmp(a->after + first, a->before + first, bytes), 0, "%s was not written",
                          dmattn_tensor_name(item_results[i]));
    }
    return copy;
}

static void expect_item(const arena *a, const unsigned char *want, const char *what)
{
    for (size_t i = 0; i < ITEM_RESULTS; i++) {
        const uint64_t bytes = a->bytes[item_results[i]] / ITEMS, first = a->at[item_results[i]] + bytes;
        if (bytes && a->result[item_results[i]])
            cr_expect_eq(memcmp(a->after + first, want + first, bytes), 0, "%s: %s of the valid item differs", what,
                         dmattn_tensor_name(item_results[i]));
    }
}

/* Expects finite numbers of type f16. */
static void expect_finite(const arena *a, tensor_id tensor, const char *what)
{
    for (uint64_t i = 0; a->result[tensor] && i < a->bytes[tensor] / 2; i++)
        cr_assert(isfinite(element_load(DMATTN_TYPE_F16, arena_output(a, tensor), i)), "%s: element %llu of %s", what,
                  (unsigned long long)i, dmattn_tensor_name(tensor));
}

/* Runs with valid contents, and then with each kind of words in items 0 and 2 of `tensors`. The workspace belongs to no
 * item; it has different words in each run. */
static void run_kinds(arena *a, uint32_t reuse, const char *name, const tensor_id *tensors, size_t count)
{
    arena_run(a, reuse, name);
    unsigned char *want = copy_item(a), *valid = malloc(a->size);
    memcpy(valid, a->before, a->size);
    for (int kind = 0; kind < KINDS; kind++) {
        char what[96];
        snprintf(what, sizeof what, "%s, %s", name, kind_names[kind]);
        memcpy(a->before, valid, a->size);
        put_hostile(a, TENSOR_COUNT, kind, 0, a->bytes[TENSOR_COUNT]);
        for (size_t i = 0; i < count; i++) {
            const uint64_t item = a->bytes[tensors[i]] / ITEMS;
            put_hostile(a, tensors[i], kind, 0, item);
            put_hostile(a, tensors[i], kind, 2 * item, 3 * item);
        }
        arena_run(a, reuse, what);
        expect_item(a, want, what);
        const tensor_id finite[] = {TENSOR_OUT, TENSOR_DQ, TENSOR_DK, TENSOR_DV};
        for (size_t i = 0; i < sizeof finite / sizeof *finite && !a->bytes[TENSOR_STATE]; i++)
            expect_finite(a, finite[i], what);
    }
    free(want);
    free(valid);
    arena_destroy(a);
}
#define RUN_KINDS(a, reuse, name, ...)                                \
    run_kinds((a), (reuse), (name), (const tensor_id[]){__VA_ARGS__}, \
              sizeof((const tensor_id[]){__VA_ARGS__}) / sizeof(tensor_id))

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

/* Runs `body` for each level of the device. `name` is the name of the level. */
#define EACH_LEVEL(offers)                                                                   \
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX2; level++) \
        if (level == DMATTN_LEVEL_PORTABLE || offers(level))

static void fill_valid(arena *a)
{
    put_all_numbers(a);
    put_valid_mask(a);
}

DEVICE_TEST(hostile, intervals)
{
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_attention_args args = {0};
        arena_create(&a, plan_attention((dmattn_attention_desc){SIZES, .lse = true, INTERVALS}, level), &args, 0);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
        fill_valid(&a);
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
    fill_valid(&a);
    RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_SELECTED);
}

DEVICE_TEST(hostile, gradients_of_selected)
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
    fill_valid(&a);
    RUN_KINDS(&a, 0, "gradients", TENSOR_SELECTED);
}

DEVICE_TEST(hostile, selected)
{
    EACH_LEVEL(harness_offers)
    {
        run_selected(1, level);
        run_selected(32, level);
    }
}

DEVICE_TEST(hostile, dense)
{
    const dmattn_attention_desc desc = {SIZES, .lse = true, .mask = DMATTN_MASK_DENSE,
                                        .mask_shape = {.batch = ITEMS, .queries = QUERIES}};
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_attention_args args = {0};
        arena_create(&a, plan_attention(desc, level), &args, 0);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
        fill_valid(&a);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_MASK);
    }
}

DEVICE_TEST(hostile, attention_table)
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
        fill_valid(&a);
        int32_t *table = arena_input(&a, TENSOR_TABLE);
        for (int32_t i = 0; i < ITEMS * ENTRIES; i++)
            table[i] = POOL - 1 - i;
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_TABLE);
    }
}

DEVICE_TEST(hostile, attention_counts)
{
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_attention_args args = {0};
        arena_create(&a,
                     plan_attention((dmattn_attention_desc){SIZES, .lse = true, .causal = true, .counts = true}, level),
                     &args, 0);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
        fill_valid(&a);
        put_words(&a, TENSOR_COUNTS, (const int32_t[]){30, 70, 37, 81, QUERIES, KEYS}, 2 * ITEMS);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_COUNTS);
    }
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
    fill_valid(&a);
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
    unsigned char *want = copy_item(a), *valid = malloc(a->size);
    memcpy(valid, a->before, a->size);
    for (int kind = 0; kind < 2 * KINDS; kind++) {
        char what[96];
        const bool all = kind >= KINDS;
        const uint64_t item = UINT64_C(16) * headers / ITEMS;
        snprintf(what, sizeof what, "%s, %s, %s", name, kind_names[kind % KINDS], all ? "all words" : "headers");
        memcpy(a->before, valid, a->size);
        put_hostile(a, TENSOR_LISTS, kind % KINDS, 0, all ? a->bytes[TENSOR_LISTS] : item);
        put_hostile(a, TENSOR_LISTS, kind % KINDS, 2 * item, 3 * item);
        arena_run(a, 0, what);
        if (!all)
            expect_item(a, want, what);
        expect_finite(a, TENSOR_OUT, what);
        expect_finite(a, TENSOR_DQ, what);
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
    fill_valid(a);
    put_valid_lists(a, headers);
    return headers;
}

static const dmattn_attention_desc with_lists = {SIZES, .lse = true, INTERVALS, .lists = true};

DEVICE_TEST(hostile, lists)
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

DEVICE_TEST(hostile, lists_backward)
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

DEVICE_TEST(hostile, intervals_backward)
{
    EACH_LEVEL(harness_offers_backward)
    {
        arena a;
        dmattn_attention_backward_args args = {0};
        arena_create(&a, plan_backward((dmattn_attention_desc){SIZES, INTERVALS}, level), &args, 0);
        RESULTS(&a, TENSOR_DQ, TENSOR_DK, TENSOR_DV, TENSOR_DBIAS);
        fill_valid(&a);
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

DEVICE_TEST(hostile, mask)
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
    fill_valid(&a);
    RUN_KINDS(&a, 0, "mask", TENSOR_KEY_VALID, TENSOR_QUERY_OFFSETS, TENSOR_KEY_OFFSETS);
}

/* Intervals that exceed the bound of the selection: lists must end at the end of their memory. */
DEVICE_TEST(hostile, broken_promise)
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
    put_all_numbers(&a);
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

DEVICE_TEST(hostile, dma)
{
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_dma_args args = {0};
        arena_create(&a, plan_dma(level), &args, 0);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE, TENSOR_IMPORTANCE, TENSOR_BEGIN, TENSOR_END);
        fill_valid(&a);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_KEY_VALID, TENSOR_QUERY_OFFSETS, TENSOR_KEY_OFFSETS);
    }
}

/* Intervals and lists from an earlier run of the plan are overwritten with arbitrary words. */
DEVICE_TEST(hostile, dma_reuse)
{
    EACH_LEVEL(harness_offers)
    {
        arena a;
        dmattn_dma_args args = {0};
        arena_create(&a, plan_dma(level), &args, 0);
        RESULTS(&a, TENSOR_OUT, TENSOR_LSE);
        fill_valid(&a);
        for (int kind = 0; kind < KINDS; kind++) {
            put_hostile(&a, TENSOR_COUNT, kind, 0, a.bytes[TENSOR_COUNT]);
            put_hostile(&a, TENSOR_BEGIN, kind, 0, a.bytes[TENSOR_BEGIN]);
            put_hostile(&a, TENSOR_END, kind, 0, a.bytes[TENSOR_END]);
            arena_run(&a, ALL_STAGES, kind_names[kind]);
        }
        arena_destroy(&a);
    }
}

/* The gradients make lists from intervals that this selection cannot have. */
DEVICE_TEST(hostile, dma_backward)
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
        fill_valid(&a);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_BEGIN, TENSOR_END);
    }
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

#define TOKENS    4
#define LENGTH    20 /* tokens of each sequence before the step */
#define PAGE      16
#define MAX_KEYS  100
#define OWN_PAGES 7 /* pages of a sequence; the pool has one page more than all sequences */
#define PAGES     (ITEMS * OWN_PAGES + 1)

static const dmattn_decode_desc bounded = {
    .attention = {.type = DMATTN_TYPE_F16,
                  .batch = ITEMS,
                  .queries = TOKENS,
                  .heads = HEADS,
                  .kv_heads = KV_HEADS,
                  .head_dim = DIM,
                  .lse = true},
    .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 20, .causal = true, .sinks = 2, .recent = 3},
    .rollback = 4};
static const dmattn_decode_desc paged = {
    .attention = {.type = DMATTN_TYPE_F16,
                  .batch = ITEMS,
                  .queries = TOKENS,
                  .heads = HEADS,
                  .kv_heads = KV_HEADS,
                  .head_dim = DIM,
                  .lse = true,
                  .mask = DMATTN_MASK_DENSE,
                  .mask_shape = {.batch = ITEMS, .queries = TOKENS}},
    .selection = {.select = DMATTN_SELECT_THRESHOLD, .threshold = -1e30f, .causal = true},
    .cache = DMATTN_CACHE_PAGED,
    .page_size = PAGE,
    .pages = PAGES,
    .max_keys = MAX_KEYS};

static void create_decode(arena *a, const dmattn_decode_desc *like, dmattn_level level, dmattn_decode_args *args)
{
    dmattn_decode_desc desc = *like;
    dmattn_plan *plan;
    desc.attention.level = level;
    *args = (dmattn_decode_args){0};
    ASSERT_OK(dmattn_decode_plan(h.context, &desc, &plan));
    dmattn_cache_layout layout;
    ASSERT_OK(dmattn_decode_get_layout(plan, &layout));
    arena_create(a, plan, args, 0);
    RESULTS(a, TENSOR_OUT, TENSOR_LSE, TENSOR_STATE, TENSOR_PAGES);
    fill_valid(a);
    put_words(a, TENSOR_COUNTS, (const int32_t[]){TOKENS, TOKENS, TOKENS}, ITEMS);
    put_words(a, TENSOR_KEEP, (const int32_t[]){-1, -1, -1}, ITEMS);
    /* Each sequence has LENGTH tokens. */
    unsigned char *state = arena_input(a, TENSOR_STATE);
    memset(state, 0, a->bytes[TENSOR_STATE]);
    for (uint32_t b = 0; b < ITEMS; b++)
        for (uint32_t head = 0; head < KV_HEADS; head++) {
            unsigned char *sequence = state + b * layout.sequence_size;
            memcpy(sequence + 48 * head, (const uint32_t[]){LENGTH}, 4);
            for (uint32_t i = 0; i < LENGTH && !desc.cache; i++)
                memcpy(sequence + layout.slot_words + 16 * (head * layout.slots + i),
                       (const uint32_t[]){i + 1, 0x3f800000 + i, INT32_MAX, 0}, 16);
        }
    int32_t *table = arena_input(a, TENSOR_TABLE);
    for (int32_t i = 0; table && i < ITEMS * OWN_PAGES; i++)
        table[i] = i;
}

static bool decodes(dmattn_level level)
{
    return level == DMATTN_LEVEL_MATRIX && harness_offers(level);
}

/* With pages, matrices need a known fragment layout. */
static bool decodes_pages(dmattn_level level)
{
    char why[256];
    decode_tile tile;
    dmattn_decode_desc desc;
    ASSERT_OK(dmattn_decode_desc_resolve(&paged, &desc, &h.context->messenger));
    return decodes(level) && dmattn_decode_tile_choose(&h.context->caps, &desc, level, &tile, why, sizeof why);
}

DEVICE_TEST(hostile, decode_lengths)
{
    EACH_LEVEL(decodes)
    {
        arena a;
        dmattn_decode_args args;
        create_decode(&a, &bounded, level, &args);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_COUNTS, TENSOR_KEEP);
    }
}

DEVICE_TEST(hostile, decode_state)
{
    EACH_LEVEL(decodes)
    {
        arena a;
        dmattn_decode_args args;
        create_decode(&a, &bounded, level, &args);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_STATE);
    }
}

DEVICE_TEST(hostile, decode_pages)
{
    EACH_LEVEL(decodes_pages)
    {
        arena a;
        dmattn_decode_args args;
        create_decode(&a, &paged, level, &args);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_COUNTS, TENSOR_KEEP, TENSOR_MASK);
        create_decode(&a, &paged, level, &args);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_STATE);
    }
}

/* The tables of sequences 0 and 2 have page numbers that do not exist. Existing numbers in them are their own pages. */
static void put_hostile_pages(const arena *a, int kind)
{
    const uint64_t row = a->bytes[TENSOR_TABLE] / ITEMS;
    uint32_t *table = arena_input(a, TENSOR_TABLE);
    put_hostile(a, TENSOR_TABLE, kind, 0, row);
    put_hostile(a, TENSOR_TABLE, kind, 2 * row, 3 * row);
    for (uint32_t i = 0; i < ITEMS * OWN_PAGES; i++)
        table[i] = table[i] < PAGES && i / OWN_PAGES != 1 ? table[i] % OWN_PAGES : table[i];
}

DEVICE_TEST(hostile, decode_table)
{
    EACH_LEVEL(decodes_pages)
    {
        arena a;
        dmattn_decode_args args;
        create_decode(&a, &paged, level, &args);
        arena_run(&a, 0, dmattn_level_string(level));
        unsigned char *want = copy_item(&a);
        for (int kind = 0; kind < KINDS; kind++) {
            put_hostile_pages(&a, kind);
            arena_run(&a, 0, kind_names[kind]);
            expect_item(&a, want, kind_names[kind]);
        }
        free(want);
        arena_destroy(&a);
    }
}

/* A prompt is written to pages that do not exist. */
static void fill_hostile(const dmattn_decode_desc *desc)
{
    arena a;
    dmattn_decode_args args;
    create_decode(&a, desc, DMATTN_LEVEL_PORTABLE, &args);
    dmattn_buffer importance = args.workspace; /* any memory will do */
    for (int kind = 0; kind < KINDS; kind++) {
        const dmattn_decode_fill_args fill = {.sequence = 2,
                                              .keys = ITEMS * TOKENS,
                                              .k = args.k,
                                              .v = args.v,
                                              .importance = importance,
                                              .state = args.state,
                                              .pages = args.pages,
                                              .table = args.table};
        put_hostile_pages(&a, kind);
        const VkCommandBuffer commands = arena_begin(&a);
        ASSERT_OK(dmattn_decode_fill_record(a.plan, commands, &fill));
        arena_end(&a, kind_names[kind]);
    }
    arena_destroy(&a);
}

DEVICE_TEST(hostile, fill)
{
    fill_hostile(&paged);
}

/* Caches of other formats than the type. */
DEVICE_TEST(hostile, decode_formats)
{
    arena a;
    dmattn_decode_args args;
    dmattn_decode_desc desc = bounded;
    desc.attention.k_format = DMATTN_FORMAT_INT8;
    desc.attention.v_format = DMATTN_FORMAT_E4M3;
    create_decode(&a, &desc, DMATTN_LEVEL_PORTABLE, &args);
    RUN_KINDS(&a, 0, "int8 and e4m3 slots", TENSOR_STATE);
    desc = paged;
    desc.attention.k_format = DMATTN_FORMAT_E4M3;
    desc.attention.v_format = DMATTN_FORMAT_INT8;
    fill_hostile(&desc);
    create_decode(&a, &desc, DMATTN_LEVEL_PORTABLE, &args);
    for (int kind = 0; kind < KINDS; kind++) {
        put_hostile_pages(&a, kind);
        arena_run(&a, 0, kind_names[kind]);
    }
    arena_destroy(&a);
}
