/* SPDX-License-Identifier: MIT
 * How the work of packed items is divided (shaders/lib/schedule_items.h): without a device, and what the kernel
 * writes. */
#include "attention/desc.h"
#include "attention/stage.h"
#include "problem.h"
#include "support/capabilities_fixture.h"
#include "support/harness.h"

#include <stdlib.h>

#define MOST_ITEMS 300

/* Items as the kernel places them. */
typedef struct placed {
    uint32_t row, queries, key_row, keys;
} placed;

/* An entry of a list. */
typedef struct entry {
    placed item;
    uint32_t number, tile, split, splits;
} entry;
_Static_assert(sizeof(placed) == ITEM_BYTES && sizeof(entry) == ENTRY_BYTES, "the layout of schedule_items.h");

static uint32_t clamped(int32_t count, uint32_t most)
{
    return count < 0 ? 0 : (uint32_t)count < most ? (uint32_t)count : most;
}

static uint32_t at_most(uint64_t x, uint32_t most)
{
    return x < most ? (uint32_t)x : most;
}

/* Returns the units of all items. */
static uint64_t place(const schedule_items_params *p, const int32_t *counts, placed *items)
{
    uint64_t row = 0, key = 0, units = 0;
    for (uint32_t i = 0; i < p->items; i++) {
        items[i].row = (uint32_t)row;
        items[i].queries = at_most(clamped(counts[2 * i], p->queries), p->rows - (uint32_t)row);
        items[i].key_row = (uint32_t)key;
        items[i].keys = clamped(counts[2 * i + 1], p->keys);
        if (p->key_rows)
            items[i].keys = at_most(items[i].keys, p->key_rows - (uint32_t)key);
        row += items[i].queries;
        key += p->key_rows ? items[i].keys : 0;
        units += (uint64_t)parts_of(items[i].queries, p->tile_queries) * parts_of(items[i].keys, p->unit_keys);
    }
    return units;
}

/* The numbers of entries of both lists, and the most units of a workgroup. */
typedef struct division {
    uint64_t units, parts, tiles;
    uint32_t largest;
    uint32_t splits[MOST_ITEMS];
} division;

static division divide(const schedule_items_params *p, const placed *items, uint64_t units)
{
    division d = {.units = units};
    const uint32_t most = units_of_split((uint32_t)units, p->most_parts, p->least_units);
    for (uint32_t i = 0; i < p->items; i++) {
        const uint32_t of_tile = parts_of(items[i].keys, p->unit_keys);
        const uint32_t tiles = parts_of(items[i].queries, p->tile_queries);
        const uint32_t splits = p->most_parts ? splits_of_item(of_tile, most) : 1, part = parts_of(of_tile, splits);
        d.splits[i] = splits;
        d.parts += splits > 1 ? (uint64_t)tiles * splits : 0;
        d.tiles += splits > 1 ? 0 : tiles;
        d.largest = tiles && part > d.largest ? part : d.largest;
    }
    return d;
}

static dmattn_attention_desc packed_desc(uint32_t items, uint32_t queries, uint32_t keys, uint32_t total)
{
    const dmattn_attention_desc d = {.batch = items,
                                     .queries = queries,
                                     .keys = keys,
                                     .heads = 32,
                                     .kv_heads = 8,
                                     .head_dim = 128,
                                     .type = DMATTN_TYPE_F16,
                                     .counts = true,
                                     .total_queries = total};
    dmattn_attention_desc resolved;
    cr_assert_eq(dmattn_attention_desc_resolve(&d, &resolved, NULL), DMATTN_SUCCESS);
    return resolved;
}

static int32_t random_count(uint32_t most, uint64_t *random)
{
    const uint64_t kind = random_bits(random) % 16;
    return kind == 0   ? INT32_MAX
           : kind == 1 ? INT32_MIN
                       : (int32_t)(random_bits(random) % (UINT64_C(1) << random_bits(random) % 31) % (most + 1));
}

/* Whatever the numbers are, the workgroups of the plan are enough, and sums fit in 32 bits. No workgroup has twice a
 * share or more, except where fewer keys are not worth a workgroup. */
