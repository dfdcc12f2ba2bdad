/* SPDX-License-Identifier: MIT
 * One plan for all lengths up to a maximum: each run gives the same bits as a plan for exactly its lengths. Random
 * lengths, with every mask. There is NaN behind the tensors of a run, and a guard behind its workspace. */
#include "support/harness.h"

#include "operators/operators.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 150, BATCH = 2, HEADS = 4, KV_HEADS = 2, DIM = 16, GUARD = 64 };
enum { PAGE = 16, TABLE = (MOST + PAGE - 1) / PAGE, POOL = 32 };
enum { SELECTED = 20 }; /* numbers of a list */
enum { Q_ROW = HEADS * DIM, KV_ROW = KV_HEADS * DIM };

/* Buffers for the largest lengths, as floats. */
typedef struct tensors {
    dmattn_buffer q, k, v, out, lse, mask, begin, end, selected, bias, sink, slopes, dt_weight, a, k_scales, v_scales,
        pages, counts, workspace;
    dmattn_buffer table[2]; /* rows for the keys of a run, and for the most keys */
    uint64_t workspace_size;
} tensors;

static dmattn_buffer make(uint64_t bytes)
{
    dmattn_buffer buffer;
    ASSERT_OK(dmattn_buffer_create(h.device, bytes + GUARD, &buffer));
    buffer.size = bytes;
    return buffer;
}

static void fill(const dmattn_buffer *b, const void *data, uint64_t bytes)
{
    ASSERT_OK(dmattn_upload(h.device, b, 0, data, bytes));
}

/* `used` random floats, then NaN. */
static void fill_random(const dmattn_buffer *b, size_t used, size_t count)
{
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = i < used ? (float)rand() / (float)RAND_MAX - 0.5f : NAN;
    fill(b, values, count * sizeof *values);
    free(values);
}

/* Intervals of random lengths for each key, lists for each query, and a mask with bytes of 0 and 1. */
static void fill_masks(const tensors *t, uint32_t queries, uint32_t keys)
{
    static int32_t begin[KV_HEADS * MOST], end[KV_HEADS * MOST];
    static uint8_t mask[MOST * MOST];
    static int32_t selected[MOST * SELECTED];
    for (uint32_t i = 0; i < KV_HEADS * keys; i++) {
        begin[i] = rand() % (int32_t)queries;
        end[i] = begin[i] + 1 + rand() % (int32_t)queries;
    }
    for (uint32_t i = 0; i < queries * keys; i++)
        mask[i] = (uint8_t)(rand() % 2);
    for (uint32_t i = 0; i < queries * SELECTED; i++)
        selected[i] = rand() % (int32_t)(keys + 3) - 1;
    fill(&t->selected, selected, 4 * queries * SELECTED);
    fill(&t->begin, begin, 4 * KV_HEADS * keys);
    fill(&t->end, end, 4 * KV_HEADS * keys);
    fill(&t->mask, mask, queries * keys);
}

/* Blocks of -infinity, as in an additive mask, and of other numbers. */
static void fill_bias(const dmattn_buffer *b, size_t count)
{
    float *values = malloc(count * sizeof *values);
    bool hidden = false;
    for (size_t i = 0; i < count; i++) {
        hidden = i % 16 ? hidden : rand() % 2;
        values[i] = hidden ? -INFINITY : (float)rand() / (float)RAND_MAX;
    }
    fill(b, values, count * sizeof *values);
    free(values);
}

static tensors make_tensors(void)
{
    tensors t = {
        .q = make(4 * BATCH * MOST * Q_ROW),
        .k = make(4 * BATCH * MOST * KV_ROW),
        .v = make(4 * BATCH * MOST * KV_ROW),
        .out = make(4 * BATCH * MOST * Q_ROW),
        .lse = make(4 * BATCH * HEADS * MOST),
        .mask = make(MOST * MOST),
        .begin = make(4 * KV_HEADS * MOST),
        .end = make(4 * KV_HEADS * MOST),
        .selected = make(4 * MOST * SELECTED),
        .bias = make(4 * MOST * MOST),
        .sink = make(4 * HEADS),
        .slopes = make(4 * HEADS),
        .dt_weight = make(4 * KV_HEADS * KV_ROW),
        .a = make(4 * KV_HEADS),
        .k_scales = make(4 * BATCH * MOST * KV_HEADS),
        .v_scales = make(4 * BATCH * MOST * KV_HEADS),
        .pages = make(4 * POOL * PAGE * 2 * KV_ROW),
        .counts = make(8 * BATCH),
        .table = {make(4 * BATCH * TABLE), make(4 * BATCH * TABLE)},
    };
    fill_random(&t.sink, HEADS, HEADS);
    fill_random(&t.slopes, HEADS, HEADS);
    fill_random(&t.pages, POOL * PAGE * 2 * KV_ROW, POOL * PAGE * 2 * KV_ROW);
    fill_random(&t.dt_weight, KV_HEADS * KV_ROW, KV_HEADS * KV_ROW);
    fill_random(&t.a, KV_HEADS, KV_HEADS);
    return t;
}

