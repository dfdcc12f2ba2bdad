/* SPDX-License-Identifier: MIT */
#include "plans.h"

#include <dmattn/dmattn.h>

#include "tensor.h"

#include <stdio.h>

/* ---- tables ---------------------------------------------------------------------------------------------------- */

#define SIZES .batch = 1, .queries = 4096, .keys = 4096, .heads = 8, .kv_heads = 2
/* Rows of 129 elements, so that most do not begin at a multiple of 16 bytes. */
#define ODD_QUERIES .batch = 4096 * 1032, .sequence = 1032, .head = 129
#define ODD_KEYS    .batch = 4096 * 258, .sequence = 258, .head = 129
#define TOPW        .select = DMATTN_SELECT_TOPW_CAUSAL, .window = 512, .causal = true

typedef struct attention_case {
    const char *name;
    bool few; /* among the few plans, in f16 */
    dmattn_attention_desc desc;
} attention_case;

/* Each row is used with every type and several head dimensions. */
static const attention_case masks[] = {
    {"all keys", true, {SIZES}},
    {"causal", false, {SIZES, .causal = true}},
    {"dense mask", false, {SIZES, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = 4096}}},
    {"intervals",
     false,
     {SIZES, .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.heads = 2}, .bias = true, .bias_shape = {.heads = 2}}},
};

/* Each row is used with every type. */
static const attention_case specials[] = {
    {"128, one query", true, {.batch = 1, .queries = 1, .keys = 4096, .heads = 8, .kv_heads = 2, .head_dim = 128}},
    {"128, odd strides",
     false,
     {SIZES, .head_dim = 128, .q_strides = {ODD_QUERIES}, .k_strides = {ODD_KEYS}, .v_strides = {ODD_KEYS},
      .out_strides = {ODD_QUERIES}}},
    {"128, all options",
     false,
     {SIZES, .head_dim = 128, .soft_cap = 20, .causal = true, .lse = true, .mask = DMATTN_MASK_DENSE,
      .mask_shape = {.heads = 8, .queries = 4096}, .bias = true, .bias_shape = {.heads = 8, .queries = 4096}}},
    {"40 and 72, causal", false, {SIZES, .head_dim = 40, .value_dim = 72, .causal = true}},
};

/* Other dimensions, and options that need registers. Each row is used once, forward and for gradients, without a level.
 */
#define DENSE(h)     .mask = DMATTN_MASK_DENSE, .mask_shape = {.heads = (h), .queries = 4096}
#define BIAS(h)      .bias = true, .bias_shape = {.heads = (h), .queries = 4096}
#define INTERVALS    .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.heads = 2}, .bias = true, .bias_shape = {.heads = 2}
#define SELECTED     .mask = DMATTN_MASK_SELECTED, .selected_count = 512, .mask_shape = {.heads = 2, .queries = 4096}
#define PACKED_PAGES .counts = true, .total_queries = 2048, .total_keys = 32768, .page_size = 16, .pages = 4096
#define ALL_OPTIONS  .soft_cap = 20, .causal = true, .lse = true, DENSE(8), BIAS(8)
#define ONE_QUERY    .batch = 1, .queries = 1, .keys = 4096, .heads = 8, .kv_heads = 2
#define F16(dim)     .type = DMATTN_TYPE_F16, .head_dim = (dim)
#define BF16(dim)    .type = DMATTN_TYPE_BF16, .head_dim = (dim)
#define F32(dim)     .type = DMATTN_TYPE_F32, .head_dim = (dim)
#define ODD(heads, dim)                                      \
    {                                                        \
        .sequence = (heads) * ((dim) + 1), .head = (dim) + 1 \
    }

