/* SPDX-License-Identifier: MIT
 * The attention kernels against the reference, case by case, at every level of the device. */
#include "attention_cases.h"
#include "low_precision.h"
#include "reference/element.h"
#include "support/few_registers.h"
#include "support/guarded.h"
#include "support/harness.h"
#include "support/poison.h"
#include "tile_contents.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- one case ------------------------------------------------------------------------------------------------ */

static void describe_out(const dmattn_attention_desc *d, uint64_t at, char *text, size_t size)
{
    const uint64_t row = at / d->value_dim, rows = dmattn_query_rows(d).rows;
    snprintf(text, size, "out[b=%llu, t=%llu, h=%llu, i=%llu]", (unsigned long long)(row / d->heads / rows),
             (unsigned long long)(row / d->heads % rows), (unsigned long long)(row % d->heads),
             (unsigned long long)(at % d->value_dim));
}

static void describe_lse(const dmattn_attention_desc *d, uint64_t at, char *text, size_t size)
{
    const uint64_t rows = dmattn_query_rows(d).rows;
    snprintf(text, size, "lse[b=%llu, h=%llu, t=%llu]", (unsigned long long)(at / rows / d->heads),
             (unsigned long long)(at / rows % d->heads), (unsigned long long)(at % rows));
}

/* Rows of out and lse. */
static uint64_t count_rows(const dmattn_attention_desc *d)
{
    const row_shape shape = dmattn_query_rows(d);
    return (uint64_t)shape.batch * shape.rows * d->heads;
}

/* The right results of a case, and the tolerance for a kernel. */
typedef struct expectation {
    double *out, *lse;
    tolerances tolerance;
} expectation;

static expectation expect_of(const char *name, const problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const reference_inputs in = problem_inputs(p);
    const uint64_t rows = count_rows(d);
    expectation want = {.out = malloc(rows * d->value_dim * sizeof(double)), .lse = malloc(rows * sizeof(double))};
    cr_assert_eq(reference_attention(d, &in, want.out, want.lse), DMATTN_SUCCESS);

    float *low_out = malloc(rows * d->value_dim * sizeof *low_out), *low_lse = malloc(rows * sizeof *low_lse);
    low_precision_attention(d, &in, low_out, low_lse);
    const errors low = compare_results(d, low_out, low_lse, want.out, want.lse);
    cr_expect(!low.out_mismatch && !low.lse_mismatch, "%s: the low-precision evaluation computes something else", name);
    want.tolerance = derive_tolerances(d, &low);
    free(low_out);
    free(low_lse);
    return want;
}

static void compare_case(const char *name, const dmattn_attention_desc *d, const float *out, const float *lse,
                         const expectation *want)
{
    const errors e = compare_results(d, out, d->lse ? lse : NULL, want->out, want->lse);
    char where[96];
    describe_out(d, e.out_at, where, sizeof where);
    cr_expect(!e.out_mismatch && e.out <= want->tolerance.out,
              "%s: %s is %.9g instead of %.9g; error %.3g, allowed %.3g", name, where, out[e.out_at],
              want->out[e.out_at], e.out, want->tolerance.out);
    describe_lse(d, e.lse_at, where, sizeof where);
    cr_expect(!e.lse_mismatch && e.lse <= want->tolerance.lse,
              "%s: %s is %.9g instead of %.9g; error %.3g, allowed %.3g", name, where, lse[e.lse_at],
              want->lse[e.lse_at], e.lse, want->tolerance.lse);
}

/* Expects that another run gives the same bytes. */
static void expect_repeat(const char *name, guarded_problem *g, bool reuse_mask_tiles, uint64_t hash)
{
    ASSERT_OK(guarded_run(g, reuse_mask_tiles));
    cr_expect_eq(guarded_hash(g), hash, "%s: a second run%s gives different bits", name,
                 reuse_mask_tiles ? " that reuses the mask's tiles" : "");
}