Test(schedule, any_numbers)
{
    static int32_t counts[2 * MOST_ITEMS];
    static placed items[MOST_ITEMS];
    uint64_t random = 1;
    for (uint32_t n = 0; n < 20000; n++) {
        const uint32_t batch = 1 + (uint32_t)(random_bits(&random) % MOST_ITEMS);
        const uint32_t queries = 1 + (uint32_t)(random_bits(&random) % (UINT64_C(1) << random_bits(&random) % 30));
        const uint32_t keys = 1 + (uint32_t)(random_bits(&random) % (UINT64_C(1) << random_bits(&random) % 30));
        const uint32_t total = 1 + (uint32_t)(random_bits(&random) % (UINT64_C(1) << random_bits(&random) % 30));
        dmattn_attention_desc d = packed_desc(batch, queries, keys, total);
        const attention_tile tile = {.rows = 16u << random_bits(&random) % 4,
                                     .keys = 16u << random_bits(&random) % 3,
                                     .heads_per_tile = 1u << random_bits(&random) % 3};
        d.total_keys = random_bits(&random) % 2 ? 1 + (uint32_t)(random_bits(&random) % (1u << 29)) : 0;
        const schedule_items_params p = dmattn_schedule_params(&d, &tile);
        for (uint32_t i = 0; i < 2 * batch; i++)
            counts[i] = random_count(i % 2 ? keys : queries, &random);
        const uint64_t units = place(&p, counts, items);
        cr_assert_leq(units, UINT32_MAX);
        const division of = divide(&p, items, units);
        cr_assert_leq(of.parts, p.most_parts);
        cr_assert_leq(of.tiles, p.most_tiles);
        const uint64_t share = p.most_parts ? (units + p.most_parts - 1) / p.most_parts : UINT32_MAX;
        cr_assert(of.largest < 2 * share || of.largest < 2 * (uint64_t)p.least_units);
    }
}

static division divide_counts(const dmattn_attention_desc *d, const attention_tile *tile, const int32_t *counts)
{
    static placed items[MOST_ITEMS];
    const schedule_items_params p = dmattn_schedule_params(d, tile);
    return divide(&p, items, place(&p, counts, items));
}

/* A chunk of a long prompt among short ones is divided, and they are not. */
Test(schedule, one_long_item)
{
    enum { ITEMS = 61, LONG = 131072 };
    const dmattn_attention_desc d = packed_desc(ITEMS, 512, LONG, 512 + 60 * 16);
    const attention_tile tile = {.rows = 128, .keys = 64, .heads_per_tile = 4};
    int32_t counts[2 * ITEMS] = {512, LONG};
    for (int i = 1; i < ITEMS; i++) {
        counts[2 * i] = 16;
        counts[2 * i + 1] = 500;
    }
    const division of = divide_counts(&d, &tile, counts);
    cr_expect_eq(of.splits[0], 3);
    cr_expect_eq(of.parts, 3 * 512 / 32);
    cr_expect_eq(of.tiles, 60);
}

/* Items of one length are not divided if they are enough, and are if they are few. */
Test(schedule, equal_items)
{
    enum { ITEMS = 64, KEYS = 4096 };
    const dmattn_attention_desc d = packed_desc(ITEMS, 32, KEYS, 32 * ITEMS);
    const attention_tile tile = {.rows = 128, .keys = 64, .heads_per_tile = 4};
    int32_t counts[2 * ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        counts[2 * i] = 32;
        counts[2 * i + 1] = KEYS;
    }
    cr_expect_eq(divide_counts(&d, &tile, counts).parts, 0);
    for (int i = 4; i < ITEMS; i++)
        counts[2 * i] = counts[2 * i + 1] = 0;
    const division of = divide_counts(&d, &tile, counts);
    cr_expect_eq(of.splits[0], 8);
    cr_expect_eq(of.parts, 4 * 8);
}

/* Work is at most that of as many whole items as the totals allow. */
Test(schedule, work)
{
    dmattn_attention_desc d = packed_desc(8, 100, 1000, 250);
    const double of_item = 4.0 * 128 * 100 * 1000 * 32;
    cr_expect_eq(dmattn_attention_flops(&d), 2.5 * of_item);
    d.total_keys = 1500;
    cr_expect_eq(dmattn_attention_flops(&d), 1.5 * of_item);
    d.total_queries = d.total_keys = 100000;
    cr_expect_eq(dmattn_attention_flops(&d), 8 * of_item);
}

