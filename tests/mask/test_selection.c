/* SPDX-License-Identifier: MIT
 * Intervals from importance, against brute force from the definition. They must be equal in thousands of small cases
 * and some large ones. */
#include "mask/desc.h"
#include "mask_run.h"
#include "problem.h"
#include "reference/mask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the importance is like ----------------------------------------------------------------------------- */

enum { RANDOM, MANY_TIES, ALL_EQUAL, SORTED, REVERSED, INFINITIES, NANS, ZEROS, TINY, KINDS };

static float importance_of(int kind, uint32_t key, uint64_t *state)
{
    static const float odd[] = {INFINITY, -INFINITY, 1, -1};
    const uint64_t r = random_bits(state);
    switch (kind) {
    case MANY_TIES: return (float)(r % 4);
    case ALL_EQUAL: return 1;
    case SORTED: return (float)key;
    case REVERSED: return -(float)key;
    case INFINITIES: return odd[r % 4];
    case NANS: return r % 3 == 0 ? NAN : r % 3 == 1 ? -INFINITY : (float)(r % 5) - 2;
    case ZEROS: return r % 2 ? 0.0f : -0.0f;
    case TINY: return (float)(int)(r % 7 - 3) * 1e-45f; /* a subnormal number */
    default: return (float)random_normal(state);
    }
}

/* ---- thousands of small cases -------------------------------------------------------------------------------- */

#define BATCH 8
#define HEADS 8 /* a run has 64 cases, of all kinds */

static void fill(const dmattn_mask_desc *d, uint64_t *state, float *importance, uint8_t *valid, int32_t *query_offsets,
                 int32_t *key_offsets)
{
    for (uint32_t plane = 0; plane < BATCH * HEADS; plane++)
        for (uint32_t j = 0; j < d->keys; j++)
            importance[plane * d->keys + j] = importance_of((int)(plane % KINDS), j, state);
    for (uint32_t i = 0; i < BATCH * d->keys; i++)
        valid[i] = random_bits(state) % 4 ? (uint8_t)(1 + random_bits(state) % 255) : 0;
    for (uint32_t b = 0; b < BATCH; b++)
        for (uint32_t i = 0, q = b % 5, k = b % 7 / 2; i <= d->selection.documents; i++) {
            q = q < d->queries ? q : d->queries;
            k = k < d->keys ? k : d->keys;
            query_offsets[b * (d->selection.documents + 1) + i] = (int32_t)q;
            key_offsets[b * (d->selection.documents + 1) + i] = (int32_t)k;
            q += (uint32_t)(random_bits(state) % (d->queries - q + 1)) / (b % 3 + 1); /* often before the end */
            k += (uint32_t)(random_bits(state) % (d->keys - k + 1)) / (b % 2 + 1);
        }
}

/* For every fourth batch item, offsets do not ascend and are beyond the lengths. They must be clamped. */
static void make_hostile(const dmattn_mask_desc *d, uint64_t *state, int32_t *offsets, uint32_t length)
{
    static const int32_t far[] = {INT32_MIN, -1, INT32_MAX, 100000};
    const uint32_t row = d->selection.documents + 1;
    for (uint32_t b = 3; b < BATCH; b += 4)
        for (uint32_t i = 0; i < row; i++)
            offsets[b * row + i] =
                random_bits(state) % 4 ? (int32_t)(random_bits(state) % (length + 9)) - 4 : far[random_bits(state) % 4];
}

