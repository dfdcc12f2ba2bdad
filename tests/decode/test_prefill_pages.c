/* SPDX-License-Identifier: MIT
 * Attention reads the pages that decoding wrote: prompts are filled into a paged cache, and attention over its pages
 * gives the same bits as attention to the same rows outside of pages. It may run at the same time as a step. */
#include "problem.h"
#include "reference/element.h"
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

/* ---- a chunk and a step ------------------------------------------------------------------------------------------ */

/* Sequence 1 gets a chunk, and the others a step. */
enum { BEFORE = 50, CHUNK = 20, PAGE = 8, CHUNK_ITEMS = 2, CHUNK_ROWS = 24 };
static const uint32_t tokens_before[ITEMS] = {40, BEFORE, 33};

typedef struct serving {
    dmattn_plan *step, *chunk;
    dmattn_cache_layout layout;
    dmattn_buffer q, k, v, state, pages, table, item_table, counts, item_counts, step_out, chunk_out, workspace[2];
} serving;

#define SERVED_OUT_BYTES (2 * CHUNK_ROWS * HEADS * VALUE_DIM)

/* Random numbers, the same for each seed. */
static dmattn_buffer make_random(uint64_t count, uint64_t seed)
{
    uint16_t *numbers = malloc(count * sizeof *numbers);
    for (uint64_t i = 0; i < count; i++)
        element_store(DMATTN_TYPE_F16, numbers, i, random_normal(&seed));
    const dmattn_buffer buffer = make(count * sizeof *numbers, numbers);
    free(numbers);
    return buffer;
}

static void plan_serving(serving *s)
{
    const paged_case of_all = {.k_format = DMATTN_FORMAT_INT8, .v_format = DMATTN_FORMAT_E4M3};
    dmattn_decode_desc desc = {.attention = sizes(&of_all),
                               .no_importance = true,
                               .selection = {.causal = true},
                               .cache = DMATTN_CACHE_PAGED,
                               .page_size = PAGE,
                               .pages = POOL,
                               .max_keys = KEYS};
    dmattn_plan_info info;
    desc.attention.queries = 1;
    ASSERT_OK(dmattn_decode_plan(h.context, &desc, &s->step));
    ASSERT_OK(dmattn_decode_get_layout(s->step, &s->layout));
    dmattn_plan_get_info(s->step, &info);
    s->workspace[0] = make(info.workspace_size, NULL);
    dmattn_attention_desc chunk = sizes(&of_all);
    chunk.batch = CHUNK_ITEMS;
    chunk.queries = CHUNK;
    chunk.keys = KEYS;
    chunk.causal = chunk.counts = true;
    chunk.total_queries = CHUNK_ROWS;
    chunk.total_keys = KEYS;
    chunk.page_size = PAGE;
    chunk.pages = POOL;
    chunk.page_bytes = s->layout.page_size;
    attention_tile tile;
    dmattn_attention_desc resolved;
    ASSERT_OK(dmattn_attention_desc_resolve(&chunk, &resolved, NULL));
    ASSERT_OK(dmattn_attention_plan_tile(h.context, &chunk, harness_tile(&resolved, &tile), &s->chunk));
    dmattn_plan_get_info(s->chunk, &info);
    s->workspace[1] = make(info.workspace_size, NULL);
}

static void record_filling(const serving *s, VkCommandBuffer commands, uint32_t b, uint32_t first, uint32_t keys)
{
    const uint64_t k_at = (uint64_t)2 * first * KV_HEADS * DIM, v_at = (uint64_t)2 * first * KV_HEADS * VALUE_DIM;
    ASSERT_OK(dmattn_decode_fill_record(s->step, commands,
                                        &(dmattn_decode_fill_args){.sequence = b,
                                                                   .first = first,
                                                                   .keys = keys,
                                                                   .k = {s->k.buffer, k_at, s->k.size - k_at},
                                                                   .v = {s->v.buffer, v_at, s->v.size - v_at},
                                                                   .state = s->state,
                                                                   .pages = s->pages,
                                                                   .table = s->table}));
}

static void record_step(const serving *s, VkCommandBuffer commands)
{
    ASSERT_OK(dmattn_decode_record(s->step, commands,
                                   &(dmattn_decode_args){.q = s->q,
                                                         .k = s->k,
                                                         .v = s->v,
                                                         .out = s->step_out,
                                                         .state = s->state,
                                                         .pages = s->pages,
                                                         .table = s->table,
                                                         .counts = s->counts,
                                                         .workspace = s->workspace[0]}));
}

static void record_chunk(const serving *s, VkCommandBuffer commands)
{
    ASSERT_OK(dmattn_attention_record(s->chunk, commands,
                                      &(dmattn_attention_args){.q = s->q,
                                                               .out = s->chunk_out,
                                                               .pages = s->pages,
                                                               .table = s->item_table,
                                                               .counts = s->item_counts,
                                                               .workspace = s->workspace[1]}));
}