static const attention_case shapes[] = {
    {"f16, 16, all keys", true, {SIZES, F16(16)}},
    {"f16, 16, all options", false, {SIZES, F16(16), ALL_OPTIONS}},
    {"f16, 32, all keys", true, {SIZES, F16(32)}},
    {"f16, 32, dense mask", false, {SIZES, F16(32), DENSE(1)}},
    {"f16, 32, one query, intervals", false, {ONE_QUERY, F16(32), INTERVALS}},
    {"f32, 32, odd strides",
     false,
     {SIZES, F32(32), .q_strides = ODD(8, 32), .k_strides = ODD(2, 32), .v_strides = ODD(2, 32),
      .out_strides = ODD(8, 32)}},
    {"f16, 40 and 72, intervals", false, {SIZES, F16(40), .value_dim = 72, INTERVALS}},
    {"f16, 64, one query", true, {ONE_QUERY, F16(64)}},
    {"f16, 64, all options", true, {SIZES, F16(64), ALL_OPTIONS}},
    {"f16, 64, intervals, bias for each head",
     false,
     {SIZES, F16(64), .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.heads = 2}, .bias = true,
      .bias_shape = {.heads = 8}}},
    {"f16, 64, slopes, f32 outside",
     false,
     {SIZES, F16(64), .causal = true, .slopes = true, .q_f32 = true, .out_f32 = true}},
    {"f16, 64, causal, lse", true, {SIZES, F16(64), .causal = true, .lse = true}},
    {"f32, 64, a kv head for each head", false, {.batch = 1, .queries = 4096, .keys = 4096, .heads = 8, F32(64)}},
    {"bf16, 80, all options", false, {SIZES, BF16(80), ALL_OPTIONS}},
    {"f32, 80, dense mask", false, {SIZES, F32(80), DENSE(1)}},
    {"f32, 80, all options, odd strides",
     false,
     {SIZES, F32(80), .q_strides = ODD(8, 80), .k_strides = ODD(2, 80), .v_strides = ODD(2, 80),
      .out_strides = ODD(8, 80), ALL_OPTIONS}},
    {"bf16, 128, one query, additive mask, slopes",
     false,
     {ONE_QUERY, BF16(128), .mask = DMATTN_MASK_ADDITIVE, .slopes = true, .sink = true, .soft_cap = 20}},
    {"f16, 128, additive mask", true, {SIZES, F16(128), .mask = DMATTN_MASK_ADDITIVE, .bias_shape = {.queries = 4096}}},
    {"f32, 64, additive mask", false, {SIZES, F32(64), .mask = DMATTN_MASK_ADDITIVE, .bias_shape = {.queries = 4096}}},
    {"f16, 192, intervals", true, {SIZES, F16(192), INTERVALS}},
    {"f32, 192, one query, intervals", false, {ONE_QUERY, F32(192), INTERVALS}},
    {"bf16, 128, selected keys", true, {SIZES, BF16(128), SELECTED}},
    {"f32, 64, selected keys", false, {SIZES, F32(64), SELECTED}},
    {"f16, 64, packed items, pages",
     true,
     {.batch = 16, .queries = 512, .keys = 8192, .heads = 8, .kv_heads = 2, F16(64), .causal = true, PACKED_PAGES}},
    {"f16, 192, selected blocks, few shared",
     false,
     {SIZES, F16(192), SELECTED, .selected_block = 64, .selected_queries = 1, .causal = true}},
    {"bf16, 288, all keys", false, {SIZES, BF16(288)}},
    {"f16, 576 and 512, selected keys", false, {SIZES, F16(576), .value_dim = 512, SELECTED}},
    {"f16, 256, additive mask, slopes",
     false,
     {SIZES, F16(256), .mask = DMATTN_MASK_ADDITIVE, .bias_shape = {.heads = 8, .queries = 4096}, .slopes = true}},
};

typedef struct mask_plan {
    const char *name;
    bool few;
    dmattn_mask_desc desc;
} mask_plan;

#define MASK_SIZES .batch = 1, .queries = 4096, .keys = 4096, .kv_heads = 2, .value_dim = 128, .list_queries = 16

