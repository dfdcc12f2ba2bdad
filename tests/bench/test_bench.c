/* SPDX-License-Identifier: MIT
 * The parts of vkbench that need no device. */
#include "app/options.h"
#include "cases/parse.h"
#include "ceilings/ceiling_data.h"
#include "check/check.h"
#include "measure/measurement.h"
#include "support/sentences.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- ceilings ------------------------------------------------------------------------------------------------ */

Test(ceilings, roofline)
{
    ceilings p = {
        .of = {[CEILING_COPY] = {.rate = 1e3}, [CEILING_FMA] = {.rate = 10}, [CEILING_F16_MATRIX] = {.rate = 100}}};
    p.of[CEILING_F16_MATRIX].shape = (matrix_shape){16, 16, 16};
    /* the larger of the times for arithmetic and for bytes */
    cr_expect_eq(roofline_seconds(&p, DMATTN_LEVEL_PORTABLE, DMATTN_TYPE_F16, 40, 1e3), 4);
    cr_expect_eq(roofline_seconds(&p, DMATTN_LEVEL_PORTABLE, DMATTN_TYPE_F16, 40, 5e3), 5);
    cr_expect_eq(roofline_seconds(&p, DMATTN_LEVEL_PORTABLE, DMATTN_TYPE_F16, 0, 2e3), 2);
    /* the arithmetic of the level: f32 at the portable level and for type f32 */
    cr_expect_eq(roofline_seconds(&p, DMATTN_LEVEL_MATRIX, DMATTN_TYPE_F16, 200, 0), 2);
    cr_expect_eq(roofline_seconds(&p, DMATTN_LEVEL_MATRIX2, DMATTN_TYPE_F16, 200, 0), 2);
    cr_expect_eq(roofline_seconds(&p, DMATTN_LEVEL_PORTABLE, DMATTN_TYPE_F32, 200, 0), 20);
    /* bf16 uses f16 matrices unless the device has bf16 matrices */
    cr_expect_eq(ceiling_of_level(&p, DMATTN_LEVEL_PORTABLE, DMATTN_TYPE_BF16), CEILING_FMA);
    cr_expect_eq(ceiling_of_level(&p, DMATTN_LEVEL_MATRIX, DMATTN_TYPE_BF16), CEILING_F16_MATRIX);
    p.of[CEILING_BF16_MATRIX] = (ceiling){.rate = 50, .shape = {16, 16, 16}};
    cr_expect_eq(ceiling_of_level(&p, DMATTN_LEVEL_MATRIX, DMATTN_TYPE_BF16), CEILING_BF16_MATRIX);
    cr_expect_eq(roofline_seconds(&p, DMATTN_LEVEL_MATRIX, DMATTN_TYPE_BF16, 200, 0), 4);
    /* unknown ceilings give no limit */
    p.of[CEILING_BF16_MATRIX].rate = 0;
    cr_expect_eq(roofline_seconds(&p, DMATTN_LEVEL_MATRIX, DMATTN_TYPE_BF16, 200, 1e3), 0);
    p.of[CEILING_COPY].rate = 0;
    cr_expect_eq(roofline_seconds(&p, DMATTN_LEVEL_PORTABLE, DMATTN_TYPE_F16, 40, 1e3), 0);

    const measurement m = {.roofline_seconds = 3, .time = {.median = 4}}, none = {.roofline_seconds = 3};
    cr_expect_eq(measurement_roofline_share(&m), 0.75);
    cr_expect_eq(measurement_roofline_share(&none), 0);
}

Test(ceilings, copy_data)
{
    uint32_t words[1000], later[100];
    ceiling_copy_fill(words, 0, 1000);
    ceiling_copy_fill(later, 900, 100);
    cr_expect_eq(memcmp(words + 900, later, sizeof later), 0);
    for (int i = 0; i < 1000; i++)
        for (int j = 0; j < i; j++)
            cr_assert_neq(words[i], words[j]);
}

