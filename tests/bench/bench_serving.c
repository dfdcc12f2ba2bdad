/* SPDX-License-Identifier: MIT
 * The page of the suite `serving`. */
#include "report/page.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Adds a step of decoding from a cache of int8, and its outcome. */
static void add(case_list *cases, outcomes *o, uint32_t batch, uint32_t keys, uint32_t other_keys, measurement m)
{
    bench_case c = {.model = "some-model",
                    .desc = {.type = DMATTN_TYPE_BF16, .batch = batch, .heads = 8, .kv_heads = 2, .queries = 1},
                    .mask = {.paged = true, .plain = true},
                    .other_keys = other_keys,
                    .pass = PASS_DECODE};
    c.desc.keys = keys;
    c.desc.head_dim = 64;
    c.desc.page_size = 16;
    c.decode.attention.k_format = c.decode.attention.v_format = DMATTN_FORMAT_INT8;
    cases->item[cases->count] = c;
    cr_assert(outcomes_add(o, &c, &m, cases->count++, 0));
}

/* The same for the last `queries` tokens of each sequence, or `others` of all but the first, packed. */
static void add_packed(case_list *cases, outcomes *o, uint32_t batch, uint32_t queries, uint32_t others, measurement m)
{
    add(cases, o, batch, queries == 2048 ? 4000 : 50, others ? 50 : 0, (measurement){.status = CASE_SKIPPED});
    bench_case *c = &cases->item[cases->count - 1];
    c->pass = PASS_PREFILL;
    c->mask = (mask_choice){.causal = true};
    c->desc.queries = queries;
    c->other_queries = others;
    c->packed = true;
    o->item[o->count - 1].c = *c;
    o->item[o->count - 1].m = m;
}

static measurement timed(double seconds, double tokens, double bytes_per_token)
{
    return (measurement){.time = {.median = seconds, .low = seconds, .high = seconds},
                         .tokens_per_second = tokens,
                         .cache_bytes_per_token = bytes_per_token,
                         .calibrated = 1};
}

static char *printed(const page *p)
{
    FILE *stream = tmpfile();
    cr_assert(stream);
    page_print(stream, p);
    const long length = ftell(stream);
    char *text = calloc(1, (size_t)length + 1);
    rewind(stream);
    cr_assert_eq(fread(text, 1, (size_t)length, stream), (size_t)length);
    fclose(stream);
    return text;
}

static void expect_in_page(const page *p, const char *const *wanted, size_t count)
{
    char *text = printed(p);
    for (size_t i = 0; i < count; i++)
        cr_expect(strstr(text, wanted[i]), "no '%s' in: %s", wanted[i], text);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        cr_expect_leq(strcspn(line, "\n"), 80, "%.100s", line);
    free(text);
}

/* Chunks of different lengths in one call, beside its two parts. */
Test(serving, packed)
{
    bench_case items[3];
    case_list cases = {.item = items};
    outcomes o = {0};
    add_packed(&cases, &o, 1, 2048, 0, timed(0.003, 333.3, 272.5));
    add_packed(&cases, &o, 3, 16, 0, timed(0.001, 3000, 272.5));
    add_packed(&cases, &o, 4, 2048, 16, timed(0.006, 666.7, 272.5));
    static const dmattn_device_info info = {.name = "a device", .driver = "a driver"};
    static const ceilings none = {0};
    const page p = {.suite = "serving",
                    .info = &info,
                    .ceilings = &none,
                    .cases = &cases,
                    .outcomes = &o,
                    .repeats = 1,
                    .serving = true};
    static const char *const wanted[] = {
        "prefill: the last 2048 tokens of the context, causal, packed, pages of 16\n",
        "prefill: the last 16 tokens of the context, causal, packed, pages of 16\n",
        "prefill: the last 2048 tokens, and 16 of the others, causal, packed, pages of 16\n",
        "int8        1+3    4000+50   6.000",
        "1.50 times its two parts, each in a call of its own: 4.000 ms together\n"};
    expect_in_page(&p, wanted, sizeof wanted / sizeof *wanted);
    outcomes_destroy(&o);
}

/* A row for each case, with tokens/s and bytes a token; what does not fit in one line; the two parts of a step of
 * sequences of different lengths; and how many cases were skipped instead of a row for each. */
Test(serving, page)
{
    bench_case items[6];
    case_list cases = {.item = items};
    outcomes o = {0};
    add(&cases, &o, 1, 4000, 0, timed(0.003, 333.3, 272.5));
    add(&cases, &o, 3, 50, 0, timed(0.001, 3000, 272.5));
    add(&cases, &o, 4, 4000, 50, timed(0.006, 666.7, 272.5));
    add(&cases, &o, 64, 4000, 0,
        (measurement){.status = CASE_UNSUPPORTED, .sentence = "the case needs 99.0 GiB, but the device has 2.0"});
    for (int i = 0; i < 2; i++)
        add(&cases, &o, 8, 100 + (uint32_t)i, 0,
            (measurement){.status = CASE_SKIPPED, .sentence = "no time left of this suite's 55 s"});
    static const dmattn_device_info info = {.name = "a device",
                                            .driver = "a driver",
                                            .device_memory = UINT64_C(8) << 30,
                                            .max_allocation = UINT64_C(4) << 30};
    static const ceilings none = {0};
    cases.left_out = 7;
    const page p = {.suite = "serving",
                    .info = &info,
                    .ceilings = &none,
                    .cases = &cases,
                    .outcomes = &o,
                    .repeats = 1,
                    .serving = true};
    char *text = printed(&p);
    static const char *const wanted[] = {
        "some-model: 8 heads, 2 kv, D 64, bf16\ndecode: a new token of each sequence, paged:plain, pages of 16\n",
        "tokens/s B/token\nint8          1       4000   3.000",
        "     333.3   272.5",
        "int8        1+3    4000+50   6.000",
        "1.50 times its two parts, each in a step of its own: 4.000 ms together\n",
        "int8         64       4000 the case needs 99.0 GiB, but the device has 2.0\n",
        "! 7 cases are left out: the device allocates at most 4.0 GiB at once,",
        "! 2 of 6 cases were skipped, the last one because: no time left of this suite's",
        "B/token: bytes of a layer's cache"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        cr_expect(strstr(text, wanted[i]), "no '%s' in: %s", wanted[i], text);
    cr_expect_not(strstr(text, "       100 "), "%s", text);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
        cr_expect_leq(strcspn(line, "\n"), 80, "%.100s", line);
    free(text);
    outcomes_destroy(&o);
}
