/* SPDX-License-Identifier: MIT
 * vkbench's suites: model shapes, case names, the cases of each suite, and which options can be combined. */
#include "app/options.h"
#include "cases/case_cache.h"
#include "cases/parse.h"
#include "report/report.h"
#include "support/sentences.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* ---- shapes -------------------------------------------------------------------------------------------------- */

static shape_list builtin(void)
{
    static shape_list shapes;
    char why[SHAPES_WHY_SIZE] = "";
    cr_assert(shapes_read(NULL, &shapes, why), "%s", why);
    return shapes;
}

Test(shapes, builtin)
{
    static shape_list shapes;
    shapes = builtin();
    const model_shape *m = shapes_find(&shapes, "llama-3-8b", strlen("llama-3-8b"));
    cr_assert(m);
    cr_expect(m->heads == 32 && m->kv_heads == 8 && m->head_dim == 128 && m->value_dim == 128);
    cr_expect_null(shapes_find(&shapes, "llama-3-8", strlen("llama-3-8")));
    for (uint32_t i = 0; i < shapes.count; i++) { /* the library supports each shape */
        const model_shape *x = &shapes.model[i];
        cr_expect(x->head_dim % 8 == 0 && x->head_dim <= DMATTN_MAX_HEAD_DIM && x->value_dim <= DMATTN_MAX_VALUE_DIM
                      && x->heads % x->kv_heads == 0,
                  "%s", x->name);
    }
}

