/* SPDX-License-Identifier: MIT
 * Selectors against the reference: random scores within derived errors, and integers, whose scores are exact, so that
 * ties count; extreme numbers; rounds; and what is refused. Rows that must not be read hold NaN. */
#include "support/arena.h"

#include "context.h"
#include "reference/element.h"
#include "reference/selector.h"
#include "selector/desc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct selector_case {
    const char *name;
    dmattn_selector_desc desc;
    bool integers;
    int32_t counts[4]; /* of two items */
} selector_case;

/* Of the present test: k of cases with pages, contiguous. */
static void *rows_of_pages;

#define INDEXER .kv_heads = 1, .relu = true, .weights = true, .causal = true

#define SIZES(t, b, q, k) .type = DMATTN_TYPE_##t, .batch = (b), .queries = (q), .keys = (k)
#define CASE(text, ...)                         \
    {                                           \
        .name = (text), .desc = { __VA_ARGS__ } \
    }
#define INTEGERS(text, ...)                                       \
    {                                                             \
        .name = (text), .integers = true, .desc = { __VA_ARGS__ } \
    }

static const selector_case cases[] = {
    CASE("indexer", SIZES(F32, 2, 40, 90), INDEXER, .heads = 3, .head_dim = 40, .count = 17),
    CASE("indexer f16", SIZES(F16, 1, 70, 330), INDEXER, .heads = 5, .head_dim = 64, .count = 33),
    CASE("indexer bf16", SIZES(BF16, 2, 33, 150), INDEXER, .heads = 8, .head_dim = 72, .count = 40),
    INTEGERS("integers", SIZES(F16, 2, 40, 300), INDEXER, .heads = 4, .head_dim = 16, .count = 50),
    INTEGERS("integers f32", SIZES(F32, 1, 40, 300), INDEXER, .heads = 4, .head_dim = 16, .count = 50),
    INTEGERS("integers bf16", SIZES(BF16, 1, 20, 200), INDEXER, .heads = 3, .head_dim = 8, .count = 5),
    INTEGERS("one query", SIZES(F16, 3, 1, 500), INDEXER, .heads = 16, .head_dim = 32, .count = 100),
    INTEGERS("three queries", SIZES(F16, 2, 3, 500), INDEXER, .heads = 12, .head_dim = 32, .count = 100),
    INTEGERS("more queries than keys", SIZES(F32, 1, 50, 20), INDEXER, .heads = 2, .head_dim = 8, .count = 6),
    INTEGERS("one number", SIZES(F32, 1, 9, 70), .heads = 1, .head_dim = 8, .count = 1),
    CASE("more numbers than keys", SIZES(F16, 1, 9, 21), .heads = 2, .head_dim = 8, .count = 30, .causal = true),
    INTEGERS("first and recent", SIZES(F32, 1, 40, 100), .heads = 2, .kv_heads = 1, .head_dim = 8, .count = 9,
             .first = 2, .recent = 3, .causal = true),
    INTEGERS("recent without causal", SIZES(F16, 1, 40, 100), .heads = 2, .kv_heads = 1, .head_dim = 8, .count = 9,
             .first = 1, .recent = 8),
    CASE("moba", SIZES(F16, 2, 60, 130), .heads = 4, .kv_heads = 2, .list_heads = 4, .head_dim = 32, .block = 16,
         .count = 4, .recent = 1, .causal = true),
    CASE("groups of heads", SIZES(BF16, 1, 60, 130), .heads = 6, .kv_heads = 2, .head_dim = 64, .block = 8, .count = 5,
         .first = 1, .recent = 2, .causal = true),
    INTEGERS("blocks of integers", SIZES(F32, 1, 50, 250), .heads = 4, .kv_heads = 2, .head_dim = 16, .block = 4,
             .count = 9, .recent = 1, .causal = true),
    CASE("blocks with weights", SIZES(F32, 1, 20, 90), .heads = 4, .kv_heads = 2, .head_dim = 24, .relu = true,
         .weights = true, .block = 32, .count = 2),
    {.name = "counts",
     .integers = true,
     .counts = {7, 150, 40, 33},
     .desc = {SIZES(F16, 2, 40, 200), INDEXER, .heads = 4, .head_dim = 16, .count = 20, .counts = true}},
    {.name = "counts out of range",
     .integers = true,
     .counts = {-7, 50, 1 << 30, INT32_MAX},
     .desc = {SIZES(F32, 2, 20, 60), INDEXER, .heads = 2, .head_dim = 8, .count = 20, .counts = true}},
    {.name = "counts of blocks",
     .counts = {20, 43, 0, 0},
     .desc = {SIZES(F32, 2, 20, 60), .heads = 2, .head_dim = 8, .block = 8, .count = 3, .recent = 1, .causal = true,
              .counts = true}},
    INTEGERS("strides", SIZES(F32, 2, 20, 60), .heads = 4, .kv_heads = 2, .head_dim = 16, .count = 7,
             .q_strides = {4 * 20 * 16, 16, 20 * 16}, .k_strides = {60 * 52 + 4, 52, 24}),
    INTEGERS("rows that begin in the middle of a word", SIZES(F16, 2, 20, 60), .heads = 4, .kv_heads = 2,
             .head_dim = 16, .count = 7, .q_strides = {4 * 20 * 17, 17, 20 * 17}, .k_strides = {60 * 51, 51, 23}),
    INTEGERS("pages", SIZES(F16, 2, 40, 200), INDEXER, .heads = 4, .head_dim = 16, .count = 20, .page_size = 16,
             .pages = 29),
    INTEGERS("pages of f32, apart", SIZES(F32, 2, 20, 61), .heads = 4, .kv_heads = 2, .head_dim = 24, .count = 9,
             .page_size = 5, .pages = 40, .page_bytes = 1024),
    INTEGERS("blocks in pages", SIZES(F32, 1, 50, 250), .heads = 4, .kv_heads = 2, .head_dim = 16, .block = 4,
             .count = 9, .recent = 1, .causal = true, .page_size = 64, .pages = 9),
    {.name = "counts, pages",
     .integers = true,
     .counts = {1, 150, 3, 33},
     .desc = {SIZES(BF16, 2, 3, 200), INDEXER, .heads = 16, .head_dim = 32, .count = 40, .counts = true,
              .page_size = 64, .pages = 8}},
    CASE("many heads and a wide row", SIZES(BF16, 1, 17, 80), INDEXER, .heads = 20, .head_dim = 136, .count = 11),
    INTEGERS("a long row", SIZES(F32, 1, 2, 9000), INDEXER, .heads = 1, .head_dim = 8, .count = 2048),
    CASE("the best of a long row", SIZES(F32, 1, 2, 9000), INDEXER, .heads = 1, .head_dim = 8, .count = 2),
    CASE("nearly all of a long row", SIZES(F32, 1, 2, 9000), .heads = 1, .head_dim = 8, .count = 8997),
};

