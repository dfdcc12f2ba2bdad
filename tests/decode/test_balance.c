/* SPDX-License-Identifier: MIT
 * How a balanced step divides the keys of its sequences (shaders/decode/balance.h), without a device. */
#include "decode/stage.h"
#include "decode_descs.h"
#include "problem.h"
#include "support/capabilities_fixture.h"

#include <criterion/criterion.h>

#define MOST_SEQUENCES 300

/* A step: its shares, and the keys of each sequence. */
typedef struct step {
    uint32_t shares, least, sequences, keys[MOST_SEQUENCES];
} step;

/* The shares of a step as the kernel finds them. */
typedef struct division {
    uint64_t keys, splits; /* of all sequences */
    uint32_t most;         /* the most keys of a split */
    uint32_t of[MOST_SEQUENCES];
} division;

static division divide(const step *s)
{
    division d = {0};
    for (uint32_t b = 0; b < s->sequences; b++)
        d.keys += s->keys[b];
    const uint32_t most = most_keys_of_split((uint32_t)d.keys, s->shares, s->least);
    for (uint32_t b = 0; b < s->sequences; b++) {
        d.of[b] = splits_of_keys(s->keys[b], most);
        d.splits += d.of[b];
        const uint32_t largest = d.of[b] ? (s->keys[b] + d.of[b] - 1) / d.of[b] : 0;
        d.most = largest > d.most ? largest : d.most;
    }
    return d;
}

/* Whatever the lengths, the workgroups of the plan are enough, and no split has more keys than its share. */
Test(balance, any_lengths)
{
    uint64_t random = 1;
    for (uint32_t i = 0; i < 20000; i++) {
        step s = {.shares = 1 + (uint32_t)(random_bits(&random) % 600),
                  .least = 1 + (uint32_t)(random_bits(&random) % 128)};
        s.sequences = 1 + (uint32_t)(random_bits(&random) % MOST_SEQUENCES);
        for (uint32_t b = 0; b < s.sequences; b++) /* lengths of all magnitudes up to 2^24; some are 0 */
            s.keys[b] = (uint32_t)(random_bits(&random) % (UINT64_C(1) << random_bits(&random) % 24));
        const division d = divide(&s);
        const uint64_t share = (d.keys + s.shares - 1) / s.shares;
        cr_assert_lt(d.splits, s.shares + s.sequences);
        cr_assert_leq(d.most, share > s.least ? share : s.least);
        for (uint32_t b = 0; b < s.sequences; b++)
            cr_assert_eq(d.of[b] > 0, s.keys[b] > 0);
    }
}

/* The largest numbers that a plan allows do not overflow. */
Test(balance, largest_numbers)
{
    step s = {.shares = 132, .least = 128, .sequences = 255};
    for (uint32_t b = 0; b < s.sequences; b++)
        s.keys[b] = UINT32_MAX / 255;
    cr_expect_leq(divide(&s).splits, 132 + 255 - 1);
    s = (step){.shares = 528, .least = 44, .sequences = 1, .keys = {UINT32_MAX}};
    cr_expect_eq(divide(&s).splits, 528);
}

/* The keys that the window of a query hides are those before its begin that are no sinks. */
Test(balance, windows)
{
    for (uint32_t sliding = 0; sliding < 6; sliding++)
        for (uint32_t sinks = 0; sinks < 6; sinks++)
            for (uint32_t before = 0; before < 20; before++)
                for (uint32_t tokens = 1; tokens < 4; tokens++) {
                    uint32_t visible = 0;
                    for (uint32_t key = 0; key < before + tokens; key++)
                        visible += key < sinks || !sliding || before < key + sliding; /* to the first new token */
                    const uint32_t begin = window_begin(before, sliding);
                    cr_assert_eq(keys_in_window(before + tokens, begin, sinks), visible, "%u, %u sinks, %u + %u",
                                 sliding, sinks, before, tokens);
                }
}