/* `tile`: NULL selects the library's. */
static void run_at_level(const char *case_name, const problem *of, dmattn_level level, const attention_tile *tile,
                         const expectation *want)
{
    problem p = *of;
    const dmattn_attention_desc *d = &p.desc;
    const uint64_t rows = count_rows(d);
    float *out = malloc(rows * d->value_dim * sizeof *out), *lse = calloc(rows, sizeof *lse);
    char why[128], name[160];
    snprintf(name, sizeof name, "%s, %s", case_name, dmattn_level_string(level));
    p.desc.level = level;
    p.tile = tile;
    guarded_problem g;
    dmattn_status status = guarded_create(&p, &g);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    dmattn_plan_info info;
    dmattn_plan_get_info(g.plan, &info);
    cr_expect_eq(info.level, level, "%s: it runs at the wrong level %s", name, dmattn_level_string(info.level));
    status = guarded_run(&g, false);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    cr_expect(guarded_results(&g, out, lse, why, sizeof why), "%s: %s", name, why);
    compare_case(name, d, out, lse, want);

    uint64_t hash = guarded_hash(&g);
    if (d->mask || d->total_queries)
        expect_repeat(name, &g, true, hash);
    expect_repeat(name, &g, false, hash);
    guarded_destroy(&g);
    free(out);
    free(lse);
}

/* Runs a case in type `type` at all levels from `lowest` on. The type may differ from the case's own. */
static void run_case(const char *name, const attention_case *c, dmattn_type type, dmattn_level lowest)
{
    attention_case of_type = *c;
    problem p;
    const messenger m = {harness_message, &h};
    of_type.desc.type = type;
    dmattn_status status = problem_create(&of_type.desc, &m, &p);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    case_fill_inputs(&of_type, &p);
    poison_hidden_keys(&p, TENSOR_K, true);
    poison_hidden_keys(&p, TENSOR_V, false);
    problem_store(&p);
    expectation want = {0};
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level)) {
        if (level < lowest || (type == DMATTN_TYPE_F32 && level > DMATTN_LEVEL_PORTABLE)
            || !harness_has_kernels(&p.desc, level) || !harness_takes(name, attention_is_chosen(c, level, false)))
            continue;
        if (!want.out)
            want = expect_of(name, &p);
        attention_tile tile;
        p.desc.level = level;
        run_at_level(name, &p, level, harness_tile(&p.desc, &tile), &want);
    }
    free(want.out);
    free(want.lse);
    problem_destroy(&p);
}

static void expect_no_matrices(const char *name, const dmattn_attention_desc *desc, dmattn_level level)
{
    dmattn_attention_desc d = *desc;
    dmattn_plan *plan;
    d.level = level;
    cr_expect_eq(dmattn_attention_plan(h.context, &d, &plan), DMATTN_ERROR_UNSUPPORTED, "%s, %s", name,
                 dmattn_level_string(level));
    dmattn_plan_destroy(plan);
}

static void run_group(const char *group, const attention_group *g)
{
    char name[128];
    const bool matrices = harness_next_level(DMATTN_LEVEL_PORTABLE) != 0;
    for (size_t i = 0; i < g->count; i++) {
        const attention_case *c = &g->cases[i];
        snprintf(name, sizeof name, "%s, %s", group, c->name);
        run_case(name, c, c->desc.type, DMATTN_LEVEL_PORTABLE);
        if (c->desc.type != DMATTN_TYPE_F32 || !matrices)
            continue;
        const dmattn_type type = attention_case_type(c, i, DMATTN_LEVEL_MATRIX);
        for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level))
            if (level > DMATTN_LEVEL_PORTABLE)
                expect_no_matrices(name, &c->desc, level);
        snprintf(name, sizeof name, "%s, %s in %s", group, c->name, dmattn_type_string(type));
        run_case(name, c, type, DMATTN_LEVEL_MATRIX);
    }
}

