/* SPDX-License-Identifier: MIT
 * Hostile contents of buffers (hostile.h): steps of decoding and their caches. */
#include "decode/stage.h"
#include "hostile.h"
#include "problem.h"

#include <stdlib.h>
#include <string.h>

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

/* The same in a window of 20 tokens: workgroups share the keys of all sequences (shaders/decode/balance.glsl). */
static dmattn_decode_desc balanced(void)
{
    dmattn_decode_desc desc = paged;
    desc.selection.sliding = 20;
    desc.selection.sinks = 3;
    return desc;
}

/* A step with lists of SELECTED keys. */
#define SELECTED 24
static dmattn_decode_desc selected(uint32_t block)
{
    dmattn_decode_desc desc = paged;
    desc.attention.mask = DMATTN_MASK_SELECTED;
    desc.attention.mask_shape = (dmattn_score_shape){.batch = ITEMS, .heads = KV_HEADS, .queries = TOKENS};
    desc.attention.selected_count = SELECTED;
    desc.attention.selected_block = block;
    return desc;
}

static void create_decode(arena *a, const dmattn_decode_desc *like, dmattn_level level, dmattn_decode_args *args)
{
    dmattn_decode_desc desc = *like;
    dmattn_plan *plan;
    desc.attention.level = level;
    *args = (dmattn_decode_args){0};
    ASSERT_OK(harness_decode_plan(&desc, &plan));
    dmattn_cache_layout layout;
    ASSERT_OK(dmattn_decode_get_layout(plan, &layout));
    arena_create(a, plan, args, 0);
    RESULTS(a, TENSOR_OUT, TENSOR_LSE, TENSOR_STATE, TENSOR_PAGES);
    hostile_fill_valid(a);
    hostile_put_words(a, TENSOR_COUNTS, (const int32_t[]){TOKENS, TOKENS, TOKENS}, ITEMS);
    hostile_put_words(a, TENSOR_KEEP, (const int32_t[]){-1, -1, -1}, ITEMS);
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

HOSTILE_TEST(decode_lengths)
{
    EACH_LEVEL(decodes)
    {
        arena a;
        dmattn_decode_args args;
        create_decode(&a, &bounded, level, &args);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_COUNTS, TENSOR_KEEP);
    }
}

/* A mask of the new tokens of a bounded cache. */
HOSTILE_TEST(decode_tree)
{
    dmattn_decode_desc tree = bounded;
    tree.attention.mask = DMATTN_MASK_DENSE;
    tree.attention.mask_shape = (dmattn_score_shape){.batch = ITEMS, .queries = TOKENS};
    for (int i = 0; i < 2; i++) {
        arena a;
        dmattn_decode_args args;
        create_decode(&a, &tree, DMATTN_LEVEL_PORTABLE, &args);
        if (i)
            RUN_KINDS(&a, 0, "state", TENSOR_STATE);
        else
            RUN_KINDS(&a, 0, "mask", TENSOR_MASK, TENSOR_COUNTS, TENSOR_KEEP);
    }
}

HOSTILE_TEST(decode_state)
{
    h.gpu_tiles = true;
    EACH_LEVEL(decodes)
    {
        arena a;
        dmattn_decode_args args;
        create_decode(&a, &bounded, level, &args);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_STATE);
    }
}

