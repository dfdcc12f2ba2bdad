/* SPDX-License-Identifier: MIT */
#include "operators.h"

/* ---- attention and its gradients --------------------------------------------------------------------------------- */

#define SIZES .type = DMATTN_TYPE_F16, .batch = 2, .queries = 70, .keys = 70, .heads = 4, .kv_heads = 2, .head_dim = 64
#define DENSE                                                                                             \
    .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = 70}, .bias = true, .bias_type = DMATTN_TYPE_F16, \
    .bias_shape = {.queries = 70}

static const dmattn_attention_desc dense = {SIZES, .lse = true, DENSE};
static const dmattn_attention_desc portable = {SIZES, .lse = true, DENSE, .max_level = DMATTN_LEVEL_PORTABLE};
static const dmattn_attention_desc intervals = {
    SIZES, .lse = true, .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.heads = 2}, .bias = true, .sink = true};
static const dmattn_attention_desc selected = {SIZES, .lse = true, .mask = DMATTN_MASK_SELECTED,
                                               .mask_shape = {.heads = 2, .queries = 70}, .selected_count = 20};
/* Few queries, so that workgroups share the keys; and enough work for slices. */
static const dmattn_attention_desc few_queries = {
    .batch = 1, .queries = 1, .keys = 100000, .heads = 1, .head_dim = 64, .lse = true, .sink = true};
static const dmattn_attention_desc long_work = {
    .batch = 1, .queries = 200000, .keys = 200000, .heads = 8, .head_dim = 128, .causal = true};

#define PLAN_ATTENTION(desc)                                                                  \
    static dmattn_status plan_##desc(dmattn_context *context, dmattn_plan **plan)             \
    {                                                                                         \
        return dmattn_attention_plan(context, &desc, plan);                                   \
    }                                                                                         \
    static dmattn_status check_##desc(const dmattn_context *context, dmattn_support *support) \
    {                                                                                         \
        return dmattn_attention_check(context, &desc, support);                               \
    }
#define PLAN_BACKWARD(desc)                                                                            \
    static dmattn_status plan_backward_##desc(dmattn_context *context, dmattn_plan **plan)             \
    {                                                                                                  \
        const dmattn_attention_backward_desc backward = {.attention = desc, .dlse = desc.sink};        \
        return dmattn_attention_backward_plan(context, &backward, plan);                               \
    }                                                                                                  \
    static dmattn_status check_backward_##desc(const dmattn_context *context, dmattn_support *support) \
    {                                                                                                  \
        const dmattn_attention_backward_desc backward = {.attention = desc, .dlse = desc.sink};        \
        return dmattn_attention_backward_check(context, &backward, support);                           \
    }
PLAN_ATTENTION(dense)
PLAN_ATTENTION(portable)
PLAN_ATTENTION(intervals)
PLAN_ATTENTION(selected)
PLAN_ATTENTION(few_queries)
PLAN_ATTENTION(long_work)
PLAN_BACKWARD(dense)
PLAN_BACKWARD(portable)
PLAN_BACKWARD(intervals)
PLAN_BACKWARD(selected)

/* The addresses are far apart, so that confusing two buffers gives a different address. */
#define AT(n)                                                                     \
    {                                                                             \
        .buffer = (VkBuffer)(uintptr_t)(UINT64_C(n) << 40), .size = VK_WHOLE_SIZE \
    }

static dmattn_status record_attention(const dmattn_plan *plan, VkCommandBuffer commands)
{
    const dmattn_attention_args args = {.q = AT(1),
                                        .k = AT(2),
                                        .v = AT(3),
                                        .out = AT(4),
                                        .lse = AT(5),
                                        .mask = AT(6),
                                        .begin = AT(7),
                                        .end = AT(8),
                                        .selected = AT(12),
                                        .bias = AT(9),
                                        .sink = AT(11),
                                        .workspace = AT(10)};
    return dmattn_attention_record(plan, commands, &args);
}

static dmattn_status record_backward(const dmattn_plan *plan, VkCommandBuffer commands)
{
    const dmattn_attention_backward_args args = {.q = AT(1),
                                                 .k = AT(2),
                                                 .v = AT(3),
                                                 .out = AT(4),
                                                 .dout = AT(5),
                                                 .lse = AT(6),
                                                 .mask = AT(7),
                                                 .begin = AT(8),
                                                 .end = AT(9),
                                                 .selected = AT(19),
                                                 .bias = AT(10),
                                                 .dq = AT(11),
                                                 .dk = AT(12),
                                                 .dv = AT(13),
                                                 .dbias = AT(14),
                                                 .sink = AT(16),
                                                 .dlse = AT(17),
                                                 .dsink = AT(18),
                                                 .workspace = AT(15)};
    return dmattn_attention_backward_record(plan, commands, &args);
}