static const mask_plan mask_plans[] = {
    {"mask, f16", true, {MASK_SIZES, .type = DMATTN_TYPE_F16, .selection = {TOPW}}},
    {"mask, bf16", false, {MASK_SIZES, .type = DMATTN_TYPE_BF16, .selection = {TOPW}}},
    {"mask, f32", false, {MASK_SIZES, .type = DMATTN_TYPE_F32, .selection = {TOPW}}},
    {"mask, all options",
     false,
     {MASK_SIZES, .type = DMATTN_TYPE_F16, .importance = {.dt_bias = true},
      .selection = {TOPW, .sinks = 4, .recent = 64, .sliding = 2048, .key_valid = true, .documents = 3}}},
    {"mask, the same keys for all",
     false,
     {MASK_SIZES, .type = DMATTN_TYPE_F16, .selection = {.select = DMATTN_SELECT_TOPW_SHARED, .window = 512}}},
    {"mask, threshold",
     false,
     {MASK_SIZES, .type = DMATTN_TYPE_F16,
      .selection = {.select = DMATTN_SELECT_THRESHOLD, .threshold = 0.5f, .causal = true}}},
};

static const dmattn_dma_desc dma = {.attention = {SIZES, .type = DMATTN_TYPE_F16, .head_dim = 128},
                                    .selection = {TOPW}};

typedef struct decode_plan {
    const char *name;
    bool few;
    dmattn_decode_desc desc;
} decode_plan;

#define STEP(of, t, dim) \
    .type = (of), .batch = 1, .queries = (t), .heads = 8, .kv_heads = 2, .head_dim = (dim), .lse = true
#define PAGES .cache = DMATTN_CACHE_PAGED, .page_size = 64, .pages = 64, .max_keys = 4096