HOSTILE_TEST(decode_pages)
{
    h.gpu_tiles = true;
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

/* Sets the words HEADER_READERS of the first sequence. */
static void put_readers(const arena *a, uint32_t readers)
{
    for (uint32_t head = 0; head < KV_HEADS; head++)
        ((uint32_t *)arena_input(a, TENSOR_STATE))[head * HEADER_WORDS + HEADER_READERS] = readers;
}

/* With balance, each workgroup reads the lengths of all sequences. They do no harm to other sequences, but the first
 * state has a counter for all, which does: then nothing but the tensors is written. */
HOSTILE_TEST(decode_balanced)
{
    const dmattn_decode_desc desc = balanced();
    EACH_LEVEL(decodes_pages)
    {
        arena a;
        dmattn_decode_args args;
        create_decode(&a, &desc, level, &args);
        RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_COUNTS, TENSOR_KEEP, TENSOR_MASK);
        create_decode(&a, &desc, level, &args);
        arena_run(&a, 0, dmattn_level_string(level));
        unsigned char *want = hostile_copy_item(&a);
        const uint64_t item = a.bytes[TENSOR_STATE] / ITEMS;
        for (int kind = 0; kind < HOSTILE_KINDS; kind++) {
            hostile_put(&a, TENSOR_STATE, kind, 0, item);
            hostile_put(&a, TENSOR_STATE, kind, 2 * item, 3 * item);
            arena_run(&a, 0, hostile_kind_names[kind]);
            put_readers(&a, 1);
            arena_run(&a, 0, hostile_kind_names[kind]);
            put_readers(&a, 0);
            arena_run(&a, 0, hostile_kind_names[kind]);
            hostile_expect_item(&a, want, hostile_kind_names[kind]);
        }
        free(want);
        arena_destroy(&a);
    }
}

HOSTILE_TEST(decode_selected)
{
    const dmattn_decode_desc descs[] = {selected(1), selected(8)};
    for (size_t i = 0; i < sizeof descs / sizeof *descs; i++)
        EACH_LEVEL(decodes_pages)
        {
            arena a;
            dmattn_decode_args args;
            create_decode(&a, &descs[i], level, &args);
            RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_SELECTED, TENSOR_COUNTS, TENSOR_KEEP);
            create_decode(&a, &descs[i], level, &args);
            RUN_KINDS(&a, 0, dmattn_level_string(level), TENSOR_STATE);
        }
}

/* A page without selected keys may be any: its keys do not change the results. The last page holds NaN. */
HOSTILE_TEST(decode_of_selected_pages)
{
    const dmattn_decode_desc desc = selected(1);
    EACH_LEVEL(decodes_pages)
    {
        arena a;
        dmattn_decode_args args;
        create_decode(&a, &desc, level, &args);
        int32_t *lists = arena_input(&a, TENSOR_SELECTED), *table = arena_input(&a, TENSOR_TABLE);
        for (uint32_t i = 0; i < a.bytes[TENSOR_SELECTED] / sizeof *lists; i++)
            lists[i] = (int32_t)(PAGE + i % SELECTED); /* the keys of page 1, and some that do not exist */
        arena_run(&a, 0, dmattn_level_string(level));
        unsigned char *want = hostile_copy_item(&a);
        const uint64_t page = a.bytes[TENSOR_PAGES] / PAGES;
        memset((unsigned char *)arena_input(&a, TENSOR_PAGES) + (PAGES - 1) * page, 0xff, page);
        table[OWN_PAGES] = PAGES - 1; /* page 0 of sequence 1 */
        arena_run(&a, 0, "another page");
        hostile_expect_item(&a, want, "another page");
        free(want);
        arena_destroy(&a);
    }
}

/* The tables of sequences 0 and 2 have page numbers that do not exist. Existing numbers in them are their own pages. */
static void put_hostile_pages(const arena *a, int kind)
{
    const uint64_t row = a->bytes[TENSOR_TABLE] / ITEMS;
    uint32_t *table = arena_input(a, TENSOR_TABLE);
    hostile_put(a, TENSOR_TABLE, kind, 0, row);
    hostile_put(a, TENSOR_TABLE, kind, 2 * row, 3 * row);
    for (uint32_t i = 0; i < ITEMS * OWN_PAGES; i++)
        table[i] = table[i] < PAGES && i / OWN_PAGES != 1 ? table[i] % OWN_PAGES : table[i];
}

HOSTILE_TEST(decode_table)
{
    const dmattn_decode_desc descs[] = {paged, balanced()};
    for (size_t i = 0; i < sizeof descs / sizeof *descs; i++)
        EACH_LEVEL(decodes_pages)
        {
            arena a;
            dmattn_decode_args args;
            create_decode(&a, &descs[i], level, &args);
            arena_run(&a, 0, dmattn_level_string(level));
            unsigned char *want = hostile_copy_item(&a);
            for (int kind = 0; kind < HOSTILE_KINDS; kind++) {
                put_hostile_pages(&a, kind);
                arena_run(&a, 0, hostile_kind_names[kind]);
                hostile_expect_item(&a, want, hostile_kind_names[kind]);
            }
            free(want);
            arena_destroy(&a);
        }
}