/* ---- dynamic masks -------------------------------------------------------------------------------------------------
 */

#define TOPW .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 16, .causal = true}

static const dmattn_dma_desc dma = {
    .attention = {SIZES, .lse = true, .sink = true}, .importance = {.dt_bias = true}, TOPW};

static const dmattn_mask_desc mask = {.batch = 2,
                                      .queries = 5000,
                                      .keys = 5000,
                                      .kv_heads = 2,
                                      .type = DMATTN_TYPE_F16,
                                      .value_dim = 64,
                                      .importance = {.dt_bias = true},
                                      TOPW,
                                      .list_queries = 64};

static dmattn_status plan_mask(dmattn_context *context, dmattn_plan **plan)
{
    return dmattn_mask_plan(context, &mask, plan);
}

static dmattn_status check_mask(const dmattn_context *context, dmattn_support *support)
{
    return dmattn_mask_check(context, &mask, support);
}

static dmattn_status record_mask(const dmattn_plan *plan, VkCommandBuffer commands)
{
    const dmattn_mask_args args = {.v = AT(1),
                                   .dt_weight = AT(2),
                                   .a = AT(3),
                                   .dt_bias = AT(4),
                                   .importance = AT(5),
                                   .begin = AT(6),
                                   .end = AT(7),
                                   .lists = AT(8),
                                   .workspace = AT(9)};
    return dmattn_mask_record(plan, commands, &args);
}

static dmattn_status plan_dma(dmattn_context *context, dmattn_plan **plan)
{
    return dmattn_dma_plan(context, &dma, plan);
}

static dmattn_status check_dma(const dmattn_context *context, dmattn_support *support)
{
    return dmattn_dma_check(context, &dma, support);
}

static dmattn_status record_dma(const dmattn_plan *plan, VkCommandBuffer commands)
{
    const dmattn_dma_args args = {.q = AT(1),
                                  .k = AT(2),
                                  .v = AT(3),
                                  .out = AT(4),
                                  .lse = AT(5),
                                  .dt_weight = AT(6),
                                  .a = AT(7),
                                  .dt_bias = AT(8),
                                  .sink = AT(10),
                                  .workspace = AT(9)};
    return dmattn_dma_record(plan, commands, &args);
}

static dmattn_status plan_dma_backward(dmattn_context *context, dmattn_plan **plan)
{
    const dmattn_dma_backward_desc desc = {.dma = dma, .dlse = true};
    return dmattn_dma_backward_plan(context, &desc, plan);
}

static dmattn_status check_dma_backward(const dmattn_context *context, dmattn_support *support)
{
    const dmattn_dma_backward_desc desc = {.dma = dma, .dlse = true};
    return dmattn_dma_backward_check(context, &desc, support);
}

static dmattn_status record_dma_backward(const dmattn_plan *plan, VkCommandBuffer commands)
{
    const dmattn_dma_backward_args args = {.q = AT(1),
                                           .k = AT(2),
                                           .v = AT(3),
                                           .out = AT(4),
                                           .dout = AT(5),
                                           .lse = AT(6),
                                           .dt_weight = AT(7),
                                           .a = AT(8),
                                           .dt_bias = AT(9),
                                           .importance = AT(10),
                                           .begin = AT(11),
                                           .end = AT(12),
                                           .dq = AT(13),
                                           .dk = AT(14),
                                           .dv = AT(15),
                                           .dimportance = AT(16),
                                           .ddt_weight = AT(17),
                                           .da = AT(18),
                                           .ddt_bias = AT(19),
                                           .sink = AT(21),
                                           .dlse = AT(22),
                                           .dsink = AT(23),
                                           .workspace = AT(20)};
    return dmattn_dma_backward_record(plan, commands, &args);
}

/* ---- decoding ------------------------------------------------------------------------------------------------------
 */

#define STEP       \
    .attention = { \
        .type = DMATTN_TYPE_F16, .batch = 2, .queries = 3, .heads = 4, .kv_heads = 2, .head_dim = 64, .sink = true}

static const dmattn_decode_desc bounded = {STEP, TOPW, .rollback = 2, .chunk_tokens = 20};
static const dmattn_decode_desc paged = {STEP,
                                         .importance_given = true,
                                         .selection = {.causal = true},
                                         .cache = DMATTN_CACHE_PAGED,
                                         .page_size = 16,
                                         .pages = 4,
                                         .max_keys = 32};

