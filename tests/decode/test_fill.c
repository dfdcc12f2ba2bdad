/* SPDX-License-Identifier: MIT
 * Caches that are filled in chunks. A bounded cache holds the keys that the definition says, whether tokens came at
 * once, in chunks, or in steps. A paged cache has the same rows, and only pages that dmattn_decode_written_pages()
 * names have changed. */
#include "attention/desc.h"
#include "decode/desc.h"
#include "problem.h"
#include "reference/element.h"
#include "support/harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STAYS   INT32_MAX
#define NOWHERE UINT32_MAX

enum { HEADS = 2, DIM = 8, T = 3, SEQUENCES = 2, POOL = 500 };

typedef struct fill_case {
    const char *name;
    dmattn_selection selection;
    uint32_t rollback, tokens;
    unsigned levels; /* the number of different values of importance; 0: any */
    uint32_t most;   /* tokens of a chunk */
    bool trees;      /* also after drafts */
} fill_case;

#define TOPW .select = DMATTN_SELECT_TOPW_CAUSAL, .causal = true

static const fill_case cases[] = {
    {"window", {TOPW, .window = 40}, 0, 150, 0, 60, false},
    {"window, rollback", {TOPW, .window = 40}, 16, 150, 0, 60, true},
    {"many slots, equal keys", {TOPW, .window = 700, .sinks = 5, .recent = 9}, 5, 2500, 6, 1200, false},
    {"all equal, earlier",
     {TOPW, .window = 30, .tie_break = DMATTN_TIE_BREAK_EARLIER, .recent = 4},
     7,
     120,
     1,
     30,
     false},
    {"earlier", {TOPW, .window = 600, .tie_break = DMATTN_TIE_BREAK_EARLIER}, 3, 1900, 40, 800, false},
    {"small chunks", {TOPW, .window = 5, .sinks = 2, .recent = 3, .sliding = 20}, 9, 140, 4, 6, true},
    {"threshold",
     {.select = DMATTN_SELECT_THRESHOLD, .threshold = 2, .causal = true, .sliding = 30, .sinks = 3, .recent = 4},
     4,
     130,
     5,
     50,
     false},
    {"sliding window", {.causal = true, .sliding = 520}, 2, 1300, 0, 500, false},
};

/* ---- the definition ------------------------------------------------------------------------------------------------
 */

/* Whether key a is evicted before key b. */
static bool is_before(const fill_case *c, const float *importance, uint32_t a, uint32_t b)
{
    if (importance[a] != importance[b])
        return importance[a] < importance[b];
    return c->selection.tie_break == DMATTN_TIE_BREAK_EARLIER ? a > b : a < b;
}

/* Finds for each token the position of the token that evicts it. `importance` has no NaN. */
static void find_evictions(const fill_case *c, const float *importance, uint32_t tokens, int32_t *evicted)
{
    uint32_t *kept = malloc(tokens * sizeof *kept), count = 0;
    for (uint32_t t = 0; t < tokens; t++) {
        evicted[t] = STAYS;
        if (c->selection.select == DMATTN_SELECT_THRESHOLD && !(importance[t] > c->selection.threshold))
            evicted[t] = (int32_t)t;
        if (c->selection.select != DMATTN_SELECT_TOPW_CAUSAL)
            continue;
        kept[count++] = t;
        if (count <= c->selection.window)
            continue;
        uint32_t least = 0;
        for (uint32_t i = 1; i < count; i++)
            if (is_before(c, importance, kept[i], kept[least]))
                least = i;
        evicted[kept[least]] = (int32_t)t;
        kept[least] = kept[--count];
    }
    free(kept);
}

/* Whether some query at `floor` or after it sees a key, or the key is one of the most important ones there. The token
 * at `floor` may be another one. */
static bool is_needed(const fill_case *c, uint32_t j, int32_t evicted, uint32_t floor)
{
    const dmattn_selection *s = &c->selection;
    const bool in_window = !s->sliding || floor < j + s->sliding;
    return j < s->sinks || (floor < j + s->recent && in_window)
           || ((uint32_t)evicted >= floor && (s->select == DMATTN_SELECT_TOPW_CAUSAL || in_window));
}

/* ---- a cache and its inputs ----------------------------------------------------------------------------------------
 */

typedef struct rig {
    const fill_case *of;
    dmattn_decode_desc desc;
    dmattn_plan *plan, *tree; /* the same without and with a mask of new tokens */
    dmattn_cache_layout layout;
    float *importance; /* [HEADS, tokens] */
    int32_t *evicted;  /* [HEADS, tokens] of the whole sequence */
    dmattn_buffer k, v, importance_buffer, state, pages, table, step_importance, q, out, keep, mask, workspace;
    uint64_t random;
} rig;