/* ---- the library's tiles ------------------------------------------------------------------------------------- */

/* Tiles for few and for many queries, for wide values, and with tile lists. A CPU needs seconds to compile each one. */
static const attention_case own_tiles[] = {
    {.name = "few queries", .desc = {F16, SIZE(2, 5, 130, 2, 1, 32, 0), LSE, CAUSAL}},
    {.name = "many queries", .desc = {F32, SIZE(1, 129, 127, 2, 1, 32, 0), LSE, CAUSAL, BIAS(F32, .queries = 129)}},
    {.name = "wide", .desc = {BF16, SIZE(1, 70, 66, 2, 1, 24, 160), LSE, DENSE(.queries = 70)}},
    {.name = "lists", .desc = {F16, SIZE(1, 71, 130, 4, 2, 16, 0), LSE, INTERVALS(.heads = 2), BIAS(F16, .heads = 2)}},
};

/* With `tile`, or the one that a plan chooses. */
static void run_own_tile(const char *name, const attention_case *c, dmattn_level level, const attention_tile *tile)
{
    problem p;
    ASSERT_OK(problem_create(&c->desc, NULL, &p));
    case_fill_inputs(c, &p);
    poison_hidden_keys(&p, TENSOR_K, true);
    poison_hidden_keys(&p, TENSOR_V, false);
    expectation want = expect_of(name, &p);
    run_at_level(name, &p, level, tile, &want);
    free(want.out);
    free(want.lse);
    problem_destroy(&p);
}

DEVICE_TEST(attention, own_tiles)
{
    for (size_t i = 0; i < sizeof own_tiles / sizeof *own_tiles; i++)
        if (harness_takes(own_tiles[i].name, true))
            run_own_tile(own_tiles[i].name, &own_tiles[i], DMATTN_LEVEL_PORTABLE, NULL);
}

/* The tiles for devices with few registers: the same, and few queries with wide values. */
static const attention_case few_and_wide = {.name = "few queries, wide",
                                            .desc = {F32, SIZE(1, 7, 66, 2, 1, 16, 160), LSE, BIAS(F32, .queries = 7)}};

DEVICE_TEST(attention, tiles_for_few_registers)
{
    for (size_t driver = 0; driver < FEW_REGISTER_DRIVERS; driver++) {
        pretend_few_registers(driver);
        for (size_t i = 0; i <= sizeof own_tiles / sizeof *own_tiles; i++) {
            const attention_case *c = i < sizeof own_tiles / sizeof *own_tiles ? &own_tiles[i] : &few_and_wide;
            char name[96];
            snprintf(name, sizeof name, "%s, %s", c->name, few_registers[driver].name);
            if (few_registers_take(name, driver, i))
                run_own_tile(name, c, DMATTN_LEVEL_PORTABLE, NULL);
        }
    }
}

/* With matrices, too: the output is in shared memory. Cases multiply several blocks of keys, add to two blocks of the
 * output at a time, and load one or two units of k at a time. On lavapipe, a lane has 8 elements of a matrix, so
 * kernels for 16 and more, as on Intel's cards, are only compiled. */
static const attention_case shared_sums[] = {
    {.name = "two loads", .desc = {F16, SIZE(1, 40, 60, 2, 1, 64, 64), CAUSAL}},
    {.name = "causal", .desc = {F16, SIZE(1, 40, 60, 2, 1, 24, 64), CAUSAL}},
    {.name = "dense", .desc = {F16, SIZE(1, 40, 50, 2, 1, 72, 40), LSE, CAUSAL, DENSE(.queries = 40)}},
    {.name = "odd rows", .desc = {F16, SIZE(1, 20, 37, 2, 1, 24, 40), LSE, .v_strides = {0, 43, 0}}},
    {.name = "wide lists", .desc = {F16, SIZE(1, 9, 40, 4, 2, 72, 136), LSE, INTERVALS(.heads = 2)}},
};