static double random_number(bool integer)
{
    const double x = (double)rand() / RAND_MAX - 0.5;
    return integer ? rint(5 * x) : 4 * x;
}

/* Fills the rows that exist; everything else stays as it is. */
static void fill_rows(dmattn_type type, void *data, const dmattn_strides *s, uint32_t item, uint32_t rows,
                      uint32_t heads, uint32_t dim, bool integers)
{
    for (uint32_t row = 0; row < rows; row++)
        for (uint32_t head = 0; head < heads; head++)
            for (uint32_t i = 0; i < dim; i++)
                element_store(type, data, item * s->batch + row * s->sequence + head * s->head + i,
                              random_number(integers));
}

static uint32_t existing(const selector_case *c, uint32_t item, int which, uint32_t most)
{
    if (!c->desc.counts)
        return most;
    const int32_t count = c->counts[2 * item + (uint32_t)which];
    return count < 0 ? 0 : (uint32_t)count > most ? most : (uint32_t)count;
}

/* Puts the rows into pages in random order, of which the rest is NaN. For the last page of the pool, the table has a
 * number of no page, and pages without keys of the item have other such numbers. */
static void fill_pages(const selector_case *c, const dmattn_selector_desc *d, const arena *a)
{
    const uint32_t size = dmattn_type_size(d->type);
    const uint32_t table_pages = (uint32_t)(a->bytes[TENSOR_TABLE] / 4 / d->batch); /* of the longest run */
    unsigned char *pool = arena_input(a, TENSOR_PAGES);
    int32_t *table = arena_input(a, TENSOR_TABLE);
    uint32_t free_page = d->pages;
    memset(pool, 0xff, a->bytes[TENSOR_PAGES]);
    for (uint32_t i = 0; i < d->batch * table_pages; i++) {
        const uint32_t item = i / table_pages, first = i % table_pages * d->page_size;
        const uint32_t keys = existing(c, item, 1, d->keys), left = first < keys ? keys - first : 0;
        table[i] = i % 2 ? -1 : INT32_MAX;
        if (!left)
            continue;
        cr_assert_gt(free_page, 0);
        unsigned char *page = pool + --free_page * d->page_bytes;
        table[i] = free_page + 1 == d->pages ? INT32_MIN : (int32_t)free_page;
        for (uint32_t row = 0; row < d->page_size && row < left; row++)
            for (uint32_t head = 0; head < d->kv_heads; head++)
                memcpy(page + size * d->head_dim * (head * d->page_size + row),
                       (unsigned char *)rows_of_pages
                           + size
                                 * (item * d->k_strides.batch + (first + row) * d->k_strides.sequence
                                    + head * d->k_strides.head),
                       size * d->head_dim);
    }
}