static void compare(const dmattn_mask_desc *d, const mask_inputs *in, const float *importance, const int32_t *begin,
                    const int32_t *end)
{
    const uint32_t count = BATCH * HEADS * d->keys;
    int32_t *want_begin = malloc(count * sizeof *want_begin), *want_end = malloc(count * sizeof *want_end);
    ASSERT_OK(reference_intervals(d, in, importance, want_begin, want_end));
    for (uint32_t i = 0; i < count; i++)
        cr_assert(begin[i] == want_begin[i] && end[i] == want_end[i],
                  "select %d, window %u, tie_break %d, sinks %u, recent %u, sliding %u, causal %d, valid %d, documents "
                  "%u, %u "
                  "queries, %u keys, kind %u: key %u has [%d, %d) instead of [%d, %d)",
                  (int)d->selection.select, d->selection.window, (int)d->selection.tie_break, d->selection.sinks,
                  d->selection.recent, d->selection.sliding, d->selection.causal, d->selection.key_valid,
                  d->selection.documents, d->queries, d->keys, i / d->keys % KINDS, i % d->keys, begin[i], end[i],
                  want_begin[i], want_end[i]);
    free(want_begin);
    free(want_end);
}

static void run_small(const dmattn_mask_desc *d, uint64_t *state)
{
    const uint32_t count = BATCH * HEADS * d->keys, offsets = BATCH * (d->selection.documents + 1);
    float *importance = malloc(count * sizeof *importance);
    uint8_t *valid = malloc(BATCH * d->keys);
    int32_t *query_offsets = malloc(offsets * sizeof *query_offsets),
            *key_offsets = malloc(offsets * sizeof *key_offsets);
    fill(d, state, importance, valid, query_offsets, key_offsets);
    make_hostile(d, state, query_offsets, d->queries);
    make_hostile(d, state, key_offsets, d->keys);
    const void *const inputs[TENSOR_COUNT] = {[TENSOR_IMPORTANCE] = importance,
                                              [TENSOR_KEY_VALID] = valid,
                                              [TENSOR_QUERY_OFFSETS] = query_offsets,
                                              [TENSOR_KEY_OFFSETS] = key_offsets};
    const mask_inputs in = {.key_valid = valid, .query_offsets = query_offsets, .key_offsets = key_offsets};
    mask_run r;
    mask_run_create(&r, d, inputs);
    mask_run_go(&r);
    int32_t *begin = mask_run_get(&r, TENSOR_BEGIN), *end = mask_run_get(&r, TENSOR_END);
    free(mask_run_get(&r, TENSOR_COUNT)); /* checks its guard */
    compare(d, &in, importance, begin, end);
    mask_run_go(&r);
    int32_t *again = mask_run_get(&r, TENSOR_END);
    cr_assert_eq(memcmp(end, again, count * sizeof *end), 0, "a second run gives different intervals");
    mask_run_destroy(&r);
    free(begin);
    free(end);
    free(again);
    free(importance);
    free(valid);
    free(query_offsets);
    free(key_offsets);
}

static uint32_t below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(random_bits(state) % limit);
}

/* Does `runs` runs with random parameters. Each option is off in a quarter of them. By default, there are half as many
 * runs, because each one compiles a kernel. */
static void run_selection(dmattn_select select, int runs, bool documents)
{
    uint64_t state = 100 + (uint64_t)select + 10 * (uint64_t)documents;
    if (runs > 8 && !harness_takes_all())
        runs /= 2;
    for (int i = 0; i < runs; i++) {
        dmattn_mask_desc d = {.stages = DMATTN_STAGE_INTERVALS, .batch = BATCH, .kv_heads = HEADS};
        dmattn_selection *s = &d.selection;
        d.keys = 1 + below(&state, 70);
        d.queries = i % 3 ? 1 + below(&state, 70) : d.keys;
        s->select = select;
        const uint32_t window = 1 + below(&state, i % 2 ? 10 : d.keys + 3);
        const float threshold = (float)(int)below(&state, 4) - 1;
        s->window = dmattn_selection_sorts(s) ? window : 0;
        s->tie_break = dmattn_selection_sorts(s) && i % 2 ? DMATTN_TIE_BREAK_EARLIER : DMATTN_TIE_BREAK_LATER;
        s->threshold = select == DMATTN_SELECT_THRESHOLD ? threshold : 0;
        s->sinks = i % 4 == 1 ? below(&state, 8) : 0;
        s->recent = i % 4 == 2 ? below(&state, 20) : i % 16 == 7 ? UINT32_MAX : 0;
        s->sliding = i % 5 == 3 ? 1 + below(&state, 40) : i % 16 == 9 ? UINT32_MAX : 0;
        if (select == DMATTN_SELECT_ALL && !s->sliding)
            s->sinks = s->recent = 0;
        s->causal = i % 4 != 3 || select == DMATTN_SELECT_TOPW_CAUSAL;
        s->key_valid = i % 2;
        s->documents = documents ? 1 + below(&state, 9) : 0;
        run_small(&d, &state);
    }
}

