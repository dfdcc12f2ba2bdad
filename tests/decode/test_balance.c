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
    uint32_t splits, shares, least, sequences, keys[MOST_SEQUENCES];
} step;

/* The shares of a step as the kernel finds them. */
typedef struct division {
    uint64_t keys, splits; /* of all sequences */
    uint32_t longest;
    uint32_t most; /* the most keys of a split */
    uint32_t of[MOST_SEQUENCES];
} division;

static division divide(const step *s)
{
    division d = {0};
    for (uint32_t b = 0; b < s->sequences; b++) {
        d.keys += s->keys[b];
        d.longest = s->keys[b] > d.longest ? s->keys[b] : d.longest;
    }
    const uint32_t most = most_keys_of_split((uint32_t)d.keys, d.longest, s->sequences, s->splits, s->shares, s->least);
    for (uint32_t b = 0; b < s->sequences; b++) {
        d.of[b] = splits_of_keys(s->keys[b], most);
        d.splits += d.of[b];
        const uint32_t largest = d.of[b] ? (s->keys[b] + d.of[b] - 1) / d.of[b] : 0;
        d.most = largest > d.most ? largest : d.most;
    }
    return d;
}

/* Whatever the lengths, the workgroups of the plan are enough. If one sequence is long, no split has many more keys
 * than a share; otherwise, the longest sequence has its splits. */
Test(balance, any_lengths)
{
    uint64_t random = 1;
    for (uint32_t i = 0; i < 20000; i++) {
        step s = {.splits = 1 + (uint32_t)(random_bits(&random) % 4),
                  .least = 1 + (uint32_t)(random_bits(&random) % 128)};
        s.sequences = 1 + (uint32_t)(random_bits(&random) % MOST_SEQUENCES);
        s.shares = (s.splits > 1 ? s.splits * s.sequences : 1) + (uint32_t)(random_bits(&random) % 600);
        const bool differ = random_bits(&random) % 3; /* in two of three steps */
        for (uint32_t b = 0; b < s.sequences; b++)    /* of all magnitudes up to 2^24; some are 0 */
            s.keys[b] = differ ? (uint32_t)(random_bits(&random) % (UINT64_C(1) << random_bits(&random) % 24))
                               : 10000 + (uint32_t)(random_bits(&random) % 1000);
        const division d = divide(&s);
        const uint64_t share = (d.keys + s.shares - 1) / s.shares, even = (d.longest + s.splits - 1) / s.splits;
        const uint64_t most = differ ? share + share / 2 + 1 : even;
        cr_assert_lt(d.splits, s.shares + s.sequences);
        cr_assert(d.most <= most || d.most <= s.least || d.most <= even, "%u keys", d.most);
        cr_assert(differ || d.most >= 10000 / s.splits);
        for (uint32_t b = 0; b < s.sequences; b++)
            cr_assert_eq(d.of[b] > 0, s.keys[b] > 0);
    }
}