static void *k_of(const dmattn_selector_desc *d, const arena *a)
{
    return d->page_size ? rows_of_pages : arena_input(a, TENSOR_K);
}

static void fill(const selector_case *c, const dmattn_selector_desc *d, const arena *a)
{
    const uint64_t k_bytes = (uint64_t)4 * d->batch * d->keys * d->kv_heads * d->head_dim;
    if (d->page_size)
        rows_of_pages = malloc(k_bytes);
    void *q = arena_input(a, TENSOR_Q), *k = k_of(d, a);
    float *weights = arena_input(a, TENSOR_WEIGHTS);
    srand(1);
    memset(q, 0xff, a->bytes[TENSOR_Q]); /* NaN of every type */
    memset(k, 0xff, d->page_size ? k_bytes : a->bytes[TENSOR_K]);
    for (uint32_t item = 0; item < d->batch; item++) {
        fill_rows(d->type, q, &d->q_strides, item, existing(c, item, 0, d->queries), d->heads, d->head_dim,
                  c->integers);
        fill_rows(d->type, k, &d->k_strides, item, existing(c, item, 1, d->keys), d->kv_heads, d->head_dim,
                  c->integers);
    }
    for (uint64_t i = 0; weights && i < (uint64_t)d->batch * d->queries * d->heads; i++)
        weights[i] = (float)random_number(c->integers);
    if (d->counts)
        memcpy(arena_input(a, TENSOR_COUNTS), c->counts, sizeof c->counts);
    if (d->page_size)
        fill_pages(c, d, a);
    memset(arena_input(a, TENSOR_SELECTED), 0x5a, a->bytes[TENSOR_SELECTED]);
}