static const dmattn_decode_desc paged_selected = {.attention = {.type = DMATTN_TYPE_F16,
                                                                .batch = 2,
                                                                .queries = 3,
                                                                .heads = 4,
                                                                .kv_heads = 2,
                                                                .head_dim = 64,
                                                                .mask = DMATTN_MASK_SELECTED,
                                                                .mask_shape = {.batch = 2},
                                                                .selected_count = 10},
                                                  .importance_given = true,
                                                  .selection = {.causal = true},
                                                  .cache = DMATTN_CACHE_PAGED,
                                                  .page_size = 16,
                                                  .pages = 4,
                                                  .max_keys = 32};

#define PLAN_DECODE(desc)                                                                     \
    static dmattn_status plan_##desc(dmattn_context *context, dmattn_plan **plan)             \
    {                                                                                         \
        return dmattn_decode_plan(context, &desc, plan);                                      \
    }                                                                                         \
    static dmattn_status check_##desc(const dmattn_context *context, dmattn_support *support) \
    {                                                                                         \
        return dmattn_decode_check(context, &desc, support);                                  \
    }
PLAN_DECODE(bounded)
PLAN_DECODE(paged)
PLAN_DECODE(paged_selected)

/* A prompt, a copy of it, and a step; with a bounded cache, also a chunk. */
static dmattn_status record_decode(const dmattn_plan *plan, VkCommandBuffer commands)
{
    const dmattn_buffer state = AT(1), pages = AT(2), table = AT(3);
    const dmattn_decode_fill_args fill = {.sequence = 1,
                                          .keys = 20,
                                          .k = AT(4),
                                          .v = AT(5),
                                          .importance = AT(6),
                                          .state = state,
                                          .pages = pages,
                                          .table = table};
    const dmattn_decode_args step = {.q = AT(7),
                                     .k = AT(8),
                                     .v = AT(9),
                                     .out = AT(10),
                                     .dt_weight = AT(11),
                                     .a = AT(12),
                                     .importance = AT(13),
                                     .counts = AT(14),
                                     .keep = AT(15),
                                     .sink = AT(17),
                                     .state = state,
                                     .pages = pages,
                                     .table = table,
                                     .selected = AT(18),
                                     .workspace = AT(16)};
    dmattn_status status = dmattn_decode_fill_record(plan, commands, &fill);
    if (!status)
        status = dmattn_decode_fork_record(plan, commands, &state, 1, 0);
    dmattn_cache_layout layout;
    if (!status)
        status = dmattn_decode_get_layout(plan, &layout);
    if (!status && layout.slots) {
        const dmattn_decode_chunk_args chunk = {.sequence = 1,
                                                .first = 23,
                                                .keys = 18,
                                                .q = AT(7),
                                                .k = AT(8),
                                                .v = AT(9),
                                                .out = AT(10),
                                                .dt_weight = AT(11),
                                                .a = AT(12),
                                                .sink = AT(17),
                                                .state = state,
                                                .workspace = AT(16)};
        status = dmattn_decode_chunk_record(plan, commands, &chunk);
    }
    return status ? status : dmattn_decode_record(plan, commands, &step);
}

/* ---- merging -----------------------------------------------------------------------------------------------------
 */

static const dmattn_merge_desc merge = {
    .type = DMATTN_TYPE_F16, .batch = 2, .queries = 70, .heads = 4, .value_dim = 64, .lse = true};

static dmattn_status plan_merge(dmattn_context *context, dmattn_plan **plan)
{
    return dmattn_merge_plan(context, &merge, plan);
}

static dmattn_status check_merge(const dmattn_context *context, dmattn_support *support)
{
    return dmattn_merge_check(context, &merge, support);
}

static dmattn_status record_merge(const dmattn_plan *plan, VkCommandBuffer commands)
{
    const dmattn_merge_args args = {
        .out_a = AT(1), .lse_a = AT(2), .out_b = AT(3), .lse_b = AT(4), .out = AT(5), .lse = AT(6)};
    return dmattn_merge_record(plan, commands, &args);
}

/* ---- selectors ---------------------------------------------------------------------------------------------------
 */

/* With so many keys, there are several rounds. */
static const dmattn_selector_desc indexer = {.type = DMATTN_TYPE_F16,
                                             .batch = 2,
                                             .queries = 1000,
                                             .keys = 100000,
                                             .heads = 4,
                                             .kv_heads = 1,
                                             .head_dim = 64,
                                             .relu = true,
                                             .weights = true,
                                             .count = 20,
                                             .causal = true,
                                             .counts = true};
static const dmattn_selector_desc pooled = {.type = DMATTN_TYPE_F32,
                                            .batch = 2,
                                            .queries = 70,
                                            .keys = 70,
                                            .heads = 4,
                                            .kv_heads = 2,
                                            .head_dim = 64,
                                            .block = 16,
                                            .count = 3,
                                            .recent = 1,
                                            .causal = true};

