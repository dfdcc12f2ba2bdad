/* SPDX-License-Identifier: MIT
 * Many plans that request no level: dimensions times types times options. */
#include "plans.h"

#include <dmattn/dmattn.h>

#include "tensor.h"

#include <stdio.h>
#include <string.h>

#define LENGTH(x) (sizeof(x) / sizeof *(x))

/* ---- attention and its gradients ------------------------------------------------------------------------------- */

static const struct dims {
    uint32_t head, value;
} dims[] = {{16, 16},   {32, 32},   {40, 72},   {64, 64},   {80, 80},   {96, 96},   {120, 120},
            {128, 128}, {136, 136}, {192, 128}, {192, 192}, {240, 240}, {256, 256}, {288, 288},
            {320, 320}, {416, 416}, {448, 448}, {512, 512}, {576, 512}};
static const dmattn_type types[] = {DMATTN_TYPE_F16, DMATTN_TYPE_BF16, DMATTN_TYPE_F32};

#define QUERIES 4096
#define KEYS    4096
#define MANY    .batch = 1, .queries = QUERIES, .keys = KEYS
#define GROUPS  MANY, .heads = 8, .kv_heads = 2
#define ONE     .batch = 1, .queries = 1, .keys = KEYS, .heads = 8, .kv_heads = 2
#define DENSE   .mask = DMATTN_MASK_DENSE, .mask_shape = {.heads = 8, .queries = QUERIES}
#define BIAS    .bias = true, .bias_shape = {.heads = 8, .queries = QUERIES}
#define RANGES  .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.heads = 2}
#define LISTS   .mask = DMATTN_MASK_SELECTED, .selected_count = 512, .mask_shape = {.heads = 2, .queries = QUERIES}

static const struct option {
    const char *name;
    bool odd_strides;
    dmattn_attention_desc desc; /* without type and dimensions */
} options[] = {
    {"all keys", false, {GROUPS}},
    {"causal, lse", false, {GROUPS, .causal = true, .lse = true}},
    {"dense mask", false, {GROUPS, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = QUERIES}}},
    {"additive mask", false, {GROUPS, .mask = DMATTN_MASK_ADDITIVE, .bias_shape = {.queries = QUERIES}}},
    {"additive mask, slopes",
     false,
     {GROUPS, .mask = DMATTN_MASK_ADDITIVE, .bias_shape = {.heads = 8, .queries = QUERIES}, .slopes = true}},
    {"intervals", false, {GROUPS, RANGES, .bias = true, .bias_shape = {.heads = 2}}},
    {"intervals, bias for each head", false, {GROUPS, RANGES, .bias = true, .bias_shape = {.heads = 8}}},
    {"selected keys", false, {GROUPS, LISTS}},
    {"selected blocks, few shared",
     false,
     {GROUPS, LISTS, .selected_block = 64, .selected_queries = 1, .causal = true}},
    {"counts", false, {GROUPS, .counts = true, .causal = true}},
    {"slopes, sink, q and out in f32",
     false,
     {GROUPS, .causal = true, .slopes = true, .sink = true, .q_f32 = true, .out_f32 = true}},
    {"a kv head for each head", false, {MANY, .heads = 8}},
    {"groups of 3, other lengths", false, {.batch = 2, .queries = 777, .keys = 1999, .heads = 6, .kv_heads = 2}},
    {"groups of 16", false, {MANY, .heads = 16, .kv_heads = 1, .causal = true}},
    {"odd strides", true, {GROUPS}},
    {"odd strides, intervals", true, {GROUPS, RANGES}},
    {"lengths", false, {GROUPS, .causal = true, .lengths = true}},
    {"all options", false, {GROUPS, DENSE, BIAS, .soft_cap = 20, .causal = true, .lse = true}},
    {"all options, odd strides", true, {GROUPS, DENSE, BIAS, .soft_cap = 20, .causal = true, .lse = true}},
    {"one query", false, {ONE}},
    {"one query, dense mask, bias, cap",
     false,
     {ONE, .mask = DMATTN_MASK_DENSE, .bias = true, .bias_shape = {.heads = 8}, .soft_cap = 20}},
};

static dmattn_strides odd(uint32_t heads, uint32_t dim)
{
    return (dmattn_strides){.sequence = heads * (dim + 1), .head = dim + 1};
}