/* The fast computation by squaring agrees with the plain recurrence in double. */
Test(ceilings, fma_expectation)
{
    static float input[CEILING_FMA_INPUTS];
    ceiling_fma_fill(input, 5);
    for (uint32_t repeats = 0; repeats < 100; repeats = 2 * repeats + 1)
        for (uint32_t window = 0; window < CEILING_FMA_WINDOWS; window++) {
            double sum = 0;
            for (int i = 0; i < CEILING_FMA_PAIRS; i++) {
                const float *pair = input + (window * CEILING_FMA_PAIRS + (uint32_t)i) * 3;
                double x = pair[0], y = pair[1], a = pair[2];
                for (uint32_t turn = 0; turn < CEILING_FMA_TURNS * repeats; turn++) {
                    x += a * y;
                    y -= a * x;
                }
                sum += x + y;
            }
            const ceiling_expected e = ceiling_fma_expect(input, window, repeats);
            cr_expect_float_eq(e.value, sum, 1e-9);
            cr_expect(e.tolerance > 0 && e.tolerance < 0.1);
        }
}

/* The expectation agrees with the sum of all products. */
Test(ceilings, matrix_expectation)
{
    const ceiling_matrices m = {.shape = {8, 16, 4}, .rows = 2, .columns = 3};
    const uint32_t size = ceiling_matrix_window(&m);
    cr_assert_eq(size, 2 * 8 * 4 + 3 * 4 * 16);
    int8_t *eighths = malloc(CEILING_MATRIX_WINDOWS * size);
    ceiling_matrix_fill(&m, eighths, 5);
    for (uint32_t i = 0; i < CEILING_MATRIX_WINDOWS * size; i++)
        cr_assert(eighths[i] && abs(eighths[i]) < 16);
    for (uint32_t window = 0; window < CEILING_MATRIX_WINDOWS; window++)
        for (uint32_t row = 0; row < 8; row++)
            for (uint32_t column = 0; column < 16; column++) {
                const int8_t *a = eighths + window * size, *b = a + 2 * 8 * 4;
                double sum = 0;
                for (uint32_t i = 0; i < 2; i++)
                    for (uint32_t j = 0; j < 3; j++)
                        for (uint32_t k = 0; k < 4; k++)
                            sum += a[(i * 8 + row) * 4 + k] / 8.0 * b[(j * 4 + k) * 16 + column] / 8.0;
                const ceiling_expected e = ceiling_matrix_expect(&m, eighths, window, row, column);
                cr_expect_eq(e.value, sum);
                cr_expect(e.tolerance > 0 && e.tolerance < 1e-3);
            }
    free(eighths);
}

/* ---- errors -------------------------------------------------------------------------------------------------- */

Test(check, row_error)
{
    const double zero[2] = {0, 0}, a[2] = {3, 4}, b[2] = {3, 4.5}, nan[2] = {3, NAN}, infinite[2] = {3, INFINITY};
    cr_expect_eq(row_error(a, a, 2), 0);
    cr_expect_eq(row_error(zero, zero, 2), 0);
    cr_expect_float_eq(row_error(b, a, 2), 0.1, 1e-12);
    cr_expect_eq(row_error(a, zero, 2), INFINITY);
    cr_expect_eq(row_error(nan, a, 2), INFINITY);
    cr_expect_eq(row_error(infinite, a, 2), INFINITY);
}

Test(check, lse_error)
{
    cr_expect_eq(lse_error(5, 5), 0);
    cr_expect_eq(lse_error(-INFINITY, -INFINITY), 0);
    cr_expect_eq(lse_error(-INFINITY, 0), INFINITY);
    cr_expect_eq(lse_error(0, -INFINITY), INFINITY);
    cr_expect_eq(lse_error(NAN, 0), INFINITY);
    cr_expect_float_eq(lse_error(10, 9), 0.1, 1e-12);
    cr_expect_float_eq(lse_error(0.01, 0), 0.01, 1e-12);
}

