/* SPDX-License-Identifier: MIT
 * Lists of selected keys from block-sparse forms: equal to the definition, also with offsets and numbers out of range;
 * attention with them equals attention with a dense mask; and what is refused. */
#include "support/arena.h"

#include "mask/block_lists.h"
#include "reference/block_lists.h"
#include "reference/element.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct block_case {
    const char *name;
    dmattn_block_lists_desc desc;
    bool wild; /* offsets and numbers of blocks are also out of range */
} block_case;

#define ROWS   .form = DMATTN_BLOCK_FORM_ROWS
#define MAP    .form = DMATTN_BLOCK_FORM_MAP
#define BITMAP .form = DMATTN_BLOCK_FORM_BITMAP

static const block_case cases[] = {
    {.name = "rows",
     .desc = {ROWS, .batch = 2, .heads = 3, .queries = 100, .keys = 130, .query_block = 16, .block = 8,
              .indices = 200}},
    {.name = "rows, few numbers",
     .desc = {ROWS, .queries = 70, .keys = 3000, .query_block = 64, .block = 64, .indices = 40, .count = 7}},
    {.name = "rows, more numbers than blocks",
     .desc = {ROWS, .queries = 33, .keys = 20, .query_block = 1, .block = 1, .indices = 300, .count = 40}},
    {.name = "rows with bits",
     .desc = {ROWS, .batch = 2, .queries = 50, .keys = 70, .query_block = 8, .block = 16, .indices = 60, .bits = true}},
    {.name = "rows with bits, few numbers",
     .desc = {ROWS, .heads = 2, .queries = 70, .keys = 100, .query_block = 32, .block = 1, .indices = 90, .bits = true,
              .count = 9}},
    {.name = "wild rows",
     .wild = true,
     .desc = {ROWS, .batch = 3, .queries = 100, .keys = 130, .query_block = 16, .block = 8, .indices = 50}},
    {.name = "wild rows with bits",
     .wild = true,
     .desc = {ROWS, .batch = 3, .queries = 30, .keys = 130, .query_block = 4, .block = 8, .indices = 50, .bits = true}},
    {.name = "map", .desc = {MAP, .batch = 2, .heads = 3, .queries = 100, .keys = 1301, .query_block = 16, .block = 1}},
    {.name = "map, few numbers", .desc = {MAP, .queries = 5, .keys = 9000, .query_block = 2, .block = 1, .count = 99}},
    {.name = "bitmap",
     .desc = {BITMAP, .batch = 2, .heads = 3, .queries = 100, .keys = 1301, .query_block = 16, .block = 1}},
    {.name = "bitmap of large blocks",
     .desc = {BITMAP, .heads = 5, .queries = 300, .keys = 500, .query_block = 128, .block = 64, .count = 3}},
    {.name = "map of large blocks",
     .desc = {MAP, .heads = 2, .queries = 300, .keys = 500, .query_block = 128, .block = 64}},
};

/* Random blocks; offsets grow, unless they are wild. */
static void fill(const block_case *c, const dmattn_block_lists_desc *d, const arena *a)
{
    int32_t *indptr = arena_input(a, TENSOR_INDPTR), *indices = arena_input(a, TENSOR_INDICES);
    uint8_t *bits = arena_input(a, TENSOR_BITS), *map = arena_input(a, TENSOR_MAP);
    const uint64_t offsets = a->bytes[TENSOR_INDPTR] / 4;
    const int32_t blocks = (int32_t)((d->keys - 1) / d->block + 1);
    srand(1);
    for (uint64_t i = 0; i < offsets; i++)
        indptr[i] = c->wild ? rand() % 200 - 50 : (int32_t)(i * d->indices / (offsets - 1));
    if (c->wild)
        indptr[2] = INT32_MAX, indptr[3] = INT32_MIN;
    for (uint32_t i = 0; i < d->indices; i++)
        indices[i] = rand() % (blocks + (c->wild ? 9 : 0)) - (c->wild ? 4 : 0);
    for (uint64_t i = 0; i < a->bytes[TENSOR_BITS]; i++)
        bits[i] = (uint8_t)rand();
    for (uint64_t i = 0; i < a->bytes[TENSOR_MAP]; i++)
        map[i] = (uint8_t)(rand() % 3 ? 0 : 1 << rand() % 8);
}