static decode_tile chosen(const dmattn_decode_desc *desc)
{
    const capabilities caps = usual_capabilities();
    const dmattn_decode_desc d = resolved(*desc);
    decode_tile t;
    char why[200];
    cr_assert(dmattn_decode_tile_choose(&caps, &d, DMATTN_LEVEL_PORTABLE, &t, why, sizeof why), "%s", why);
    return t;
}

static dmattn_decode_desc pages_of(uint32_t batch, uint32_t kv_heads, uint32_t max_keys)
{
    return (dmattn_decode_desc){
        .attention = {.batch = batch, .queries = 1, .heads = 4 * kv_heads, .kv_heads = kv_heads, .head_dim = 128},
        .no_importance = true,
        .selection = {.causal = true},
        .cache = DMATTN_CACHE_PAGED,
        .page_size = 16,
        .pages = 1000,
        .max_keys = max_keys};
}

/* Which plans are balanced. */
Test(balance, plans)
{
    dmattn_decode_desc d = pages_of(60, 8, 131072);
    cr_expect(chosen(&d).shares);
    d.selection.sliding = 4096;
    cr_expect(chosen(&d).shares);
    d = pages_of(1, 8, 131072); /* there is nothing to balance */
    cr_expect_eq(chosen(&d).shares, 0);
    d.selection.sliding = 4096; /* but keys before the window are not visited */
    cr_expect(chosen(&d).shares);
    d.selection.sliding = 131072;
    cr_expect_eq(chosen(&d).shares, 0);
    d = pages_of(60, 8, 255); /* no sequence takes long */
    cr_expect_eq(chosen(&d).shares, 0);
    d = pages_of(1025, 8, 131072); /* too many lengths for each workgroup to read */
    cr_expect_eq(chosen(&d).shares, 0);
    d = pages_of(1000, 8, 1u << 29); /* all keys would overflow 32 bits */
    cr_expect_eq(chosen(&d).shares, 0);
    d = (dmattn_decode_desc){.attention = {.batch = 60, .queries = 1, .heads = 4, .kv_heads = 1, .head_dim = 128},
                             .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .causal = true, .window = 4096}};
    cr_expect_eq(chosen(&d).shares, 0); /* bounded caches are equally large */
}

static division divide_tile(const decode_tile *t, uint32_t sequences, uint32_t first, uint32_t others)
{
    step s = {.shares = t->shares, .least = t->least_keys, .sequences = sequences};
    for (uint32_t b = 0; b < sequences; b++)
        s.keys[b] = b ? others : first;
    const division d = divide(&s);
    cr_assert_lt(d.splits, t->shares + sequences);
    return d;
}

/* If all sequences are equally long, each has at least the splits that it would have without balance. If one is long,
 * its splits fill the device, and none of them has much more than the average of the workgroups that fill it. */
Test(balance, of_plans)
{
    for (uint32_t batch = 2; batch <= 256; batch *= 2)
        for (uint32_t kv_heads = 1; kv_heads <= 16; kv_heads *= 2) {
            const dmattn_decode_desc d = pages_of(batch, kv_heads, 131072);
            const decode_tile t = chosen(&d);
            cr_assert(t.shares);
            const division equal = divide_tile(&t, batch, 131072, 131072);
            cr_expect_geq(equal.of[0], t.splits, "%u sequences, %u heads", batch, kv_heads);
            const bool fills = batch * t.splits * kv_heads >= 128;
            cr_expect(!fills || equal.of[0] == t.splits, "%u sequences, %u heads: %u splits, not %u", batch, kv_heads,
                      equal.of[0], t.splits);
            const division unequal = divide_tile(&t, batch, 131072, 500);
            cr_expect_leq((uint64_t)unequal.most * 128, unequal.keys * kv_heads + 128,
                          "%u sequences, %u heads: %u keys in a split", batch, kv_heads, unequal.most);
        }
}
