/* SPDX-License-Identifier: MIT
 * Decoding against attention over the whole sequences, from the definition. Random events: new tokens, tokens taken
 * back, sequences that start again, prompts, and copies of sequences. */
#include "decode_cases.h"
#include "support/few_registers.h"

#include <stdio.h>

static void run_case(const decode_case *c, dmattn_level level, uint64_t seed)
{
    char name[64];
    dmattn_decode_desc desc = c->desc;
    decode_results results = {0};
    desc.attention.level = level;
    h.gpu_tiles = c->gpu_tiles;
    snprintf(name, sizeof name, "%s, %s", c->name, dmattn_level_string(level));
    /* The code for events is the same at all levels. */
    unsigned rounds = level == DMATTN_LEVEL_PORTABLE ? c->rounds : (c->rounds + 2) / 3;
    if (harness_small_tiles() && !harness_takes_all())
        rounds = rounds / (rounds > 100 ? 16 : 2);
    decode_run(name, &desc, &c->habits, rounds, c->strides, seed, &results);
    cr_expect_gt(results.rows, 0, "%s: nothing was compared", name);
    cr_expect(results.rollbacks || !c->habits.rollback || !c->desc.rollback, "%s: nothing was taken back", name);
    cr_expect(results.broken || !c->habits.too_far || rounds < 20, "%s: nothing was taken back too far", name);
    cr_expect(results.fills || !c->habits.fill, "%s: no prompt", name);
    cr_expect(results.chunks || !c->habits.fill || rounds < 5, "%s: no chunk", name);
    cr_expect(results.attended || !c->habits.fill || !c->desc.chunk_tokens, "%s: no chunk attended", name);
    cr_expect(results.forks || !c->habits.fork || rounds < 5, "%s: no fork", name); /* one in a few steps */
    printf("%s: %llu steps, %llu prompts, %llu chunks, %llu with attention, %llu rows, errors %.1e and %.1e of lse\n",
           name, (unsigned long long)results.steps, (unsigned long long)(results.fills - results.chunks),
           (unsigned long long)results.chunks, (unsigned long long)results.attended, (unsigned long long)results.rows,
           results.error, results.lse_error);
}

/* Whether there is a kernel of a level. Pages and formats have kernels of the level matrix only on some devices, and
 * wide rows have none. */
static bool has_kernels(const dmattn_decode_desc *of, dmattn_level level)
{
    const dmattn_attention_desc *d = &of->attention;
    dmattn_decode_desc desc = *of;
    dmattn_support support;
    desc.attention.level = level;
    if (level == DMATTN_LEVEL_PORTABLE || dmattn_decode_check(h.context, &desc, &support) == DMATTN_SUCCESS)
        return true;
    cr_expect_eq(support.status, DMATTN_ERROR_UNSUPPORTED);
    const bool common = level == DMATTN_LEVEL_MATRIX && d->type != F32 && !of->cache && !d->mask && !d->k_format
                        && !d->v_format && d->head_dim <= BAND && d->value_dim <= BAND;
    cr_expect(!common, "%s", support.message);
    return false;
}

static void run_cases(const decode_cases *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const decode_case *c = &list->cases[i];
        for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level))
            if (harness_takes(c->name, !c->extra) && has_kernels(&c->desc, level))
                run_case(c, level, 1 + i);
    }
}

DEVICE_TEST(decode, selections)
{
    run_cases(&decode_selections);
}

DEVICE_TEST(decode, trees)
{
    run_cases(&decode_trees);
}

DEVICE_TEST(decode, types_and_sizes)
{
    run_cases(&decode_types_and_sizes);
}

DEVICE_TEST(decode, chunks)
{
    run_cases(&decode_chunks);
    /* Attention of a chunk may have a higher level than the step, for example with formats. */
    for (size_t i = 0; i < decode_chunks.count; i++) {
        const decode_case *c = &decode_chunks.cases[i];
        if (harness_next_level(DMATTN_LEVEL_PORTABLE) && c->desc.attention.k_format
            && harness_takes(c->name, !c->extra))
            run_case(c, DMATTN_LEVEL_BEST, 1 + i);
    }
}

DEVICE_TEST(decode, formats)
{
    run_cases(&decode_formats);
}