Test(check, not_finite)
{
    const float f[] = {1, INFINITY, -INFINITY, NAN, 0, 3e38f};
    const uint16_t half[] = {0x3c00, 0x7c00, 0xfc00, 0x7e00, 0x7bff, 0x8000};
    const uint16_t bfloat[] = {0x3f80, 0x7f80, 0xff80, 0xffff, 0x7f7f, 0x7c00};
    cr_expect_eq(count_not_finite(DMATTN_TYPE_F32, f, 6), 3);
    cr_expect_eq(count_not_finite(DMATTN_TYPE_F16, half, 6), 3);
    cr_expect_eq(count_not_finite(DMATTN_TYPE_BF16, bfloat, 6), 3);
    cr_expect(tolerance(DMATTN_TYPE_F32) < tolerance(DMATTN_TYPE_F16));
    cr_expect(tolerance(DMATTN_TYPE_F16) < tolerance(DMATTN_TYPE_BF16));
    check_result r = {.error = 1e-3};
    cr_expect(check_passed(&r, DMATTN_TYPE_F16) && !check_passed(&r, DMATTN_TYPE_F32));
    r.not_finite = 1;
    cr_expect_not(check_passed(&r, DMATTN_TYPE_F16));
    r = (check_result){.lse_error = INFINITY};
    cr_expect_not(check_passed(&r, DMATTN_TYPE_BF16));
}

/* ---- options ------------------------------------------------------------------------------------------------- */

