/* SPDX-License-Identifier: MIT
 * Tile lists against brute force: each list holds the keys that its tile's queries see, in order, full slots first.
 */
#include "mask/lists.h"
#include "mask_run.h"
#include "problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The kinds of intervals. */
enum { SHORT_RANGES, LONG_RANGES, EMPTY, EVERYTHING, WILD };

static void fill(int kind, uint32_t queries, uint32_t count, uint64_t *state, int32_t *begin, int32_t *end)
{
    for (uint32_t i = 0; i < count; i++) {
        const int32_t first = (int32_t)(random_bits(state) % queries);
        begin[i] = first;
        end[i] = first;
        switch (kind) {
        case SHORT_RANGES: end[i] += (int32_t)(random_bits(state) % 60); break;
        case LONG_RANGES: end[i] += (int32_t)(random_bits(state) % queries); break;
        case EMPTY: end[i] -= (int32_t)(random_bits(state) % 3); break;
        case EVERYTHING:
            begin[i] = i % 2 ? 0 : INT32_MIN;
            end[i] = i % 3 ? (int32_t)queries : INT32_MAX;
            break;
        default: begin[i] = (int32_t)(uint32_t)random_bits(state); end[i] = (int32_t)(uint32_t)random_bits(state);
        }
    }
}

/* How many of the queries from `first` to `end_query` - 1 see a key: 0 none, 1 some, 2 all. */
static int see(const dmattn_mask_desc *d, int32_t begin, int32_t end, uint32_t key, uint32_t first, uint32_t end_query)
{
    uint32_t seen = 0;
    for (uint32_t t = first; t < end_query; t++)
        seen += begin <= (int32_t)t && (int32_t)t < end
                && (!d->selection.causal || (int64_t)key <= (int64_t)t + d->keys - d->queries);
    return !seen ? 0 : seen < end_query - first ? 1 : 2;
}

/* Checks a list. `wanted` has the result of see() for each key. */
static void check_list(const dmattn_mask_desc *d, const uint32_t *header, const uint32_t *words, const int *wanted,
                       const char *where)
{
    uint32_t keys = 0;
    for (uint32_t j = 0; j < d->keys; j++)
        keys += wanted[j] > 0;
    const uint32_t shift = header[3], width = 1u << shift;
    cr_assert(shift == (keys <= d->list_capacity ? 0 : LIST_BLOCK_SHIFT), "%s: %u keys, shift %u", where, keys, shift);
    cr_assert_eq(header[1] % width, 0, "%s", where);
    cr_assert_eq(header[2] % width, 0, "%s", where);
    cr_assert_leq(header[1] >> shift, d->list_capacity, "%s: %u slots", where, header[1]);
    if (!shift)
        cr_assert_eq(header[1], keys, "%s: %u keys instead of %u", where, header[1], keys);
    uint32_t found = 0;
    for (uint32_t i = 0; i < header[1] >> shift; i++) {
        const bool full = i < header[2] >> shift;
        if (i > 0 && i != header[2] >> shift)
            cr_assert_gt(words[i], words[i - 1], "%s: word %u is out of order", where, i);
        bool any = false, all = true;
        for (uint32_t j = words[i] << shift; j < (words[i] + 1) << shift; j++) {
            const int seen = j < d->keys ? wanted[j] : 0;
            found += seen > 0;
            any = any || seen > 0;
            all = all && seen == 2;
        }
        cr_assert(any, "%s: no query sees the keys of word %u", where, i);
        cr_assert_eq(all, full, "%s: word %u of %u", where, i, header[1] >> shift);
    }
    cr_assert_eq(found, keys, "%s: %u keys instead of %u", where, found, keys);
}