static void compare_row(const char *name, const dmattn_selector_desc *d, const reference_selector_inputs *in,
                        reference_selector_row row, bool exact, const int32_t *got)
{
    double *scores = malloc(2 * dmattn_selector_numbers(d) * sizeof *scores);
    double *errors = scores + dmattn_selector_numbers(d);
    int32_t *want = malloc(d->count * sizeof *want);
    reference_selector_scores(d, in, row, scores, errors);
    ASSERT_OK(reference_selector_list(d, in, row, scores, want));
    cr_assert(reference_selector_agrees(d, in, row, scores, errors, want), "%s: the reference contradicts itself",
              name);
    cr_expect(reference_selector_agrees(d, in, row, scores, errors, got), "%s, item %u, list %u, query %u: wrong", name,
              row.item, row.list, row.query);
    for (uint32_t i = 0; exact && i < d->count; i++)
        cr_assert_eq(got[i], want[i], "%s, item %u, list %u, query %u: number %u is %d instead of %d", name, row.item,
                     row.list, row.query, i, got[i], want[i]);
    free(scores);
    free(want);
}

static void compare(const char *name, const dmattn_selector_desc *d, const arena *a, bool exact)
{
    const reference_selector_inputs in = {.q = arena_input(a, TENSOR_Q),
                                          .k = k_of(d, a),
                                          .weights = arena_input(a, TENSOR_WEIGHTS),
                                          .counts = arena_input(a, TENSOR_COUNTS)};
    const int32_t *got = arena_output(a, TENSOR_SELECTED);
    for (uint32_t item = 0; item < d->batch; item++)
        for (uint32_t list = 0; list < d->list_heads; list++)
            for (uint32_t query = 0; query < d->queries; query++, got += d->count)
                compare_row(name, d, &in, (reference_selector_row){item, list, query}, exact, got);
}

/* Whether means of integers are exact, too. */
static bool is_exact(const selector_case *c)
{
    return c->integers && c->desc.type == DMATTN_TYPE_F32 ? true : c->integers && c->desc.block <= 1;
}

static void make(const dmattn_selector_desc *d, const selector_tile *tile, dmattn_selector_args *args, arena *a)
{
    dmattn_plan *plan;
    ASSERT_OK(dmattn_selector_plan_tile(h.context, d, tile, &plan));
    arena_create(a, plan, args, 0);
    a->result[TENSOR_SELECTED] = true;
}

static void run(const selector_case *c, dmattn_level level, const selector_tile *tile)
{
    dmattn_selector_desc d;
    dmattn_selector_args args = {0};
    arena a;
    ASSERT_OK(dmattn_selector_desc_resolve(&c->desc, &d, NULL));
    d.level = level;
    make(&d, tile, &args, &a);
    fill(c, &d, &a);
    arena_run(&a, 0, c->name);
    compare(c->name, &d, &a, is_exact(c));
    unsigned char *first = malloc(a.bytes[TENSOR_SELECTED]);
    memcpy(first, arena_output(&a, TENSOR_SELECTED), a.bytes[TENSOR_SELECTED]);
    arena_run(&a, 0, c->name);
    cr_expect(!memcmp(first, arena_output(&a, TENSOR_SELECTED), a.bytes[TENSOR_SELECTED]), "%s: another result",
              c->name);
    free(first);
    free(rows_of_pages);
    rows_of_pages = NULL;
    arena_destroy(&a);
}

DEVICE_TEST(selector, cases)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run(&cases[i], DMATTN_LEVEL_PORTABLE, NULL);
}

/* A CPU takes seconds to compile one of these kernels, so a few cases run by default. */
static bool is_chosen(const char *name)
{
    static const char *const chosen[] = {"indexer bf16", "integers", "three queries", "counts, pages",
                                         "groups of heads"};
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++)
        if (!strcmp(name, chosen[i]))
            return true;
    return strstr(name, "middle of a word");
}

DEVICE_TEST(selector, matrices)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dmattn_selector_desc d = cases[i].desc;
        d.level = DMATTN_LEVEL_MATRIX;
        if (!dmattn_selector_check(h.context, &d, NULL) && harness_takes(cases[i].name, is_chosen(cases[i].name)))
            run(&cases[i], DMATTN_LEVEL_MATRIX, NULL);
    }
}

