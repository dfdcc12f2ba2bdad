/* SPDX-License-Identifier: MIT
 * Hostile contents of buffers (hostile.h): selectors and block lists. */
#include "hostile.h"

static dmattn_plan *plan_selector(uint32_t block, dmattn_level level)
{
    const dmattn_selector_desc desc = {SIZES,       .relu = true,   .weights = true, .block = block, .count = 12,
                                       .recent = 1, .causal = true, .counts = true,  .level = level};
    dmattn_plan *plan;
    ASSERT_OK(dmattn_selector_plan(h.context, &desc, &plan));
    return plan;
}

static void run_selector(uint32_t block, dmattn_level level)
{
    arena a;
    dmattn_selector_args args = {0};
    arena_create(&a, plan_selector(block, level), &args, 0);
    RESULTS(&a, TENSOR_SELECTED);
    hostile_fill_valid(&a);
    hostile_put_words(&a, TENSOR_COUNTS, (const int32_t[]){30, 70, 37, 81, QUERIES, KEYS}, 2 * ITEMS);
    RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_COUNTS, TENSOR_Q, TENSOR_K, TENSOR_WEIGHTS);
}

HOSTILE_TEST(selector)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX; level++)
        if (level == DMATTN_LEVEL_PORTABLE || harness_offers(level)) {
            run_selector(1, level);
            run_selector(8, level);
        }
}

/* Three items of one row of blocks each, whose offsets and numbers are hostile in items 0 and 2. */
static void run_block_lists(bool bits)
{
    const dmattn_block_lists_desc desc = {.batch = ITEMS,
                                          .queries = QUERIES,
                                          .keys = KEYS,
                                          .query_block = QUERIES,
                                          .block = 4,
                                          .indices = 60,
                                          .bits = bits,
                                          .count = 16};
    dmattn_block_lists_args args = {0};
    dmattn_plan *plan;
    arena a;
    ASSERT_OK(dmattn_block_lists_plan(h.context, &desc, &plan));
    arena_create(&a, plan, &args, 0);
    RESULTS(&a, TENSOR_SELECTED);
    hostile_fill_valid(&a);
    hostile_put_words(&a, TENSOR_INDPTR, (const int32_t[]){0, 20, 20, 40, 40, 60}, 6);
    for (int32_t i = 0; i < 60; i++)
        ((int32_t *)arena_input(&a, TENSOR_INDICES))[i] = i * 7 % 25;
    RUN_KINDS(&a, 0, bits ? "rows with bits" : "rows", TENSOR_INDPTR, TENSOR_INDICES);
}

HOSTILE_TEST(block_lists)
{
    run_block_lists(false);
    run_block_lists(true);
}