DEVICE_TEST(attention, matrices_for_few_registers)
{
    if (!harness_offers(DMATTN_LEVEL_MATRIX))
        return;
    pretend_few_registers(0);
    h.context->caps.fragment_layout = LAYOUT_UNKNOWN; /* so that the form is `shared` */
    bool several_blocks = false, two_loads = false;
    for (size_t i = 0; i < sizeof shared_sums / sizeof *shared_sums; i++) {
        dmattn_attention_desc d;
        attention_tile tiles[32];
        char why[224];
        ASSERT_OK(dmattn_attention_desc_resolve(&shared_sums[i].desc, &d, &(messenger){0}));
        const uint32_t count =
            dmattn_tile_candidates(&h.context->caps, &d, DMATTN_LEVEL_MATRIX, tiles, 32, why, sizeof why);
        uint32_t t = 0;
        while (t < count && !tiles[t].sums_shared) /* with large matrices, the output may fit in registers, too */
            t++;
        cr_assert_lt(t, count, "%s", why);
        const matrix_shape *m = &tiles[t].matrix;
        several_blocks |= tiles[t].keys > m->k;
        const uint32_t units = tiles[t].keys * dmattn_ceil_div(d.head_dim, m->k) * m->k / 8,
                       two = 2 * tiles[t].workgroup;
        two_loads |= units > two && units % two == 0;
        if (m->m == 8 && m->n == 8) /* invocations hold whole columns, so that the three layouts are three kernels */
            cr_expect(m->n == tiles[t].subgroup_size && m->m * m->k % (8 * tiles[t].subgroup_size) == 0);
        /* by coopMatLoad(); the same after the kernel has looked for columns; the elements that invocations hold */
        const uint32_t layouts[] = {LAYOUT_UNKNOWN, LAYOUT_COLUMNS, LAYOUT_ORDERED};
        for (int l = 0; l < 3 && harness_takes(shared_sums[i].name, true); l++) {
            tiles[t].fragment_layout = layouts[l];
            run_own_tile(shared_sums[i].name, &shared_sums[i], DMATTN_LEVEL_MATRIX, &tiles[t]);
        }
    }
    cr_expect(several_blocks);
    cr_expect(two_loads);
}

/* The tile of compilers other than NVIDIA's for lists that few queries share: two subgroups, and a part of a row of q
 * in shared memory. */
DEVICE_TEST(attention, two_subgroups_for_lists)
{
    const attention_case c = {.name = "few shared",
                              .desc = {F16, SIZE(1, 19, 70, 4, 2, 136, 40), LSE, CAUSAL,
                                       SELECTED(5, 8, .heads = 2, .queries = 19), .selected_queries = 1}};
    dmattn_attention_desc d;
    attention_tile tiles[32];
    char why[224];
    if (!harness_offers(DMATTN_LEVEL_MATRIX) || !harness_takes(c.name, true))
        return;
    h.context->caps.fragment_layout = LAYOUT_UNKNOWN; /* so that the form is `shared` */
    ASSERT_OK(dmattn_attention_desc_resolve(&c.desc, &d, &(messenger){0}));
    const uint32_t count =
        dmattn_tile_candidates(&h.context->caps, &d, DMATTN_LEVEL_MATRIX, tiles, 32, why, sizeof why);
    uint32_t t = 0;
    while (t < count
           && (tiles[t].workgroup != 2 * tiles[t].subgroup_size || tiles[t].sums_shared
               || tiles[t].query_blocks * tiles[t].matrix.k >= d.head_dim))
        t++;
    cr_assert_lt(t, count, "%s", why);
    run_own_tile(c.name, &c, DMATTN_LEVEL_MATRIX, &tiles[t]);
}

/* ---- bands ---------------------------------------------------------------------------------------------------- */