DEVICE_TEST(selection, all)
{
    run_selection(DMATTN_SELECT_ALL, 8, false);
    run_selection(DMATTN_SELECT_ALL, 8, true);
}

DEVICE_TEST(selection, threshold)
{
    run_selection(DMATTN_SELECT_THRESHOLD, 8, false);
    run_selection(DMATTN_SELECT_THRESHOLD, 8, true);
}

DEVICE_TEST(selection, topw_causal)
{
    run_selection(DMATTN_SELECT_TOPW_CAUSAL, 32, false);
}

DEVICE_TEST(selection, topw_causal_documents)
{
    run_selection(DMATTN_SELECT_TOPW_CAUSAL, 24, true);
}

DEVICE_TEST(selection, topw_shared)
{
    run_selection(DMATTN_SELECT_TOPW_SHARED, 16, false);
    run_selection(DMATTN_SELECT_TOPW_SHARED, 16, true);
}

/* ---- large ones ---------------------------------------------------------------------------------------------- */

/* Another way to find when keys are evicted: go through the queries and keep a sorted array of the window's keys. */
static void running_window(const float *importance, uint32_t keys, uint32_t window, dmattn_tie_break tie_break,
                           int32_t *end)
{
    uint32_t *kept = malloc((window + 1) * sizeof *kept), count = 0; /* ascending: the first one is evicted next */
    for (uint32_t t = 0; t < keys; t++) {
        uint32_t at = count++;
        end[t] = (int32_t)keys;
        while (at > 0
               && (tie_break == DMATTN_TIE_BREAK_EARLIER ? importance[kept[at - 1]] >= importance[t]
                                                         : importance[kept[at - 1]] > importance[t])) {
            kept[at] = kept[at - 1];
            at--;
        }
        kept[at] = t;
        if (count > window) {
            end[kept[0]] = (int32_t)t;
            memmove(kept, kept + 1, --count * sizeof *kept);
        }
    }
    free(kept);
}

static void run_large(uint32_t keys, uint32_t window, dmattn_tie_break tie_break, int kind)
{
    const dmattn_mask_desc d = {
        .stages = DMATTN_STAGE_INTERVALS,
        .batch = 1,
        .kv_heads = 2,
        .queries = keys,
        .keys = keys,
        .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = window, .tie_break = tie_break, .causal = true},
    };
    float *importance = malloc(2 * keys * sizeof *importance);
    int32_t *want = malloc(keys * sizeof *want);
    uint64_t state = keys;
    for (uint32_t i = 0; i < 2 * keys; i++)
        importance[i] = importance_of(i < keys ? kind : RANDOM, i, &state);
    mask_run r;
    mask_run_create(&r, &d, (const void *const[TENSOR_COUNT]){[TENSOR_IMPORTANCE] = importance});
    mask_run_go(&r);
    int32_t *begin = mask_run_get(&r, TENSOR_BEGIN), *end = mask_run_get(&r, TENSOR_END);
    free(mask_run_get(&r, TENSOR_COUNT));
    for (uint32_t head = 0; head < 2; head++) {
        running_window(importance + head * keys, keys, window, tie_break, want);
        for (uint32_t j = 0; j < keys; j++) {
            const bool never = want[j] == (int32_t)j;
            const int32_t b = begin[head * keys + j], e = end[head * keys + j];
            cr_assert(never ? b == 0 && e == 0 : b == (int32_t)j && e == want[j],
                      "%u keys, window %u, tie_break %d, kind %d: key %u has [%d, %d), but is evicted at %d", keys,
                      window, (int)tie_break, kind, j, b, e, want[j]);
        }
    }
    mask_run_destroy(&r);
    free(begin);
    free(end);
    free(importance);
    free(want);
}