/* The same pages for the keys of a run in both tables, and no page after them. */
static void fill_tables(const tensors *t, uint32_t keys)
{
    const uint32_t row = (keys - 1) / PAGE + 1;
    int32_t exact[BATCH * TABLE], most[BATCH * TABLE];
    memset(exact, 0xff, sizeof exact);
    memset(most, 0xff, sizeof most);
    for (uint32_t i = 0; i < BATCH * row; i++)
        exact[i] = most[i / row * TABLE + i % row] = rand() % POOL;
    fill(&t->table[0], exact, sizeof exact);
    fill(&t->table[1], most, sizeof most);
}

/* Sizes of exactly what a run may access are in the buffers; contents behind them are NaN. */
static void prepare(tensors *t, uint32_t queries, uint32_t keys, bool strided)
{
    const uint32_t q_rows = BATCH * queries, kv_rows = strided ? BATCH * MOST : BATCH * keys;
    fill_random(&t->q, q_rows * Q_ROW, BATCH * MOST * Q_ROW);
    fill_random(&t->k, kv_rows * KV_ROW, BATCH * MOST * KV_ROW);
    fill_random(&t->v, kv_rows * KV_ROW, BATCH * MOST * KV_ROW);
    fill_random(&t->k_scales, BATCH * keys * KV_HEADS, BATCH * MOST * KV_HEADS);
    fill_random(&t->v_scales, BATCH * keys * KV_HEADS, BATCH * MOST * KV_HEADS);
    fill_bias(&t->bias, MOST * MOST);
    fill_masks(t, queries, keys);
    fill_tables(t, keys);
    int32_t counts[2 * BATCH];
    for (int i = 0; i < 2 * BATCH; i++)
        counts[i] = rand() % (MOST + 1); /* those above the lengths of a run are cut */
    fill(&t->counts, counts, sizeof counts);
}

typedef struct results {
    float out[BATCH * MOST * Q_ROW], lse[BATCH * HEADS * MOST];
} results;

/* One of the two operators: a descriptor and a plan of it. */
typedef struct subject {
    const char *name;
    bool dynamic, strided;
    uint32_t band; /* of small tiles; 0: theirs */
    dmattn_attention_desc attention;
    dmattn_selection selection;
} subject;

static dmattn_status plan_of(const subject *s, uint32_t queries, uint32_t keys, bool lengths,
                             const attention_tile *tile, dmattn_plan **plan)
{
    dmattn_dma_desc dma = {.attention = s->attention, .selection = s->selection};
    dmattn_attention_desc *a = &dma.attention;
    a->queries = queries;
    a->keys = keys;
    a->lengths = lengths;
    if (a->mask_shape.queries > 1)
        a->mask_shape.queries = queries;
    if (a->bias_shape.queries > 1)
        a->bias_shape.queries = queries;
    return s->dynamic ? dmattn_dma_plan_tile(h.context, &dma, tile, plan)
                      : dmattn_attention_plan_tile(h.context, a, tile, plan);
}

static dmattn_status record(const subject *s, const dmattn_plan *plan, VkCommandBuffer commands, const tensors *t,
                            uint32_t queries, uint32_t keys)
{
    const dmattn_dma_args dma = {.q = t->q,
                                 .k = t->k,
                                 .v = t->v,
                                 .out = t->out,
                                 .lse = t->lse,
                                 .dt_weight = t->dt_weight,
                                 .a = t->a,
                                 .k_scales = t->k_scales,
                                 .v_scales = t->v_scales,
                                 .pages = t->pages,
                                 .table = t->table[keys > 0],
                                 .workspace = t->workspace,
                                 .queries = queries,
                                 .keys = keys};
    const dmattn_attention_args attention = {.q = t->q,
                                             .k = t->k,
                                             .v = t->v,
                                             .out = t->out,
                                             .lse = t->lse,
                                             .mask = t->mask,
                                             .begin = t->begin,
                                             .end = t->end,
                                             .selected = t->selected,
                                             .bias = t->bias,
                                             .sink = t->sink,
                                             .slopes = t->slopes,
                                             .k_scales = t->k_scales,
                                             .v_scales = t->v_scales,
                                             .pages = t->pages,
                                             .table = t->table[keys > 0],
                                             .counts = t->counts,
                                             .workspace = t->workspace,
                                             .queries = queries,
                                             .keys = keys};
    return s->dynamic ? dmattn_dma_record(plan, commands, &dma) : dmattn_attention_record(plan, commands, &attention);
}