static dmattn_attention_desc attention_desc(const struct option *option, const struct dims *dim, dmattn_type type)
{
    dmattn_attention_desc d = option->desc;
    d.type = type;
    d.head_dim = dim->head;
    d.value_dim = dim->value;
    if (option->odd_strides) {
        d.q_strides = odd(d.heads, d.head_dim);
        d.k_strides = odd(d.kv_heads, d.head_dim);
        d.v_strides = odd(d.kv_heads, d.value_dim);
        d.out_strides = odd(d.heads, d.value_dim);
    }
    return d;
}

/* What no kernel supports, such as gradients with lengths, is left out. */
static void end(const plan_listener *listener, dmattn_status status, dmattn_plan *plan)
{
    dmattn_plan_destroy(plan);
    listener->end(listener->user, status == DMATTN_ERROR_UNSUPPORTED ? DMATTN_SUCCESS : status);
}

static void attention(dmattn_context *context, bool backward, const char *part, const plan_listener *listener)
{
    for (size_t o = 0; o < LENGTH(options); o++)
        for (size_t n = 0; n < LENGTH(dims); n++)
            for (size_t t = 0; t < LENGTH(types); t++) {
                const dmattn_attention_desc desc = attention_desc(&options[o], &dims[n], types[t]);
                if (backward && desc.counts)
                    continue;
                char name[PLAN_NAME_SIZE];
                dmattn_plan *plan;
                snprintf(name, sizeof name, "%s, %s, %u and %u, %s", backward ? "backward" : "forward",
                         dmattn_type_string(types[t]), dims[n].head, dims[n].value, options[o].name);
                if (!strstr(name, part))
                    continue;
                listener->begin(listener->user, name);
                const dmattn_status status = backward ? dmattn_attention_backward_plan(
                                                 context, &(dmattn_attention_backward_desc){.attention = desc}, &plan)
                                                      : dmattn_attention_plan(context, &desc, &plan);
                end(listener, status, plan);
            }
}

/* ---- decoding -------------------------------------------------------------------------------------------------- */

static const uint32_t decode_dims[] = {32, 64, 80, 96, 120, 128, 192, 256};

#define BOUNDED .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 512, .causal = true}, .rollback = 4
#define PAGED   .selection = {.causal = true}, .cache = DMATTN_CACHE_PAGED, .page_size = 64, .pages = 64, .max_keys = 4096

static const struct step {
    const char *name;
    dmattn_decode_desc desc; /* without type and dimensions */
} steps[] = {
    {"1 token", {.attention = {.batch = 1, .queries = 1, .heads = 8, .kv_heads = 2}, BOUNDED}},
    {"8 sequences, 8 kv heads", {.attention = {.batch = 8, .queries = 1, .heads = 8, .kv_heads = 8}, BOUNDED}},
    {"4 tokens, groups of 4", {.attention = {.batch = 1, .queries = 4, .heads = 8, .kv_heads = 2}, BOUNDED}},
    {"16 tokens", {.attention = {.batch = 2, .queries = 16, .heads = 8, .kv_heads = 2, .lse = true}, BOUNDED}},
    {"a tree of 16 tokens",
     {.attention = {.batch = 1,
                    .queries = 16,
                    .heads = 8,
                    .kv_heads = 2,
                    .mask = DMATTN_MASK_DENSE,
                    .mask_shape = {.queries = 16}},
      BOUNDED}},
    {"pages, 1 token", {.attention = {.batch = 1, .queries = 1, .heads = 8, .kv_heads = 2}, PAGED}},
    {"pages, 8 sequences, 8 kv heads",
     {.attention = {.batch = 8, .queries = 1, .heads = 8, .kv_heads = 8}, PAGED, .no_importance = true}},
    {"pages, 16 tokens, all options",
     {.attention = {.batch = 8,
                    .queries = 16,
                    .heads = 8,
                    .kv_heads = 2,
                    .mask = DMATTN_MASK_DENSE,
                    .bias = true,
                    .slopes = true,
                    .sink = true,
                    .soft_cap = 20,
                    .q_f32 = true,
                    .out_f32 = true},
      PAGED,
      .no_importance = true}},
    {"pages, selected keys",
     {.attention = {.batch = 8,
                    .queries = 2,
                    .heads = 8,
                    .kv_heads = 2,
                    .mask = DMATTN_MASK_SELECTED,
                    .selected_count = 512,
                    .mask_shape = {.heads = 2, .queries = 2}},
      PAGED,
      .no_importance = true}},
};