static const decode_plan decode_plans[] = {
    {"decoding, f16, 128", true, {.attention = {STEP(DMATTN_TYPE_F16, 1, 128)}, .selection = {TOPW}, .rollback = 4}},
    {"decoding, f16, 128, chunks",
     true,
     {.attention = {STEP(DMATTN_TYPE_F16, 1, 128)}, .selection = {TOPW}, .rollback = 4, .chunk_tokens = 2048}},
    {"decoding, f16, 128, chunks, int8 and q4_0",
     false,
     {.attention = {STEP(DMATTN_TYPE_F16, 1, 128), .k_format = DMATTN_FORMAT_INT8, .v_format = DMATTN_FORMAT_Q4_0},
      .selection = {TOPW},
      .chunk_tokens = 2048}},
    {"decoding, bf16, 128, 16 tokens", false, {.attention = {STEP(DMATTN_TYPE_BF16, 16, 128)}, .selection = {TOPW}}},
    {"decoding, f16, 128, a tree of 16 tokens",
     false,
     {.attention = {STEP(DMATTN_TYPE_F16, 16, 128), .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = 16}},
      .selection = {TOPW},
      .rollback = 16}},
    {"decoding, f32, 256", false, {.attention = {STEP(DMATTN_TYPE_F32, 2, 256)}, .selection = {TOPW}}},
    {"decoding, f16, 64, pages",
     true,
     {.attention = {STEP(DMATTN_TYPE_F16, 1, 64)}, .selection = {.causal = true}, PAGES}},
    {"decoding, f16, 256, pages, mask",
     false,
     {.attention = {STEP(DMATTN_TYPE_F16, 4, 256), .mask = DMATTN_MASK_DENSE},
      .no_importance = true,
      .selection = {.causal = true},
      PAGES}},
    {"decoding, f16, 32, pages",
     false,
     {.attention = {STEP(DMATTN_TYPE_F16, 1, 32)}, .selection = {.causal = true}, PAGES}},
    {"decoding, f16, 80, pages, 16 tokens, all options",
     false,
     {.attention = {STEP(DMATTN_TYPE_F16, 16, 80), .mask = DMATTN_MASK_DENSE, .bias = true, .slopes = true,
                    .sink = true, .soft_cap = 20, .q_f32 = true, .out_f32 = true},
      .no_importance = true,
      .selection = {.causal = true},
      PAGES}},
    {"decoding, f16, 128, int8 pages",
     true,
     {.attention = {STEP(DMATTN_TYPE_F16, 1, 128), .k_format = DMATTN_FORMAT_INT8, .v_format = DMATTN_FORMAT_INT8},
      .selection = {.causal = true},
      PAGES}},
    {"decoding, f16, 256, int8 and e4m3, 16 tokens",
     false,
     {.attention = {STEP(DMATTN_TYPE_F16, 16, 256), .k_format = DMATTN_FORMAT_INT8, .v_format = DMATTN_FORMAT_E4M3},
      .selection = {TOPW}}},
    {"decoding, bf16, 128, e4m3",
     false,
     {.attention = {STEP(DMATTN_TYPE_BF16, 1, 128), .k_format = DMATTN_FORMAT_E4M3, .v_format = DMATTN_FORMAT_E4M3},
      .selection = {TOPW}}},
    {"decoding, f32, 64, q8_0",
     false,
     {.attention = {STEP(DMATTN_TYPE_F32, 2, 64), .k_format = DMATTN_FORMAT_Q8_0, .v_format = DMATTN_FORMAT_Q8_0},
      .selection = {TOPW}}},
    {"decoding, f16, 128, q8_0 and q4_0 pages",
     false,
     {.attention = {STEP(DMATTN_TYPE_F16, 4, 128), .k_format = DMATTN_FORMAT_Q8_0, .v_format = DMATTN_FORMAT_Q4_0},
      .no_importance = true,
      .selection = {.causal = true},
      PAGES}},
    {"decoding, f16, 96, q4_0 pages",
     false,
     {.attention = {STEP(DMATTN_TYPE_F16, 1, 96), .k_format = DMATTN_FORMAT_Q4_0, .v_format = DMATTN_FORMAT_Q4_0},
      .selection = {.causal = true},
      PAGES}},
    {"decoding, f16, 192, pages",
     true,
     {.attention = {STEP(DMATTN_TYPE_F16, 1, 192)}, .selection = {.causal = true}, PAGES}},
    {"decoding, f16, 256, 8 sequences",
     true,
     {.attention = {.type = DMATTN_TYPE_F16, .batch = 8, .queries = 1, .heads = 8, .kv_heads = 8, .head_dim = 256},
      .selection = {TOPW}}},
    {"decoding, bf16, 128, 8 sequences, q8_0 and q4_0",
     false,
     {.attention = {.type = DMATTN_TYPE_BF16,
                    .batch = 8,
                    .queries = 1,
                    .heads = 8,
                    .kv_heads = 8,
                    .head_dim = 128,
                    .k_format = DMATTN_FORMAT_Q8_0,
                    .v_format = DMATTN_FORMAT_Q4_0},
      .selection = {TOPW}}},
    {"decoding, f32, 64, 8 sequences",
     false,
     {.attention = {.type = DMATTN_TYPE_F32, .batch = 8, .queries = 1, .heads = 8, .kv_heads = 8, .head_dim = 64},
      .selection = {TOPW}}},
};

typedef struct selector_plan {
    const char *name;
    bool few;
    dmattn_selector_desc desc;
} selector_plan;

#define INDEXER(of, h, dim)                                                                                   \
    .type = (of), .batch = 1, .queries = 4096, .keys = 32768, .heads = (h), .kv_heads = 1, .head_dim = (dim), \
    .relu = true, .weights = true, .count = 2048, .causal = true