static dmattn_buffer buffer_of(uint64_t bytes, const void *data)
{
    dmattn_buffer buffer;
    void *zeros = calloc(1, bytes);
    ASSERT_OK(dmattn_buffer_create(h.device, bytes, &buffer));
    ASSERT_OK(dmattn_upload(h.device, &buffer, 0, data ? data : zeros, bytes));
    free(zeros);
    return buffer;
}

/* Element c of a row of token j: another number in each row. */
static float element_of(uint32_t j, uint32_t head, uint32_t c, bool value)
{
    return (float)(j * HEADS + head) + (float)c / 16 + (value ? 0.5f : 0);
}

static dmattn_buffer rows_of(uint32_t tokens, bool value)
{
    float *rows = malloc(sizeof(float) * tokens * HEADS * DIM);
    for (uint32_t j = 0; j < tokens; j++)
        for (uint32_t head = 0; head < HEADS; head++)
            for (uint32_t c = 0; c < DIM; c++)
                rows[(j * HEADS + head) * DIM + c] = element_of(j, head, c, value);
    const dmattn_buffer buffer = buffer_of(sizeof(float) * tokens * HEADS * DIM, rows);
    free(rows);
    return buffer;
}

static uint32_t up_to(rig *r, uint32_t most)
{
    return 1 + (uint32_t)(random_bits(&r->random) % most);
}

/* `page_size`: 0: a bounded cache. */
static rig rig_create(const fill_case *c, uint32_t page_size, uint64_t seed)
{
    static const float odd[] = {-INFINITY, INFINITY, 0, 1e-42f};
    rig r = {.of = c, .random = seed};
    r.desc = (dmattn_decode_desc){.attention = {.batch = SEQUENCES,
                                                .queries = T,
                                                .heads = HEADS,
                                                .head_dim = DIM,
                                                .level = DMATTN_LEVEL_PORTABLE},
                                  .importance_given = true,
                                  .selection = c->selection,
                                  .rollback = c->rollback};
    if (page_size) {
        r.desc.cache = DMATTN_CACHE_PAGED;
        r.desc.page_size = page_size;
        r.desc.pages = POOL;
        r.desc.max_keys = c->tokens;
    }
    dmattn_plan_info info;
    ASSERT_OK(harness_decode_plan(&r.desc, &r.plan));
    ASSERT_OK(dmattn_decode_get_layout(r.plan, &r.layout));
    dmattn_plan_get_info(r.plan, &info);
    if (c->trees) {
        dmattn_decode_desc with_mask = r.desc;
        dmattn_cache_layout layout;
        dmattn_plan_info of_tree;
        with_mask.attention.mask = DMATTN_MASK_DENSE;
        ASSERT_OK(harness_decode_plan(&with_mask, &r.tree));
        ASSERT_OK(dmattn_decode_get_layout(r.tree, &layout));
        cr_assert_eq(layout.slots, r.layout.slots);
        dmattn_plan_get_info(r.tree, &of_tree);
        if (info.workspace_size < of_tree.workspace_size)
            info.workspace_size = of_tree.workspace_size;
    }
    r.importance = malloc(sizeof(float) * HEADS * c->tokens);
    for (uint32_t i = 0; i < HEADS * c->tokens; i++) {
        const uint64_t bits = random_bits(&r.random);
        r.importance[i] = bits % 32 == 0 ? odd[bits / 32 % 4]
                          : c->levels    ? (float)(bits / 32 % c->levels)
                                         : (float)random_normal(&r.random);
    }
    r.evicted = malloc(sizeof *r.evicted * HEADS * c->tokens);
    for (uint32_t head = 0; head < HEADS; head++)
        find_evictions(c, r.importance + head * c->tokens, c->tokens, r.evicted + head * c->tokens);
    r.k = rows_of(c->tokens, false);
    r.v = rows_of(c->tokens, true);
    r.importance_buffer = buffer_of(sizeof(float) * HEADS * c->tokens, r.importance);
    r.state = buffer_of(r.layout.state_size, NULL);
    r.step_importance = buffer_of(sizeof(float) * SEQUENCES * HEADS * T, NULL);
    r.q = buffer_of(sizeof(float) * SEQUENCES * T * HEADS * DIM, NULL);
    r.out = buffer_of(sizeof(float) * SEQUENCES * T * HEADS * DIM, NULL);
    r.keep = buffer_of(4 * SEQUENCES, NULL);
    r.mask = buffer_of(T, NULL);
    r.workspace = buffer_of(info.workspace_size, NULL);
    if (page_size) {
        int32_t *table = malloc(sizeof *table * SEQUENCES * r.layout.table_pages);
        for (uint32_t i = 0; i < SEQUENCES * r.layout.table_pages; i++)
            table[i] = (int32_t)(i * 7 % POOL); /* 7 and the size of the pool have no common divisor */
        r.pages = buffer_of(r.layout.pages_size, NULL);
        r.table = buffer_of(sizeof *table * SEQUENCES * r.layout.table_pages, table);
        free(table);
    }
    return r;
}

