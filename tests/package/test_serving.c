/* SPDX-License-Identifier: MIT
 * The tables of memory in docs/serving.md are those of the layouts that dmattn makes. */
#include "support/fake_vulkan.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

enum { LAYERS = 32, KV_HEADS = 8, DIM = 128, PAGE = 16, TOKENS = 4, K = 1024 };

typedef struct cache_row {
    const char *name;
    dmattn_format k_format, v_format;
    bool importance;
    uint32_t window, sliding; /* bounded: one of them */
} cache_row;

static const cache_row paged[] = {
    {"bf16", 0, 0, false, 0, 0},
    {"bf16, importance", 0, 0, true, 0, 0},
    {"int8 or e4m3", DMATTN_FORMAT_INT8, DMATTN_FORMAT_E4M3, false, 0, 0},
    {"q8_0", DMATTN_FORMAT_Q8_0, DMATTN_FORMAT_Q8_0, false, 0, 0},
    {"k q8_0, v q4_0", DMATTN_FORMAT_Q8_0, DMATTN_FORMAT_Q4_0, false, 0, 0},
    {"q4_0", DMATTN_FORMAT_Q4_0, DMATTN_FORMAT_Q4_0, false, 0, 0},
};

static const cache_row bounded[] = {
    {"sliding window of 4096, bf16", 0, 0, false, 0, 4096},
    {"sliding window of 4096, int8 or e4m3", DMATTN_FORMAT_E4M3, DMATTN_FORMAT_INT8, false, 0, 4096},
    {"1024 most important keys, bf16", 0, 0, true, 1024, 0},
    {"1024 most important keys, int8 or e4m3", DMATTN_FORMAT_INT8, DMATTN_FORMAT_INT8, true, 1024, 0},
};

static char page[1 << 16]; /* docs/serving.md */

static void read_page(void)
{
    FILE *file = fopen(SERVING_PAGE, "rb");
    cr_assert_not_null(file, "cannot open %s", SERVING_PAGE);
    const size_t length = fread(page, 1, sizeof page - 1, file);
    fclose(file);
    cr_assert(length > 0 && length < sizeof page - 1, "%s has %zu bytes", SERVING_PAGE, length);
    page[length] = 0;
    char *to = page; /* a clone may have lines that end in CR LF */
    for (const char *from = page; *from; from++)
        if (*from != '\r')
            *to++ = *from;
    *to = 0;
}

/* Expects that the table with this header, and a line of alignments, has exactly these lines. */
static void expect_table(const char *header, const char *lines)
{
    const char *found = strstr(page, header);
    cr_assert_not_null(found, "docs/serving.md has no table: %s", header);
    const char *table = found + strlen(header), *end = strstr(table, "\n\n");
    cr_assert_not_null(end);
    const size_t length = (size_t)(end + 1 - table);
    cr_expect(length == strlen(lines) && !memcmp(table, lines, length), "the table of docs/serving.md should be:\n%s%s",
              header, lines);
}

static uint64_t row_bytes(dmattn_format format)
{
    switch (format) {
    case DMATTN_FORMAT_INT8:
    case DMATTN_FORMAT_E4M3: return DIM + 4;
    case DMATTN_FORMAT_Q8_0: return 34 * DIM / 32;
    case DMATTN_FORMAT_Q4_0: return 18 * DIM / 32;
    default: return 2 * DIM;
    }
}

static dmattn_attention_desc sizes(const cache_row *row)
{
    return (dmattn_attention_desc){.type = DMATTN_TYPE_BF16,
                                   .k_format = row->k_format,
                                   .v_format = row->v_format,
                                   .batch = 2,
                                   .queries = TOKENS,
                                   .heads = 4 * KV_HEADS,
                                   .kv_heads = KV_HEADS,
                                   .head_dim = DIM};
}

