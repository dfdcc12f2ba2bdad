/* SPDX-License-Identifier: MIT
 * Attention reads the pages that decoding wrote: prompts are filled into a paged cache, and attention over its pages
 * gives the same bits as attention to the same rows outside of pages. */
#include "problem.h"
#include "support/harness.h"

#include <stdlib.h>
#include <string.h>

enum { ITEMS = 3, QUERIES = 20, KEYS = 120, HEADS = 4, KV_HEADS = 2, DIM = 32, VALUE_DIM = 64, POOL = 400 };

/* The numbers of queries and keys of each sequence. */
static const int32_t counts[2 * ITEMS] = {QUERIES, KEYS, 1, 77, 13, 50};

typedef struct paged_case {
    const char *name;
    dmattn_format k_format, v_format;
    uint32_t page_size;
    bool importance; /* pages hold one, which attention does not read */
    bool selected;   /* lists of keys, in place of counts: all sequences have KEYS keys */
} paged_case;

static const paged_case cases[] = {
    {"f16, pages of 16", DMATTN_FORMAT_TYPE, DMATTN_FORMAT_TYPE, 16, true, false},
    {"int8 and e4m3, pages of 1", DMATTN_FORMAT_INT8, DMATTN_FORMAT_E4M3, 1, false, false},
    {"q8_0 and q4_0, pages of 8", DMATTN_FORMAT_Q8_0, DMATTN_FORMAT_Q4_0, 8, true, false},
    {"e4m3 and f32, pages of 48", DMATTN_FORMAT_E4M3, DMATTN_FORMAT_F32, 48, false, false},
    {"f16, pages of 4, selected keys", DMATTN_FORMAT_TYPE, DMATTN_FORMAT_TYPE, 4, false, true},
    {"int8 and q4_0, pages of 32, selected keys", DMATTN_FORMAT_INT8, DMATTN_FORMAT_Q4_0, 32, true, true},
};

static dmattn_buffer make(uint64_t bytes, const void *data)
{
    dmattn_buffer buffer;
    void *zeros = calloc(1, bytes);
    ASSERT_OK(dmattn_buffer_create(h.device, bytes, &buffer));
    ASSERT_OK(dmattn_upload(h.device, &buffer, 0, data ? data : zeros, bytes));
    free(zeros);
    return buffer;
}

static dmattn_attention_desc sizes(const paged_case *c)
{
    return (dmattn_attention_desc){.type = DMATTN_TYPE_F16,
                                   .k_format = c->k_format,
                                   .v_format = c->v_format,
                                   .batch = ITEMS,
                                   .heads = HEADS,
                                   .kv_heads = KV_HEADS,
                                   .head_dim = DIM,
                                   .value_dim = VALUE_DIM,
                                   .level = DMATTN_LEVEL_PORTABLE};
}

/* Fills the sequences into a paged cache, each in two chunks. `k`, `v`: f16, contiguous. Returns the bytes of a page.
 */
static uint64_t fill_cache(const paged_case *c, const dmattn_buffer *k, const dmattn_buffer *v, dmattn_buffer *pages,
                           dmattn_buffer *table)
{
    dmattn_decode_desc desc = {.attention = sizes(c),
                               .importance_given = c->importance,
                               .no_importance = !c->importance,
                               .selection = {.causal = true},
                               .cache = DMATTN_CACHE_PAGED,
                               .page_size = c->page_size,
                               .pages = POOL,
                               .max_keys = KEYS};
    dmattn_plan *plan;
    dmattn_cache_layout layout;
    VkCommandBuffer commands;
    desc.attention.queries = 1;
    ASSERT_OK(dmattn_decode_plan(h.context, &desc, &plan));
    ASSERT_OK(dmattn_decode_get_layout(plan, &layout));
    int32_t entries[ITEMS * KEYS];
    for (uint32_t i = 0; i < ITEMS * layout.table_pages; i++)
        entries[i] = (int32_t)(i * 7 % POOL); /* 7 and the size of the pool have no common divisor */
    dmattn_buffer state = make(layout.state_size, NULL), importance = make(4 * KV_HEADS * KEYS, NULL);
    *pages = make(layout.pages_size, NULL);
    *table = make(sizeof(int32_t) * ITEMS * layout.table_pages, entries);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    for (uint32_t b = 0; b < ITEMS; b++) {
        const uint64_t k_at = (uint64_t)2 * b * KEYS * KV_HEADS * DIM,
                       v_at = (uint64_t)2 * b * KEYS * KV_HEADS * VALUE_DIM;
        const uint32_t keys = c->selected ? KEYS : (uint32_t)counts[2 * b + 1], of_first = keys / 3;
        dmattn_decode_fill_args fill = {.sequence = b,
                                        .keys = of_first,
                                        .k = {k->buffer, k_at, k->size - k_at},
                                        .v = {v->buffer, v_at, v->size - v_at},
                                        .importance = importance,
                                        .state = state,
                                        .pages = *pages,
                                        .table = *table};
        ASSERT_OK(dmattn_decode_fill_record(plan, commands, &fill));
        dmattn_commands_barrier(h.device);
        fill.first = of_first;
        fill.keys = keys - of_first;
        fill.k.offset += (uint64_t)2 * of_first * KV_HEADS * DIM;
        fill.v.offset += (uint64_t)2 * of_first * KV_HEADS * VALUE_DIM;
        fill.k.size = k->size - fill.k.offset;
        fill.v.size = v->size - fill.v.offset;
        ASSERT_OK(dmattn_decode_fill_record(plan, commands, &fill));
        dmattn_commands_barrier(h.device);
    }
    ASSERT_OK(dmattn_commands_submit(h.device));
    dmattn_buffer_destroy(h.device, &state);
    dmattn_buffer_destroy(h.device, &importance);
    dmattn_plan_destroy(plan);
    return layout.page_size;
}