/* A tile for few registers, whose rows of k stay in shared memory. False: the device has no matrices. */
static bool choose_keys_shared(const dmattn_selector_desc *desc, uint32_t steps, selector_tile *tile)
{
    dmattn_selector_desc d;
    char why[200];
    ASSERT_OK(dmattn_selector_desc_resolve(desc, &d, NULL));
    if (!dmattn_selector_tile_choose(&h.context->caps, &d, DMATTN_LEVEL_MATRIX, tile, why, sizeof why))
        return false;
    tile->keys_shared = true;
    tile->steps = steps;
    tile->keys = tile->workgroup / tile->subgroup_size * tile->matrix.n;
    return dmattn_selector_tile_shared_memory(tile, &d) <= h.context->caps.shared_memory;
}

/* Blocks of columns two by two, with one left; and steps of which the last turn has fewer. */
DEVICE_TEST(selector, keys_in_shared_memory)
{
    static const selector_case of[] = {
        CASE("columns in pairs", SIZES(F16, 2, 33, 150), INDEXER, .heads = 3, .head_dim = 72, .count = 40),
        INTEGERS("two steps", SIZES(F16, 1, 40, 300), INDEXER, .heads = 5, .head_dim = 16, .count = 50),
        {.name = "two steps, counts, pages",
         .integers = true,
         .counts = {1, 150, 3, 33},
         .desc = {SIZES(BF16, 2, 3, 200), INDEXER, .heads = 12, .head_dim = 32, .count = 40, .counts = true,
                  .page_size = 64, .pages = 8}},
    };
    for (uint32_t i = 0; i < sizeof of / sizeof *of; i++) {
        selector_tile tile;
        if (choose_keys_shared(&of[i].desc, i ? 2 : 1, &tile))
            run(&of[i], DMATTN_LEVEL_MATRIX, &tile);
    }
}

/* ---- rounds -------------------------------------------------------------------------------------------------------
 */

static unsigned char *lists_of(const selector_case *c, const dmattn_selector_desc *d, const selector_tile *tile)
{
    dmattn_selector_args args = {0};
    arena a;
    make(d, tile, &args, &a);
    fill(c, d, &a);
    arena_run(&a, 0, c->name);
    unsigned char *lists = malloc(a.bytes[TENSOR_SELECTED]);
    memcpy(lists, arena_output(&a, TENSOR_SELECTED), a.bytes[TENSOR_SELECTED]);
    arena_destroy(&a);
    return lists;
}

DEVICE_TEST(selector, rounds)
{
    static const selector_case c =
        CASE("rounds", SIZES(F32, 2, 100, 90), .heads = 4, .kv_heads = 2, .head_dim = 16, .count = 12, .causal = true);
    dmattn_selector_desc d;
    selector_tile tile;
    char why[200];
    ASSERT_OK(dmattn_selector_desc_resolve(&c.desc, &d, NULL));
    cr_assert(dmattn_selector_tile_choose(&h.context->caps, &d, DMATTN_LEVEL_PORTABLE, &tile, why, sizeof why));
    const selector_layout whole = dmattn_selector_layout(&d, &tile);
    unsigned char *want = lists_of(&c, &d, &tile);
    for (uint32_t tiles = 1; tiles <= 5; tiles += 2) {
        tile.round_bytes = tiles * (whole.round_bytes / whole.tiles);
        cr_expect_gt(dmattn_selector_layout(&d, &tile).rounds, 2);
        unsigned char *got = lists_of(&c, &d, &tile);
        cr_expect(!memcmp(got, want, sizeof(int32_t) * d.batch * d.list_heads * d.queries * d.count),
                  "rounds of %u tiles give other lists", tiles);
        free(got);
    }
    free(want);
}

/* ---- lengths ----------------------------------------------------------------------------------------------------- */

/* A plan for longer runs gives the lists of each shorter run, whose tensors are contiguous, or have the app's strides.
 */