/* Small kernels with bands of 16 columns. In the first case, bands share words of out. */
static const attention_case in_bands[] = {
    {.name = "odd rows in bands",
     .desc = {F16, SIZE(2, 20, 33, 2, 1, 24, 40), LSE, CAUSAL, .out_strides = {20 * 83, 83, 41}}},
    {.name = "splits in bands", .desc = {F16, SIZE(1, 1, 700, 4, 2, 24, 40), LSE, SINK}},
};

static void run_in_bands(const attention_case *c, dmattn_level level)
{
    attention_case of_level = *c;
    problem p;
    attention_tile tile;
    char why[224];
    of_level.desc.level = level;
    ASSERT_OK(problem_create(&of_level.desc, NULL, &p));
    case_fill_inputs(&of_level, &p);
    if (!harness_tile(&p.desc, &tile))
        cr_assert(dmattn_tile_choose(&h.context->caps, &p.desc, level, &tile, why, sizeof why), "%s", why);
    tile.band = 16;
    tile.splits = dmattn_tile_splits(&p.desc, &tile);
    cr_expect_eq(tile.splits > 1, c->desc.queries == 1);
    expectation want = expect_of(c->name, &p);
    run_at_level(c->name, &p, level, &tile, &want);
    free(want.out);
    free(want.lse);
    problem_destroy(&p);
}

DEVICE_TEST(attention, bands)
{
    for (size_t i = 0; i < sizeof in_bands / sizeof *in_bands; i++)
        for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level))
            if (harness_takes(in_bands[i].name, !i || level == DMATTN_LEVEL_PORTABLE))
                run_in_bands(&in_bands[i], level);
}

/* ---- v is a part of k -------------------------------------------------------------------------------------------- */

/* Multi-head latent attention: v is the first columns of k, in the same buffer. The results are those of a copy. */
static const attention_case latent[] = {
    {.name = "one query", .desc = {F16, SIZE(1, 1, 150, 16, 1, 576, 512), LSE, .k_strides = {0, 576, 0}}},
    {.name = "two items", .desc = {F32, SIZE(2, 5, 40, 2, 1, 40, 24), LSE, CAUSAL, .k_strides = {40 * 40, 40, 40}}},
};

static void run_latent(const attention_case *c, dmattn_level level)
{
    attention_case of_level = *c;
    problem p;
    attention_tile tile;
    of_level.desc.v_strides = c->desc.k_strides;
    of_level.desc.level = level;
    ASSERT_OK(problem_create(&of_level.desc, NULL, &p));
    case_fill_inputs(&of_level, &p);
    memcpy(p.tensor[TENSOR_V], p.tensor[TENSOR_K], dmattn_attention_tensor_bytes(&p.desc, TENSOR_V));
    expectation want = expect_of(c->name, &p);
    p.tile = harness_tile(&p.desc, &tile);
    run_at_level(c->name, &p, level, p.tile, &want);
    guarded_problem g;
    ASSERT_OK(guarded_create(&p, &g));
    ASSERT_OK(guarded_run(&g, false));
    const uint64_t of_copy = guarded_hash(&g);
    g.args.v = g.args.k;
    expect_repeat(c->name, &g, false, of_copy);
    guarded_destroy(&g);
    free(want.out);
    free(want.lse);
    problem_destroy(&p);
}

DEVICE_TEST(attention, latent)
{
    for (size_t i = 0; i < sizeof latent / sizeof *latent; i++)
        for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level))
            if (level == DMATTN_LEVEL_PORTABLE
                || (latent[i].desc.type != DMATTN_TYPE_F32 && harness_has_kernels(&latent[i].desc, level)
                    && harness_takes(latent[i].name, false)))
                run_latent(&latent[i], level);
}

/* ---- many tiles of keys -------------------------------------------------------------------------------------- */

/* Kernels have up to four tiles of keys in progress. */
#define MANY_TILES  9
#define MOST_NARROW 32