DEVICE_TEST(decode, paged)
{
    run_cases(&decode_paged);
}

DEVICE_TEST(decode, selected)
{
    run_cases(&decode_selected);
}

DEVICE_TEST(decode, balanced)
{
    run_cases(&decode_balanced);
}

/* With few registers, fewer rows are computed together, and fewer loads are in flight. */
static const decode_case few_register_cases[] = {
    {.name = "many slots",
     .desc = {{SHAPE(F16, 2, 3, 8, 2, 128)}, TOPW(300), .rollback = 4},
     .habits = {.rollback = 5, .restart = 40, .fork = 6, .fill = 1, .pause = 6, .most_tokens = 700, .levels = 5},
     .rounds = 6},
    {.name = "wide pages",
     .desc = {{SHAPE(F32, 2, 2, 4, 1, 256)}, ALL(), PAGES(16, 20, 120)},
     PAGED_CACHE,
     .rounds = 6},
    {.name = "pages of unequal sequences",
     .desc = {{SHAPE(F16, 3, 2, 8, 1, 128)}, .no_importance = true, ALL(), PAGES(16, 189, 1000)},
     UNEQUAL,
     .rounds = 2},
    {.name = "rows of q and k unit by unit", /* with 8 lanes per row, the last unit of most lanes does not exist */
     .desc = {{SHAPE(F32, 2, 2, 4, 2, 200)}, TOPW(40), .rollback = 2},
     .habits = {.rollback = 2, .most_tokens = 100, .levels = 5},
     .rounds = 6},
};

DEVICE_TEST(decode, few_registers)
{
    for (size_t driver = 0; driver < FEW_REGISTER_DRIVERS; driver++) {
        pretend_few_registers(driver);
        for (size_t i = 0; i < sizeof few_register_cases / sizeof *few_register_cases; i++) {
            decode_case c = few_register_cases[i];
            char name[64];
            snprintf(name, sizeof name, "%s, %s", c.name, few_registers[driver].name);
            c.name = name;
            c.gpu_tiles = true;
            if (few_registers_take(name, driver, i))
                run_case(&c, DMATTN_LEVEL_PORTABLE, 1 + i);
        }
    }
}

/* The result must not depend on which workgroup is the last. */
static void expect_same_bits(const decode_case *c)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level)) {
        if (!has_kernels(&c->desc, level))
            continue;
        decode_results first = {0}, second = {0};
        dmattn_decode_desc desc = c->desc;
        desc.attention.level = level;
        decode_run("first run", &desc, &c->habits, c->rounds, false, 7, &first);
        decode_run("second run", &desc, &c->habits, c->rounds, false, 7, &second);
        cr_expect_gt(first.rows, 0);
        cr_expect_eq(first.hash, second.hash, "%s: two runs at the level %s differ", c->name,
                     dmattn_level_string(level));
    }
}

DEVICE_TEST(decode, repeatable)
{
    static const decode_case bounded = {
        .name = "bounded",
        .desc = {{SHAPE(F16, 8, 4, 4, 2, 16)}, .importance_given = true, TOPW(200), .rollback = 4},
        .habits = {.rollback = 9, .fill = 1, .most_tokens = 500},
        .rounds = 4};
    static const decode_case unequal = {
        .name = "balanced",
        .desc = {{SHAPE(F16, 4, 2, 4, 2, 16)}, .no_importance = true, ALL(), PAGES(16, 252, 1000)},
        UNEQUAL,
        .rounds = 2};
    expect_same_bits(&bounded);
    expect_same_bits(&unequal);
}

/* 10^5 steps of sequences for each case if all cases are selected; by default on a CPU, a sixteenth for two cases. */
#define PAGES_FOR_LONG PAGES(4, 640, 80)
#define PAGED_FOR_LONG             \
    .habits = {.rollback = 4,      \
               .restart = 60,      \
               .fork = 1,          \
               .fill = 2,          \
               .pause = 8,         \
               .most_tokens = 60,  \
               .levels = 4,        \
               .odd_numbers = 30}, \
    .rounds = 400
#define BOUNDED_FOR_LONG LONG_LIVED, .rounds = 400