static void run_lengths(const selector_case *c, uint32_t tiles_of_round)
{
    static const uint32_t lengths[][2] = {{40, 300}, {1, 300}, {17, 33}, {40, 1}};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        dmattn_selector_desc most, run;
        selector_tile tile;
        char why[200];
        dmattn_selector_args args = {0};
        arena a;
        ASSERT_OK(dmattn_selector_desc_resolve(&c->desc, &most, NULL));
        cr_assert(dmattn_selector_tile_choose(&h.context->caps, &most, DMATTN_LEVEL_PORTABLE, &tile, why, sizeof why));
        const selector_layout whole = dmattn_selector_layout(&most, &tile);
        tile.round_bytes = tiles_of_round * (whole.round_bytes / whole.tiles);
        make(&c->desc, &tile, &args, &a);
        ASSERT_OK(dmattn_selector_desc_shorten(&c->desc, lengths[i][0], lengths[i][1], &run, NULL));
        fill(c, &run, &a);
        args.queries = run.queries;
        args.keys = run.keys;
        const VkCommandBuffer commands = arena_begin(&a);
        ASSERT_OK(dmattn_selector_record(a.plan, commands, &args));
        arena_end(&a, c->name);
        compare(c->name, &run, &a, is_exact(c));
        free(rows_of_pages);
        rows_of_pages = NULL;
        arena_destroy(&a);
    }
}

DEVICE_TEST(selector, lengths)
{
    static const selector_case of[] = {
        INTEGERS("lengths", SIZES(F32, 2, 40, 300), INDEXER, .heads = 2, .head_dim = 8, .count = 50, .lengths = true),
        INTEGERS("lengths of blocks", SIZES(F32, 2, 40, 300), .heads = 2, .head_dim = 8, .block = 16, .count = 4,
                 .recent = 1, .causal = true, .lengths = true),
        INTEGERS("lengths, pages", SIZES(F32, 2, 40, 300), INDEXER, .heads = 2, .head_dim = 8, .count = 50,
                 .lengths = true, .page_size = 16, .pages = 40),
        INTEGERS("lengths, strides", SIZES(F32, 2, 40, 300), INDEXER, .heads = 2, .head_dim = 8, .count = 50,
                 .lengths = true, .q_strides = {40 * 16, 16, 8}, .k_strides = {300 * 8, 8, 8}),
        INTEGERS("lengths of blocks, strides", SIZES(F32, 2, 40, 300), .heads = 2, .head_dim = 8, .block = 16,
                 .count = 4, .recent = 1, .causal = true, .lengths = true, .k_strides = {300 * 16, 16, 8}),
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        run_lengths(&of[i], 100);
        run_lengths(&of[i], 1);
    }
}

/* More items than a device allows workgroups in a dimension. */
DEVICE_TEST(selector, batches)
{
    const selector_case c =
        INTEGERS("batches", SIZES(F32, PART_GROUPS + 100, 1, 5), INDEXER, .heads = 1, .head_dim = 8, .count = 3);
    dmattn_selector_desc d;
    dmattn_selector_args args = {0};
    arena a;
    for (int i = 0; i < 3; i++)
        h.context->caps.max_workgroup_count[i] = PART_GROUPS;
    ASSERT_OK(dmattn_selector_desc_resolve(&c.desc, &d, NULL));
    make(&d, NULL, &args, &a);
    fill(&c, &d, &a);
    arena_run(&a, 0, c.name);
    compare(c.name, &d, &a, true);
    arena_destroy(&a);
}

/* ---- extreme numbers --------------------------------------------------------------------------------------------- */