static const selector_plan selector_plans[] = {
    {"selector, f16, 64", true, {INDEXER(DMATTN_TYPE_F16, 32, 64)}},
    {"selector, bf16, 128", false, {INDEXER(DMATTN_TYPE_BF16, 64, 128)}},
    {"selector, f16, 64, pages", true, {INDEXER(DMATTN_TYPE_F16, 32, 64), .page_size = 64, .pages = 512}},
    {"selector, f16, 64, portable", true, {INDEXER(DMATTN_TYPE_F16, 32, 64), .max_level = DMATTN_LEVEL_PORTABLE}},
    {"selector, f32, 128, odd strides",
     false,
     {INDEXER(DMATTN_TYPE_F32, 8, 128), .q_strides = {ODD_QUERIES}, .k_strides = {.sequence = 129, .head = 129}}},
    {"selector, f16, 128, blocks",
     false,
     {SIZES, F16(128), .block = 64, .count = 16, .recent = 2, .first = 1, .causal = true, .counts = true}},
    {"selector, f32, 128, blocks in pages",
     false,
     {SIZES, F32(128), .block = 64, .count = 16, .recent = 2, .causal = true, .page_size = 64, .pages = 512}},
    {"selector, f32, 128, pages", false, {INDEXER(DMATTN_TYPE_F32, 8, 128), .page_size = 64, .pages = 512}},
    {"selector, bf16, 128, one query",
     false,
     {.type = DMATTN_TYPE_BF16,
      .batch = 1,
      .queries = 1,
      .keys = 32768,
      .heads = 64,
      .kv_heads = 1,
      .head_dim = 128,
      .relu = true,
      .weights = true,
      .count = 2048}},
};

static const dmattn_block_lists_desc rows_of_blocks = {
    .queries = 4096, .keys = 4096, .query_block = 64, .block = 64, .indices = 1000, .bits = true, .count = 1024};
static const dmattn_block_lists_desc map_of_blocks = {
    .form = DMATTN_BLOCK_FORM_MAP, .queries = 4096, .keys = 4096, .query_block = 64, .block = 64};

/* ---- plans ----------------------------------------------------------------------------------------------------- */

typedef struct maker {
    dmattn_context *context;
    dmattn_level best;
    bool few;
    const plan_listener *listener;
} maker;

static void end(const maker *m, dmattn_status status, dmattn_plan *plan)
{
    dmattn_plan_destroy(plan);
    m->listener->end(m->listener->user, status);
}

static dmattn_status plan_pass(const maker *m, bool backward, const dmattn_attention_desc *desc, dmattn_plan **plan)
{
    return backward
               ? dmattn_attention_backward_plan(m->context, &(dmattn_attention_backward_desc){.attention = *desc}, plan)
               : dmattn_attention_plan(m->context, desc, plan);
}

/* Makes plans at each level of the device. */
static void attention(const maker *m, bool backward, dmattn_attention_desc desc, const char *name)
{
    for (desc.level = DMATTN_LEVEL_PORTABLE; desc.level <= m->best; desc.level++) {
        char text[PLAN_NAME_SIZE];
        dmattn_plan *plan;
        snprintf(text, sizeof text, "%s, %s, %s, %s", backward ? "backward" : "forward",
                 dmattn_level_string(desc.level), dmattn_type_string(desc.type), name);
        m->listener->begin(m->listener->user, text);
        const dmattn_status status = plan_pass(m, backward, &desc, &plan);
        end(m, status == DMATTN_ERROR_UNSUPPORTED && desc.level > DMATTN_LEVEL_PORTABLE ? DMATTN_SUCCESS : status,
            plan);
    }
}

/* Forward, the few plans have each type at 128; the other kernels differ in a conversion only. */
static bool is_few(const attention_case *c, dmattn_type type, bool backward, uint32_t head_dim)
{
    return c->few && (type == DMATTN_TYPE_F16 || (!backward && c == masks && head_dim == 128));
}