static void run_lists(uint32_t planes, uint32_t queries, uint32_t keys, uint32_t list_queries, uint32_t capacity,
                      bool causal, int kind)
{
    const dmattn_mask_desc desc = {.stages = DMATTN_STAGE_LISTS,
                                   .batch = 1,
                                   .queries = queries,
                                   .keys = keys,
                                   .kv_heads = planes,
                                   .selection.causal = causal,
                                   .list_queries = list_queries,
                                   .list_capacity = capacity};
    const uint32_t count = planes * keys, tiles = (queries - 1) / list_queries + 1;
    int32_t *begin = malloc(count * sizeof *begin), *end = malloc(count * sizeof *end);
    int *wanted = malloc(keys * sizeof *wanted);
    uint64_t state = queries + keys;
    fill(kind, queries, count, &state, begin, end);
    mask_run r;
    mask_run_create(&r, &desc, (const void *const[TENSOR_COUNT]){[TENSOR_BEGIN] = begin, [TENSOR_END] = end});
    mask_run_go(&r);
    uint32_t *lists = mask_run_get(&r, TENSOR_LISTS);
    free(mask_run_get(&r, TENSOR_COUNT));
    for (uint32_t i = 0; i < planes * tiles; i++) {
        const uint32_t plane = i / tiles, first = i % tiles * list_queries;
        const uint32_t past = first + list_queries < queries ? first + list_queries : queries;
        char where[160];
        snprintf(where, sizeof where, "%u x %u, tiles of %u, capacity %u, causal %d, kind %d: tile %u", queries, keys,
                 list_queries, r.desc.list_capacity, causal, kind, i);
        for (uint32_t j = 0; j < keys; j++)
            wanted[j] = see(&desc, begin[plane * keys + j], end[plane * keys + j], j, first, past);
        const uint64_t place = UINT64_C(16) * lists[4 * i]; /* in words */
        cr_assert_leq(4 * (place + (lists[4 * i + 1] >> lists[4 * i + 3])), r.info.lists_size, "%s", where);
        check_list(&r.desc, lists + 4 * i, lists + place, wanted, where);
    }
    mask_run_go(&r);
    uint32_t *again = mask_run_get(&r, TENSOR_LISTS);
    cr_assert_eq(memcmp(lists, again, r.info.lists_size), 0, "%u x %u: a second run gives different lists", queries,
                 keys);
    mask_run_destroy(&r);
    free(lists);
    free(again);
    free(begin);
    free(end);
    free(wanted);
}

DEVICE_TEST(lists, one_level)
{
    for (int kind = SHORT_RANGES; kind <= WILD; kind++) {
        run_lists(1, 1, 1, 16, 0, false, kind);
        run_lists(3, 70, 90, 16, 0, true, kind);
        run_lists(2, 130, 1500, 21, 0, false, kind);
        run_lists(2, 300, 100, 64, 0, true, kind); /* the first queries see no key */
        run_lists(1, 5, 3000, 64, 0, false, kind);
    }
}

/* Lists that do not fit in their capacity become blocks, each list separately. */
DEVICE_TEST(lists, blocks)
{
    for (int kind = SHORT_RANGES; kind <= WILD; kind++) {
        run_lists(2, 200, 500, 16, 1, true, kind);
        run_lists(2, 200, 510, 16, 40, false, kind);
        run_lists(1, 90, 1000, 32, 500, true, kind);
        run_lists(1, 40, 5000, 16, 1, false, kind);
    }
}

/* Union lists, with two levels of nodes in the last cases; and union lists that overflow. */
DEVICE_TEST(lists, levels)
{
    for (int kind = SHORT_RANGES; kind <= WILD; kind++) {
        run_lists(2, 600, 300, 16, 0, false, kind);
        run_lists(1, 1300, 1300, 16, 50, true, kind);
        run_lists(1, 700, 6000, 20, 0, false, kind);
    }
    run_lists(1, 3000, 4500, 1, 0, true, SHORT_RANGES);
    run_lists(1, 3000, 4500, 2, 30, false, LONG_RANGES);
}

/* ---- without a device ---------------------------------------------------------------------------------------- */

Test(list_layout, of_levels)
{
    const struct {
        uint32_t queries, list_queries, levels, top_nodes, top_queries;
    } rows[] = {
        {1, 16, 1, 1, 16},           {512, 16, 1, 32, 16},        {513, 16, 2, 2, 512},
        {16384, 16, 2, 32, 512},     {131072, 16, 3, 16, 8192},   {1 << 20, 16, 3, 128, 8192},
        {1 << 20, 64, 3, 32, 32768}, {100000, 3000, 1, 34, 3000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const lists_desc d = {.batch = 1,
                              .heads = 1,
                              .queries = rows[i].queries,
                              .keys = rows[i].queries,
                              .bound = {100, true},
                              .list_queries = rows[i].list_queries,
                              .capacity = 128};
        const lists_layout l = dmattn_lists_layout(&d);
        cr_expect_eq(l.level_count, rows[i].levels, "row %zu: %u levels", i, l.level_count);
        cr_expect_eq(l.level[0].nodes, rows[i].top_nodes, "row %zu: %u nodes", i, l.level[0].nodes);
        cr_expect_eq(l.level[0].node_queries, rows[i].top_queries, "row %zu", i);
        cr_expect_eq(l.level[l.level_count - 1].node_queries, rows[i].list_queries, "row %zu", i);
        for (uint32_t level = 0; level + 1 < l.level_count; level++) {
            const lists_level *above = &l.level[level], *below = above + 1;
            cr_expect_eq(above->node_queries, below->node_queries * below->fanout, "row %zu", i);
            cr_expect_leq(above->node_queries, (uint32_t)LIST_MAX_NODE_QUERIES, "row %zu", i);
            cr_expect_eq(above->capacity % (LIST_UNIT / 4), 0, "row %zu", i);
            cr_expect_geq((uint64_t)above->capacity,
                          d.keys < 99 + above->node_queries ? d.keys : 99 + above->node_queries);
        }
    }
}
