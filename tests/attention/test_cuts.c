/* SPDX-License-Identifier: MIT
 * The division of work does not change results: slices of a dispatch give the same bits, and splits of the keys differ
 * only by rounding. At every level. */
#include "check/check.h"
#include "context.h"
#include "problem.h"
#include "support/harness.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERIES 37
#define KEYS    700
#define HEADS   4
#define DIM     8 /* small, because a CPU compiles kernels for matrices slowly */
#define ROWS    ((size_t)2 * QUERIES * HEADS)

typedef struct results {
    float out[ROWS * DIM], lse[ROWS];
} results;

static dmattn_attention_desc desc_of(dmattn_mask mask, bool causal, dmattn_level level)
{
    dmattn_attention_desc d = {.type = level == DMATTN_LEVEL_PORTABLE ? DMATTN_TYPE_F32 : DMATTN_TYPE_F16,
                               .batch = 2,
                               .queries = QUERIES,
                               .keys = KEYS,
                               .heads = HEADS,
                               .kv_heads = 2,
                               .head_dim = DIM,
                               .causal = causal,
                               .lse = true,
                               .mask = mask,
                               .level = level};
    if (mask)
        d.mask_shape = (dmattn_score_shape){.batch = 2, .heads = 2, .queries = mask == DMATTN_MASK_DENSE ? QUERIES : 1};
    return d;
}

static void run(problem *p, const attention_tile *tile, results *r)
{
    device_problem dp;
    p->tile = tile;
    cr_assert(dmattn_tile_fits(tile, &h.context->caps, &p->desc));
    ASSERT_OK(device_problem_create(p, h.device, &dp));
    ASSERT_OK(device_problem_run(&dp));
    ASSERT_OK(device_problem_download(&dp, r->out, r->lse));
    device_problem_destroy(&dp);
}

/* The largest difference of a row between two results. */
static double largest_error(const results *got, const results *want)
{
    double largest = 0;
    for (size_t row = 0; row < ROWS; row++) {
        double a[DIM], b[DIM];
        for (int i = 0; i < DIM; i++) {
            a[i] = (double)got->out[row * DIM + i];
            b[i] = (double)want->out[row * DIM + i];
        }
        const double error = row_error(a, b, DIM), of_lse = lse_error((double)got->lse[row], (double)want->lse[row]);
        largest = error > largest ? error : largest;
        largest = of_lse > largest ? of_lse : largest;
    }
    return largest;
}

static void run_again(problem *p, const attention_tile *tile, const results *whole, const char *name)
{
    results *r = malloc(sizeof *r);
    cr_assert(r);
    memset(r, 0xff, sizeof *r);
    run(p, tile, r);
    cr_expect_arr_eq(r, whole, sizeof *r, "%s: %u splits in slices of %u workgroups", name, tile->splits, tile->slice);
    free(r);
}

static void run_in_parts(problem *p, attention_tile *tile, uint32_t splits, const results *whole, const char *name)
{
    results *r = malloc(sizeof *r);
    cr_assert(r);
    tile->splits = splits;
    tile->slice = UINT32_MAX;
    run(p, tile, r);
    const double error = largest_error(r, whole), most = 2 * tolerance(p->desc.type);
    cr_expect_leq(error, most, "%s: with %u splits, the error is %g", name, splits, error);
    tile->slice = 3;
    run_again(p, tile, r, name);
    free(r);
}

DEVICE_TEST(cuts, do_not_matter)
{
    static const struct {
        dmattn_mask mask;
        bool causal;
    } cases[] = {{DMATTN_MASK_NONE, true}, {DMATTN_MASK_DENSE, false}, {DMATTN_MASK_INTERVALS, true}};
    const messenger m = {harness_message, &h};
    results *whole = malloc(sizeof *whole);
    cr_assert(whole);
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level))
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const dmattn_attention_desc desc = desc_of(cases[i].mask, cases[i].causal, level);
            problem p;
            attention_tile tile;
            char why[200], name[100];
            snprintf(name, sizeof name, "%s, case %zu", dmattn_level_string(level), i);
            ASSERT_OK(problem_create(&desc, &m, &p));
            problem_randomize(&p, 5);
            cr_assert(dmattn_tile_choose(&h.context->caps, &p.desc, level, &tile, why, sizeof why), "%s: %s", name,
                      why);
            attention_tile small;
            p.desc.level = level;
            if (level == DMATTN_LEVEL_PORTABLE && harness_tile(&p.desc, &small))
                tile = small;
            tile.splits = 1;
            tile.slice = UINT32_MAX;
            run(&p, &tile, whole);
            tile.slice = 1;
            run_again(&p, &tile, whole, name);
            run_in_parts(&p, &tile, 3, whole, name);
            run_in_parts(&p, &tile, 64, whole, name); /* some splits have no tile */
            problem_destroy(&p);
        }
    free(whole);
}