/* Runs a plan; out and lse begin as NaN. Nothing behind the workspace may be written. */
static void run(const subject *s, const dmattn_plan *plan, tensors *t, uint32_t queries, uint32_t keys, bool lengths,
                results *r)
{
    static unsigned char guard[GUARD], after[GUARD];
    dmattn_plan_info info;
    VkCommandBuffer commands;
    dmattn_plan_get_info(plan, &info);
    if (!t->workspace.buffer || t->workspace_size != info.workspace_size) {
        dmattn_buffer_destroy(h.device, &t->workspace);
        t->workspace = make(info.workspace_size + 4);
        t->workspace.size = t->workspace_size = info.workspace_size;
    }
    memset(guard, 0xa5, GUARD);
    t->workspace.size += GUARD;
    ASSERT_OK(dmattn_upload(h.device, &t->workspace, info.workspace_size, guard, GUARD));
    t->workspace.size -= GUARD;
    fill_random(&t->out, 0, BATCH * MOST * Q_ROW);
    fill_random(&t->lse, 0, BATCH * HEADS * MOST);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(record(s, plan, commands, t, lengths ? queries : 0, lengths ? keys : 0));
    ASSERT_OK(dmattn_commands_submit(h.device));
    ASSERT_OK(dmattn_download(h.device, &t->out, 0, r->out, sizeof r->out));
    ASSERT_OK(dmattn_download(h.device, &t->lse, 0, r->lse, sizeof r->lse));
    t->workspace.size += GUARD;
    ASSERT_OK(dmattn_download(h.device, &t->workspace, info.workspace_size, after, GUARD));
    t->workspace.size -= GUARD;
    cr_expect_arr_eq(after, guard, GUARD, "%s: %u queries, %u keys: the workspace is too small", s->name, queries,
                     keys);
}

static void compare(const subject *s, uint32_t queries, uint32_t keys, const results *got, const results *want)
{
    cr_expect(!memcmp(got->lse, want->lse, sizeof got->lse), "%s: lse for %u queries, %u keys", s->name, queries, keys);
    for (int i = 0; i < BATCH * MOST * Q_ROW; i++)
        cr_assert(!memcmp(&got->out[i], &want->out[i], sizeof *got->out),
                  "%s: %u queries, %u keys: out[%d] is %g, not %g", s->name, queries, keys, i, (double)got->out[i],
                  (double)want->out[i]);
}

#define SIZES .batch = BATCH, .heads = HEADS, .kv_heads = KV_HEADS, .head_dim = DIM, .lse = true
#define INT8  .k_format = DMATTN_FORMAT_INT8, .v_format = DMATTN_FORMAT_INT8