static void run_extremes(dmattn_type type, bool relu, dmattn_level level, const selector_tile *tile)
{
    static const float special[] = {INFINITY, -INFINITY, NAN, -0.0f, 3e4f, -3e4f};
    const selector_case c =
        INTEGERS("extremes", .type = type, .batch = 1, .queries = 30, .keys = 60, .heads = 3, .kv_heads = 1,
                 .head_dim = 8, .relu = relu, .weights = true, .count = 20, .level = level);
    dmattn_selector_desc d;
    dmattn_selector_args args = {0};
    arena a;
    ASSERT_OK(dmattn_selector_desc_resolve(&c.desc, &d, NULL));
    make(&d, tile, &args, &a);
    fill(&c, &d, &a);
    for (uint32_t i = 0; i < 6; i++) {
        element_store(type, arena_input(&a, TENSOR_K), (5 * i + 3) * 8 + i, (double)special[i]);
        element_store(type, arena_input(&a, TENSOR_Q), (3 * i + 1) * 24 + i, (double)special[i]);
        ((float *)arena_input(&a, TENSOR_WEIGHTS))[3 * (2 * i + 15)] = special[i];
    }
    arena_run(&a, 0, c.name);
    compare(c.name, &d, &a, true);
    arena_destroy(&a);
}