/* A prompt, or a chunk that follows `first` tokens, is written to pages that do not exist, or to a state that holds
 * anything. */
static void fill_hostile(const dmattn_decode_desc *desc, uint32_t first)
{
    arena a;
    dmattn_decode_args args;
    create_decode(&a, desc, DMATTN_LEVEL_PORTABLE, &args);
    dmattn_buffer importance = args.workspace; /* any memory will do */
    const uint64_t state = a.bytes[TENSOR_STATE] / ITEMS;
    for (int kind = 0; kind < HOSTILE_KINDS; kind++) {
        const dmattn_decode_fill_args fill = {.sequence = 2,
                                              .first = first,
                                              .keys = ITEMS * TOKENS,
                                              .k = args.k,
                                              .v = args.v,
                                              .importance = importance,
                                              .state = args.state,
                                              .pages = args.pages,
                                              .table = args.table};
        if (desc->cache)
            put_hostile_pages(&a, kind);
        hostile_put(&a, TENSOR_STATE, kind, 2 * state, 3 * state);
        const VkCommandBuffer commands = arena_begin(&a);
        ASSERT_OK(dmattn_decode_fill_record(a.plan, commands, &fill));
        arena_end(&a, hostile_kind_names[kind]);
    }
    arena_destroy(&a);
}

HOSTILE_TEST(fill)
{
    static const uint32_t first[] = {0, LENGTH, LENGTH - 7, MAX_KEYS - ITEMS * TOKENS};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        fill_hostile(&paged, first[i]);
        fill_hostile(&bounded, first[i]);
    }
}

/* A chunk attends to a state that holds anything. Memory that is not its own stays as it is. */
static void chunk_hostile(const dmattn_decode_desc *like, uint32_t first)
{
    arena a;
    dmattn_decode_args args;
    dmattn_decode_desc desc = *like;
    desc.chunk_tokens = ITEMS * TOKENS;
    create_decode(&a, &desc, DMATTN_LEVEL_PORTABLE, &args);
    const uint64_t state = a.bytes[TENSOR_STATE] / ITEMS;
    for (int kind = 0; kind < HOSTILE_KINDS; kind++) {
        const dmattn_decode_chunk_args chunk = {.sequence = 2,
                                                .first = first,
                                                .keys = ITEMS * TOKENS,
                                                .q = args.q,
                                                .k = args.k,
                                                .v = args.v,
                                                .out = args.out,
                                                .lse = args.lse,
                                                .dt_weight = args.dt_weight,
                                                .a = args.a,
                                                .state = args.state,
                                                .workspace = args.workspace};
        hostile_put(&a, TENSOR_STATE, kind, 2 * state, 3 * state);
        const VkCommandBuffer commands = arena_begin(&a);
        ASSERT_OK(dmattn_decode_chunk_record(a.plan, commands, &chunk));
        arena_end(&a, hostile_kind_names[kind]);
    }
    arena_destroy(&a);
}

HOSTILE_TEST(chunk)
{
    static const uint32_t first[] = {0, LENGTH, 9, 1000};
    dmattn_decode_desc formats = bounded;
    formats.attention.k_format = DMATTN_FORMAT_INT8;
    formats.attention.v_format = DMATTN_FORMAT_E4M3;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        chunk_hostile(&bounded, first[i]);
        chunk_hostile(&formats, first[i]);
    }
}

/* Caches of other formats than the type. */
HOSTILE_TEST(decode_formats)
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
    fill_hostile(&desc, LENGTH);
    create_decode(&a, &desc, DMATTN_LEVEL_PORTABLE, &args);
    for (int kind = 0; kind < HOSTILE_KINDS; kind++) {
        put_hostile_pages(&a, kind);
        arena_run(&a, 0, hostile_kind_names[kind]);
    }
    arena_destroy(&a);
}