static void attention_plans(const maker *m, bool backward)
{
    static const dmattn_type types[] = {DMATTN_TYPE_F16, DMATTN_TYPE_BF16, DMATTN_TYPE_F32};
    static const uint32_t dims[] = {64, 128, 256};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        dmattn_attention_desc desc;
        for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
            for (size_t c = 0; c < sizeof masks / sizeof *masks; c++) {
                char name[PLAN_NAME_SIZE];
                if (is_few(&masks[c], types[i], backward, dims[d]) != m->few)
                    continue;
                desc = masks[c].desc;
                desc.type = types[i];
                desc.head_dim = dims[d];
                snprintf(name, sizeof name, "%u, %s", dims[d], masks[c].name);
                attention(m, backward, desc, name);
            }
        for (size_t c = 0; c < sizeof specials / sizeof *specials; c++) {
            if (is_few(&specials[c], types[i], backward, specials[c].desc.head_dim) != m->few)
                continue;
            desc = specials[c].desc;
            desc.type = types[i];
            attention(m, backward, desc, specials[c].name);
        }
    }
}

/* Whether the gradients of a shape are planned, too. */
static bool has_gradients(const dmattn_attention_desc *d)
{
    return d->queries > 1 && !d->q_f32 && !d->counts;
}

static void shape_plans(const maker *m)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int backward = 0; backward < (has_gradients(&shapes[i].desc) ? 2 : 1); backward++) {
            if (shapes[i].few != m->few)
                continue;
            char text[PLAN_NAME_SIZE];
            dmattn_plan *plan;
            snprintf(text, sizeof text, "%s, %s", backward ? "backward" : "forward", shapes[i].name);
            m->listener->begin(m->listener->user, text);
            const dmattn_status status = plan_pass(m, backward, &shapes[i].desc, &plan);
            end(m, status, plan);
        }
}

static void mask_and_dma_plans(const maker *m)
{
    dmattn_plan *plan;
    for (size_t i = 0; i < sizeof mask_plans / sizeof *mask_plans; i++)
        if (mask_plans[i].few == m->few) {
            m->listener->begin(m->listener->user, mask_plans[i].name);
            const dmattn_status status = dmattn_mask_plan(m->context, &mask_plans[i].desc, &plan);
            end(m, status, plan);
        }
    if (!m->few)
        return;
    m->listener->begin(m->listener->user, "dynamic mask attention, f16, 128");
    dmattn_status status = dmattn_dma_plan(m->context, &dma, &plan);
    end(m, status, plan);
    m->listener->begin(m->listener->user, "dynamic mask attention, f16, 128, gradients");
    status = dmattn_dma_backward_plan(m->context, &(dmattn_dma_backward_desc){.dma = dma}, &plan);
    end(m, status, plan);
}

static void decoding_plans(const maker *m)
{
    dmattn_plan *plan;
    for (size_t i = 0; i < sizeof decode_plans / sizeof *decode_plans; i++)
        if (decode_plans[i].few == m->few) {
            m->listener->begin(m->listener->user, decode_plans[i].name);
            const dmattn_status status = dmattn_decode_plan(m->context, &decode_plans[i].desc, &plan);
            end(m, status, plan);
        }
}

static void list_plans(const maker *m)
{
    dmattn_plan *plan;
    for (size_t i = 0; i < sizeof selector_plans / sizeof *selector_plans; i++)
        if (selector_plans[i].few == m->few) {
            m->listener->begin(m->listener->user, selector_plans[i].name);
            const dmattn_status status = dmattn_selector_plan(m->context, &selector_plans[i].desc, &plan);
            end(m, status, plan);
        }
    if (m->few)
        return;
    m->listener->begin(m->listener->user, "lists of block-sparse rows");
    dmattn_status status = dmattn_block_lists_plan(m->context, &rows_of_blocks, &plan);
    end(m, status, plan);
    m->listener->begin(m->listener->user, "lists of a map of blocks");
    status = dmattn_block_lists_plan(m->context, &map_of_blocks, &plan);
    end(m, status, plan);
}

void make_plans(dmattn_context *context, dmattn_level best, bool few, const plan_listener *listener)
{
    const maker m = {context, best, few, listener};
    attention_plans(&m, false);
    attention_plans(&m, true);
    shape_plans(&m);
    mask_and_dma_plans(&m);
    decoding_plans(&m);
    list_plans(&m);
}