static void run_paged(const dmattn_attention_desc *desc, const problem *p, const dmattn_attention_args *args)
{
    dmattn_plan *plan;
    dmattn_plan_info info;
    VkCommandBuffer commands;
    dmattn_attention_args paged = *args;
    ASSERT_OK(dmattn_attention_plan_tile(h.context, desc, p->tile, &plan));
    dmattn_plan_get_info(plan, &info);
    paged.workspace = make(info.workspace_size, NULL);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_attention_record(plan, commands, &paged));
    ASSERT_OK(dmattn_commands_submit(h.device));
    dmattn_buffer_destroy(h.device, &paged.workspace);
    dmattn_plan_destroy(plan);
}

static void run_case(const paged_case *c)
{
    enum { OUT_BYTES = 2 * ITEMS * QUERIES * HEADS * VALUE_DIM };
    static unsigned char want[OUT_BYTES], got[OUT_BYTES];
    dmattn_attention_desc desc = sizes(c);
    problem p;
    device_problem dp;
    attention_tile tile;
    desc.queries = QUERIES;
    desc.keys = KEYS;
    desc.causal = true;
    desc.counts = !c->selected;
    if (c->selected) {
        desc.mask = DMATTN_MASK_SELECTED;
        desc.mask_shape = (dmattn_score_shape){.batch = ITEMS, .heads = KV_HEADS, .queries = QUERIES};
        desc.selected_count = 30;
    }
    dmattn_attention_desc in_type = desc; /* the rows that are filled into the cache */
    in_type.k_format = in_type.v_format = DMATTN_FORMAT_TYPE;
    ASSERT_OK(problem_create(&in_type, NULL, &p));
    problem_randomize(&p, 5);
    const uint64_t k_bytes = problem_bytes(&p, TENSOR_K), v_bytes = problem_bytes(&p, TENSOR_V);
    void *k = malloc(k_bytes), *v = malloc(v_bytes);
    memcpy(k, p.tensor[TENSOR_K], k_bytes);
    memcpy(v, p.tensor[TENSOR_V], v_bytes);
    problem_destroy(&p);

    ASSERT_OK(problem_create(&desc, NULL, &p));
    problem_randomize(&p, 5);
    memcpy(p.tensor[TENSOR_K], k, k_bytes);
    memcpy(p.tensor[TENSOR_V], v, v_bytes);
    if (!c->selected)
        memcpy(p.tensor[TENSOR_COUNTS], counts, sizeof counts);
    problem_store(&p);
    p.tile = harness_tile(&p.desc, &tile);
    ASSERT_OK(device_problem_create(&p, h.device, &dp));
    ASSERT_OK(device_problem_run(&dp));
    ASSERT_OK(dmattn_download(h.device, &dp.args.out, 0, want, OUT_BYTES));

    dmattn_buffer k_buffer = make(k_bytes, k), v_buffer = make(v_bytes, v), pages, table;
    desc.page_size = c->page_size;
    desc.pages = POOL;
    desc.page_bytes = fill_cache(c, &k_buffer, &v_buffer, &pages, &table);
    dmattn_buffer out = make(OUT_BYTES, NULL);
    run_paged(&desc, &p,
              &(dmattn_attention_args){.q = dp.args.q,
                                       .out = out,
                                       .pages = pages,
                                       .table = table,
                                       .counts = dp.args.counts,
                                       .selected = dp.args.selected});
    ASSERT_OK(dmattn_download(h.device, &out, 0, got, OUT_BYTES));
    cr_expect_arr_eq(got, want, OUT_BYTES, "%s", c->name);
    bool any = false;
    for (int i = 0; i < OUT_BYTES; i++)
        any = any || got[i];
    cr_expect(any, "%s: all results are 0", c->name);
    dmattn_buffer *const made[] = {&k_buffer, &v_buffer, &pages, &table, &out};
    for (int i = 0; i < 5; i++)
        dmattn_buffer_destroy(h.device, made[i]);
    device_problem_destroy(&dp);
    problem_destroy(&p);
    free(k);
    free(v);
}

DEVICE_TEST(prefill_pages, of_a_cache)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i]);
}