Test(shapes, text)
{
    static shape_list shapes;
    char why[SHAPES_WHY_SIZE];
    static const char good[] = "# a comment\r\n\n  a-1.5_B\t8 4 64 128 # more\nb 3 3 8";
    cr_assert(shapes_parse(good, strlen(good), &shapes, why), "%s", why);
    cr_expect_eq(shapes.count, 2);
    cr_expect_str_eq(shapes.model[0].name, "a-1.5_B");
    cr_expect(shapes.model[0].head_dim == 64 && shapes.model[0].value_dim == 128);
    cr_expect(shapes.model[1].value_dim == 8);
    static const char options[] = "a 8 4 64 window=128 sinks\nb 8 1 576 512 decode\nc 8 4 64 topw=99";
    cr_assert(shapes_parse(options, strlen(options), &shapes, why), "%s", why);
    cr_expect(shapes.model[0].window == 128 && shapes.model[0].sinks && !shapes.model[0].decodes);
    cr_expect(shapes.model[0].value_dim == 64 && shapes.model[1].value_dim == 512);
    cr_expect(!shapes.model[1].window && !shapes.model[1].sinks && shapes.model[1].decodes);
    cr_expect(shapes.model[2].topw == 99 && !shapes.model[0].topw);
    static const struct {
        const char *text, *part;
    } wrong[] = {{"", "no models"},
                 {"# nothing\n", "no models"},
                 {"a 1 1 8\nb 2 x 8", "line 2"},
                 {"a 1 1", "line 1"},
                 {"a 1 1 sinks", "line 1"},
                 {"a 1 1 8 sink", "line 1"},
                 {"a 1 1 8 window=0", "line 1"},
                 {"a 1 1 8 topw=", "line 1"},
                 {"a 1 1 8 sinks 8", "line 1"},
                 {"a 1 1 8 8 8", "line 1"},
                 {"a 0 1 8", "line 1"},
                 {"a -1 1 8", "line 1"},
                 {"a 1 1 99999999999999999999", "line 1"},
                 {"a 8 3 64", "multiple"},
                 {"a 1 1 8\na 2 2 8", "twice"},
                 {"a/b 1 1 8", "letters"},
                 {"a2345678901234567890123456789012 1 1 8", "31"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        *why = 0;
        cr_expect_not(shapes_parse(wrong[i].text, strlen(wrong[i].text), &shapes, why), "%s", wrong[i].text);
        cr_expect(strstr(why, wrong[i].part), "%s: %s", wrong[i].text, why);
    }
    static const char binary[] = "a 1 1 8\n\0b 1 1 8\n";
    cr_expect_not(shapes_parse(binary, sizeof binary - 1, &shapes, why));
    cr_expect_not(shapes_read("/nonexistent/shapes", &shapes, why));
    cr_expect_neq(*why, 0);
}

/* ---- suites -------------------------------------------------------------------------------------------------- */

static uint32_t count_cases(suite_id id, VkPhysicalDeviceType device, const sweep *wanted, const char *filter)
{
    static shape_list shapes;
    case_list cases = {0};
    shapes = builtin();
    cr_assert(suite_add_cases(id, device, &shapes, wanted, filter, &cases));
    const uint32_t count = cases.count;
    for (uint32_t i = 0; i < count; i++) {
        char name[CASE_NAME_SIZE];
        case_name(&cases.item[i], name);
        cr_expect(!filter || strstr(name, filter), "%s", name);
        for (uint32_t j = 0; j < i; j++) {
            char other[CASE_NAME_SIZE];
            case_name(&cases.item[j], other);
            cr_expect(strcmp(name, other), "%s twice", name);
        }
    }
    case_list_destroy(&cases);
    return count;
}

/* Each suite has cases on each type of device, no case occurs twice, and `full` has all of them. */
Test(suites, cases)
{
    static const VkPhysicalDeviceType devices[] = {VK_PHYSICAL_DEVICE_TYPE_CPU, VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
                                                   VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU};
    const sweep none = {0};
    for (int d = 0; d < 3; d++) {
        uint32_t largest = 0;
        for (int s = SUITE_QUICK; s < SUITE_COUNT; s++) {
            const uint32_t count = count_cases((suite_id)s, devices[d], &none, NULL);
            cr_expect_geq(count, 7);
            cr_expect(s != SUITE_FULL || count > largest);
            largest = count > largest ? count : largest;
        }
        cr_expect_leq(count_cases(SUITE_QUICK, devices[d], &none, NULL), 21);
        cr_expect(suite_budget(SUITE_QUICK, devices[d]) > 0 && suite_budget(SUITE_FULL, devices[d]) == 0);
    }
}

Test(suites, narrowed)
{
    const VkPhysicalDeviceType gpu = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    static const model_shape own = {.name = "own", .heads = 4, .kv_heads = 2, .head_dim = 64, .value_dim = 64};
    const sweep none = {0}, model = {.model_count = 1, .model = {&own}},
                types = {.type_count = 2, .type = {DMATTN_TYPE_F16, DMATTN_TYPE_BF16}};
    const uint32_t all = count_cases(SUITE_QUICK, gpu, &none, NULL);
    cr_expect_eq(count_cases(SUITE_QUICK, gpu, &none, "/decode/"), 6);
    cr_expect_eq(count_cases(SUITE_QUICK, gpu, &none, "no such case"), 0);
    cr_expect_eq(count_cases(SUITE_QUICK, gpu, &types, NULL), 2 * all);
    cr_expect_eq(count_cases(SUITE_QUICK, gpu, &model, NULL), 7);
    cr_expect_eq(count_cases(SUITE_QUICK, gpu, &model, "own/"), 7);
}

static bool has_case(const char *name)
{
    const sweep none = {0};
    return count_cases(SUITE_MODELS, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, &none, name) == 1;
}

/* Models with windows and sinks, and heads for decoding only. */
Test(suites, models)
{
    const sweep none = {0};
    cr_expect(has_case("gpt-oss-20b/n16384/forward/sliding:128/f16/sink"));
    cr_expect(has_case("gpt-oss-20b/n16384/forward/causal/f16/sink"));
    cr_expect(has_case("gemma-3-27b/n16384/forward/sliding:1024/f16"));
    cr_expect(has_case("deepseek-v3/n16384/forward/causal/f16"));
    cr_expect(has_case("deepseek-v3-mla/q1.n32768/decode/none/f16"));
    cr_expect_eq(count_cases(SUITE_MODELS, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, &none, "deepseek-v3-mla"), 1);
}

/* Every cache, format and chunk; one step of sequences of different lengths, and its parts. */
Test(suites, serving)
{
    static const char *const names[] = {"llama-3-8b/q1.n1024/decode/paged:plain/bf16/pages-16",
                                        "llama-3-8b/b256.q1.n131072/decode/paged:plain/bf16/kv-q4_0/pages-16",
                                        "llama-3-8b/b64.q1.n32768/decode/paged:plain/bf16/kv-int8/pages-16",
                                        "llama-3-8b/b8.q1.n8192/decode/paged:plain/bf16/kv-e4m3/pages-16",
                                        "llama-3-8b/q512.n32768/prefill/causal/bf16/kv-q8_0/pages-16",
                                        "llama-3-8b/q2048.n131072/prefill/causal/bf16/kv-int8/pages-16",
                                        "llama-3-8b/q1.n131072+b60.n500/decode/paged:plain/bf16/kv-int8/pages-16",
                                        "llama-3-8b/b60.q1.n500/decode/paged:plain/bf16/kv-int8/pages-16",
                                        "llama-3-8b/q512.n131072+b60.q16.n500/prefill/causal/bf16/pages-16/packed",
                                        "llama-3-8b/q512.n131072/prefill/causal/bf16/pages-16/packed",
                                        "llama-3-8b/b60.q16.n500/prefill/causal/bf16/pages-16/packed",
                                        "qwen3-30b-a3b/b64.q1.n32768/decode/paged:plain/bf16/kv-q8_0/pages-16",
                                        "gpt-oss-20b/b64.q1.n8192/decode/sliding:128/bf16/sink/kv-int8",
                                        "gpt-oss-20b/q2048.n32768/prefill/sliding:128/bf16/sink/pages-16",
                                        "gpt-oss-20b/q2048.n32768/decode/sliding:128/bf16/sink",
                                        "doge-320m/q2048.n32768/decode/topw:2048/bf16/kv-int8",
                                        "doge-320m/b256.q1.n8192/decode/topw:2048/bf16",
                                        "doge-320m/q2048.n32768/prefill/topw:2048/bf16/kv-int8/pages-16"};
    const VkPhysicalDeviceType gpu = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    static const model_shape own = {.name = "own", .heads = 4, .kv_heads = 2, .head_dim = 64, .value_dim = 64};
    const sweep none = {0}, f16 = {.type_count = 1, .type = {DMATTN_TYPE_F16}},
                model = {.model_count = 1, .model = {&own}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_expect_geq(count_cases(SUITE_SERVING, gpu, &none, names[i]), 1, "%s", names[i]);
    const uint32_t all = count_cases(SUITE_SERVING, gpu, &none, NULL);
    cr_expect_leq(all, 200);
    cr_expect_eq(count_cases(SUITE_SERVING, gpu, &f16, "/f16"), all);
    cr_expect_eq(count_cases(SUITE_SERVING, gpu, &model, "own/"),
                 count_cases(SUITE_SERVING, gpu, &none, "llama-3-8b/"));
    cr_expect_leq(count_cases(SUITE_SERVING, VK_PHYSICAL_DEVICE_TYPE_CPU, &none, NULL), 46);
    cr_expect_gt(suite_budget(SUITE_SERVING, gpu), 0);
}

/* Cases whose cache is larger than a buffer of the device are left out, whatever their pass; those that fit stay in
 * order. */
Test(suites, leave_out)
{
    static shape_list shapes;
    const uint64_t most = UINT64_C(1) << 30;
    case_list cases = {0};
    const sweep none = {0};
    char name[CASE_NAME_SIZE];
    shapes = builtin();
    cr_assert(
        suite_add_cases(SUITE_SERVING, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, &shapes, &none, "llama-3-8b/b", &cases));
    const uint32_t all = cases.count;
    case_list_leave_out(&cases, most);
    cr_expect(cases.left_out > 0 && cases.count > 0 && cases.left_out + cases.count == all);
    bool largest = false;
    for (uint32_t i = 0; i < cases.count; i++) {
        case_name(&cases.item[i], name);
        /* pages of 16 tokens, 8 heads of k and v, 128 elements of 2 bytes: 64 KiB */
        largest |= !strcmp(name, "llama-3-8b/b256.q1.n1024/decode/paged:plain/bf16/pages-16");
        cr_expect_not(strstr(name, "b256.q1.n8192"), "%s", name);
        cr_expect_leq(case_cache_bytes(&cases.item[i]), most, "%s", name);
    }
    cr_expect(largest, "a cache of exactly %u MiB was left out", 1024);
    case_list_leave_out(&cases, most - 1);
    for (uint32_t i = 0; i < cases.count; i++) {
        case_name(&cases.item[i], name);
        cr_expect(strcmp(name, "llama-3-8b/b256.q1.n1024/decode/paged:plain/bf16/pages-16"));
    }
    cr_expect_eq(cases.left_out + cases.count, all);
    case_list_destroy(&cases);
}

static void expect_valid(suite_id id)
{
    static shape_list shapes;
    case_list cases = {0};
    const sweep none = {0};
    shapes = builtin();
    cr_assert(suite_add_cases(id, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, &shapes, &none, NULL, &cases));
    for (uint32_t i = 0; i < cases.count; i++) {
        bench_case c = cases.item[i];
        sentences said = {0};
        cr_expect_eq(case_check(&c, &(messenger){sentences_keep, &said}), DMATTN_SUCCESS, "%s", said.text);
    }
    case_list_destroy(&cases);
}

/* Every case of every suite has a valid descriptor. */
Test(suites, are_right)
{
    expect_valid(SUITE_FULL);
    expect_valid(SUITE_SERVING);
}

Test(suites, names)
{
    suite_id id;
    for (int s = SUITE_QUICK; s < SUITE_COUNT; s++)
        cr_expect(parse_suite(suite_name((suite_id)s), &id) && id == (suite_id)s);
    cr_expect_not(parse_suite("none", &id));
    cr_expect_not(parse_suite("", &id));
}

/* ---- names of cases ------------------------------------------------------------------------------------------ */

static void expect_name(const sweep *s, const char *want)
{
    bench_case c;
    char name[CASE_NAME_SIZE];
    sweep_case(s, 0, &c);
    case_name(&c, name);
    cr_expect_str_eq(name, want);
}

Test(names, cases)
{
    const VkPhysicalDeviceType gpu = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    sweep s = {.n = {1, {4096}}};
    sweep_set_defaults(&s, gpu);
    expect_name(&s, "h16.k4.d64/n4096/forward/causal/f16");
    static const model_shape own = {.name = "own", .heads = 4, .kv_heads = 2, .head_dim = 64, .value_dim = 32};
    s = (sweep){.n = {1, {4096}}, .model_count = 1, .model = {&own}, .pass = PASS_MASK};
    sweep_set_defaults(&s, gpu);
    expect_name(&s, "own/n4096/mask/topw:512/f16");
    s = (sweep){.keys = {1, {300}},
                .batch = {1, {2}},
                .heads = {1, {3}},
                .head_dim = {1, {64}},
                .value_dim = {1, {32}},
                .pass = PASS_DECODE,
                .level_count = 1,
                .level = {DMATTN_LEVEL_PORTABLE}};
    sweep_set_defaults(&s, gpu);
    expect_name(&s, "h3.k3.d64.v32/b2.q1.n300/decode/none/f16/portable");
    s = (sweep){.n = {1, {64}}, .bias = true};
    sweep_set_defaults(&s, gpu);
    expect_name(&s, "h16.k4.d64/n64/forward/causal/f16/bias");
    s.sink = true;
    expect_name(&s, "h16.k4.d64/n64/forward/causal/f16/bias/sink");
    s.slopes = s.q_f32 = true;
    expect_name(&s, "h16.k4.d64/n64/forward/causal/f16/bias/sink/slopes/q-f32");
    s = (sweep){.keys = {1, {300}}, .pass = PASS_DECODE, .mask_count = 1, .mask = {{.paged = true}}};
    s.k_format = DMATTN_FORMAT_Q8_0;
    s.v_format = DMATTN_FORMAT_Q4_0;
    sweep_set_defaults(&s, gpu);
    expect_name(&s, "h16.k4.d64/q1.n300/decode/paged/f16/kv-q8_0+q4_0");
    s.k_format = DMATTN_FORMAT_Q4_0;
    expect_name(&s, "h16.k4.d64/q1.n300/decode/paged/f16/kv-q4_0");
    s = (sweep){.n = {1, {64}}, .v_format = DMATTN_FORMAT_INT8, .page_size = 16};
    sweep_set_defaults(&s, gpu);
    expect_name(&s, "h16.k4.d64/n64/forward/causal/f16/kv-f16+int8/pages-16");
}

/* ---- options ------------------------------------------------------------------------------------------------- */

static bench_action parse(bench_options *o, char *why, const char *a, const char *b)
{
    char *argv[] = {"vkbench", (char *)a, (char *)b, NULL};
    *why = 0;
    return options_parse(1 + (a != NULL) + (b != NULL), argv, o, why);
}

Test(options, suites)
{
    static char why[OPTIONS_WHY_SIZE];
    bench_options o;
    cr_expect_eq(parse(&o, why, "--suite=decode", "--type=bf16"), ACTION_RUN, "%s", why);
    cr_expect(o.suite == SUITE_DECODE && o.sweep.type_count == 1);
    cr_expect_eq(parse(&o, why, "--level=portable", "--filter=topw"), ACTION_RUN, "%s", why);
    cr_expect(o.suite == SUITE_QUICK && !strcmp(o.filter, "topw"));
    cr_expect_eq(parse(&o, why, "--model=a", "--n=64"), ACTION_RUN, "%s", why);
    cr_expect(o.suite == SUITE_NONE && !strcmp(o.models, "a"));
    cr_expect_eq(parse(&o, why, "--ceilings", NULL), ACTION_RUN);
    cr_expect(o.ceilings_only && o.suite == SUITE_NONE);
    cr_expect_eq(parse(&o, why, "--tune", NULL), ACTION_RUN);
    cr_expect_eq(o.suite, SUITE_NONE);
    cr_expect_eq(parse(&o, why, "--list-cases", "--cold"), ACTION_LIST_CASES);
    cr_expect(o.suite == SUITE_QUICK && o.cold);
    cr_expect_eq(parse(&o, why, "--list-models", "--repeat-run=3"), ACTION_LIST_MODELS);
    cr_expect_eq(o.repeats, 3);
    static const char *const wrong[][3] = {{"--suite=fast", NULL, "fast"},
                                           {"--suite=", NULL, "--suite"},
                                           {"--suite=quick", "--n=64", "--suite quick"},
                                           {"--suite=quick", "--pass=backward", "--suite quick"},
                                           {"--suite=models", "--tune", "--tune"},
                                           {"--model=a", "--heads=4", "--model"},
                                           {"--repeat-run=0", NULL, "--repeat-run"},
                                           {"--cold=1", NULL, "--cold"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_expect_eq(parse(&o, why, wrong[i][0], wrong[i][1]), ACTION_BAD, "%s", wrong[i][0]);
        cr_expect(strstr(why, wrong[i][2]), "%s: %s", wrong[i][0], why);
    }
}

Test(options, models)
{
    static char why[OPTIONS_WHY_SIZE];
    static shape_list shapes;
    bench_options o;
    shapes = builtin();
    cr_assert_eq(parse(&o, why, "--model=qwen3-4b,doge-20m", NULL), ACTION_RUN);
    cr_assert(options_set_models(&o, &shapes, why), "%s", why);
    cr_expect_eq(o.sweep.model_count, 2);
    cr_expect_str_eq(o.sweep.model[1]->name, "doge-20m");
    static const char *const wrong[] = {"--model=qwen3-4b,nobody", "--model=", "--model=doge-20m,"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_eq(parse(&o, why, wrong[i], NULL), ACTION_RUN);
        cr_expect_not(options_set_models(&o, &shapes, why), "%s", wrong[i]);
        cr_expect(strstr(why, "--model"), "%s", why);
    }
}

/* vkbench tells the owner of a fast card that the build has only slow kernels. */
Test(report, missing_level)
{
    char text[512] = "";
    dmattn_device_info info = {.level = DMATTN_LEVEL_MATRIX2};
    cr_expect(report_missing_level(&info, DMATTN_LEVEL_PORTABLE, text, sizeof text));
    cr_expect(strstr(text, "(level matrix2)") && strstr(text, "up to the level portable.")
                  && strstr(text, "run tools/glslang;") && strstr(text, "configure and build again."),
              "%s", text);
    cr_expect(report_missing_level(&info, DMATTN_LEVEL_MATRIX, text, sizeof text));
    cr_expect_not(report_missing_level(&info, DMATTN_LEVEL_MATRIX2, text, sizeof text));
    info.level = DMATTN_LEVEL_PORTABLE;
    cr_expect_not(report_missing_level(&info, DMATTN_LEVEL_PORTABLE, text, sizeof text));
    info.level = DMATTN_LEVEL_BEST; /* a device that cannot be used has no level */
    cr_expect_not(report_missing_level(&info, DMATTN_LEVEL_PORTABLE, text, sizeof text));
}

/* A grid over models; a pass refuses masks that it does not support. */
Test(sweeps, models_and_passes)
{
    static const model_shape models[] = {{.name = "a", .heads = 4, .kv_heads = 2, .head_dim = 64, .value_dim = 64},
                                         {.name = "b", .heads = 8, .kv_heads = 8, .head_dim = 128, .value_dim = 128}};
    sweep s = {.n = {2, {64, 128}}, .model_count = 2, .model = {&models[0], &models[1]}};
    bench_case c;
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    cr_expect_eq(sweep_count(&s), 2 * 2 * s.mask_count);
    sweep_case(&s, sweep_count(&s) - 1, &c);
    cr_expect(!strcmp(c.model, "b") && c.desc.heads == 8 && c.desc.head_dim == 128 && c.desc.keys == 128);
    s = (sweep){.n = {1, {64}}, .pass = PASS_MERGE};
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    cr_expect(sweep_check(&s, NULL) && s.mask_count == 1 && !s.mask[0].causal && !s.mask[0].dynamic);
    s.mask[0].causal = true;
    cr_expect(!sweep_check(&s, NULL), "a merge has no mask");
    s.mask[0].causal = false;
    s.sink = true;
    cr_expect(!sweep_check(&s, NULL), "a merge has no sink");
    s = (sweep){.n = {1, {64}}, .pass = PASS_SELECT};
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    cr_expect(sweep_check(&s, NULL) && s.mask_count == 1 && s.mask[0].mask == DMATTN_MASK_SELECTED);
    s.sink = true;
    cr_expect(!sweep_check(&s, NULL), "a selector has no sink");
    s = (sweep){.n = {1, {64}}, .pass = PASS_SELECT, .mask_count = 1, .mask = {{.causal = true}}};
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    cr_expect(!sweep_check(&s, NULL), "a selector makes lists");
    s = (sweep){.n = {1, {64}}, .pass = PASS_MASK, .mask_count = 1, .mask = {{.causal = true}}};
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_CPU);
    sentences said = {0};
    cr_expect_not(sweep_check(&s, &(messenger){sentences_keep, &said}));
    cr_expect(said.count == 1 && strstr(said.text, "topw"), "%s", said.text);
}