DEVICE_TEST(decode, for_long)
{
    static const decode_case long_runs[] = {
        {.name = "window",
         .desc = {{SHAPE(F32, 32, 3, 2, 1, 8)},
                  .importance_given = true,
                  TOPW(6, .sinks = 1, .recent = 2),
                  .rollback = 5,
                  .chunk_tokens = 60},
         BOUNDED_FOR_LONG},
        {.name = "window, sliding",
         .extra = true,
         .desc = {{SHAPE(F32, 32, 4, 2, 1, 8)},
                  .importance_given = true,
                  TOPW(6, .sliding = 9),
                  .rollback = 5,
                  .chunk_tokens = 60},
         BOUNDED_FOR_LONG},
        {.name = "window, earlier",
         .extra = true,
         .desc = {{SHAPE(F16, 32, 4, 2, 1, 8)},
                  .importance_given = true,
                  TOPW(6, EARLIER, .recent = 1),
                  .rollback = 5,
                  .chunk_tokens = 60},
         BOUNDED_FOR_LONG},
        {.name = "window, bf16, no rollback",
         .extra = true,
         .desc = {{SHAPE(BF16, 32, 4, 2, 1, 8)}, .importance_given = true, TOPW(9), .chunk_tokens = 60},
         BOUNDED_FOR_LONG},
        {.name = "window, trees",
         .extra = true,
         .desc = {{SHAPE(F32, 32, 5, 2, 1, 8), TREE = {.batch = 32, .queries = 5}},
                  .importance_given = true,
                  TOPW(8, .sinks = 1, .recent = 2),
                  .rollback = 5},
         BOUNDED_FOR_LONG},
        {.name = "threshold, sliding",
         .extra = true,
         .desc = {{SHAPE(F32, 32, 4, 2, 1, 8)},
                  .importance_given = true,
                  ABOVE(1, .sliding = 12, .sinks = 2, .recent = 3),
                  .rollback = 16,
                  .chunk_tokens = 60},
         BOUNDED_FOR_LONG},
        {.name = "window, int8 and e4m3",
         .extra = true,
         .desc = {{SHAPE(F16, 32, 3, 2, 1, 16), FORMATS(INT8, E4M3)},
                  .importance_given = true,
                  TOPW(6, .sinks = 1, .recent = 2),
                  .rollback = 5,
                  .chunk_tokens = 60},
         BOUNDED_FOR_LONG},
        {.name = "window, q4_0 and q8_0",
         .extra = true,
         .desc = {{SHAPE(BF16, 32, 4, 2, 1, 32), FORMATS(Q4_0, Q8_0)},
                  .importance_given = true,
                  TOPW(8),
                  .rollback = 9,
                  .chunk_tokens = 60},
         BOUNDED_FOR_LONG},
        {.name = "pages, q8_0 and q4_0",
         .desc = {{SHAPE(F16, 32, 3, 2, 1, 32), FORMATS(Q8_0, Q4_0)}, .no_importance = true, ALL(), PAGES_FOR_LONG},
         PAGED_FOR_LONG},
        {.name = "pages, f32, threshold",
         .extra = true,
         .desc = {{SHAPE(F32, 32, 4, 2, 1, 8)}, .importance_given = true, ABOVE(1, .recent = 3), PAGES_FOR_LONG},
         PAGED_FOR_LONG},
        {.name = "pages, bf16, dense mask",
         .extra = true,
         .desc = {{SHAPE(BF16, 32, 4, 2, 1, 16), .mask = DMATTN_MASK_DENSE, .mask_shape = {.batch = 32, .queries = 4}},
                  .no_importance = true,
                  ALL(.sliding = 30),
                  PAGES_FOR_LONG},
         PAGED_FOR_LONG},
        {.name = "pages, e4m3 and int8",
         .extra = true,
         .desc = {{SHAPE(F16, 32, 4, 2, 1, 16), FORMATS(E4M3, INT8)}, .importance_given = true, ALL(), PAGES_FOR_LONG},
         PAGED_FOR_LONG},
        {.name = "pages, sliding", /* balanced */
         .extra = true,
         .desc = {{SHAPE(F16, 32, 4, 2, 1, 16)}, .no_importance = true, ALL(.sliding = 9, .sinks = 2), PAGES_FOR_LONG},
         PAGED_FOR_LONG},
    };
    run_cases(&(decode_cases)LIST(long_runs));
}