/* ---- the kernel -------------------------------------------------------------------------------------------------- */

static void expect_entry(const entry *got, const placed *item, const schedule_items_params *p, uint32_t number,
                         uint32_t tile, uint32_t split, uint32_t splits)
{
    placed want = *item;
    if (p->key_rows && want.key_row >= p->key_rows)
        want.key_row = p->key_rows - 1;
    cr_expect(got->item.row == want.row && got->item.queries == want.queries && got->item.key_row == want.key_row
                  && got->item.keys == want.keys,
              "item %u", number);
    cr_expect(got->number == number && got->tile == tile && got->split == split && got->splits == splits,
              "item %u, tile %u, split %u of %u instead of item %u, tile %u, split %u of %u", got->number, got->tile,
              got->split, got->splits, number, tile, split, splits);
}

/* Compares both lists with those of this file. */
static void expect_schedule(const schedule_items_params *p, const int32_t *counts, const unsigned char *got)
{
    static placed items[MOST_ITEMS];
    const division of = divide(p, items, place(p, counts, items));
    const entry *lists[] = {(const entry *)(const void *)(got + dmattn_schedule_parts(p)),
                            (const entry *)(const void *)(got + dmattn_schedule_tiles(p))};
    const uint32_t most[] = {p->most_parts, p->most_tiles};
    uint32_t at[2] = {0, 0};
    for (uint32_t i = 0; i < p->items; i++) {
        const uint32_t tiles = parts_of(items[i].queries, p->tile_queries), list = of.splits[i] == 1;
        for (uint32_t n = 0; n < tiles * of.splits[i]; n++)
            expect_entry(&lists[list][at[list]++], &items[i], p, i, tiles - 1 - n / of.splits[i], n % of.splits[i],
                         of.splits[i]);
    }
    for (int list = 0; list < 2; list++)
        for (; at[list] < most[list]; at[list]++)
            cr_expect_eq(lists[list][at[list]].splits, 0);
}

static VkDeviceAddress address_of(const dmattn_buffer *buffer)
{
    const VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                            .buffer = buffer->buffer};
    return h.context->vk.GetBufferDeviceAddress(h.context->device, &info);
}

DEVICE_TEST(schedule, of_the_kernel)
{
    static const uint32_t totals[][2] = {{2000, 0}, {900, 0}, {2500, 60000}};
    int32_t counts[2 * MOST_ITEMS];
    for (size_t n = 0; n < sizeof totals / sizeof *totals; n++) {
        dmattn_attention_desc d = packed_desc(MOST_ITEMS, 40, 3000, totals[n][0]);
        uint64_t random = n;
        d.total_keys = totals[n][1];
        const attention_tile tile = {.rows = 16, .keys = 16, .heads_per_tile = 4};
        for (int i = 0; i < 2 * MOST_ITEMS; i++)
            counts[i] = random_count(i % 2 ? (i % 38 == 1 ? 3000 : 50) : 20, &random);
        item_schedule s = {0};
        pipeline_set set = {.ctx = h.context, .builds = true};
        ASSERT_OK(dmattn_schedule_plan(&s, &set, &d, &tile));
        const uint64_t bytes = dmattn_schedule_bytes(&s.params);
        dmattn_buffer numbers, results;
        unsigned char *got = malloc(bytes);
        ASSERT_OK(dmattn_buffer_create(h.device, sizeof counts, &numbers));
        ASSERT_OK(dmattn_upload(h.device, &numbers, 0, counts, sizeof counts));
        ASSERT_OK(dmattn_buffer_create(h.device, bytes, &results));
        recorder r = {.ctx = h.context};
        ASSERT_OK(dmattn_commands_begin(h.device, &r.commands));
        r.tensor[TENSOR_COUNTS] = address_of(&numbers);
        r.workspace = address_of(&results);
        dmattn_schedule_record(&s, &r);
        ASSERT_OK(dmattn_commands_submit(h.device));
        ASSERT_OK(dmattn_download(h.device, &results, 0, got, bytes));
        expect_schedule(&s.params, counts, got);
        free(got);
        dmattn_buffer_destroy(h.device, &numbers);
        dmattn_buffer_destroy(h.device, &results);
        dmattn_pipelines_release(&set);
    }
}
