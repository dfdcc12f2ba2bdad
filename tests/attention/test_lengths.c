/* SPDX-License-Identifier: MIT
 * A plan for more queries and keys than exist, as in docs/embedding.md: padding after a document, or after the last
 * token of a causal sequence. It must give the same results as a plan for the exact lengths. */
#include "support/harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { QUERIES = 40, KEYS = 70, PADDED_QUERIES = 64, PADDED_KEYS = 128, HEADS = 4, KV_HEADS = 2, DIM = 16 };
enum { ROW = HEADS * DIM, KV_ROW = KV_HEADS * DIM };

typedef struct sequence {
    float q[QUERIES * ROW], k[KEYS * KV_ROW], v[KEYS * KV_ROW];
    float dt_weight[KV_HEADS * KV_ROW], a[KV_HEADS];
} sequence;

static void randomize(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (float)rand() / (float)RAND_MAX - 0.5f;
}

/* A buffer of `count` floats: `given` values, then `padding`. */
static dmattn_buffer buffer_of(const float *values, size_t given, size_t count, float padding)
{
    dmattn_buffer buffer;
    float *all = malloc(count * sizeof *all);
    cr_assert_not_null(all);
    for (size_t i = 0; i < count; i++)
        all[i] = i < given ? values[i] : padding;
    ASSERT_OK(dmattn_buffer_create(h.device, count * sizeof *all, &buffer));
    ASSERT_OK(dmattn_upload(h.device, &buffer, 0, all, count * sizeof *all));
    free(all);
    return buffer;
}

static dmattn_buffer offsets_of(int32_t length)
{
    const int32_t offsets[] = {0, length};
    dmattn_buffer buffer;
    ASSERT_OK(dmattn_buffer_create(h.device, sizeof offsets, &buffer));
    ASSERT_OK(dmattn_upload(h.device, &buffer, 0, offsets, sizeof offsets));
    return buffer;
}

/* Runs dynamic mask attention for the first queries and keys of a sequence, with a plan for `planned` of them. */
static void run(const sequence *s, const dmattn_selection *selection, uint32_t queries, uint32_t keys,
                uint32_t planned_queries, uint32_t planned_keys, float padding, float *out)
{
    const dmattn_dma_desc desc = {.attention = {.batch = 1,
                                                .queries = planned_queries,
                                                .keys = planned_keys,
                                                .heads = HEADS,
                                                .kv_heads = KV_HEADS,
                                                .head_dim = DIM},
                                  .selection = *selection};
    dmattn_plan *plan;
    dmattn_plan_info info;
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_dma_plan(h.context, &desc, &plan));
    dmattn_plan_get_info(plan, &info);
    dmattn_dma_args args = {.q = buffer_of(s->q, queries * ROW, planned_queries * ROW, padding),
                            .k = buffer_of(s->k, keys * KV_ROW, planned_keys * KV_ROW, padding),
                            .v = buffer_of(s->v, keys * KV_ROW, planned_keys * KV_ROW, padding),
                            .out = buffer_of(NULL, 0, planned_queries * ROW, NAN),
                            .dt_weight = buffer_of(s->dt_weight, KV_HEADS * KV_ROW, KV_HEADS * KV_ROW, 0),
                            .a = buffer_of(s->a, KV_HEADS, KV_HEADS, 0),
                            .query_offsets = offsets_of((int32_t)queries),
                            .key_offsets = offsets_of((int32_t)keys)};
    ASSERT_OK(dmattn_buffer_create(h.device, info.workspace_size, &args.workspace));
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_dma_record(plan, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    ASSERT_OK(dmattn_download(h.device, &args.out, 0, out, sizeof(float) * ROW * planned_queries));
    dmattn_plan_destroy(plan);
}

static void expect_same(const float *got, const float *want, size_t count, const char *what)
{
    float worst = 0;
    for (size_t i = 0; i < count; i++) {
        const float difference = fabsf(got[i] - want[i]);
        worst = difference <= worst ? worst : difference; /* also if it is NaN */
    }
    cr_expect(worst < 1e-5f, "%s: off by %g", what, (double)worst);
}

/* There are fewer queries than keys. The queries must be at the end of the sequence, not at the end of the planned
 * keys. */
DEVICE_TEST(lengths, document)
{
    static sequence s;
    static float want[QUERIES * ROW], got[PADDED_QUERIES * ROW];
    randomize((float *)&s, sizeof s / sizeof(float));
    static const dmattn_select ways[] = {DMATTN_SELECT_TOPW_CAUSAL, DMATTN_SELECT_TOPW_SHARED};
    for (int i = 0; i < 2; i++) {
        dmattn_selection selection = {.select = ways[i], .window = 16, .causal = true};
        run(&s, &selection, QUERIES, KEYS, QUERIES, KEYS, 0, want);
        selection.documents = 1;
        run(&s, &selection, QUERIES, KEYS, PADDED_QUERIES, PADDED_KEYS, NAN, got);
        expect_same(got, want, QUERIES * ROW, i ? "w of all keys" : "w of each prefix");
        for (int j = QUERIES * ROW; j < PADDED_QUERIES * ROW; j++)
            cr_expect_eq(got[j], 0, "element %d after the document is %g", j, (double)got[j]);
    }
}

DEVICE_TEST(lengths, causal_prefix)
{
    static sequence s;
    static float want[QUERIES * ROW], got[PADDED_QUERIES * ROW];
    randomize((float *)&s, sizeof s / sizeof(float));
    const dmattn_selection selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 16, .causal = true};
    run(&s, &selection, QUERIES, QUERIES, QUERIES, QUERIES, 0, want);
    run(&s, &selection, QUERIES, QUERIES, PADDED_QUERIES, PADDED_QUERIES, 3, got);
    expect_same(got, want, QUERIES * ROW, "padding after the last token");
}