/* Cases of up to MOST_NARROW dimensions have a scale of 1 or -1, so that the contents below set their scores. */
static const attention_case many_tiles[] = {
    {.name = "all keys", .desc = {F16, SIZE(2, 40, 0, 4, 2, 32, 0), LSE, .scale = 1, BIAS(F32, .heads = 2)}},
    {.name = "dense",
     .desc = {F16, SIZE(1, 130, 0, 2, 1, 32, 0), LSE, .scale = 1, CAUSAL, DENSE(.queries = 130)},
     .data = DATA_TILES},
    {.name = "lists",
     .desc = {F16, SIZE(1, 70, 0, 4, 2, 32, 0), LSE, .scale = 1, INTERVALS(.heads = 2), BIAS(F32, .heads = 2)}},
    {.name = "lists that do not fit, bounds that are far away",
     .desc = {F16, SIZE(1, 300, 0, 2, 1, 16, 0), LSE, .scale = 1, INTERVALS(.heads = 1), .list_capacity = 1},
     .data = DATA_EVERYTHING},
    {.name = "soft cap",
     .desc = {F16, SIZE(1, 70, 0, 2, 1, 24, 40), LSE, .scale = -1, .soft_cap = 90, CAUSAL, .k_strides = {0, 27, 0},
              .v_strides = {0, 43, 0}, BIAS(F16, .heads = 2, .queries = 70)}},
    {.name = "causal", .desc = {BF16, SIZE(1, 130, 0, 4, 2, 128, 0), LSE, CAUSAL}},
    {.name = "wide", .desc = {F16, SIZE(1, 70, 0, 2, 1, 256, 0), LSE, CAUSAL}},
    {.name = "wide lists",
     .desc = {BF16, SIZE(1, 70, 0, 4, 1, 128, 0), LSE, CAUSAL, INTERVALS(.heads = 1), BIAS(F32, .heads = 1)}},
};

/* Makes a problem of a case with so many keys. */
static problem many_tiles_problem(const attention_case *c, const tile_contents *with, uint32_t keys, uint32_t tile_keys)
{
    attention_case of_size = *c;
    problem p;
    of_size.desc.keys = keys;
    ASSERT_OK(problem_create(&of_size.desc, NULL, &p));
    case_fill_inputs(&of_size, &p);
    tile_contents_set(with, &p, tile_keys);
    poison_hidden_keys(&p, TENSOR_K, true);
    poison_hidden_keys(&p, TENSOR_V, false);
    return p;
}

static void run_many_tiles(const char *name, const attention_case *c, const tile_contents *with, dmattn_level level,
                           attention_tile *tile, uint32_t keys)
{
    char full_name[160];
    problem p = many_tiles_problem(c, with, keys, tile->keys);
    snprintf(full_name, sizeof full_name, "%s, %u keys, %s", name, keys, with->name);
    expectation want = expect_of(full_name, &p);
    run_at_level(full_name, &p, level, tile, &want);
    free(want.out);
    free(want.lse);
    problem_destroy(&p);
}

/* Expects NaN where it is right, and the tolerance elsewhere. */
static void expect_results(const char *name, const char *of, const float *got, const double *want, uint64_t count,
                           double tolerance)
{
    uint64_t nans = 0;
    for (uint64_t i = 0; i < count; i++) {
        const bool right =
            isnan(want[i]) ? (bool)isnan(got[i]) : got[i] == want[i] || fabs(got[i] - want[i]) <= tolerance;
        cr_expect(right, "%s: element %llu of %s is %g instead of %g", name, (unsigned long long)i, of, got[i],
                  want[i]);
        nans += (bool)isnan(want[i]);
    }
    cr_expect(nans > 0 && nans < count, "%s: %llu elements of %s are NaN", name, (unsigned long long)nans, of);
}