Test(options, sizes)
{
    static const struct {
        const char *text;
        uint32_t size; /* 0: invalid */
    } rows[] = {{"1", 1},
                {"64", 64},
                {"16K", 16384},
                {"16k", 16384},
                {"1073741823", 1073741823},
                {"0", 0},
                {"", 0},
                {"-1", 0},
                {"+1", 0},
                {" 1", 0},
                {"1 ", 0},
                {"1M", 0},
                {"1.5", 0},
                {"K", 0},
                {"0K", 0},
                {"1073741824", 0},
                {"1048576K", 0},
                {"99999999999999999999", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t size = 0;
        bool ok = parse_size(rows[i].text, &size);
        cr_expect_eq(ok, rows[i].size != 0, "'%s'", rows[i].text);
        cr_expect(!ok || size == rows[i].size, "'%s': %u", rows[i].text, size);
    }
}

/* mask_name() is the inverse of parse_mask(). */
Test(options, masks)
{
    static const char *const good[] = {"none",       "causal",          "dense:0.1",         "dense:0",
                                       "dense:1",    "interval:512",    "causal+dense:0.25", "causal+interval:7",
                                       "interval",   "causal+interval", "topw:512",          "sliding:128",
                                       "tokens:100", "tokens:7:random", "blocks:64:16",      "blocks:4096:2:random"};
    static const char *const wrong[] = {"",
                                        "dense",
                                        "dense:",
                                        "dense:2",
                                        "dense:-1",
                                        "dense:nan",
                                        "interval:",
                                        "interval:0",
                                        "dense:0x1",
                                        "paged:0x.8",
                                        "paged:1",
                                        "paged:",
                                        "causal+",
                                        "causal+none",
                                        "topw:",
                                        "topw:0",
                                        "topwo",
                                        "causal+topw:5",
                                        "Causal",
                                        "causal+causal",
                                        "dense:0.1x",
                                        "interval:-5",
                                        "sparse",
                                        "sliding",
                                        "causal+sliding:9",
                                        "tokens",
                                        "tokens:",
                                        "tokens:0",
                                        "tokens:5:",
                                        "tokens:5:rand",
                                        "blocks:64",
                                        "blocks:1:5",
                                        "blocks:48:5",
                                        "blocks:8192:5",
                                        "blocks:64:",
                                        "causal+tokens:5",
                                        "tokens:123456789012345678"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        mask_choice mask;
        char name[MASK_NAME_SIZE];
        cr_expect(parse_mask(good[i], &mask), "'%s'", good[i]);
        mask_name(&mask, name);
        cr_expect_str_eq(name, good[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mask_choice mask;
        cr_expect_not(parse_mask(wrong[i], &mask), "'%s'", wrong[i]);
    }
    mask_choice mask;
    cr_assert(parse_mask("causal+dense:0.25", &mask));
    cr_expect(mask.causal && mask.mask == DMATTN_MASK_DENSE && mask.fraction == 0.25);
    cr_assert(parse_mask("topw:1K", &mask));
    cr_expect(mask.dynamic && mask.window == 1024 && mask.mask == DMATTN_MASK_NONE);
    cr_assert(parse_mask("topw", &mask));
    cr_expect(mask.dynamic && !mask.window);
}

/* count_visible_pairs() and check_mask() use the computed mask; check_mask() finds wrong intervals and importance. */
Test(data, dynamic_mask)
{
    sweep s = {.n = {1, {96}}, .heads = {1, {4}}, .kv_heads = {1, {2}}, .mask_count = 1};
    cr_assert(parse_mask("topw:10", &s.mask[0]));
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    bench_case c;
    problem p;
    check_result r = {0};
    sweep_case(&s, 0, &c);
    cr_assert_eq(case_create(&c, NULL, &p), DMATTN_SUCCESS);
    case_fill(&p, &c.mask, 1);
    cr_assert_eq(problem_make_mask(&p), DMATTN_SUCCESS);
    cr_expect_eq(count_visible_pairs(&p), 4 * (10 * 11 / 2 + 86 * 10));
    cr_assert_eq(check_mask(&p, 1, &r), DMATTN_SUCCESS);
    cr_expect(check_passed(&r, DMATTN_TYPE_F32));
    cr_expect(r.importance_error > 0, "the rounding of the reference to f32 must show");
    for (int j = 0; j < 96; j++)
        ((int32_t *)p.tensor[TENSOR_END])[j] += 1;
    cr_assert_eq(check_mask(&p, 1, &r), DMATTN_SUCCESS);
    cr_expect(r.wrong_keys && !check_passed(&r, DMATTN_TYPE_F32));
    for (int j = 0; j < 2 * 96; j++)
        ((float *)p.tensor[TENSOR_IMPORTANCE])[j] *= 1.001f;
    r.wrong_keys = 0;
    cr_assert_eq(check_mask(&p, 1, &r), DMATTN_SUCCESS);
    cr_expect_gt(r.importance_error, importance_tolerance());
    problem_destroy(&p);
}

Test(options, names)
{
    dmattn_type type;
    dmattn_level level;
    bench_pass pass;
    cr_expect(parse_type("bf16", &type) && type == DMATTN_TYPE_BF16);
    cr_expect_not(parse_type("F16", &type));
    cr_expect_not(parse_type("", &type));
    cr_expect(parse_level("best", &level) && level == DMATTN_LEVEL_BEST);
    cr_expect(parse_level("matrix2", &level) && level == DMATTN_LEVEL_MATRIX2);
    cr_expect_not(parse_level("matrix3", &level));
    static const bench_pass passes[] = {PASS_FORWARD, PASS_BACKWARD, PASS_BOTH, PASS_MASK};
    for (int i = 0; i < 4; i++)
        cr_expect(parse_pass(pass_name(passes[i]), &pass) && pass == passes[i]);
    cr_expect_not(parse_pass("", &pass));
    cr_expect_not(parse_pass("Forward", &pass));
}

static bench_action parse(bench_options *o, char *why, const char *a, const char *b, const char *c)
{
    char *argv[] = {"vkbench", (char *)a, (char *)b, (char *)c, NULL};
    *why = 0;
    return options_parse(1 + (a != NULL) + (b != NULL) + (c != NULL), argv, o, why);
}

Test(options, command_line)
{
    static char why[OPTIONS_WHY_SIZE];
    bench_options o;
    cr_expect_eq(parse(&o, why, NULL, NULL, NULL), ACTION_RUN);
    cr_expect(!o.sweep.n.count && !o.sweep.mask_count && !o.device && !o.json && o.max_samples && o.seed);
    cr_expect(o.suite == SUITE_QUICK && o.repeats == 1 && !o.cold);
    cr_expect_eq(parse(&o, why, "--n=1K,77", "--type", "f16,bf16"), ACTION_RUN, "%s", why);
    cr_expect(o.sweep.n.count == 2 && o.sweep.n.value[0] == 1024 && o.sweep.n.value[1] == 77);
    cr_expect_eq(o.suite, SUITE_NONE);
    cr_expect(o.sweep.type_count == 2 && o.sweep.type[1] == DMATTN_TYPE_BF16);
    cr_expect_eq(parse(&o, why, "--reuse-mask", "--seed=18446744073709551615", "--time=0.5"), ACTION_RUN, "%s", why);
    cr_expect(o.reuse_mask && o.seed == UINT64_MAX && o.seconds == 0.5);
    cr_expect(!o.ceilings && !o.ceilings_only);
    cr_expect_eq(parse(&o, why, "--ceilings", "--device=0", NULL), ACTION_RUN, "%s", why);
    cr_expect(o.ceilings && o.ceilings_only);
    cr_expect_eq(parse(&o, why, "--bias", "--ceilings", NULL), ACTION_RUN, "%s", why);
    cr_expect(o.ceilings && !o.ceilings_only);
    cr_expect_eq(parse(&o, why, "--ceilings", "--n=64", NULL), ACTION_RUN, "%s", why);
    cr_expect(o.ceilings && !o.ceilings_only);
    cr_expect_eq(parse(&o, why, "--list", NULL, NULL), ACTION_LIST);
    cr_expect_eq(parse(&o, why, "--pass=both", "--ceilings", NULL), ACTION_RUN, "%s", why);
    cr_expect(o.sweep.pass == PASS_BOTH && !o.ceilings_only);
    cr_expect_eq(parse(&o, why, "--tune", "--pass=forward", NULL), ACTION_RUN, "%s", why);
    cr_expect_eq(parse(&o, why, "--tune", "--pass=backward", NULL), ACTION_RUN, "%s", why);
    cr_expect_eq(parse(&o, why, "--tune", "--pass=decode", NULL), ACTION_RUN, "%s", why);
    cr_expect_eq(parse(&o, why, "--tune", "--pass=mask", NULL), ACTION_BAD);
    cr_expect(strstr(why, "--tune") && strstr(why, "mask"), "%s", why);
    cr_expect_eq(parse(&o, why, "--csv=-", "--markdown", "m.md"), ACTION_RUN, "%s", why);
    cr_expect(!o.json && !strcmp(o.csv, "-") && !strcmp(o.markdown, "m.md"));
    cr_expect_eq(parse(&o, why, "--tune", "--csv=r", NULL), ACTION_BAD);
    cr_expect(strstr(why, "--tune") && strstr(why, "--csv"), "%s", why);
    cr_expect_eq(parse(&o, why, "--lengths=32K", "--n=64", NULL), ACTION_RUN, "%s", why);
    cr_expect_eq(o.lengths, 32768);
    cr_expect_eq(parse(&o, why, "--lengths=0", NULL, NULL), ACTION_BAD);
    cr_expect(strstr(why, "--lengths"), "%s", why);
    cr_expect_eq(parse(&o, why, "--plans", "--n=64", NULL), ACTION_RUN, "%s", why);
    cr_expect(o.plans && o.suite == SUITE_NONE);
    cr_expect_eq(parse(&o, why, "--plans", "--suite=decode", NULL), ACTION_RUN, "%s", why);
    cr_expect_eq(o.plan_threads, 0);
    cr_expect_eq(parse(&o, why, "--plans=8", NULL, NULL), ACTION_RUN, "%s", why);
    cr_expect(o.plans && o.plan_threads == 8);
    cr_expect_eq(parse(&o, why, "--plans=0", NULL, NULL), ACTION_BAD);
    cr_expect(strstr(why, "--plans"), "%s", why);
    cr_expect_eq(parse(&o, why, "--plans", "--json=r", NULL), ACTION_BAD);
    cr_expect(strstr(why, "--plans") && strstr(why, "--json"), "%s", why);
    cr_expect_eq(parse(&o, why, "--plans", "--tune", NULL), ACTION_BAD);
    cr_expect(strstr(why, "--plans") && strstr(why, "--tune"), "%s", why);
    cr_expect_eq(parse(&o, why, "--csv=r", "--json=r", NULL), ACTION_BAD);
    cr_expect(strstr(why, "--json and --csv"), "%s", why);
    cr_expect_eq(parse(&o, why, "--json=r.json", "--csv=-", "--markdown=-"), ACTION_BAD);
    cr_expect(strstr(why, "--csv and --markdown"), "%s", why);
    cr_expect_eq(parse(&o, why, "--bogus", "--help", NULL), ACTION_BAD);
    cr_expect_eq(parse(&o, why, "--help", NULL, NULL), ACTION_HELP);
    cr_expect_eq(parse(&o, why, "--version", NULL, NULL), ACTION_VERSION);

    static const char *const wrong[][2] = {{"--n=0", "--n"},
                                           {"--n=", "--n"},
                                           {"--n=1,,2", "--n"},
                                           {"--type=f8", "f8"},
                                           {"--mask=x", "--mask"},
                                           {"--time=0", "--time"},
                                           {"--time=-1", "--time"},
                                           {"--time=1e9", "--time"},
                                           {"--time=0x10", "--time"},
                                           {"--samples=0", "--samples"},
                                           {"--seed=-1", "--seed"},
                                           {"--seed=18446744073709551616", "--seed"},
                                           {"--pass=backwards", "--pass"},
                                           {"--pass=", "--pass"},
                                           {"--bogus", "--bogus"},
                                           {"-x", "-x"},
                                           {"extra", "extra"},
                                           {"--device", "--device"},
                                           {"--list=1", "--list"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_expect_eq(parse(&o, why, wrong[i][0], NULL, NULL), ACTION_BAD, "%s", wrong[i][0]);
        cr_expect(strstr(why, wrong[i][1]), "%s: %s", wrong[i][0], why);
    }
    char long_list[256] = "--n=1";
    for (int i = 0; i < LIST_MAX; i++)
        strcat(long_list, ",1");
    cr_expect_eq(parse(&o, why, long_list, NULL, NULL), ACTION_BAD);
    cr_expect(strstr(why, "--n"), "%s", why);
}

/* ---- the sweep ----------------------------------------------------------------------------------------------- */

Test(sweeps, every_case_once)
{
    static char why[OPTIONS_WHY_SIZE];
    bench_options o;
    cr_assert_eq(parse(&o, why, "--n=64,128", "--d=32,64,128", "--mask=none,causal,dense:0.5"), ACTION_RUN, "%s", why);
    sweep_set_defaults(&o.sweep, VK_PHYSICAL_DEVICE_TYPE_CPU);
    const uint64_t count = sweep_count(&o.sweep);
    cr_expect_eq(count, 2 * 3 * 3);
    cr_expect(sweep_check(&o.sweep, NULL));
    for (uint64_t i = 0; i < count; i++)
        for (uint64_t j = 0; j <= i; j++) {
            bench_case a, b;
            sweep_case(&o.sweep, i, &a);
            sweep_case(&o.sweep, j, &b);
            bool same = a.desc.keys == b.desc.keys && a.desc.queries == b.desc.queries
                        && a.desc.head_dim == b.desc.head_dim && a.mask.mask == b.mask.mask
                        && a.mask.causal == b.mask.causal;
            cr_expect_eq(same, i == j);
            cr_expect_eq(a.desc.keys, a.desc.queries);
        }
}

Test(sweeps, queries_and_keys)
{
    static char why[OPTIONS_WHY_SIZE];
    bench_options o;
    bench_case c;
    cr_assert_eq(parse(&o, why, "--queries=1,2", "--n=64,128", "--mask=none"), ACTION_RUN);
    sweep_set_defaults(&o.sweep, VK_PHYSICAL_DEVICE_TYPE_CPU);
    cr_expect_eq(sweep_count(&o.sweep), 4);
    for (uint64_t i = 0; i < 4; i++) {
        sweep_case(&o.sweep, i, &c);
        cr_expect(c.desc.queries <= 2 && c.desc.keys >= 64);
    }
    cr_assert_eq(parse(&o, why, "--queries=1,2", "--keys=3,4,5", "--mask=none"), ACTION_RUN);
    sweep_set_defaults(&o.sweep, VK_PHYSICAL_DEVICE_TYPE_CPU);
    cr_expect_eq(sweep_count(&o.sweep), 6); /* n is not used */
}

Test(sweeps, defaults_are_right)
{
    for (int type = VK_PHYSICAL_DEVICE_TYPE_OTHER; type <= VK_PHYSICAL_DEVICE_TYPE_CPU; type++) {
        sweep s = {0};
        sentences said = {0};
        sweep_set_defaults(&s, (VkPhysicalDeviceType)type);
        cr_expect_gt(sweep_count(&s), 0);
        cr_expect(sweep_check(&s, &(messenger){sentences_keep, &said}), "%s", said.text);
    }
}

Test(sweeps, what_is_refused)
{
    static char why[OPTIONS_WHY_SIZE];
    bench_options o;
    sentences said = {0};
    cr_assert_eq(parse(&o, why, "--d=64,20", NULL, NULL), ACTION_RUN);
    sweep_set_defaults(&o.sweep, VK_PHYSICAL_DEVICE_TYPE_CPU);
    cr_expect_not(sweep_check(&o.sweep, &(messenger){sentences_keep, &said}));
    cr_expect(said.count == 1 && strstr(said.text, "20"), "%s", said.text);

    /* 2^32 + 2^16 pages, which would be 2^16 in 32 bits */
    cr_assert_eq(parse(&o, why, "--mask=paged", "--batch=65537", "--keys=4096K"), ACTION_RUN);
    o.sweep.pass = PASS_DECODE;
    sweep_set_defaults(&o.sweep, VK_PHYSICAL_DEVICE_TYPE_CPU);
    said.count = 0;
    cr_expect_not(sweep_check(&o.sweep, &(messenger){sentences_keep, &said}));
    cr_expect(said.count == 1 && strstr(said.text, "4295032832 pages"), "%s", said.text);

    sweep s = {0};
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    size_list *const lists[] = {&s.n, &s.batch, &s.heads, &s.head_dim};
    for (int i = 0; i < 4; i++)
        for (lists[i]->count = 0; lists[i]->count < LIST_MAX; lists[i]->count++)
            lists[i]->value[lists[i]->count] = 8 * (lists[i]->count + 1);
    said.count = 0;
    cr_expect_not(sweep_check(&s, &(messenger){sentences_keep, &said})); /* millions of cases */
    cr_expect_eq(said.count, 1);
}

/* ---- data ---------------------------------------------------------------------------------------------------- */

static bool list_has(const dmattn_attention_desc *d, const int32_t *list, uint32_t key)
{
    for (uint32_t i = 0; i < d->selected_count; i++)
        if (list[i] >= 0 && (uint32_t)list[i] == key / d->selected_block)
            return true;
    return false;
}

/* Counts visible pairs one by one. */
static uint64_t brute_pairs(const problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const dmattn_score_shape *s = &d->mask_shape;
    uint64_t count = 0;
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t head = 0; head < d->heads; head++)
            for (uint32_t t = 0; t < d->queries; t++)
                for (uint32_t j = 0; j < d->keys; j++) {
                    if (d->causal && (int64_t)j > (int64_t)t + d->keys - d->queries)
                        continue;
                    uint64_t at = (s->batch > 1 ? b : 0) * s->batch_stride
                                  + (d->mask ? dmattn_score_head(s, head, d->heads, d->kv_heads) : 0) * s->head_stride
                                  + (s->queries > 1 ? t : 0) * s->query_stride + j;
                    if (d->mask == DMATTN_MASK_SELECTED)
                        count += list_has(d, (const int32_t *)p->tensor[TENSOR_SELECTED] + at - j, j);
                    else if (d->mask == DMATTN_MASK_DENSE)
                        count += ((const uint8_t *)p->tensor[TENSOR_MASK])[at] != 0;
                    else if (d->mask == DMATTN_MASK_INTERVALS)
                        count += ((const int32_t *)p->tensor[TENSOR_BEGIN])[at] <= (int32_t)t
                                 && (int32_t)t < ((const int32_t *)p->tensor[TENSOR_END])[at];
                    else
                        count++;
                }
    return count;
}

Test(data, visible_pairs)
{
    static const char *const masks[] = {
        "none",      "causal",          "dense:0.3",  "causal+dense:0.5", "interval:9", "causal+interval:20",
        "tokens:20", "tokens:9:random", "blocks:16:3"};
    static const uint32_t sizes[][2] = {{1, 200}, {150, 150}, {100, 170}, {170, 100}};
    for (size_t m = 0; m < sizeof masks / sizeof *masks; m++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            sweep s = {.queries = {1, {sizes[i][0]}},
                       .keys = {1, {sizes[i][1]}},
                       .heads = {1, {4}},
                       .kv_heads = {1, {2}},
                       .head_dim = {1, {8}},
                       .batch = {1, {2}},
                       .mask_count = 1};
            cr_assert(parse_mask(masks[m], &s.mask[0]));
            sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
            bench_case c;
            sweep_case(&s, 0, &c);
            problem p;
            cr_assert_eq(problem_create(&c.desc, NULL, &p), DMATTN_SUCCESS);
            case_fill(&p, &c.mask, 1);
            cr_expect_eq(count_visible_pairs(&p), brute_pairs(&p), "%s, %u x %u: %llu instead of %llu", masks[m],
                         sizes[i][0], sizes[i][1], (unsigned long long)count_visible_pairs(&p),
                         (unsigned long long)brute_pairs(&p));
            /* and for random masks */
            problem_randomize(&p, 7);
            cr_expect_eq(count_visible_pairs(&p), brute_pairs(&p), "%s, %u x %u, random", masks[m], sizes[i][0],
                         sizes[i][1]);
            problem_destroy(&p);
        }
}

/* Neighbouring queries share about nine tenths of their lists, and queries that are 32 apart most of that. */
Test(data, lists_share_keys)
{
    sweep s = {.queries = {1, {400}}, .keys = {1, {4000}}, .heads = {1, {1}}, .head_dim = {1, {8}}, .mask_count = 1};
    cr_assert(parse_mask("tokens:256", &s.mask[0]));
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    bench_case c;
    problem p;
    sweep_case(&s, 0, &c);
    cr_assert_eq(problem_create(&c.desc, NULL, &p), DMATTN_SUCCESS);
    case_fill(&p, &c.mask, 1);
    const int32_t *lists = p.tensor[TENSOR_SELECTED];
    for (uint32_t apart = 1; apart <= 32; apart *= 32) {
        double shared = 0;
        for (uint32_t t = 0; t + apart < 400; t++)
            for (uint32_t i = 0; i < 256; i++)
                shared += list_has(&p.desc, lists + (t + apart) * 256, (uint32_t)lists[t * 256 + i]);
        shared /= (400 - apart) * 256;
        cr_expect(apart == 1 ? shared > 0.87 && shared < 0.93 : shared > 0.6 && shared < 0.8, "%g", shared);
    }
    problem_destroy(&p);
}

/* The same seed gives the same data, another seed gives other data; every query sees its own position. */
Test(data, repeatable)
{
    sweep s = {.n = {1, {192}},
               .heads = {1, {2}},
               .mask_count = 1,
               .mask = {{.mask = DMATTN_MASK_DENSE, .causal = true, .fraction = 0.1}},
               .bias = true,
               .pass = PASS_BACKWARD};
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    bench_case c;
    problem p[3];
    for (int i = 0; i < 3; i++) {
        sweep_case(&s, 0, &c);
        cr_assert_eq(case_create(&c, NULL, &p[i]), DMATTN_SUCCESS);
        case_fill(&p[i], &c.mask, i == 2 ? 6 : 5);
    }
    cr_expect(p[0].tensor[TENSOR_DOUT]);
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (p[0].tensor[t]) {
            uint64_t bytes = problem_bytes(&p[0], (tensor_id)t);
            cr_expect_eq(memcmp(p[0].tensor[t], p[1].tensor[t], bytes), 0, "%s", dmattn_tensor_name((tensor_id)t));
            cr_expect_neq(memcmp(p[0].tensor[t], p[2].tensor[t], bytes), 0, "%s", dmattn_tensor_name((tensor_id)t));
        }
    const uint8_t *mask = p[0].tensor[TENSOR_MASK];
    for (int t = 0; t < 192; t++)
        cr_expect(mask[t * 192 + t]);
    for (int i = 0; i < 3; i++)
        problem_destroy(&p[i]);
}