static const subject subjects[] = {
    {"all keys", .attention = {SIZES}},
    {"causal, sinks", .attention = {SIZES, .causal = true, .sink = true}},
    {"in bands", .band = 8, .attention = {SIZES, .causal = true}},
    {"dense mask, bias by key", .attention = {SIZES, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = 2},
                                              .bias = true, .bias_shape = {.batch = BATCH, .heads = KV_HEADS}}},
    {"additive mask", .attention = {SIZES, .mask = DMATTN_MASK_ADDITIVE, .bias_shape = {.queries = 2}}},
    {"ALiBi", .attention = {SIZES, .causal = true, .slopes = true}},
    {"intervals",
     .attention = {SIZES, .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.heads = KV_HEADS}, .causal = true}},
    {"selected keys", .attention = {SIZES, .mask = DMATTN_MASK_SELECTED, .mask_shape = {.queries = 2},
                                    .selected_count = SELECTED, .causal = true}},
    {"a cache of keys for the most keys", .strided = true,
     .attention = {SIZES, .causal = true, .k_strides = {MOST * KV_ROW, KV_ROW, DIM},
                   .v_strides = {MOST * KV_ROW, KV_ROW, DIM}}},
    {"dynamic mask", .dynamic = true, .attention = {SIZES},
     .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 24, .causal = true}},
    {"dynamic mask, cache", .dynamic = true, .strided = true,
     .attention = {SIZES, .k_strides = {MOST * KV_ROW, KV_ROW, DIM}, .v_strides = {MOST * KV_ROW, KV_ROW, DIM}},
     .selection = {.select = DMATTN_SELECT_TOPW_SHARED, .window = 24, .causal = true}},
    {"int8", .attention = {SIZES, .causal = true, INT8}},
    {"int8, dynamic mask, cache", .dynamic = true, .strided = true,
     .attention = {SIZES, INT8, .k_strides = {MOST * KV_ROW, KV_ROW, DIM}, .v_strides = {MOST * KV_ROW, KV_ROW, DIM}},
     .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 24, .causal = true}},
    {"counts", .attention = {SIZES, .causal = true, .counts = true}},
    {"counts, selected keys", .attention = {SIZES, .mask = DMATTN_MASK_SELECTED, .mask_shape = {.queries = 2},
                                            .selected_count = SELECTED, .causal = true, .counts = true}},
    {"pages", .attention = {SIZES, .causal = true, .page_size = PAGE, .pages = POOL}},
    {"pages, dynamic mask", .dynamic = true, .attention = {SIZES, .page_size = PAGE, .pages = POOL},
     .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 24, .causal = true}},
    {"sliding window", .dynamic = true, .attention = {SIZES}, .selection = {.causal = true, .sliding = 20}},
};

static uint32_t random_length(uint32_t least)
{
    const uint32_t special[] = {1, 2, 16, 17, 32, 33, MOST};
    const uint32_t n = rand() % 2 ? special[rand() % 7] : 1 + (uint32_t)rand() % MOST;
    return n < least ? least : n;
}

static void run_subject(const subject *s, int rounds)
{
    static results got, want;
    tensors t = make_tensors();
    tensors exact = t;
    attention_tile tile;
    dmattn_attention_desc d;
    dmattn_attention_desc most = s->attention;
    dmattn_plan *plan, *plan_exact;
    most.queries = most.keys = MOST;
    if (most.mask_shape.queries > 1)
        most.mask_shape.queries = MOST;
    if (most.bias_shape.queries > 1)
        most.bias_shape.queries = MOST;
    most.mask = s->dynamic ? DMATTN_MASK_INTERVALS : most.mask;
    ASSERT_OK(dmattn_attention_desc_resolve(&most, &d, NULL));
    const attention_tile *given = harness_tile(&d, &tile);
    if (given && s->band)
        tile.band = s->band;
    ASSERT_OK(plan_of(s, MOST, MOST, true, given, &plan));
    exact.workspace = (dmattn_buffer){0};
    for (int i = 0; i < rounds; i++) {
        const uint32_t keys = random_length(1), queries = i ? random_length(1) : MOST;
        prepare(&t, queries, keys, s->strided);
        ASSERT_OK(plan_of(s, queries, keys, false, given, &plan_exact));
        run(s, plan_exact, &exact, queries, keys, false, &want);
        run(s, plan, &t, queries, keys, true, &got);
        compare(s, queries, keys, &got, &want);
        dmattn_plan_destroy(plan_exact);
    }
    dmattn_plan_destroy(plan);
}

DEVICE_TEST(plan_lengths, equals_a_plan_of_the_exact_size)
{
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
        if (harness_takes(subjects[i].name, true))
            run_subject(&subjects[i], 8);
}

/* With the library's tiles: few queries have another tile, and their keys are split. */
DEVICE_TEST(plan_lengths, every_tile_of_a_plan)
{
    static results got, want;
    static const uint32_t lengths[][2] = {{1, MOST}, {1, 3}, {3, MOST}, {9, 100}, {40, 120}, {MOST, MOST}, {MOST, 1}};
    const subject s = {"the library's tiles", .attention = {SIZES, .causal = true}};
    tensors t = make_tensors(), exact = t;
    dmattn_plan *plan, *plan_exact;
    ASSERT_OK(plan_of(&s, MOST, MOST, true, NULL, &plan));
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        prepare(&t, lengths[i][0], lengths[i][1], false);
        ASSERT_OK(plan_of(&s, lengths[i][0], lengths[i][1], false, NULL, &plan_exact));
        run(&s, plan_exact, &exact, lengths[i][0], lengths[i][1], false, &want);
        run(&s, plan, &t, lengths[i][0], lengths[i][1], true, &got);
        compare(&s, lengths[i][0], lengths[i][1], &got, &want);
        dmattn_plan_destroy(plan_exact);
    }
    dmattn_plan_destroy(plan);
}

