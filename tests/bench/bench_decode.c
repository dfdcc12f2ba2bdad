/* SPDX-License-Identifier: MIT
 * vkbench's decoding cases. */
#include "app/options.h"
#include "cases/parse.h"
#include "measure/decode_measure.h"
#include "measure/prefill_measure.h"
#include "support/sentences.h"

#include <criterion/criterion.h>

#include <string.h>

static sweep decoding(const char *mask)
{
    sweep s = {.pass = PASS_DECODE, .keys = {1, {5000}}, .mask_count = 1};
    cr_assert(parse_mask(mask, &s.mask[0]), "%s", mask);
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    return s;
}

Test(decoding, names)
{
    bench_pass pass;
    mask_choice mask;
    char name[MASK_NAME_SIZE];
    cr_expect(parse_pass("decode", &pass) && pass == PASS_DECODE);
    cr_expect_str_eq(pass_name(PASS_DECODE), "decode");
    static const char *const good[] = {"paged", "paged:0.25", "paged:plain"};
    for (int i = 0; i < 3; i++) {
        cr_assert(parse_mask(good[i], &mask) && mask.paged);
        mask_name(&mask, name);
        cr_expect_str_eq(name, good[i]);
    }
    static const char *const wrong[] = {"paged:", "paged:0",       "paged:1",     "paged:2",
                                        "pagedx", "paged:plainer", "causal+paged"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_not(parse_mask(wrong[i], &mask), "%s", wrong[i]);
}

/* A step of 2 sequences: 1000 keys of 4 kv heads, of which each has 4 bytes of importance. */
Test(decoding, step_bytes)
{
    dmattn_decode_desc d = {.attention = {.type = DMATTN_TYPE_BF16,
                                          .batch = 2,
                                          .queries = 1,
                                          .heads = 16,
                                          .kv_heads = 4,
                                          .head_dim = 128,
                                          .value_dim = 128}};
    const double new_row = 2 * 256, of_bf16 = 2 * 4 * 1000 * (512.0 + 4), of_int8 = 2 * 4 * 1000 * (264.0 + 4);
    cr_expect_eq(decoding_step_bytes(&d, 1000, 4000), of_bf16 + 2 * (new_row * 20 + 512 * 4));
    d.attention.k_format = d.attention.v_format = DMATTN_FORMAT_INT8;
    cr_expect_eq(decoding_step_bytes(&d, 1000, 4000), of_int8 + 2 * (new_row * 20 + 264 * 4));
}

Test(decoding, cases)
{
    bench_case c;
    sweep s = decoding("topw:100");
    sweep_case(&s, 0, &c);
    cr_expect(case_has_cache(&c) && c.decode.cache == DMATTN_CACHE_BOUNDED);
    cr_expect_eq(c.decode.selection.window, 100);
    cr_expect_eq(c.decode.attention.queries, 1);
    cr_expect_eq(c.desc.keys, 5000);
    s = decoding("paged:0.25");
    sweep_case(&s, 0, &c);
    cr_expect(case_has_cache(&c) && c.decode.cache == DMATTN_CACHE_PAGED);
    cr_expect_eq(c.decode.max_keys, 5000);
    cr_expect_eq(c.decode.pages, (5000 + 63) / 64);
    cr_expect_eq(c.decode.selection.select, DMATTN_SELECT_THRESHOLD);
    cr_expect_float_eq(c.decode.selection.threshold, 0.75, 1e-6);
    s = decoding("none"); /* attention to all keys, contiguous in memory */
    sweep_case(&s, 0, &c);
    cr_expect_not(case_has_cache(&c));
    cr_expect(c.desc.queries == 1 && c.desc.keys == 5000);
}

/* A sliding window has a bounded cache without importance, and a plain cache pages without it. */
Test(decoding, without_importance)
{
    bench_case c;
    sweep s = decoding("sliding:128");
    sweep_case(&s, 0, &c);
    cr_expect(case_has_cache(&c) && c.decode.cache == DMATTN_CACHE_BOUNDED && c.decode.no_importance);
    cr_expect(c.decode.selection.sliding == 128 && !c.decode.attention.mask);
    s = decoding("paged:plain");
    s.page_size = 16;
    sweep_case(&s, 0, &c);
    cr_expect(c.decode.no_importance && !c.decode.importance_given && c.decode.page_size == 16);
    cr_expect(c.desc.page_size == 16 && !c.decode.attention.page_size, "only the cache has pages");
    cr_expect_eq(c.decode.pages, (5000 + 15) / 16);
}

/* One sequence of 5000 keys and three of 500: pages only for the tokens that there are. */
Test(decoding, sequences_of_other_lengths)
{
    bench_case c;
    char name[CASE_NAME_SIZE];
    sweep s = decoding("paged:plain");
    s.batch = (size_list){1, {4}};
    s.other_keys = 500;
    sweep_case(&s, 0, &c);
    cr_expect_eq(case_check(&c, NULL), DMATTN_SUCCESS);
    cr_expect(case_keys(&c, 0) == 5000 && case_keys(&c, 1) == 500 && case_keys(&c, 3) == 500);
    cr_expect_eq(case_average_keys(&c), (5000 + 3 * 500) / 4.0);
    cr_expect_eq(c.decode.pages, (5000 + 63) / 64 + 3 * ((500 + 63) / 64));
    case_name(&c, name);
    cr_expect_str_eq(name, "h16.k4.d64/q1.n5000+b3.n500/decode/paged:plain/f16");
}

/* A chunk of 512 tokens at the end of a prompt of 5000, in the pages of a cache. */
Test(prefill, cases)
{
    sweep s = {.pass = PASS_PREFILL, .keys = {1, {5000}}, .queries = {1, {512}}, .k_format = DMATTN_FORMAT_INT8};
    bench_case c;
    s.v_format = DMATTN_FORMAT_INT8;
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    cr_assert_eq(s.mask_count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        sweep_case(&s, i, &c);
        const dmattn_attention_desc *a = i ? &c.dma.attention : &c.desc;
        sentences said = {0};
        cr_expect_eq(case_check(&c, &(messenger){sentences_keep, &said}), DMATTN_SUCCESS, "%s", said.text);
        cr_expect_not(case_has_cache(&c));
        cr_expect(a->page_size == 64 && a->pages == (5000 + 63) / 64 && a->k_format == DMATTN_FORMAT_INT8);
        cr_expect(c.decode.importance_given == i && c.dma.importance_given == i, "only topw has an importance");
        cr_expect_eq(a->page_bytes, dmattn_decode_layout(&c.decode).page_size);
    }
    /* 100 queries of 2 heads; the first sees 201 keys, the last 300, unless a window allows fewer */
    c = (bench_case){.desc = {.batch = 1, .heads = 2, .queries = 100, .keys = 300}, .mask = {.causal = true}};
    cr_expect_eq(prefill_pairs(&c), 2 * 100 * (201 + 300) / 2);
    c.mask = (mask_choice){.sliding = true, .window = 250};
    cr_expect_eq(prefill_pairs(&c), 2 * (49 * (201 + 249) / 2 + 51 * 250));
}

/* A chunk of 512 tokens and three of 20 tokens, packed. */
Test(prefill, packed_cases)
{
    sweep s = {.pass = PASS_PREFILL,
               .keys = {1, {5000}},
               .queries = {1, {512}},
               .batch = {1, {4}},
               .other_keys = 300,
               .other_queries = 20,
               .packed = true,
               .mask_count = 1,
               .mask = {{.causal = true}}};
    bench_case c;
    char name[CASE_NAME_SIZE];
    sentences said = {0};
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    sweep_case(&s, 0, &c);
    cr_expect_eq(case_check(&c, &(messenger){sentences_keep, &said}), DMATTN_SUCCESS, "%s", said.text);
    cr_expect(c.desc.counts && c.desc.total_queries == 512 + 3 * 20 && c.desc.total_keys == 5000 + 3 * 300);
    cr_expect(!c.decode.attention.counts && !c.decode.attention.total_queries);
    cr_expect_eq(prefill_pairs(&c), c.desc.heads * (uint64_t)(512 * (4489 + 5000) / 2 + 3 * 20 * (281 + 300) / 2));
    case_name(&c, name);
    cr_expect_str_eq(name, "h16.k4.d64/q512.n5000+b3.q20.n300/prefill/causal/f16/pages-64/packed");
    s.packed = false;
    sweep_case(&s, 0, &c);
    cr_expect(c.desc.counts && !c.desc.total_queries);
    s.other_queries = s.other_keys = 0;
    sweep_case(&s, 0, &c);
    cr_expect_not(c.desc.counts);
}

Test(decoding, defaults)
{
    sweep s = {.pass = PASS_DECODE};
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    cr_expect_eq(sweep_count(&s), 2 * 3 * s.head_dim.count); /* contexts, masks */
    s = (sweep){.pass = PASS_DECODE, .n = {1, {300}}};
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    bench_case c;
    sweep_case(&s, 0, &c);
    cr_expect(c.desc.keys == 300 && c.desc.queries == 1);
}

/* Options that cannot be combined are refused with a message. */
static void expect_refused(sweep s, const char *part)
{
    sentences text = {0};
    cr_expect_not(sweep_check(&s, &(messenger){sentences_keep, &text}));
    cr_expect(text.count == 1 && strstr(text.text, part), "no '%s' in: %s", part, text.text);
}

Test(decoding, refused)
{
    sweep s = decoding("paged");
    cr_expect(sweep_check(&s, NULL));
    s.pass = PASS_FORWARD;
    expect_refused(s, "paged");
    expect_refused(decoding("causal"), "masks");
    expect_refused(decoding("dense:0.5"), "masks");
    s = decoding("topw:3"); /* a chunk */
    s.queries = (size_list){1, {17}};
    cr_expect(sweep_check(&s, NULL));
    s = decoding("paged");
    s.queries = (size_list){1, {17}};
    expect_refused(s, "queries");
    s = decoding("paged");
    s.keys = (size_list){1, {4}};
    s.queries = (size_list){1, {4}};
    expect_refused(s, "keys is 4");
    s = decoding("none");
    s.batch = (size_list){1, {2}};
    s.other_keys = 10;
    expect_refused(s, "with a cache, or prefill");
    s = decoding("paged");
    s.other_keys = 10;
    expect_refused(s, "two or more sequences");
    s.batch = (size_list){1, {2}};
    cr_expect(sweep_check(&s, NULL));
    s.other_keys = 1;
    expect_refused(s, "keys is 1");
    s.other_keys = 5001;
    expect_refused(s, "at least as many --keys");
    s = decoding("topw:3");
    s.page_size = 16;
    expect_refused(s, "--page-size");
}

Test(prefill, refused)
{
    sweep s = {.pass = PASS_PREFILL, .keys = {1, {100}}, .queries = {1, {100}}};
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    cr_expect(sweep_check(&s, NULL));
    s.queries.value[0] = 101;
    expect_refused(s, "101 queries");
    s.queries.value[0] = 10;
    s.packed = true;
    expect_refused(s, "--packed needs");
    s.mask_count = 1; /* causal alone */
    cr_expect(sweep_check(&s, NULL));
    s.packed = false;
    s.other_queries = 5;
    expect_refused(s, "two or more sequences");
    s.batch.value[0] = 3;
    cr_expect(sweep_check(&s, NULL));
    s.other_keys = 4;
    expect_refused(s, "--other-queries is above");
    s.other_keys = 5;
    cr_expect(sweep_check(&s, NULL));
    s.other_queries = 11;
    expect_refused(s, "--other-queries is above");
    s.other_queries = s.other_keys = 0;
    s.batch.value[0] = 1;
    s.mask_count = 2;
    s.slopes = true;
    expect_refused(s, "no slopes");
    s.slopes = false;
    s.mask_count = 1;
    s.mask[0] = (mask_choice){0};
    expect_refused(s, "masks causal");
    s.mask[0] = (mask_choice){.causal = true, .mask = DMATTN_MASK_DENSE, .fraction = 0.5};
    expect_refused(s, "masks causal");
    cr_expect(parse_mask("sliding:8", &s.mask[0]) && sweep_check(&s, NULL));
}