/* Some scores of some rows are infinite or NaN from the third tile on. The other rows must be right. */
static void run_not_finite(const char *case_name, const attention_case *c, dmattn_level level, attention_tile *tile)
{
    char name[160];
    snprintf(name, sizeof name, "%s, not finite, %s", case_name, dmattn_level_string(level));
    problem p = many_tiles_problem(c, &many_tiles_contents[1], 5 * tile->keys, tile->keys);
    const dmattn_attention_desc *d = &p.desc;
    const uint64_t rows = count_rows(d);
    const tensor_box k = problem_box(&p, TENSOR_K), q = problem_box(&p, TENSOR_Q);
    expectation want = expect_of(name, &p); /* its tolerance is that of the finite rows */
    for (uint32_t head = 0; head < d->kv_heads; head++) {
        const uint64_t key = (2 * tile->keys + 3) * (uint64_t)d->kv_heads + head;
        element_store(d->type, p.tensor[TENSOR_K], tensor_box_at(&k, key), INFINITY);
    }
    for (uint64_t row = 5; row < tensor_box_rows(&q); row += 16)
        element_store(d->type, p.tensor[TENSOR_Q], tensor_box_at(&q, row), NAN);
    const reference_inputs in = problem_inputs(&p);
    ASSERT_OK(reference_attention(d, &in, want.out, want.lse));

    float *out = malloc(rows * d->value_dim * sizeof *out), *lse = malloc(rows * sizeof *lse);
    device_problem dp;
    p.desc.level = level;
    p.tile = tile;
    ASSERT_OK(device_problem_create(&p, h.device, &dp));
    ASSERT_OK(device_problem_run(&dp));
    ASSERT_OK(device_problem_download(&dp, out, lse));
    expect_results(name, "out", out, want.out, rows * d->value_dim, want.tolerance.out);
    expect_results(name, "lse", lse, want.lse, rows, want.tolerance.lse);
    device_problem_destroy(&dp);
    free(out);
    free(lse);
    free(want.out);
    free(want.lse);
    problem_destroy(&p);
}

static void run_with_tile(const attention_case *c, dmattn_level level, attention_tile *tile)
{
    const bool narrow = c->desc.head_dim <= MOST_NARROW;
    char name[128];
    tile->splits = 1;
    snprintf(name, sizeof name, "%s, %u x %u", c->name, tile->rows, tile->keys);
    run_many_tiles(name, c, &many_tiles_contents[0], level, tile, MANY_TILES * tile->keys + 5);
    for (size_t i = 0; i < (narrow ? MANY_TILES_CONTENTS : 1); i++) {
        const tile_contents *with = &many_tiles_contents[i];
        for (uint32_t tiles = with->least_tiles; tiles <= 5 && tile_contents_fit(with, &c->desc); tiles++)
            run_many_tiles(name, c, with, level, tile, tiles * tile->keys);
    }
    if (narrow)
        run_not_finite(name, c, level, tile);
}

/* At matrix levels on a GPU, with every tile that the library may choose for such a case; a GPU needs minutes to
 * compile them. On a CPU, the narrow cases with the tile that compiles fastest. */
DEVICE_TEST(attention, many_tiles)
{
    const bool cpu = h.info.type == VK_PHYSICAL_DEVICE_TYPE_CPU;
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level))
        for (size_t i = 0; i < sizeof many_tiles / sizeof *many_tiles; i++) {
            const attention_case *c = &many_tiles[i];
            attention_tile tiles[32];
            char why[224];
            dmattn_attention_desc d = c->desc;
            if (!harness_takes(c->name, !cpu || d.head_dim <= MOST_NARROW))
                continue;
            d.keys = 600;
            d.batch = 1024; /* enough workgroups for every tile */
            d.level = level;
            ASSERT_OK(dmattn_attention_desc_resolve(&d, &d, &(messenger){0}));
            uint32_t count = dmattn_tile_candidates(&h.context->caps, &d, level, tiles, 32, why, sizeof why);
            cr_assert_gt(count, 0, "%s: %s", c->name, why);
            if (level == DMATTN_LEVEL_PORTABLE || harness_tile(&d, &tiles[0]))
                count = 1;
            for (uint32_t t = 0; t < count; t++)
                run_with_tile(c, level, &tiles[t]);
        }
}