/* Random numbers of f16 from 0.5 to 1, of both signs. */
static void fill_f16(const dmattn_buffer *b, size_t count)
{
    uint16_t *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = (uint16_t)(0x3800 | (rand() & 0x3ff) | (rand() & 1) << 15);
    fill(b, values, count * sizeof *values);
    free(values);
}

static void run_once(const dmattn_attention_desc *desc, const attention_tile *tile, dmattn_attention_args args,
                     void *out, uint64_t bytes)
{
    dmattn_plan *plan;
    dmattn_plan_info info;
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_attention_plan_tile(h.context, desc, tile, &plan));
    dmattn_plan_get_info(plan, &info);
    args.workspace = make(info.workspace_size + 4);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_attention_record(plan, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    ASSERT_OK(dmattn_download(h.device, &args.out, 0, out, bytes));
    dmattn_buffer_destroy(h.device, &args.workspace);
    dmattn_plan_destroy(plan);
}

/* f16 at one level, with q and out in f16 or f32, and a batch stride of q that the app gives. */
static void run_level(dmattn_level level, bool f32)
{
    enum { LONGEST = 80, ROW = 2 * 16 };
    static const uint32_t lengths[][2] = {{LONGEST, LONGEST}, {33, 70}, {1, 17}};
    static unsigned char got[4 * BATCH * LONGEST * ROW], want[sizeof got];
    const uint32_t size = f32 ? 4 : 2;
    const dmattn_attention_args args = {.q = make(4 * BATCH * LONGEST * ROW),
                                        .k = make(2 * BATCH * LONGEST * ROW),
                                        .v = make(2 * BATCH * LONGEST * ROW),
                                        .out = make(4 * BATCH * LONGEST * ROW)};
    if (f32)
        fill_random(&args.q, BATCH * LONGEST * ROW, BATCH * LONGEST * ROW);
    else
        fill_f16(&args.q, BATCH * LONGEST * ROW);
    fill_f16(&args.k, BATCH * LONGEST * ROW);
    fill_f16(&args.v, BATCH * LONGEST * ROW);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const uint64_t bytes = size * BATCH * lengths[i][0] * ROW;
        attention_tile tile;
        dmattn_attention_args run = args;
        dmattn_attention_desc d, desc = {.type = DMATTN_TYPE_F16,
                                         .q_f32 = f32,
                                         .out_f32 = f32,
                                         .batch = BATCH,
                                         .queries = LONGEST,
                                         .keys = LONGEST,
                                         .heads = 2,
                                         .head_dim = 16,
                                         .q_strides = {LONGEST * ROW, ROW, 16},
                                         .causal = true,
                                         .level = level,
                                         .lengths = true};
        ASSERT_OK(dmattn_attention_desc_resolve(&desc, &d, NULL));
        const attention_tile *given = harness_tile(&d, &tile);
        run.queries = lengths[i][0];
        run.keys = lengths[i][1];
        run_once(&desc, given, run, got, bytes);
        desc.lengths = false;
        desc.queries = lengths[i][0];
        desc.keys = lengths[i][1];
        run_once(&desc, given, args, want, bytes);
        cr_expect(!memcmp(got, want, bytes), "%s%s: %u queries, %u keys", dmattn_level_string(level),
                  f32 ? ", q and out in f32" : "", lengths[i][0], lengths[i][1]);
    }
}

/* At every level that the device offers. */
DEVICE_TEST(plan_lengths, levels)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level))
        for (int f32 = 0; f32 < 2; f32++)
            run_level(level, f32);
}