static dmattn_cache_layout layout_of(dmattn_context *context, const cache_row *row)
{
    const bool is_bounded = row->window || row->sliding;
    const dmattn_decode_desc desc = {
        .attention = sizes(row),
        .importance_given = row->importance,
        .no_importance = !row->importance,
        .selection = {.select = row->window ? DMATTN_SELECT_TOPW_CAUSAL : DMATTN_SELECT_ALL,
                      .window = row->window,
                      .sliding = row->sliding,
                      .causal = true},
        .cache = is_bounded ? DMATTN_CACHE_BOUNDED : DMATTN_CACHE_PAGED,
        .rollback = is_bounded ? TOKENS : 0,
        .page_size = is_bounded ? 0 : PAGE,
        .pages = is_bounded ? 0 : 100,
        .max_keys = is_bounded ? 0 : 128 * K,
    };
    dmattn_plan *plan = NULL;
    dmattn_cache_layout layout;
    cr_assert_eq(dmattn_decode_plan(context, &desc, &plan), DMATTN_SUCCESS, "%s", row->name);
    cr_expect_eq(dmattn_decode_get_layout(plan, &layout), DMATTN_SUCCESS);
    dmattn_plan_destroy(plan);
    return layout;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static dmattn_context *make_context(fake_vulkan *vulkan)
{
    dmattn_context *context = NULL;
    fake_vulkan_init(vulkan);
    cr_assert_eq(dmattn_context_create(&vulkan->desc, &context), DMATTN_SUCCESS);
    return context;
}

Test(serving, paged_caches)
{
    fake_vulkan vulkan;
    dmattn_context *context = make_context(&vulkan);
    char lines[2048] = "";
    size_t used = 0;
    read_page();
    for (size_t i = 0; i < sizeof paged / sizeof *paged; i++) {
        const cache_row *row = &paged[i];
        const dmattn_cache_layout layout = layout_of(context, row);
        const uint64_t token = layout.page_size / PAGE, long_pages = 128 * K / PAGE;
        cr_expect_eq(token * PAGE, layout.page_size, "%s: a page has gaps", row->name);
        cr_expect_eq(token,
                     KV_HEADS * (row_bytes(row->k_format) + row_bytes(row->v_format) + (row->importance ? 4 : 0)));
        cr_expect_eq(layout.sequence_size, 48 * KV_HEADS);
        cr_expect_eq(layout.table_pages, long_pages);
        used +=
            (size_t)snprintf(lines + used, sizeof lines - used, "| %s | %u | %u | %.0f |\n", row->name, (unsigned)token,
                             (unsigned)(LAYERS * token / K), mib(LAYERS * layout.page_size * long_pages));
        cr_assert_lt(used, sizeof lines);
    }
    expect_table("| paged cache | bytes a token and layer | KiB a token, all layers | MiB for 128K tokens |\n"
                 "|---|--:|--:|--:|\n",
                 lines);
    dmattn_context_destroy(context);
}

Test(serving, bounded_caches)
{
    fake_vulkan vulkan;
    dmattn_context *context = make_context(&vulkan);
    char lines[2048] = "";
    size_t used = 0;
    read_page();
    for (size_t i = 0; i < sizeof bounded / sizeof *bounded; i++) {
        const cache_row *row = &bounded[i];
        const dmattn_cache_layout layout = layout_of(context, row);
        cr_expect_eq(layout.slots, (row->window + row->sliding + TOKENS + 15) / 16 * 16);
        cr_expect_eq(layout.sequence_size, 48 * KV_HEADS
                                               + (uint64_t)KV_HEADS * layout.slots
                                                     * (16 + row_bytes(row->k_format) + row_bytes(row->v_format)));
        used += (size_t)snprintf(lines + used, sizeof lines - used, "| %s | %u | %u | %.1f |\n", row->name,
                                 layout.slots, (unsigned)layout.sequence_size, mib(LAYERS * layout.sequence_size));
        cr_assert_lt(used, sizeof lines);
    }
    expect_table("| bounded cache | slots | bytes a sequence and layer | MiB a sequence, all layers |\n"
                 "|---|--:|--:|--:|\n",
                 lines);
    dmattn_context_destroy(context);
}

/* Attention over pages has rows of `type` of all keys in its workspace. */
Test(serving, workspace_of_prefill)
{
    fake_vulkan vulkan;
    dmattn_context *context = make_context(&vulkan);
    dmattn_attention_desc desc = sizes(&paged[2]);
    dmattn_support support;
    desc.batch = 4;
    desc.queries = 512;
    desc.keys = 32 * K;
    desc.causal = desc.counts = true;
    desc.page_size = PAGE;
    desc.pages = 100;
    cr_assert_eq(dmattn_attention_check(context, &desc, &support), DMATTN_SUCCESS, "%s", support.message);
    cr_expect_geq(support.workspace_size, UINT64_C(4) * 32 * K * KV_HEADS * 2 * DIM * 2);
    dmattn_context_destroy(context);
}