DEVICE_TEST(selector, extremes)
{
    for (int relu = 0; relu < 2; relu++) {
        run_extremes(DMATTN_TYPE_F32, relu, DMATTN_LEVEL_PORTABLE, NULL);
        run_extremes(DMATTN_TYPE_BF16, relu, DMATTN_LEVEL_PORTABLE, NULL);
        const dmattn_selector_desc d = {SIZES(F16, 1, 30, 60), .heads = 3, .head_dim = 8, .count = 20,
                                        .level = DMATTN_LEVEL_MATRIX};
        if (!dmattn_selector_check(h.context, &d, NULL))
            run_extremes(DMATTN_TYPE_F16, relu, DMATTN_LEVEL_MATRIX, NULL);
        selector_tile tile;
        if (choose_keys_shared(&d, 2, &tile)) /* the last of three heads is alone */
            run_extremes(DMATTN_TYPE_F16, relu, DMATTN_LEVEL_MATRIX, &tile);
    }
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

#define GOOD .batch = 1, .queries = 5, .keys = 9, .heads = 4, .head_dim = 8, .count = 3

DEVICE_TEST(selector, refused)
{
    const dmattn_selector_desc good = {GOOD, .weights = true};
    const struct {
        const char *round;
        dmattn_status status;
        dmattn_selector_desc desc;
    } bad[] = {
        {"type 3", DMATTN_ERROR_INVALID, {(dmattn_type)3, GOOD}},
        {"batch is 0", DMATTN_ERROR_INVALID, {.queries = 5, .keys = 9, .heads = 4, .head_dim = 8, .count = 3}},
        {"queries is 0", DMATTN_ERROR_INVALID, {.batch = 1, .keys = 9, .heads = 4, .head_dim = 8, .count = 3}},
        {"keys is 0", DMATTN_ERROR_INVALID, {.batch = 1, .queries = 5, .heads = 4, .head_dim = 8, .count = 3}},
        {"heads is 0", DMATTN_ERROR_INVALID, {.batch = 1, .queries = 5, .keys = 9, .head_dim = 8, .count = 3}},
        {"head_dim is 0", DMATTN_ERROR_INVALID, {.batch = 1, .queries = 5, .keys = 9, .heads = 4, .count = 3}},
        {"head_dim is 640",
         DMATTN_ERROR_UNSUPPORTED,
         {.batch = 1, .queries = 5, .keys = 9, .heads = 4, .head_dim = 640, .count = 3}},
        {"count is 0", DMATTN_ERROR_INVALID, {.batch = 1, .queries = 5, .keys = 9, .heads = 4, .head_dim = 8}},
        {"count is 1048577",
         DMATTN_ERROR_INVALID,
         {.batch = 1, .queries = 5, .keys = 9, .heads = 4, .head_dim = 8, .count = (1 << 20) + 1}},
        {"kv_heads (3)", DMATTN_ERROR_INVALID, {GOOD, .kv_heads = 3}},
        {"list_heads is 1", DMATTN_ERROR_INVALID, {GOOD, .kv_heads = 2, .list_heads = 1}},
        {"list_heads is 3", DMATTN_ERROR_INVALID, {GOOD, .kv_heads = 1, .list_heads = 3}},
        {"block is 12", DMATTN_ERROR_INVALID, {GOOD, .block = 12}},
        {"block is 8192", DMATTN_ERROR_INVALID, {GOOD, .block = 8192}},
        {"first (2) and recent (2)", DMATTN_ERROR_INVALID, {GOOD, .first = 2, .recent = 2}},
        {"recent is 0", DMATTN_ERROR_INVALID, {GOOD, .block = 4, .causal = true}},
        {"q spans", DMATTN_ERROR_INVALID, {GOOD, .q_strides = {0, UINT64_MAX / 2, 8}}},
        {"pages is set", DMATTN_ERROR_INVALID, {GOOD, .pages = 3}},
        {"page_bytes is set", DMATTN_ERROR_INVALID, {GOOD, .page_bytes = 64}},
        {"page_size is 257", DMATTN_ERROR_INVALID, {GOOD, .page_size = 257, .pages = 3}},
        {"pages is 0", DMATTN_ERROR_INVALID, {GOOD, .page_size = 4}},
        {"page_bytes is 496", DMATTN_ERROR_INVALID, {GOOD, .page_size = 4, .pages = 3, .page_bytes = 496}},
        {"page_bytes is 520", DMATTN_ERROR_INVALID, {GOOD, .page_size = 4, .pages = 3, .page_bytes = 520}},
        {"k spans", DMATTN_ERROR_INVALID, {GOOD, .k_strides = {0, UINT64_MAX / 2, 8}}},
        {"level 4", DMATTN_ERROR_INVALID, {GOOD, .level = (dmattn_level)4}},
        {"max_level 4", DMATTN_ERROR_INVALID, {GOOD, .max_level = (dmattn_level)4}},
        {"above max_level",
         DMATTN_ERROR_INVALID,
         {GOOD, .level = DMATTN_LEVEL_MATRIX, .max_level = DMATTN_LEVEL_PORTABLE}},
        {"matrix", DMATTN_ERROR_UNSUPPORTED, {GOOD, .level = DMATTN_LEVEL_MATRIX}}, /* f32 */
        {"matrix2", DMATTN_ERROR_UNSUPPORTED, {DMATTN_TYPE_F16, GOOD, .level = DMATTN_LEVEL_MATRIX2}},
    };
    dmattn_plan *plan;
    dmattn_buffer small, large;
    VkCommandBuffer commands;
    EXPECT_FAILURE(dmattn_selector_plan(h.context, NULL, &plan), DMATTN_ERROR_INVALID, "descriptor");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT_FAILURE(dmattn_selector_plan(h.context, &bad[i].desc, &plan), bad[i].status, bad[i].round);
    ASSERT_OK(dmattn_selector_plan(h.context, &good, &plan));
    ASSERT_OK(dmattn_buffer_create(h.device, 4 * 5 * 4 * 3 - 4, &small));
    ASSERT_OK(dmattn_buffer_create(h.device, 1 << 20, &large));
    dmattn_selector_args args = {.q = large, .k = large, .weights = large, .selected = small, .workspace = large};
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    EXPECT_FAILURE(dmattn_selector_record(plan, commands, &args), DMATTN_ERROR_INVALID, "selected");
    args.selected = large;
    args.weights.buffer = VK_NULL_HANDLE;
    EXPECT_FAILURE(dmattn_selector_record(plan, commands, &args), DMATTN_ERROR_INVALID, "weights is missing");
    EXPECT_FAILURE(dmattn_selector_record(plan, commands, NULL), DMATTN_ERROR_INVALID, "args");
    args.queries = 3;
    EXPECT_FAILURE(dmattn_selector_record(plan, commands, &args), DMATTN_ERROR_INVALID, "does not set `lengths`");
    cr_expect_eq(dmattn_selector_record(NULL, commands, &args), DMATTN_ERROR_INVALID);
    dmattn_commands_cancel(h.device);
    dmattn_plan_destroy(plan);
}