/* The largest numbers that a plan allows do not overflow. */
Test(balance, largest_numbers)
{
    step s = {.splits = 1, .shares = 132, .least = 128, .sequences = 255};
    for (uint32_t b = 0; b < s.sequences; b++)
        s.keys[b] = UINT32_MAX / 255;
    cr_expect_eq(divide(&s).splits, 255);
    s.keys[0] = 1;
    s.shares = 1;
    cr_expect_lt(divide(&s).splits, 256);
    s = (step){.splits = 528, .shares = 528, .least = 44, .sequences = 1, .keys = {(1u << 30) - 1}};
    cr_expect_eq(divide(&s).splits, 528);
    s = (step){.splits = 66, .shares = 528, .least = 44, .sequences = 8, .keys = {(1u << 30) - 1}};
    cr_expect_eq(divide(&s).splits, 528);
    s = (step){.splits = 1, .shares = 1, .least = 1, .sequences = 2}; /* no sequence has new tokens */
    cr_expect_eq(divide(&s).splits, 0);
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

static decode_tile chosen_at(const dmattn_decode_desc *desc, dmattn_level level)
{
    capabilities caps = matrix_capabilities();
    const dmattn_decode_desc d = resolved(*desc);
    decode_tile t;
    char why[200];
    caps.fragment_layout = LAYOUT_QUAD_ROWS;
    caps.narrow_matrices = true;
    caps.shared_memory = 48 * 1024;
    cr_assert(dmattn_decode_tile_choose(&caps, &d, level, &t, why, sizeof why), "%s", why);
    return t;
}

static decode_tile chosen(const dmattn_decode_desc *desc)
{
    return chosen_at(desc, DMATTN_LEVEL_PORTABLE);
}

static dmattn_decode_desc pages_of(uint32_t batch, uint32_t kv_heads, uint32_t max_keys)
{
    return (dmattn_decode_desc){.attention = {.type = DMATTN_TYPE_BF16,
                                              .batch = batch,
                                              .queries = 1,
                                              .heads = 4 * kv_heads,
                                              .kv_heads = kv_heads,
                                              .head_dim = 128},
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
    step s = {.splits = t->splits, .shares = t->shares, .least = t->least_keys, .sequences = sequences};
    for (uint32_t b = 0; b < sequences; b++)
        s.keys[b] = b ? others : first;
    const division d = divide(&s);
    cr_assert_lt(d.splits, t->shares + sequences);
    return d;
}

static void try_plan(uint32_t batch, uint32_t kv_heads, uint32_t max_keys, dmattn_level level, dmattn_format format)
{
    dmattn_decode_desc d = pages_of(batch, kv_heads, max_keys);
    d.attention.k_format = d.attention.v_format = format;
    const decode_tile t = chosen_at(&d, level);
    cr_assert(t.shares);
    const division equal = divide_tile(&t, batch, max_keys, max_keys);
    cr_assert_eq(equal.of[0], t.splits, "%u sequences, %u heads, %u keys, level %d: %u splits, not %u", batch, kv_heads,
                 max_keys, (int)level, equal.of[0], t.splits);
    const division shorter = divide_tile(&t, batch, max_keys / 3, max_keys / 3);
    cr_assert_leq(shorter.of[0], t.splits);
    const division unequal = divide_tile(&t, batch, max_keys, 5);
    if (max_keys > 100000)
        cr_assert_leq((uint64_t)unequal.most * 110, unequal.keys * kv_heads + 110 * 16,
                      "%u sequences, %u heads, level %d: %u keys in a split", batch, kv_heads, (int)level,
                      unequal.most);
}

/* A multiprocessor runs two workgroups of the kernel for formats, or one with 8 rows, so there are as many shares. */
Test(balance, of_formats)
{
    dmattn_decode_desc d = pages_of(61, 8, 131072);
    cr_expect_eq(chosen_at(&d, DMATTN_LEVEL_MATRIX).shares, 528 / 8);
    d.attention.k_format = d.attention.v_format = DMATTN_FORMAT_INT8;
    cr_expect_eq(chosen_at(&d, DMATTN_LEVEL_MATRIX).shares, 264 / 8);
    cr_expect_eq(chosen_at(&d, DMATTN_LEVEL_PORTABLE).shares, 528 / 8);
    d.attention.heads *= 2;
    cr_expect_eq(chosen_at(&d, DMATTN_LEVEL_MATRIX).shares, 132 / 8);
}

/* If all sequences are equally long, each has the splits that it would have without balance, or fewer if there are few
 * keys. If one is long, its splits fill the device: none has more keys than one of 110 workgroups would have. */
Test(balance, of_plans)
{
    for (uint32_t batch = 2; batch <= 300; batch += 1 + batch / 16)
        for (uint32_t kv_heads = 1; kv_heads <= 16; kv_heads++)
            for (uint32_t keys = 300; keys <= 300000; keys *= 10) {
                try_plan(batch, kv_heads, keys, DMATTN_LEVEL_PORTABLE, DMATTN_FORMAT_TYPE);
                try_plan(batch, kv_heads, keys, DMATTN_LEVEL_MATRIX, DMATTN_FORMAT_TYPE);
                try_plan(batch, kv_heads, keys, DMATTN_LEVEL_MATRIX, DMATTN_FORMAT_INT8);
            }
}