/* From 1 to 32768 in one plan: few queries of many keys, as in decoding, and a short prompt. */
DEVICE_TEST(plan_lengths, from_1_to_32768)
{
    enum { LONGEST = 32768, ROW = 16 };
    static const uint32_t lengths[][2] = {{1, 1}, {1, LONGEST}, {7, 20000}, {200, 200}, {1, 1025}, {16, LONGEST}};
    static float got[200 * ROW], want[200 * ROW];
    const dmattn_buffer q = make(4 * 200 * ROW), k = make(4 * LONGEST * ROW), v = make(4 * LONGEST * ROW),
                        out = make(4 * LONGEST * ROW);
    dmattn_attention_desc desc = {
        .batch = 1, .queries = LONGEST, .keys = LONGEST, .heads = 1, .head_dim = ROW, .causal = true, .lengths = true};
    dmattn_attention_args args = {.q = q, .k = k, .v = v, .out = out};
    dmattn_plan *plan;
    dmattn_plan_info info;
    VkCommandBuffer commands;
    fill_random(&q, 200 * ROW, 200 * ROW);
    fill_random(&k, LONGEST * ROW, LONGEST * ROW);
    fill_random(&v, LONGEST * ROW, LONGEST * ROW);
    ASSERT_OK(dmattn_attention_plan(h.context, &desc, &plan));
    dmattn_plan_get_info(plan, &info);
    desc.lengths = false;
    args.workspace = make(info.workspace_size + 4);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const uint64_t bytes = 4 * lengths[i][0] * ROW;
        dmattn_plan *exact;
        args.queries = desc.queries = lengths[i][0];
        args.keys = desc.keys = lengths[i][1];
        ASSERT_OK(dmattn_commands_begin(h.device, &commands));
        ASSERT_OK(dmattn_attention_record(plan, commands, &args));
        ASSERT_OK(dmattn_commands_submit(h.device));
        ASSERT_OK(dmattn_download(h.device, &out, 0, got, bytes));
        args.queries = args.keys = 0;
        ASSERT_OK(dmattn_attention_plan(h.context, &desc, &exact));
        ASSERT_OK(dmattn_commands_begin(h.device, &commands));
        ASSERT_OK(dmattn_attention_record(exact, commands, &args));
        ASSERT_OK(dmattn_commands_submit(h.device));
        ASSERT_OK(dmattn_download(h.device, &out, 0, want, bytes));
        dmattn_plan_destroy(exact);
        cr_expect(!memcmp(got, want, bytes), "%u queries, %u keys", lengths[i][0], lengths[i][1]);
    }
    dmattn_plan_destroy(plan);
}

DEVICE_TEST(plan_lengths, refused)
{
    const subject s = {"refused", .attention = {SIZES}}, dma = {"refused", .dynamic = true, .attention = {SIZES}};
    tensors t = make_tensors();
    attention_tile tile;
    dmattn_attention_desc d;
    dmattn_plan *plan;
    VkCommandBuffer commands;
    dmattn_attention_desc most = s.attention;
    most.queries = most.keys = MOST;
    ASSERT_OK(dmattn_attention_desc_resolve(&most, &d, NULL));
    const attention_tile *given = harness_tile(&d, &tile);
    t.workspace = make(1 << 20);
    ASSERT_OK(plan_of(&s, MOST, MOST, true, given, &plan));
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    EXPECT_FAILURE(record(&s, plan, commands, &t, MOST + 1, 1), DMATTN_ERROR_INVALID, "queries is 151");
    EXPECT_FAILURE(record(&s, plan, commands, &t, 1, MOST + 1), DMATTN_ERROR_INVALID, "keys is 151");
    EXPECT_FAILURE(record(&dma, plan, commands, &t, 1, 1), DMATTN_ERROR_INVALID, "the plan is for attention");
    tensors small = t;
    small.k.size = 4 * BATCH * 10 * KV_ROW; /* for 10 keys */
    ASSERT_OK(record(&s, plan, commands, &small, 5, 10));
    EXPECT_FAILURE(record(&s, plan, commands, &small, 5, 11), DMATTN_ERROR_INVALID, "the buffer k has");
    dmattn_plan_destroy(plan);
    ASSERT_OK(plan_of(&s, MOST, MOST, false, given, &plan));
    EXPECT_FAILURE(record(&s, plan, commands, &t, 1, 0), DMATTN_ERROR_INVALID, "does not set `lengths`");
    dmattn_commands_cancel(h.device);
    dmattn_plan_destroy(plan);

    most.lengths = most.lists = true;
    most.mask = DMATTN_MASK_INTERVALS;
    EXPECT_FAILURE(dmattn_attention_plan(h.context, &most, &plan), DMATTN_ERROR_INVALID, "lists and lengths");
    most.lists = false;
    EXPECT_FAILURE(
        dmattn_attention_backward_plan(h.context, &(dmattn_attention_backward_desc){.attention = most}, &plan),
        DMATTN_ERROR_INVALID, "lengths is set");
    const dmattn_decode_desc decode = {
        .attention = {.batch = 1, .queries = 1, .heads = 2, .head_dim = 8, .lengths = true},
        .selection = {.causal = true, .sliding = 5}};
    EXPECT_FAILURE(dmattn_decode_plan(h.context, &decode, &plan), DMATTN_ERROR_INVALID, "lengths");
}