/* One block; an odd number of blocks; several levels of runs. Windows from 1 key to nearly all keys. */
DEVICE_TEST(selection, large)
{
    static const uint32_t keys[] = {1023, 1024, 1025, 2048, 3000, 5121, 9000, 20000};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        run_large(keys[i], 1, DMATTN_TIE_BREAK_LATER, RANDOM);
        run_large(keys[i], 37, DMATTN_TIE_BREAK_LATER, MANY_TIES);
        run_large(keys[i], 600, DMATTN_TIE_BREAK_EARLIER, i % 2 ? SORTED : REVERSED);
        run_large(keys[i], keys[i] - 1, DMATTN_TIE_BREAK_LATER, RANDOM);
        run_large(keys[i], keys[i] / 3, DMATTN_TIE_BREAK_LATER, ALL_EQUAL);
        run_large(keys[i], 37, DMATTN_TIE_BREAK_EARLIER, i % 2 ? MANY_TIES : ZEROS);
        run_large(keys[i], keys[i] / 3, DMATTN_TIE_BREAK_EARLIER, i % 2 ? ALL_EQUAL : INFINITIES);
    }
}

/* Documents of hundreds to thousands of keys. Each one must have the same intervals as alone. */
DEVICE_TEST(selection, large_documents)
{
    enum { KEYS = 7000, DOCUMENTS = 5, WINDOW = 150 };
    static const int32_t offsets[DOCUMENTS + 1] = {0, 700, 701, 3500, 3500, 7000};
    static float importance[KEYS];
    static int32_t want[KEYS];
    uint64_t state = 3;
    for (int kind = RANDOM; kind <= REVERSED; kind++) {
        const dmattn_tie_break tie_break = kind == MANY_TIES ? DMATTN_TIE_BREAK_EARLIER : DMATTN_TIE_BREAK_LATER;
        for (uint32_t j = 0; j < KEYS; j++)
            importance[j] = importance_of(kind, j, &state);
        const dmattn_mask_desc d = {.stages = DMATTN_STAGE_INTERVALS,
                                    .batch = 1,
                                    .kv_heads = 1,
                                    .queries = KEYS,
                                    .keys = KEYS,
                                    .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL,
                                                  .window = WINDOW,
                                                  .tie_break = tie_break,
                                                  .causal = true,
                                                  .documents = DOCUMENTS}};
        mask_run r;
        mask_run_create(
            &r, &d,
            (const void *const[TENSOR_COUNT]){
                [TENSOR_IMPORTANCE] = importance, [TENSOR_QUERY_OFFSETS] = offsets, [TENSOR_KEY_OFFSETS] = offsets});
        mask_run_go(&r);
        int32_t *begin = mask_run_get(&r, TENSOR_BEGIN), *end = mask_run_get(&r, TENSOR_END);
        for (int i = 0; i < DOCUMENTS; i++) {
            const int32_t first = offsets[i];
            running_window(importance + first, (uint32_t)(offsets[i + 1] - first), WINDOW, tie_break, want);
            for (int32_t j = first; j < offsets[i + 1]; j++) {
                const int32_t until = want[j - first] + first;
                cr_assert(until == j ? begin[j] == 0 && end[j] == 0 : begin[j] == j && end[j] == until,
                          "kind %d: key %d has [%d, %d), but is evicted at %d", kind, j, begin[j], end[j], until);
            }
        }
        mask_run_destroy(&r);
        free(begin);
        free(end);
    }
}