static void rig_destroy(rig *r)
{
    dmattn_buffer *const buffers[] = {&r->k,
                                      &r->v,
                                      &r->importance_buffer,
                                      &r->state,
                                      &r->step_importance,
                                      &r->q,
                                      &r->out,
                                      &r->keep,
                                      &r->mask,
                                      &r->workspace,
                                      &r->pages,
                                      &r->table};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        dmattn_buffer_destroy(h.device, buffers[i]);
    dmattn_plan_destroy(r->plan);
    dmattn_plan_destroy(r->tree);
    free(r->importance);
    free(r->evicted);
}

/* Fills sequence 1 with tokens first to end - 1. `given` is what the call says about the tokens before. */
static void fill(rig *r, uint32_t given, uint32_t first, uint32_t end)
{
    const uint64_t row = sizeof(float) * HEADS * DIM;
    VkCommandBuffer commands;
    const dmattn_decode_fill_args args = {.sequence = 1,
                                          .first = given,
                                          .keys = end - first,
                                          .k = {r->k.buffer, row * first, row * (end - first)},
                                          .v = {r->v.buffer, row * first, row * (end - first)},
                                          .importance = {r->importance_buffer.buffer, 4 * (uint64_t)first,
                                                         r->importance_buffer.size - 4 * (uint64_t)first},
                                          .importance_stride = r->of->tokens,
                                          .state = r->state,
                                          .pages = r->pages,
                                          .table = r->table};
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_decode_fill_record(r->plan, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
}

/* A step of a plan: sequence 1 keeps some of its tokens, and tokens from `first` on follow. Sequence 0 starts again. */
static void step(rig *r, const dmattn_plan *plan, uint32_t kept, uint32_t first)
{
    const uint64_t row = sizeof(float) * HEADS * DIM, before = row * (first - T); /* the rows of sequence 0 */
    float importance[SEQUENCES * HEADS * T];
    const int32_t keep[SEQUENCES] = {0, (int32_t)kept};
    for (uint32_t i = 0; i < SEQUENCES * HEADS * T; i++)
        importance[i] = r->importance[i / T % HEADS * r->of->tokens + first + i % T];
    ASSERT_OK(dmattn_upload(h.device, &r->step_importance, 0, importance, sizeof importance));
    ASSERT_OK(dmattn_upload(h.device, &r->keep, 0, keep, sizeof keep));
    VkCommandBuffer commands;
    const dmattn_decode_args args = {.q = r->q,
                                     .k = {r->k.buffer, before, row * SEQUENCES * T},
                                     .v = {r->v.buffer, before, row * SEQUENCES * T},
                                     .out = r->out,
                                     .importance = r->step_importance,
                                     .keep = r->keep,
                                     .state = r->state,
                                     .mask = r->mask,
                                     .workspace = r->workspace};
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_decode_record(plan, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
}

/* Adds tokens first to end - 1 in steps, as far as they are whole steps. */
static void add_in_steps(rig *r, uint32_t first, uint32_t end)
{
    for (; first + T <= end; first += T)
        step(r, r->plan, first, first);
    if (first < end)
        fill(r, first, first, end);
}

/* ---- a bounded cache -----------------------------------------------------------------------------------------------
 */

/* Compares the slots of a kv head with the definition. `floor`: the least length to which tokens can be taken back. */
static void expect_slots(const rig *r, const char *how, const char *state, uint32_t head, uint32_t tokens,
                         uint32_t floor, bool all_are_needed)
{
    const fill_case *c = r->of;
    const float *importance = r->importance + head * c->tokens;
    int32_t *evicted = malloc(tokens * sizeof *evicted);
    uint32_t *slot_of = malloc(tokens * sizeof *slot_of), header[12];
    memset(slot_of, 0xff, tokens * sizeof *slot_of);
    for (uint32_t j = 0; j < tokens; j++) /* tokens that have not come evict no key */
        evicted[j] = r->evicted[head * c->tokens + j] < (int32_t)tokens ? r->evicted[head * c->tokens + j] : STAYS;
    memcpy(header, state + sizeof header * head, sizeof header);
    cr_assert(header[0] == tokens && header[1] == floor && !header[2] && !(header[3] & 1),
              "%s, %s: the header of %u tokens is %u %u %u %u", c->name, how, tokens, header[0], header[1], header[2],
              header[3]);
    for (uint32_t i = 0; i < r->layout.slots; i++) {
        const uint64_t at = (uint64_t)head * r->layout.slots + i;
        uint32_t words[4];
        float row[2][DIM];
        memcpy(words, state + r->layout.slot_words + 16 * at, sizeof words);
        cr_assert_eq(words[3], 0, "%s, %s: word 3 of slot %u is %u", c->name, how, i, words[3]);
        if (!words[0])
            continue;
        const uint32_t j = words[0] - 1;
        cr_assert_lt(j, tokens, "%s, %s: slot %u has token %u", c->name, how, i, j);
        cr_assert_eq(slot_of[j], NOWHERE, "%s, %s: token %u is in slots %u and %u", c->name, how, j, slot_of[j], i);
        slot_of[j] = i;
        if (all_are_needed)
            cr_assert(is_needed(c, j, evicted[j], floor), "%s, %s: slot %u has token %u", c->name, how, i, j);
        cr_assert_arr_eq(&words[1], &importance[j], 4, "%s, %s: the importance of token %u", c->name, how, j);
        if ((uint32_t)evicted[j] >= floor)
            cr_assert_eq((int32_t)words[2], evicted[j], "%s, %s: token %u is evicted by %d, not %d", c->name, how, j,
                         (int32_t)words[2], evicted[j]);
        else
            cr_assert_lt(words[2], floor, "%s, %s: token %u is not evicted", c->name, how, j);
        memcpy(row[0], state + r->layout.keys + sizeof row[0] * at, sizeof row[0]);
        memcpy(row[1], state + r->layout.values + sizeof row[1] * at, sizeof row[1]);
        for (uint32_t x = 0; x < 2 * DIM; x++)
            cr_assert_eq(row[x / DIM][x % DIM], element_of(j, head, x % DIM, x >= DIM), "%s, %s: a row of token %u",
                         c->name, how, j);
    }
    for (uint32_t j = 0; j < tokens; j++)
        cr_assert(slot_of[j] != NOWHERE || !is_needed(c, j, evicted[j], floor), "%s, %s: token %u has no slot", c->name,
                  how, j);
    free(evicted);
    free(slot_of);
}

static void expect_state(const rig *r, const char *how, uint32_t tokens, uint32_t greatest, bool all_are_needed)
{
    char *state = malloc(r->layout.sequence_size);
    ASSERT_OK(dmattn_download(h.device, &r->state, r->layout.sequence_size, state, r->layout.sequence_size));
    for (uint32_t head = 0; head < HEADS; head++)
        expect_slots(r, how, state, head, tokens, greatest > r->of->rollback ? greatest - r->of->rollback : 0,
                     all_are_needed);
    free(state);
}

typedef enum way { CHUNKS, STEPS, TWICE, TREES, WAYS } way;

/* Adds the whole sequence in chunks; in chunks and steps; in chunks that first take tokens back, so that some come
 * twice; or in chunks that first take back a tree of drafts, which another plan has added. */
static void add_in_chunks(rig *r, way w)
{
    static const char *const names[] = {"chunks", "chunks and steps", "chunks, some twice", "trees and chunks"};
    const fill_case *c = r->of;
    uint32_t length = 0, greatest = 0;
    while (length < c->tokens) {
        const uint32_t back = w != TWICE || !length || !c->rollback ? 0 : up_to(r, c->rollback) - 1;
        const uint32_t first = greatest - length + back > c->rollback || back > length ? length : length - back;
        greatest = first ? greatest : 0; /* it starts again */
        const bool steps = w == STEPS && length >= T && up_to(r, 2) == 1;
        const uint32_t size = up_to(r, steps ? 10 * T : c->most);
        const uint32_t end = first + size < c->tokens ? first + size : c->tokens;
        const bool drafts = w == TREES && length;
        if (drafts) {
            step(r, r->tree, length, T);
            greatest = length + T;
        }
        if (steps)
            add_in_steps(r, first, end);
        else /* if the sequence has fewer tokens, it keeps all of them */
            fill(r, first == length && length && !drafts ? first + up_to(r, 3) * 100 : first, first, end);
        length = end;
        greatest = end > greatest ? end : greatest;
        expect_state(r, names[w], length, greatest, !steps);
    }
}

static void run_bounded(const fill_case *c, uint64_t seed)
{
    rig r = rig_create(c, 0, seed);
    fill(&r, 0, 0, c->tokens);
    expect_state(&r, "at once", c->tokens, c->tokens, true);
    for (int w = 0; w < (c->trees ? WAYS : TREES); w++)
        add_in_chunks(&r, (way)w);
    rig_destroy(&r);
}

DEVICE_TEST(fill, bounded)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_bounded(&cases[i], 1 + i);
}

/* ---- a paged cache -------------------------------------------------------------------------------------------------
 */

/* Compares the rows of a sequence with those that were filled. */
static void expect_pages(const rig *r, const int32_t *table, const char *pages, uint32_t tokens)
{
    const uint32_t size = r->desc.page_size;
    for (uint32_t j = 0; j < tokens; j++)
        for (uint32_t head = 0; head < HEADS; head++) {
            const char *page = pages + r->layout.page_size * (uint64_t)table[j / size];
            const uint64_t at = (uint64_t)head * size + j % size;
            float row[2][DIM], importance;
            memcpy(row[0], page + r->layout.keys + sizeof row[0] * at, sizeof row[0]);
            memcpy(row[1], page + r->layout.values + sizeof row[1] * at, sizeof row[1]);
            memcpy(&importance, page + r->layout.importance + sizeof importance * at, sizeof importance);
            for (uint32_t x = 0; x < 2 * DIM; x++)
                cr_assert_eq(row[x / DIM][x % DIM], element_of(j, head, x % DIM, x >= DIM),
                             "pages of %u: a row of token %u of %u", size, j, tokens);
            cr_assert_eq(importance, r->importance[head * r->of->tokens + j],
                         "pages of %u: the importance of token %u of %u", size, j, tokens);
        }
}

/* Expects that only pages of a range have changed. */
static void expect_changes(const rig *r, const int32_t *table, const char *before, const char *after,
                           dmattn_page_range written)
{
    for (uint32_t page = 0; page < POOL; page++) {
        const uint64_t at = r->layout.page_size * page;
        bool may_change = false;
        for (uint32_t i = written.first; i < written.end; i++)
            may_change = may_change || table[i] == (int32_t)page;
        if (!may_change)
            cr_assert_arr_eq(before + at, after + at, r->layout.page_size, "pages of %u: page %u has changed",
                             r->desc.page_size, page);
    }
}

static void run_paged(uint32_t page_size, uint64_t seed)
{
    static const fill_case of = {"pages", {.causal = true}, 0, 200, 0, 70, false};
    rig r = rig_create(&of, page_size, seed);
    const uint64_t row = sizeof(int32_t) * r.layout.table_pages;
    int32_t *table = malloc(row);
    char *before = calloc(1, r.layout.pages_size), *after = malloc(r.layout.pages_size);
    ASSERT_OK(dmattn_download(h.device, &r.table, row, table, row));
    uint32_t length = 0;
    for (unsigned i = 0; i < 30; i++) {
        const uint32_t first = i % 4 && length < of.tokens ? length : up_to(&r, length + 1) - 1;
        const uint32_t left = of.tokens - first, size = up_to(&r, left < of.most ? left : of.most);
        /* if the sequence has fewer tokens, it keeps all of them */
        const uint32_t given = first == length && i % 3 == 0 ? of.tokens - size : first;
        fill(&r, given, first, first + size);
        length = first + size;
        uint32_t header[12];
        for (uint32_t head = 0; head < HEADS; head++) {
            ASSERT_OK(dmattn_download(h.device, &r.state, r.layout.sequence_size + sizeof header * head, header,
                                      sizeof header));
            cr_assert(header[0] == length && !header[1] && !header[2] && !header[3], "pages of %u: %u tokens, not %u",
                      page_size, header[0], length);
        }
        ASSERT_OK(dmattn_download(h.device, &r.pages, 0, after, r.layout.pages_size));
        expect_pages(&r, table, after, length);
        expect_changes(&r, table, before, after, dmattn_decode_written_pages(&r.desc, first, size));
        memcpy(before, after, r.layout.pages_size);
    }
    free(before);
    free(after);
    free(table);
    rig_destroy(&r);
}

DEVICE_TEST(fill, paged)
{
    static const uint32_t sizes[] = {1, 8, 48, 256};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        run_paged(sizes[i], 1 + i);
}