static void compare(const block_case *c, const dmattn_block_lists_desc *d, const arena *a)
{
    const reference_block_inputs in = {.indptr = arena_input(a, TENSOR_INDPTR),
                                       .indices = arena_input(a, TENSOR_INDICES),
                                       .bits = arena_input(a, TENSOR_BITS),
                                       .map = arena_input(a, TENSOR_MAP)};
    const int32_t *got = arena_output(a, TENSOR_SELECTED);
    int32_t *want = malloc(d->count * sizeof *want);
    for (uint64_t plane = 0; plane < (uint64_t)d->batch * d->heads; plane++)
        for (uint32_t query = 0; query < d->queries; query++, got += d->count) {
            reference_block_list(d, &in, plane, query, want);
            for (uint32_t i = 0; i < d->count; i++)
                cr_assert_eq(got[i], want[i], "%s, plane %u, query %u: number %u is %d instead of %d", c->name,
                             (unsigned)plane, query, i, got[i], want[i]);
        }
    free(want);
}

DEVICE_TEST(block_lists, cases)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dmattn_block_lists_desc d;
        dmattn_block_lists_args args = {0};
        dmattn_plan *plan;
        arena a;
        ASSERT_OK(dmattn_block_lists_desc_resolve(&cases[i].desc, &d, NULL));
        ASSERT_OK(dmattn_block_lists_plan(h.context, &cases[i].desc, &plan));
        arena_create(&a, plan, &args, 0);
        a.result[TENSOR_SELECTED] = true;
        fill(&cases[i], &d, &a);
        memset(arena_input(&a, TENSOR_SELECTED), 0x5a, a.bytes[TENSOR_SELECTED]);
        arena_run(&a, 0, cases[i].name);
        compare(&cases[i], &d, &a);
        arena_destroy(&a);
    }
}

/* ---- attention with such lists ------------------------------------------------------------------------------------
 */

enum { QUERIES = 40, KEYS = 64, DIM = 8, BLOCK_QUERIES = 8, BLOCK = 4, ROW_COUNT = 5, BLOCKS = 16, INDICES = 30 };

static dmattn_buffer buffer_with(const void *data, uint64_t bytes)
{
    dmattn_buffer buffer;
    ASSERT_OK(dmattn_buffer_create(h.device, bytes, &buffer));
    if (data)
        ASSERT_OK(dmattn_upload(h.device, &buffer, 0, data, bytes));
    return buffer;
}