/* A cache with the tokens of all sequences, and those of the chunk. */
static void begin_serving(serving *s)
{
    static const int32_t step_tokens[ITEMS] = {1, 0, 1}, of_items[2 * CHUNK_ITEMS] = {CHUNK, BEFORE + CHUNK, 0, 0};
    int32_t entries[ITEMS * KEYS], of_chunk[CHUNK_ITEMS * KEYS] = {0};
    VkCommandBuffer commands;
    plan_serving(s);
    const uint32_t row = s->layout.table_pages;
    for (uint32_t i = 0; i < ITEMS * row; i++)
        entries[i] = (int32_t)(i * 7 % POOL);
    memcpy(of_chunk, entries + row, row * sizeof *entries);
    s->q = make_random(CHUNK_ROWS * HEADS * DIM, 1);
    s->k = make_random(KEYS * KV_HEADS * DIM, 2);
    s->v = make_random(KEYS * KV_HEADS * VALUE_DIM, 3);
    s->state = make(s->layout.state_size, NULL);
    s->pages = make(s->layout.pages_size, NULL);
    s->table = make(sizeof(int32_t) * ITEMS * row, entries);
    s->item_table = make(sizeof(int32_t) * CHUNK_ITEMS * row, of_chunk);
    s->counts = make(sizeof step_tokens, step_tokens);
    s->item_counts = make(sizeof of_items, of_items);
    s->step_out = make(SERVED_OUT_BYTES, NULL);
    s->chunk_out = make(SERVED_OUT_BYTES, NULL);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    for (uint32_t b = 0; b < ITEMS; b++) {
        record_filling(s, commands, b, 0, tokens_before[b]);
        dmattn_commands_barrier(h.device);
    }
    ASSERT_OK(dmattn_commands_submit(h.device));
}

static void end_serving(serving *s)
{
    dmattn_buffer *const made[] = {
        &s->q,      &s->k,           &s->v,        &s->state,     &s->pages,        &s->table,       &s->item_table,
        &s->counts, &s->item_counts, &s->step_out, &s->chunk_out, &s->workspace[0], &s->workspace[1]};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        dmattn_buffer_destroy(h.device, made[i]);
    dmattn_plan_destroy(s->step);
    dmattn_plan_destroy(s->chunk);
}

static unsigned char *copy_of(const dmattn_buffer *buffer)
{
    unsigned char *copy = malloc(buffer->size);
    ASSERT_OK(dmattn_download(h.device, buffer, 0, copy, buffer->size));
    return copy;
}

static void expect_same(const dmattn_buffer *got, const unsigned char *want, const char *what)
{
    unsigned char *copy = copy_of(got);
    cr_expect_arr_eq(copy, want, got->size, "%s", what);
    free(copy);
}

/* The pages of sequence 1. */
static void expect_same_pages(const serving *s, const unsigned char *want)
{
    unsigned char *got = copy_of(&s->pages);
    for (uint32_t i = 0; i < s->layout.table_pages; i++) {
        const uint64_t at = (s->layout.table_pages + i) * 7 % POOL * s->layout.page_size;
        cr_expect_arr_eq(got + at, want + at, s->layout.page_size, "page %u of the chunk's sequence", i);
    }
    free(got);
}

/* One after the other, with the checks that make it right to run both at the same time: a step writes no page of a
 * sequence without new tokens, and attention nothing but out. Then both in one submission, without a barrier. */
DEVICE_TEST(prefill_pages, beside_a_step)
{
    serving apart = {0}, together = {0};
    VkCommandBuffer commands;
    begin_serving(&apart);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    record_filling(&apart, commands, 1, BEFORE, CHUNK);
    ASSERT_OK(dmattn_commands_submit(h.device));
    unsigned char *filled = copy_of(&apart.pages);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    record_step(&apart, commands);
    ASSERT_OK(dmattn_commands_submit(h.device));
    expect_same_pages(&apart, filled);
    unsigned char *pages = copy_of(&apart.pages), *state = copy_of(&apart.state);
    cr_expect_neq(memcmp(pages, filled, apart.pages.size), 0, "the step wrote no token");
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    record_chunk(&apart, commands);
    ASSERT_OK(dmattn_commands_submit(h.device));
    expect_same(&apart.pages, pages, "attention changed a page");
    expect_same(&apart.state, state, "attention changed a state");

    begin_serving(&together);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    record_filling(&together, commands, 1, BEFORE, CHUNK);
    dmattn_commands_barrier(h.device);
    record_step(&together, commands);
    record_chunk(&together, commands);
    ASSERT_OK(dmattn_commands_submit(h.device));
    unsigned char *of_step = copy_of(&apart.step_out), *of_chunk = copy_of(&apart.chunk_out);
    expect_same(&together.step_out, of_step, "the step");
    expect_same(&together.chunk_out, of_chunk, "the chunk");
    expect_same(&together.pages, pages, "the pages");
    expect_same(&together.state, state, "the states");
    const unsigned char none[2 * HEADS * VALUE_DIM] = {0};
    cr_expect_neq(memcmp(of_step, none, sizeof none), 0, "the step has no result");
    cr_expect_neq(memcmp(of_chunk + (CHUNK - 1) * sizeof none, none, sizeof none), 0, "the chunk has no result");
    free(filled);
    free(pages);
    free(state);
    free(of_step);
    free(of_chunk);
    end_serving(&apart);
    end_serving(&together);
}