static const struct formats {
    const char *name;
    dmattn_format k, v;
} formats[] = {
    {"", 0, 0},
    {", int8", DMATTN_FORMAT_INT8, DMATTN_FORMAT_INT8},
    {", e4m3", DMATTN_FORMAT_E4M3, DMATTN_FORMAT_E4M3},
    {", q8_0 and q4_0", DMATTN_FORMAT_Q8_0, DMATTN_FORMAT_Q4_0},
};

static void decoding(dmattn_context *context, const char *part, const plan_listener *listener)
{
    for (size_t s = 0; s < LENGTH(steps); s++)
        for (size_t f = 0; f < LENGTH(formats); f++)
            for (size_t n = 0; n < LENGTH(decode_dims); n++)
                for (size_t t = 0; t < LENGTH(types); t++) {
                    dmattn_decode_desc desc = steps[s].desc;
                    char name[PLAN_NAME_SIZE];
                    dmattn_plan *plan;
                    desc.attention.type = types[t];
                    desc.attention.head_dim = decode_dims[n];
                    desc.attention.k_format = formats[f].k;
                    desc.attention.v_format = formats[f].v;
                    if (formats[f].k == DMATTN_FORMAT_Q8_0 && decode_dims[n] % 32)
                        continue;
                    snprintf(name, sizeof name, "decoding, %s, %u, %s%s", dmattn_type_string(types[t]), decode_dims[n],
                             steps[s].name, formats[f].name);
                    if (!strstr(name, part))
                        continue;
                    listener->begin(listener->user, name);
                    const dmattn_status status = dmattn_decode_plan(context, &desc, &plan);
                    end(listener, status, plan);
                }
}

/* ---- selectors ------------------------------------------------------------------------------------------------- */

static const uint32_t selector_dims[] = {16, 32, 64, 80, 96, 112, 128, 192, 256, 320, 576};

#define INDEXER .batch = 1, .keys = 32768, .heads = 64, .kv_heads = 1, .relu = true, .weights = true, .count = 2048
#define BLOCKS  GROUPS, .block = 64, .count = 16, .first = 1, .recent = 2, .causal = true

static const struct selector {
    const char *name;
    bool odd_strides;
    dmattn_selector_desc desc; /* without type and dimension */
} selectors[] = {
    {"indexer", false, {INDEXER, .queries = 4096, .causal = true}},
    {"indexer, one query", false, {INDEXER, .queries = 1}},
    {"indexer, 4 queries, pages", false, {INDEXER, .queries = 4, .causal = true, .page_size = 64, .pages = 512}},
    {"indexer, pages", false, {INDEXER, .queries = 4096, .causal = true, .page_size = 64, .pages = 512}},
    {"indexer, odd strides", true, {INDEXER, .queries = 4096, .causal = true, .lengths = true}},
    {"blocks", false, {BLOCKS}},
    {"blocks of each head, counts", false, {BLOCKS, .list_heads = 8, .counts = true}},
};

static void selection(dmattn_context *context, const char *part, const plan_listener *listener)
{
    for (size_t s = 0; s < LENGTH(selectors); s++)
        for (size_t n = 0; n < LENGTH(selector_dims); n++)
            for (size_t t = 0; t < LENGTH(types); t++) {
                dmattn_selector_desc desc = selectors[s].desc;
                char name[PLAN_NAME_SIZE];
                dmattn_plan *plan;
                desc.type = types[t];
                desc.head_dim = selector_dims[n];
                if (selectors[s].odd_strides) {
                    desc.q_strides = odd(desc.heads, desc.head_dim);
                    desc.k_strides = odd(desc.kv_heads, desc.head_dim);
                }
                snprintf(name, sizeof name, "selector, %s, %u, %s", dmattn_type_string(types[t]), selector_dims[n],
                         selectors[s].name);
                if (!strstr(name, part))
                    continue;
                listener->begin(listener->user, name);
                const dmattn_status status = dmattn_selector_plan(context, &desc, &plan);
                end(listener, status, plan);
            }
}

bool make_sweep(dmattn_context *context, const char *pass, const char *part, const plan_listener *listener)
{
    if (!strcmp(pass, "forward"))
        attention(context, false, part, listener);
    else if (!strcmp(pass, "backward"))
        attention(context, true, part, listener);
    else if (!strcmp(pass, "decoding"))
        decoding(context, part, listener);
    else if (!strcmp(pass, "selector"))
        selection(context, part, listener);
    else
        return false;
    return true;
}