/* ---- rounding ------------------------------------------------------------------------------------------------ */

/* A finite 16-bit number. Half of the time, it is next to the previous one, so that their mean is a tie. */
static uint16_t random_element(dmattn_type type, bool in_f16, uint64_t *state, uint16_t last)
{
    if (random_bits(state) % 2)
        return last ^ 1;
    uint16_t sign = random_bits(state) & 0x8000;
    if (type == DMATTN_TYPE_F16)
        return sign | (uint16_t)(random_bits(state) % 0x7c00);
    if (in_f16) /* from 2^-14 to 2^15: numbers that f16 has, too */
        return sign | (uint16_t)(0x3880 + random_bits(state) % 0xf00);
    return sign | (uint16_t)(0x1000 + random_bits(state) % 0x6000); /* far from overflow, and not subnormal in f32 */
}

/* Two keys have equal scores, so the result is the mean of two values. The mean is exact in f32 and must be rounded to
 * nearest, ties to even.
 */
static void try_rounding(dmattn_type type, bool aligned, dmattn_level level)
{
    enum { BATCH = 128, DIM = 128 };
    dmattn_attention_desc desc = {
        .type = type, .batch = BATCH, .queries = 1, .keys = 2, .heads = 1, .head_dim = 8, .value_dim = DIM};
    desc.level = level;
    if (!aligned)
        desc.out_strides = (dmattn_strides){DIM + 1, DIM + 1, DIM + 1};
    problem p;
    device_problem dp;
    static float got[BATCH * DIM];
    ASSERT_OK(problem_create(&desc, NULL, &p)); /* q and k are 0 */
    uint16_t *v = p.tensor[TENSOR_V], last = 0x3c01;
    uint64_t state = 1;
    attention_tile tile;
    p.tile = harness_tile(&p.desc, &tile);
    ASSERT_OK(device_problem_create(&p, h.device, &dp));
    dmattn_plan_info info;
    dmattn_plan_get_info(dp.plan, &info);
    const bool in_f16 = strstr(info.kernel, "as f16") != NULL;
    for (uint32_t b = 0; b < desc.batch; b++)
        for (uint32_t i = 0; i < desc.value_dim; i++)
            for (uint32_t j = 0; j < 2; j++)
                v[(b * 2 + j) * DIM + i] = last = random_element(type, in_f16, &state, last);
    ASSERT_OK(dmattn_upload(h.device, &dp.args.v, 0, v, problem_bytes(&p, TENSOR_V)));
    ASSERT_OK(device_problem_run(&dp));
    ASSERT_OK(device_problem_download(&dp, got, NULL));
    for (uint32_t b = 0; b < desc.batch; b++)
        for (uint32_t i = 0; i < desc.value_dim; i++) {
            const uint64_t at = b * 2 * DIM + i;
            const double mean = (element_load(type, v, at) + element_load(type, v, at + DIM)) / 2;
            uint16_t bits;
            element_store(type, &bits, 0, mean);
            const float want = (float)element_load(type, &bits, 0);
            if (got[b * DIM + i] != want)
                cr_expect(false, "%s, %s: %.9g is stored as %.9g instead of %.9g", dmattn_type_string(type),
                          dmattn_level_string(level), mean, got[b * DIM + i], want);
        }
    device_problem_destroy(&dp);
    problem_destroy(&p);
}

DEVICE_TEST(attention, rounding)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level))
        for (int aligned = 0; aligned < 2; aligned++) {
            try_rounding(DMATTN_TYPE_F16, aligned, level);
            try_rounding(DMATTN_TYPE_BF16, aligned, level);
        }
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

#define GROUP_TEST(group)                  \
    DEVICE_TEST(attention, group)          \
    {                                      \
        run_group(#group, &cases_##group); \
    }
ATTENTION_GROUPS(GROUP_TEST)