static const dmattn_selector_desc in_pages = {.type = DMATTN_TYPE_F16,
                                              .batch = 2,
                                              .queries = 3,
                                              .keys = 700,
                                              .heads = 4,
                                              .kv_heads = 1,
                                              .head_dim = 64,
                                              .count = 20,
                                              .page_size = 64,
                                              .pages = 22};

#define PLAN_SELECTOR(desc)                                                                   \
    static dmattn_status plan_##desc(dmattn_context *context, dmattn_plan **plan)             \
    {                                                                                         \
        return dmattn_selector_plan(context, &desc, plan);                                    \
    }                                                                                         \
    static dmattn_status check_##desc(const dmattn_context *context, dmattn_support *support) \
    {                                                                                         \
        return dmattn_selector_check(context, &desc, support);                                \
    }
PLAN_SELECTOR(indexer)
PLAN_SELECTOR(pooled)
PLAN_SELECTOR(in_pages)

static dmattn_status record_selector(const dmattn_plan *plan, VkCommandBuffer commands)
{
    const dmattn_selector_args args = {.q = AT(1),
                                       .k = AT(2),
                                       .weights = AT(3),
                                       .counts = AT(4),
                                       .selected = AT(5),
                                       .workspace = AT(6),
                                       .pages = AT(7),
                                       .table = AT(8)};
    return dmattn_selector_record(plan, commands, &args);
}

/* ---- block lists -------------------------------------------------------------------------------------------------
 */

static const dmattn_block_lists_desc rows = {
    .queries = 70, .keys = 70, .query_block = 8, .block = 16, .indices = 30, .bits = true};
static const dmattn_block_lists_desc map = {
    .form = DMATTN_BLOCK_FORM_MAP, .batch = 2, .queries = 70, .keys = 70, .query_block = 8, .block = 16};

#define PLAN_BLOCK_LISTS(desc)                                                                \
    static dmattn_status plan_##desc(dmattn_context *context, dmattn_plan **plan)             \
    {                                                                                         \
        return dmattn_block_lists_plan(context, &desc, plan);                                 \
    }                                                                                         \
    static dmattn_status check_##desc(const dmattn_context *context, dmattn_support *support) \
    {                                                                                         \
        return dmattn_block_lists_check(context, &desc, support);                             \
    }
PLAN_BLOCK_LISTS(rows)
PLAN_BLOCK_LISTS(map)

static dmattn_status record_block_lists(const dmattn_plan *plan, VkCommandBuffer commands)
{
    const dmattn_block_lists_args args = {
        .indptr = AT(1), .indices = AT(2), .bits = AT(3), .map = AT(4), .selected = AT(5)};
    return dmattn_block_lists_record(plan, commands, &args);
}

const operator_case operators[OPERATORS] = {
    {"attention, dense mask and bias", plan_dense, check_dense, record_attention},
    {"the same at the level portable", plan_portable, check_portable, record_attention},
    {"attention, intervals", plan_intervals, check_intervals, record_attention},
    {"attention, selected keys", plan_selected, check_selected, record_attention},
    {"attention with splits of the keys", plan_few_queries, check_few_queries, record_attention},
    {"attention in slices", plan_long_work, check_long_work, record_attention},
    {"gradients, dense mask and bias", plan_backward_dense, check_backward_dense, record_backward},
    {"gradients at the level portable", plan_backward_portable, check_backward_portable, record_backward},
    {"gradients, intervals", plan_backward_intervals, check_backward_intervals, record_backward},
    {"gradients, selected keys", plan_backward_selected, check_backward_selected, record_backward},
    {"a mask", plan_mask, check_mask, record_mask},
    {"dynamic mask attention", plan_dma, check_dma, record_dma},
    {"gradients of dynamic mask attention", plan_dma_backward, check_dma_backward, record_dma_backward},
    {"decoding, bounded cache", plan_bounded, check_bounded, record_decode},
    {"a merge", plan_merge, check_merge, record_merge},
    {"decoding, paged cache", plan_paged, check_paged, record_decode},
    {"decoding, selected keys", plan_paged_selected, check_paged_selected, record_decode},
    {"a selector of keys, in rounds", plan_indexer, check_indexer, record_selector},
    {"a selector of blocks", plan_pooled, check_pooled, record_selector},
    {"a selector of keys in pages", plan_in_pages, check_in_pages, record_selector},
    {"lists of block-sparse rows", plan_rows, check_rows, record_block_lists},
    {"lists of a map of blocks", plan_map, check_map, record_block_lists},
};