static void attend(const dmattn_attention_desc *desc, dmattn_attention_args args, float *out)
{
    VkCommandBuffer commands;
    dmattn_plan *plan;
    dmattn_plan_info info;
    args.out = buffer_with(NULL, QUERIES * DIM * sizeof *out);
    ASSERT_OK(dmattn_attention_plan(h.context, desc, &plan));
    dmattn_plan_get_info(plan, &info);
    args.workspace = buffer_with(NULL, info.workspace_size + 4);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_attention_record(plan, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    ASSERT_OK(dmattn_download(h.device, &args.out, 0, out, QUERIES * DIM * sizeof *out));
    dmattn_plan_destroy(plan);
}

/* Blocks of a row, with or without bits, and the same as a dense mask. */
static void run_attention(bool bits)
{
    static float numbers[KEYS * DIM], want[QUERIES * DIM], got[QUERIES * DIM];
    static uint8_t mask[QUERIES * KEYS], bit[INDICES * BLOCK_QUERIES * BLOCK / 8];
    int32_t indptr[ROW_COUNT + 1], indices[INDICES];
    srand(2);
    memset(mask, 0, sizeof mask);
    for (int i = 0; i < KEYS * DIM; i++)
        numbers[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    for (size_t i = 0; i < sizeof bit; i++)
        bit[i] = (uint8_t)rand();
    for (int row = 0; row <= ROW_COUNT; row++)
        indptr[row] = row * INDICES / ROW_COUNT;
    for (int i = 0; i < INDICES; i++) {
        indices[i] = rand() % BLOCKS;
        for (int pair = 0; pair < BLOCK_QUERIES * BLOCK; pair++) {
            const int n = i * BLOCK_QUERIES * BLOCK + pair,
                      query = i * ROW_COUNT / INDICES * BLOCK_QUERIES + pair / BLOCK;
            mask[query * KEYS + indices[i] * BLOCK + pair % BLOCK] |= !bits || (bit[n / 8] >> n % 8 & 1);
        }
    }
    const dmattn_block_lists_desc desc = {
        ROWS,           .queries = QUERIES, .keys = KEYS, .query_block = BLOCK_QUERIES,
        .block = BLOCK, .indices = INDICES, .bits = bits, .count = bits ? 6 * BLOCK : 6};
    dmattn_block_lists_args lists = {.indptr = buffer_with(indptr, sizeof indptr),
                                     .indices = buffer_with(indices, sizeof indices),
                                     .bits = buffer_with(bit, sizeof bit),
                                     .selected = buffer_with(NULL, 4 * QUERIES * desc.count)};
    VkCommandBuffer commands;
    dmattn_plan *plan;
    ASSERT_OK(dmattn_block_lists_plan(h.context, &desc, &plan));
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_block_lists_record(plan, commands, &lists));
    ASSERT_OK(dmattn_commands_submit(h.device));
    dmattn_plan_destroy(plan);
    dmattn_attention_desc attention = {.batch = 1,
                                       .queries = QUERIES,
                                       .keys = KEYS,
                                       .heads = 1,
                                       .head_dim = DIM,
                                       .mask = DMATTN_MASK_SELECTED,
                                       .mask_shape = {.queries = QUERIES},
                                       .selected_count = desc.count,
                                       .selected_block = bits ? 1 : BLOCK};
    const dmattn_buffer rows = buffer_with(numbers, sizeof numbers);
    dmattn_attention_args args = {.q = rows, .k = rows, .v = rows, .selected = lists.selected};
    attend(&attention, args, got);
    attention.mask = DMATTN_MASK_DENSE;
    attention.selected_count = attention.selected_block = 0;
    args.mask = buffer_with(mask, sizeof mask);
    attend(&attention, args, want);
    for (int i = 0; i < QUERIES * DIM; i++)
        cr_assert(fabsf(got[i] - want[i]) <= 2e-6f, "bits %d, element %d: %g instead of %g", bits, i, (double)got[i],
                  (double)want[i]);
}

DEVICE_TEST(block_lists, attention)
{
    run_attention(false);
    run_attention(true);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

#define GOOD .queries = 50, .keys = 90, .query_block = 8, .block = 4

DEVICE_TEST(block_lists, refused)
{
    const struct {
        const char *part;
        dmattn_block_lists_desc desc;
    } bad[] = {
        {"form 3", {.form = (dmattn_block_form)3, GOOD}},
        {"indices is 0", {ROWS, GOOD}},
        {"indices is set", {MAP, GOOD, .indices = 5}},
        {"bits is set", {MAP, GOOD, .bits = true}},
        {"bits is set", {BITMAP, GOOD, .bits = true}},
        {"batch is", {MAP, GOOD, .batch = 1u << 30}},
        {"heads is", {MAP, GOOD, .heads = 1u << 30}},
        {"queries is 0", {MAP, .keys = 90, .query_block = 8, .block = 4}},
        {"keys is 0", {MAP, .queries = 50, .query_block = 8, .block = 4}},
        {"query_block is 0", {MAP, .queries = 50, .keys = 90, .block = 4}},
        {"block is 0", {MAP, .queries = 50, .keys = 90, .query_block = 8}},
        {"block is 3", {MAP, .queries = 50, .keys = 90, .query_block = 8, .block = 3}},
        {"block is 8192", {MAP, .queries = 50, .keys = 90, .query_block = 8, .block = 8192}},
        {"has 28 pairs", {ROWS, .queries = 50, .keys = 90, .query_block = 7, .block = 4, .indices = 9, .bits = true}},
        {"has 33554432 pairs",
         {ROWS, .queries = 50, .keys = 90, .query_block = 8192, .block = 4096, .indices = 9, .bits = true}},
        {"count is 1048577", {MAP, GOOD, .count = (1 << 20) + 1}},
        {"count is 0", {MAP, .queries = 50, .keys = 1 << 21, .query_block = 8, .block = 1}},
        {"count is 6", {ROWS, GOOD, .indices = 9, .bits = true, .count = 6}},
    };
    const dmattn_block_lists_desc good = {MAP, GOOD};
    dmattn_plan *plan;
    dmattn_buffer buffer;
    VkCommandBuffer commands;
    EXPECT_FAILURE(dmattn_block_lists_plan(h.context, NULL, &plan), DMATTN_ERROR_INVALID, "descriptor");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT_FAILURE(dmattn_block_lists_plan(h.context, &bad[i].desc, &plan), DMATTN_ERROR_INVALID, bad[i].part);
    ASSERT_OK(dmattn_block_lists_plan(h.context, &good, &plan));
    ASSERT_OK(dmattn_buffer_create(h.device, 4 * 50 * 23 - 4, &buffer));
    dmattn_block_lists_args args = {.map = buffer, .selected = buffer};
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    EXPECT_FAILURE(dmattn_block_lists_record(plan, commands, &args), DMATTN_ERROR_INVALID, "selected");
    args.map.buffer = VK_NULL_HANDLE;
    EXPECT_FAILURE(dmattn_block_lists_record(plan, commands, &args), DMATTN_ERROR_INVALID, "");
    EXPECT_FAILURE(dmattn_block_lists_record(plan, commands, NULL), DMATTN_ERROR_INVALID, "args");
    cr_expect_eq(dmattn_block_lists_record(NULL, commands, &args), DMATTN_ERROR_INVALID);
    dmattn_commands_cancel(h.device);
    dmattn_plan_destroy(plan);
}
