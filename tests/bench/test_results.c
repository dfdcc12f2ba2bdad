/* SPDX-License-Identifier: MIT
 * Result files: reading them, comparing them, tables, charts and commands. */
#define _POSIX_C_SOURCE 200809L /* symlink */
#include "charts/chart.h"
#include "charts/html.h"
#include "charts/svg.h"
#include "commands/commands.h"
#include "commands/compare.h"
#include "report/table.h"
#include "results/neighbours.h"
#include "results/results.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- documents ------------------------------------------------------------------------------------------------ */

#define HEAD                                                                                                         \
    "{\"schema\":2,\"program\":\"vkbench\",\"version\":\"1.2.3\",\"commit\":\"abc\",\"date\":\"2026-01-02\","        \
    "\"device\":{\"name\":\"Card <1>\",\"driver\":\"d\",\"type\":\"discrete\"},"                                     \
    "\"ceilings\":{\"copy\":{\"gbytes_s\":1000},\"f32_fma\":{\"tflops\":50},\"f16_matrices\":{\"missing\":\"no\"}}," \
    "\"results\":["
#define SIZES(n)                                                                                                  \
    "\"type\":\"f16\",\"batch\":1,\"heads\":4,\"kv_heads\":2,\"queries\":" #n ",\"keys\":" #n ",\"head_dim\":64," \
    "\"value_dim\":64,\"bias\":false,\"pass\":\"forward\",\"requested_level\":\"best\",\"reuse_mask\":false,"
#define DENSE(n, ms)                                                                                                  \
    "{" SIZES(n) "\"mask\":\"causal\",\"causal\":true,\"status\":\"ok\",\"level\":\"matrix\",\"median_ms\":" #ms      \
                 ",\"tflops\":2,\"gbytes_s\":100,\"visible_pairs\":1000,\"samples_ms\":[" #ms "," #ms "," #ms "," #ms \
                 "," #ms "]}"
#define SPARSE(n, ms)                                                                                          \
    "{\"bias\":true," SIZES(n) "\"mask\":\"topw:8\",\"status\":\"ok\",\"level\":\"matrix\",\"median_ms\":" #ms \
                               ",\"tflops\":1,"                                                                \
                               "\"gbytes_s\":100,\"visible_pairs\":500,\"stages_ms\":{\"attention\":0.25}}"

static bool add(results *all, const char *text, char *why)
{
    *why = 0;
    cJSON *document = cJSON_Parse(text);
    cr_assert(document, "%s", text);
    return results_add(all, document, "some.json", why);
}

/* The text that write() writes; the caller frees it. */
static char *written(void (*write)(FILE *stream, const void *user), const void *user)
{
    FILE *stream = tmpfile();
    cr_assert(stream);
    write(stream, user);
    const long length = ftell(stream);
    char *text = calloc(1, (size_t)length + 1);
    rewind(stream);
    cr_assert_eq(fread(text, 1, (size_t)length, stream), (size_t)length);
    fclose(stream);
    return text;
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)); text++)
        count++;
    return count;
}

Test(results, fields)
{
    results all = {0};
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add(&all, HEAD DENSE(64, 4) "," SPARSE(64, 2) "]}", why), "%s", why);
    cr_assert_eq(all.count, 2);
    const case_result *r = all.items, *sparse = r + 1;
    cr_expect_str_eq(r->run->device, "Card <1>");
    cr_expect_str_eq(r->run->commit, "abc");
    cr_expect(r->run->ceiling[CEILING_COPY] == 1000 && r->run->ceiling[CEILING_FMA] == 50);
    cr_expect(isnan(r->run->ceiling[CEILING_F16_MATRIX]) && isnan(r->run->ceiling[CEILING_BF16_MATRIX]));
    cr_expect(r->heads == 4 && r->kv_heads == 2 && r->queries == 64 && r->causal && !r->bias);
    cr_expect(r->median_ms == 4 && r->sample_count == 5 && isnan(r->low_ms) && isnan(r->attention_ms));
    cr_expect_eq(sparse->attention_ms, 0.25);
    cr_expect_str_eq(r->peer, "");
    cr_expect_str_eq(r->identity, "f16 B1 H4/2 N64 D64 causal forward");
    neighbours n;
    cr_assert(neighbours_make(&all, &n));
    cr_expect_eq(neighbours_speedup(&n, sparse), 2);
    cr_expect(isnan(neighbours_speedup(&n, r)));
    neighbours_destroy(&n);
    cr_expect_eq(result_dense_pairs(r), 4 * 32 * 65);
    results_destroy(&all);
}

/* Schema 1, several runs in one file, and several files. */
Test(results, runs)
{
    results all = {0};
    static char why[RESULTS_WHY_SIZE];
    static const char one[] = "{\"schema\":1,\"program\":\"vkbench\",\"results\":[" DENSE(64, 4) "]}";
    static char two[sizeof one * 2 + 64];
    snprintf(two, sizeof two, "{\"schema\":2,\"runs\":[%s,%s]}", one, one);
    cr_expect(add(&all, one, why), "%s", why);
    cr_expect(add(&all, two, why), "%s", why);
    cr_expect_eq(all.count, 3);
    cr_expect(all.runs && all.runs->next && all.runs->next->next && !all.runs->next->next->next);
    cr_expect(all.items[2].run == all.runs->next->next);
    results_destroy(&all);
}

Test(results, what_is_refused)
{
    static const struct {
        const char *text, *part; /* of the message */
    } rows[] = {
        {"{}", "no number \"schema\""},
        {"{\"schema\":\"2\"}", "no number \"schema\""},
        {"{\"schema\":3,\"results\":[]}", "schema 3"},
        {"{\"schema\":1.5,\"results\":[]}", "schema 1.5"},
        {"{\"schema\":2}", "\"results\" is missing"},
        {"{\"schema\":2,\"runs\":[]}", "no results"},
        {"{\"schema\":2,\"runs\":[1]}", "no number \"schema\""},
        {"{\"schema\":2,\"program\":5,\"results\":[]}", "\"program\" is not a string"},
        {"{\"schema\":2,\"results\":[5]}", "result 0: \"type\" is missing"},
        {HEAD DENSE(64, 4) ",{" SIZES(-1) "\"mask\":\"none\",\"status\":\"ok\"}]}",
         "result 1: \"queries\" is not a whole"},
        {HEAD "{" SIZES(0.5) "\"mask\":\"none\",\"status\":\"ok\"}]}", "\"queries\" is not a whole"},
        {HEAD "{" SIZES(1) "\"mask\":\"none\",\"status\":\"ok\"}]}", "\"median_ms\" is missing"},
        {HEAD "{" SIZES(1) "\"mask\":\"none\",\"status\":\"ok\",\"median_ms\":0}]}", "\"median_ms\" is not positive"},
        {HEAD "{" SIZES(1) "\"mask\":\"none\",\"status\":\"ok\",\"median_ms\":\"1\"}]}",
         "\"median_ms\" is not a number"},
        {HEAD "{" SIZES(1) "\"mask\":\"none\",\"status\":\"failed\",\"samples_ms\":[1,-1]}]}",
         "\"samples_ms\" has an element"},
        {HEAD "{" SIZES(1) "\"mask\":\"none\",\"status\":\"failed\",\"disturbed\":1}]}",
         "\"disturbed\" is not true or false"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        results all = {0};
        static char why[RESULTS_WHY_SIZE];
        cr_expect_not(add(&all, rows[i].text, why), "%s", rows[i].text);
        cr_expect(strstr(why, rows[i].part) && strstr(why, "some.json"), "'%s' instead of '%s'", why, rows[i].part);
        results_destroy(&all);
    }
}

static void make_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    cr_assert(file);
    cr_assert_eq(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
}

/* Each test uses its own file, because tests run in parallel. */
static bool read_from(const char *path, results *all, const char *text, char *why)
{
    make_file(path, text);
    const bool ok = results_read(all, path, why);
    remove(path);
    return ok;
}

Test(results, files)
{
    static const char whole[] = HEAD DENSE(64, 4) "]}";
    static char why[RESULTS_WHY_SIZE], part[sizeof whole];
    results all = {0};
    cr_expect(read_from("test_results.files", &all, whole, why), "%s", why);
    /* truncated anywhere, the message says so */
    for (size_t length = 1; length + 1 < sizeof whole; length++) {
        memcpy(part, whole, length);
        part[length] = 0;
        cr_expect_not(read_from("test_results.files", &all, part, why));
        cr_expect(strstr(why, "truncated"), "%zu characters: %s", length, why);
    }
    cr_expect(!read_from("test_results.files", &all, " \n", why) && strstr(why, "is empty"), "%s", why);
    cr_expect(!read_from("test_results.files", &all, "{\"schema\":2,\n\"results\" []}", why) && strstr(why, "line 2"),
              "%s", why);
    cr_expect(!read_from("test_results.files", &all, HEAD "]} more", why) && strstr(why, "not JSON"), "%s", why);
    cr_expect(!read_from("test_results.files", &all, "hello, world", why) && strstr(why, "has no results"), "%s", why);
    cr_expect(!results_read(&all, "there/is/no/such.json", why) && strstr(why, "cannot be read"), "%s", why);
    cr_expect_eq(all.count, 1);
    results_destroy(&all);
}

/* ---- ggml ------------------------------------------------------------------------------------------------------ */

Test(results, ggml)
{
    static const char console[] =
        "Testing 2 devices\n\nBackend 1/2: Vulkan0\n  Device description: Card X\n  Device memory: 80 MB (80 MB "
        "free)\n\n"
        "  FLASH_ATTN_EXT(hsk=128,hsv=64,nh=8,nr23=[4,2],kv=4096,nb=1,mask=1,sinks=0,max_bias=0.000000,"
        "logit_softcap=0.000000,prec=f32,type_K=f16,type_V=f16,permute=[0,1,2,3]):      8098 runs -   104.30 us/run - "
        "134.22 MFLOP/run - \033[1;34m  1.29 TFLOPS\033[0m\r\n"
        "  FLASH_ATTN_EXT(hsk=128,hsv=128,nh=8,nr23=[4,1],kv=4096,nb=1,mask=1,type_K=q8_0,type_V=q8_0): 8 runs - 1.0 "
        "us/run - x\n"
        "  FLASH_ATTN_EXT(hsk=128,hsv=128,nh=8,nr23=[4,1],kv=4096,nb=1,mask=1,type_K=f16,type_V=f16): not supported\n"
        "Backend 2/2: CPU\n  Skipping CPU backend\n"
        "  FLASH_ATTN_EXT(hs=64,nh=32,kv=512,nb=8,mask=0,max_bias=0.000000,type_KV=bf16):  10 runs -  2.00 us/run - x\n"
        "  MUL_MAT(type_a=f16,m=1): 10 runs - 2.00 us/run - x\n";
    static const char sql[] =
        "CREATE TABLE IF NOT EXISTS test_backend_ops (\n  test_time TEXT,\n  time_us REAL\n);\n\n"
        "INSERT INTO test_backend_ops (test_time, backend_name, op_name, op_params, time_us, n_runs, "
        "device_description) "
        "VALUES ('2026', 'CUDA0', 'FLASH_ATTN_EXT', 'hsk=64,hsv=64,nh=4,nr23=[1,1],kv=256,nb=2,mask=0,type_K=f16', "
        "'250.5', '7', 'Card, Y');\n"
        "INSERT INTO test_backend_ops (op_name, time_us) VALUES ('ADD', '1.0');\n";
    results all = {0};
    static char why[RESULTS_WHY_SIZE];
    cr_assert(read_from("test_results.ggml", &all, console, why), "%s", why);
    cr_assert_eq(all.count, 2);
    const case_result *r = all.items;
    cr_expect_str_eq(r->run->device, "Card X");
    cr_expect_str_eq(r->identity, "f16 B2 H32/8 N1/4096 D128/64 none+bias decode flash_attn_ext");
    cr_expect_float_eq(r->median_ms, 0.1043, 1e-9);
    cr_expect_float_eq(r->tflops, 2 * (128 + 64) * 2 * 32 * 4096.0 / 104.3e-6 * 1e-12, 1e-9);
    cr_expect_str_eq(r[1].run->device, "CPU");
    cr_expect_str_eq(r[1].identity, "bf16 B1 H32 N8/512 D64 none forward flash_attn_ext");
    cr_assert(read_from("test_results.ggml", &all, sql, why), "%s", why);
    cr_assert_eq(all.count, 3);
    r = &all.items[2];
    cr_expect_str_eq(r->run->device, "Card, Y");
    cr_expect_str_eq(r->run->driver, "CUDA0");
    cr_expect(r->median_ms == 0.2505 && r->runs_per_sample == 7 && r->queries == 2 && r->keys == 256);
    cr_expect(!read_from("test_results.ggml", &all, "\"op_name\",\"op_params\"\n\"FLASH_ATTN_EXT\",\"hsk=64\"\n", why));
    cr_expect(strstr(why, "has no results"), "%s", why);
    results_destroy(&all);
}

/* ---- ratios ---------------------------------------------------------------------------------------------------- */

/* The number of orders of a + b samples with `inversions` pairs in which b's sample is smaller. */
static double orders(int a, int b, int inversions)
{
    if (inversions < 0)
        return 0;
    if (!a || !b)
        return inversions == 0;
    return orders(a - 1, b, inversions - b)
           + orders(a, b - 1, inversions); /* the largest sample is one of a, or one of b */
}

/* By the exact distribution, the interval excludes at most 2.5 % at each end, and not much less. */
Test(ratios, confidence)
{
    for (int a = 1; a <= 9; a++)
        for (int b = 1; b <= 9; b++) {
            const double outside = ratio_outside((size_t)a, (size_t)b);
            double all = 0, left_out = 0, next = 0;
            for (int i = 0; i <= a * b; i++) {
                const double count = orders(a, b, i);
                all += count;
                left_out += i < outside + 0.5 && outside >= 0 ? count : 0;
                next += i < outside + 2.5 ? count : 0;
            }
            cr_expect_leq(left_out / all, 0.025, "%d and %d samples: %g", a, b, left_out / all);
            cr_expect_gt(next / all, 0.025, "%d and %d samples: %g", a, b, next / all);
        }
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The interval agrees with the sorted list of all ratios. */
Test(ratios, interval)
{
    enum { A = 13, B = 17 };
    double a[A], b[B], all[A * B];
    for (int i = 0; i < A; i++)
        a[i] = 1 + 0.01 * ((i * 7) % A);
    for (int i = 0; i < B; i++)
        b[i] = 1.5 + 0.02 * ((i * 5) % B);
    qsort(a, A, sizeof *a, compare_numbers);
    qsort(b, B, sizeof *b, compare_numbers);
    for (int i = 0; i < A * B; i++)
        all[i] = b[i % B] / a[i / B];
    qsort(all, A * B, sizeof *all, compare_numbers);
    const ratio r = ratio_of((sample_set){a, A}, (sample_set){b, B});
    const int outside = (int)ratio_outside(A, B);
    cr_assert(outside > 0 && outside < A * B / 2);
    cr_expect_float_eq(r.low, all[outside], 1e-9);
    cr_expect_float_eq(r.high, all[A * B - 1 - outside], 1e-9);
    cr_expect_float_eq(r.estimate, all[A * B / 2], 1e-9);
    const ratio few = ratio_of((sample_set){a, 1}, (sample_set){b, 2});
    cr_expect(few.low == 0 && isinf(few.high) && few.estimate > 1);
    /* equal samples: no width, and the search ends */
    const double same[5] = {3, 3, 3, 3, 3};
    const ratio one = ratio_of((sample_set){same, 5}, (sample_set){same, 5});
    cr_expect_float_eq(one.low, 1, 1e-9);
    cr_expect_float_eq(one.high, 1, 1e-9);
}

static verdict compare_texts(const char *before, const char *after, double *estimate)
{
    results a = {0}, b = {0};
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add(&a, before, why) && add(&b, after, why), "%s", why);
    case_index of_a, of_b;
    comparison c;
    cr_assert(case_index_make(&a, &of_a) && case_index_make(&b, &of_b));
    const char *identity = a.items[0].identity;
    cr_assert(compare_case(case_index_find(&of_a, identity), case_index_find(&of_b, identity), 0.02, &c));
    if (!isnan(c.ratio.estimate))
        cr_expect(c.ratio.low <= c.ratio.estimate && c.ratio.estimate <= c.ratio.high,
                  "the ratio %g is outside its interval from %g to %g", c.ratio.estimate, c.ratio.low, c.ratio.high);
    *estimate = c.ratio.estimate;
    case_index_destroy(&of_a);
    case_index_destroy(&of_b);
    results_destroy(&a);
    results_destroy(&b);
    return c.verdict;
}

static verdict verdict_of(const char *before, const char *after)
{
    double estimate;
    return compare_texts(before, after, &estimate);
}

#define SAMPLES(list) \
    HEAD "{" SIZES(64) "\"mask\":\"causal\",\"status\":\"ok\",\"median_ms\":1,\"samples_ms\":[" list "]}"

/* Where samples come in two groups, the ratio of the medians may lie outside the interval. */
Test(compare, estimate)
{
    double estimate;
    compare_texts(SAMPLES("1,1,1,1,1,2,2,2,2") "]}", SAMPLES("1,1,1,1,2,2,2,2,2") "]}", &estimate);
    cr_expect_float_eq(estimate, 1, 1e-9); /* and not 2 */
    compare_texts(SAMPLES("4,4,4,4") "]}", SAMPLES("2,2,3,3") "]}", &estimate);
    cr_expect_float_eq(estimate, 0.625, 1e-9);
    /* every sample of both repeats counts: 2/1 four times, 3/1 eight times */
    compare_texts(SAMPLES("1,1,1,1") "]}",
                  SAMPLES("2") ",{" SIZES(64) "\"mask\":\"causal\",\"status\":\"ok\","
                                              "\"median_ms\":3,\"samples_ms\":[3,3]}]}",
                  &estimate);
    cr_expect_float_eq(estimate, 3, 1e-9);
}

Test(compare, verdicts)
{
    static const char four[] = HEAD DENSE(64, 4) "]}";
    cr_expect_eq(verdict_of(four, four), VERDICT_SAME);
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 4.04) "]}"), VERDICT_SAME);
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 4.12) "]}"), VERDICT_SLOWER);
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 3.8) "]}"), VERDICT_FASTER);
    /* one of several runs is as fast as before, so not every pair is slower */
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 4.12) "," DENSE(64, 4.2) "]}"), VERDICT_SLOWER);
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 4.12) "," DENSE(64, 4) "]}"), VERDICT_UNCLEAR);
    cr_expect_eq(verdict_of(four, HEAD DENSE(64, 4) ",{" SIZES(64) "\"mask\":\"causal\",\"status\":\"wrong\"}]}"),
                 VERDICT_BROKEN);
    /* one sample each is not enough */
    cr_expect_eq(verdict_of(HEAD SPARSE(64, 4) "]}", HEAD SPARSE(64, 9) "]}"), VERDICT_UNCLEAR);
    cr_expect_eq(verdict_of(four, HEAD "{" SIZES(64) "\"mask\":\"causal\",\"status\":\"wrong\"}]}"), VERDICT_BROKEN);
    cr_expect_eq(verdict_of(four,
                            HEAD "{\"disturbed\":true," SIZES(64) "\"mask\":\"causal\",\"status\":\"ok\","
                                                                  "\"median_ms\":9,\"samples_ms\":[9,9,9,9,9]}]}"),
                 VERDICT_UNCLEAR);
}

typedef struct two_results {
    results has, lacks;
} two_results;

static void write_missing(FILE *stream, const void *user)
{
    const two_results *two = user;
    case_index has, lacks;
    cr_assert(case_index_make(&two->has, &has) && case_index_make(&two->lacks, &lacks));
    compare_print_missing(stream, "A", &has, &lacks);
    case_index_destroy(&has);
    case_index_destroy(&lacks);
}

Test(compare, missing_cases)
{
    static char why[RESULTS_WHY_SIZE];
    two_results two = {0};
    cr_assert(add(&two.has, HEAD DENSE(64, 4) "," DENSE(64, 4) "," DENSE(65, 4) "," DENSE(66, 4) "]}", why), "%s", why);
    cr_assert(add(&two.lacks, HEAD DENSE(65, 4) "]}", why), "%s", why);
    char *text = written(write_missing, &two);
    cr_expect_str_eq(text, "only in A: f16 B1 H4/2 N64 D64 causal forward\n"
                           "only in A: f16 B1 H4/2 N66 D64 causal forward\n");
    free(text);
    cr_assert(add(&two.has,
                  HEAD DENSE(1, 4) "," DENSE(2, 4) "," DENSE(3, 4) "," DENSE(4, 4) "," DENSE(5, 4) "," DENSE(
                      6, 4) "," DENSE(7, 4) "]}",
                  why),
              "%s", why);
    text = written(write_missing, &two);
    cr_expect_str_eq(text, "only in A: 9 cases\n");
    free(text);
    results_destroy(&two.has);
    results_destroy(&two.lacks);
}

/* ---- axes ------------------------------------------------------------------------------------------------------ */

Test(axes, ticks)
{
    static const double ends[][2] = {{1, 1.3}, {0.02, 9}, {900, 1100}, {1e-7, 1e9}, {3, 3}, {0.98, 41}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        for (int kind = AXIS_DECIMAL; kind <= AXIS_SIZE; kind++) {
            double ticks[AXIS_TICKS];
            axis a = {.kind = (axis_kind)kind, .from = 0, .to = 100};
            axis_set_ends(&a, ends[i][0], ends[i][1]);
            cr_expect(a.least < ends[i][0] && a.most > ends[i][1]);
            cr_expect_float_eq(axis_place(&a, a.least), 0, 1e-9);
            cr_expect_float_eq(axis_place(&a, a.most), 100, 1e-9);
            const size_t count = axis_ticks(&a, 8, ticks);
            cr_expect_leq(count, 8);
            for (size_t k = 0; k < count; k++)
                cr_expect(ticks[k] >= a.least * 0.999 && ticks[k] <= a.most * 1.001 && (!k || ticks[k] > ticks[k - 1]));
            if (kind == AXIS_DECIMAL && ends[i][1] > 10 * ends[i][0])
                cr_expect_geq(count, 3, "%g to %g", ends[i][0], ends[i][1]);
        }
}

Test(axes, numbers)
{
    static const struct {
        axis_kind kind;
        double value;
        const char *text;
    } rows[] = {{AXIS_SIZE, 512, "512"},
                {AXIS_SIZE, 32768, "32K"},
                {AXIS_SIZE, 1048576, "1M"},
                {AXIS_PERCENT, 0.125, "12.5 %"},
                {AXIS_DECIMAL, 0.02, "0.02"},
                {AXIS_DECIMAL, 0.00015, "0.00015"},
                {AXIS_DECIMAL, 0.00005, "0.00005"},
                {AXIS_DECIMAL, 0.0001, "0.0001"},
                {AXIS_DECIMAL, 10000, "10000"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[AXIS_TEXT_SIZE];
        const axis a = {.kind = rows[i].kind};
        axis_text(&a, rows[i].value, text);
        cr_expect_str_eq(text, rows[i].text);
    }
}

Test(axes, fit)
{
    const point square[] = {{1, 3}, {2, 12}, {8, 192}}, alone[] = {{5, 1}, {5, 2}};
    cr_expect_float_eq(fit_exponent(square, 3), 2, 1e-12);
    cr_expect(isnan(fit_exponent(alone, 2)));
    cr_expect(isnan(fit_exponent(alone, 1)));
}

Test(axes, labels_apart)
{
    double places[] = {10, 12, 13, 50, 99};
    spread_places(places, 5, 10, 0, 100);
    for (int i = 1; i < 5; i++)
        cr_expect_geq(places[i] - places[i - 1], 10);
    cr_expect(places[0] == 10 && places[3] == 50 && places[4] == 99);
    double low[] = {95, 96, 97};
    spread_places(low, 3, 10, 0, 100);
    cr_expect(low[2] == 100 && low[1] == 90 && low[0] == 80);
}

/* ---- tables and charts ----------------------------------------------------------------------------------------- */

static const char ours_and_peer[] = "{\"schema\":2,\"runs\":[" HEAD SPARSE(64, 2) "," DENSE(64, 4) "," DENSE(
    128, 16) ",{" SIZES(256) "\"mask\":\"a|b\",\"status\":\"failed\",\"sentence\":\"no <memory>\"}]},"
                             "{\"schema\":2,\"program\":\"pytorch\",\"device\":{\"name\":\"Card "
                             "<1>\"},\"results\":[{\"peer\":\"flex\"," SIZES(
                                 64) "\"mask\":\"topw:8\",\"status\":\"ok\",\"median_ms\":5}]}]}";

Test(tables, side_by_side)
{
    results all = {0};
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add(&all, ours_and_peer, why), "%s", why);
    table_list list;
    cr_assert(tables_make(&all, &list));
    cr_assert_eq(list.count, 1);
    const table *t = list.tables;
    static const char *const order[][3] = {{"topw:8", "dmattn matrix", "2.000"},
                                           {"topw:8", "pytorch flex", "5.000"},
                                           {"causal", "dmattn matrix", "4.000"},
                                           {"causal", "dmattn matrix", "16.00"},
                                           {"a|b", "dmattn ", "failed"}};
    cr_assert_eq(t->count, sizeof order / sizeof *order);
    for (size_t i = 0; i < t->count; i++) {
        cr_expect_str_eq(t->rows[i].cell[CELL_MASK], order[i][0]);
        cr_expect_str_eq(t->rows[i].cell[CELL_WHO], order[i][1]);
        cr_expect_str_eq(t->rows[i].cell[CELL_MS], order[i][2]);
    }
    cr_expect_str_eq(t->rows[0].cell[CELL_PEER], "2.50x (flex)");
    cr_expect_str_eq(t->rows[0].cell[CELL_DENSE], "2.00x");
    cr_expect(!t->shown[CELL_ROOF] && t->shown[CELL_DENSE]);
    char *text = written(markdown_write, &list);
    cr_expect(strstr(text, "### Card \\<1>") && strstr(text, "| a\\|b |") && strstr(text, "no \\<memory>"), "%s", text);
    free(text);
    tables_destroy(&list);
    results_destroy(&all);
}

Test(tables, of_every_device)
{
    enum { DEVICES = 70 };
    results all = {0};
    static char why[RESULTS_WHY_SIZE];
    for (int i = 0; i < DEVICES; i++) {
        char document[1024];
        snprintf(document, sizeof document, "{\"schema\":2,\"device\":{\"name\":\"Card %d\"},\"results\":[%s]}", i,
                 DENSE(64, 4));
        cr_assert(add(&all, document, why), "%s", why);
    }
    table_list list;
    cr_assert(tables_make(&all, &list));
    char *text = written(markdown_write, &list);
    cr_expect_eq(count_of(text, "### Card "), DEVICES);
    free(text);
    text = written(html_write, &(html_page){&all, &(chart_list){0}, &list});
    cr_expect_eq(count_of(text, "<h2>Results: Card "), DEVICES);
    free(text);
    tables_destroy(&list);
    results_destroy(&all);
}

/* Every line has as many fields as the head. */
Test(tables, csv)
{
    results all = {0};
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add(&all, ours_and_peer, why), "%s", why);
    ((case_result *)all.items)->sentence = "a \"b\", c";
    char *text = written(csv_write, &all);
    size_t fields = 0, lines = 0;
    cr_expect(strstr(text, "\"a \"\"b\"\", c\""), "%s", text);
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, lines++) {
        size_t count = 1;
        bool quoted = false;
        for (char *c = line; c < end; c++) {
            quoted = quoted != (*c == '"');
            count += *c == ',' && !quoted;
        }
        if (!lines)
            fields = count;
        cr_expect_eq(count, fields);
    }
    cr_expect_eq(lines, 1 + all.count);
    free(text);
    results_destroy(&all);
}

static void write_chart(FILE *stream, const void *c)
{
    svg_write(stream, c, SVG_FILE);
}

Test(charts, what_is_drawn)
{
    results all = {0};
    chart_list list;
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add(&all, ours_and_peer, why), "%s", why);
    cr_assert(charts_make(&all, &list));
    cr_assert_eq(list.count, 3); /* the failed result is in no chart */
    const chart *time = &list.charts[0], *speedup = &list.charts[1], *roofline = &list.charts[2];
    cr_expect(time->id == CHART_TIME && speedup->id == CHART_SPEEDUP && roofline->id == CHART_ROOFLINE);
    cr_assert_eq(time->series_count, 1); /* topw and flex have only one length */
    cr_expect_str_eq(time->series[0].label, "causal, dmattn matrix");
    cr_expect_str_eq(time->series[0].note, "2.00");
    cr_assert_eq(speedup->series_count, 1);
    cr_expect_eq(speedup->series[0].points[0].y, 2);
    cr_expect_float_eq(speedup->series[0].points[0].x, 500 / (4 * 32 * 65.0), 1e-12);
    cr_expect_eq(roofline->series[0].points[0].x, 10); /* 1 TFLOP/s at 100 GB/s */
    cr_expect_eq(roofline->guide_count, 2);            /* copy and f32; there are no matrix ceilings */
    char *text = written(write_chart, time);
    cr_expect_eq(count_of(text, "class=\"mark\""), 2 + 1); /* points and the legend */
    cr_expect(!strstr(text, "nan") && !strstr(text, "inf") && strstr(text, "Card &lt;1&gt;"), "%s", text);
    free(text);
    charts_destroy(&list);
    results_destroy(&all);
}

/* A constant time has the exponent 0.00, not -0.00; nearly equal matrix ceilings share one line. */
Test(charts, labels)
{
#define MATRICES(f16, bf16)                                                         \
    "\"ceilings\":{\"copy\":{\"gbytes_s\":1000},\"f16_matrices\":{\"tflops\":" #f16 \
    "},\"bf16_matrices\":{\"tflops\":" #bf16 "}},"
#define BOTH_TYPES(matrices)                                                                                 \
    "{\"schema\":2,\"program\":\"vkbench\",\"version\":\"1\",\"device\":{\"name\":\"Card\"}," matrices       \
    "\"results\":[" DENSE(64, 4) "," DENSE(                                                                  \
        128, 3.998) ",{\"type\":\"bf16\",\"batch\":1,\"heads\":4,\"kv_heads\":2,\"queries\":64,"             \
                    "\"keys\":64,\"head_dim\":64,\"value_dim\":64,\"pass\":\"forward\",\"mask\":\"causal\"," \
                    "\"causal\":true,"                                                                       \
                    "\"status\":\"ok\",\"median_ms\":4,\"tflops\":2,\"gbytes_s\":100}]}"
    static char why[RESULTS_WHY_SIZE];
    static const char *const texts[] = {BOTH_TYPES(MATRICES(600, 601)), BOTH_TYPES(MATRICES(600, 700))};
    for (size_t i = 0; i < 2; i++) {
        results all = {0};
        chart_list list;
        cr_assert(add(&all, texts[i], why), "%s", why);
        cr_assert(charts_make(&all, &list));
        cr_expect_str_eq(list.charts[0].series[0].note, "0.00");
        const chart *roofline = &list.charts[list.count - 1];
        cr_assert(roofline->id == CHART_ROOFLINE);
        cr_expect_eq(roofline->guide_count, 2 + i);
        cr_expect_str_eq(roofline->guides[1].label, i ? "f16 matrices, 600" : "f16 and bf16 matrices, 600");
        charts_destroy(&list);
        results_destroy(&all);
    }
#undef MATRICES
#undef BOTH_TYPES
}

Test(charts, page)
{
    results all = {0};
    chart_list list;
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add(&all, ours_and_peer, why), "%s", why);
    cr_assert(charts_make(&all, &list));
    table_list tables;
    cr_assert(tables_make(&all, &tables));
    char *text = written(html_write, &(html_page){&all, &list, &tables});
    cr_expect_eq(count_of(text, "<svg"), 2 * list.count);
    cr_expect_eq(count_of(text, "<svg"), count_of(text, "</svg>"));
    cr_expect_eq(count_of(text, "<tr"), count_of(text, "</tr>"));
    cr_expect_eq(count_of(text, "<dt>Card &lt;1&gt;</dt>"), 1, "%s", text); /* once for two runs */
    cr_expect(strstr(text, "no &lt;memory&gt;") && !strstr(text, "Card <1>"));
    cr_expect(!strstr(text, "http://") || count_of(text, "http") == count_of(text, "http://www.w3.org/2000/svg"));
    free(text);
    charts_destroy(&list);
    tables_destroy(&tables);
    results_destroy(&all);
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

static int run(const char *name, const char *a, const char *b, const char *c, const char *d)
{
    char *argv[] = {"vkbench", (char *)name, (char *)a, (char *)b, (char *)c, (char *)d, NULL};
    const command *found = command_find(name);
    cr_assert(found, "%s", name);
    return command_run(found, 2 + (a != NULL) + (b != NULL) + (c != NULL) + (d != NULL), argv);
}

static bool is_there(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file)
        fclose(file);
    return file;
}

Test(commands, statuses)
{
    static const char *const a = "commands_a.json", *b = "commands_b.json", *other = "commands_c.json",
                             *out = "commands_out.json", *bad = "commands_bad.json";
    make_file(a, HEAD DENSE(64, 4) "]}");
    make_file(b, HEAD DENSE(64, 4.2) "]}");
    make_file(other, HEAD DENSE(128, 4) "]}");
    make_file(bad, "{\"schema\":");
    cr_expect_eq(run("compare", a, a, NULL, NULL), 0);
    cr_expect_eq(run("compare", a, b, NULL, NULL), 1);
    cr_expect_eq(run("compare", b, a, NULL, NULL), 0);
    cr_expect_eq(run("compare", "--threshold", "6%", a, b), 0);
    cr_expect_eq(run("compare", a, "--threshold=6", b, NULL), 0);
    cr_expect_eq(run("compare", a, a, b, NULL), 1);
    cr_expect_eq(run("compare", a, other, NULL, NULL), 2);
    cr_expect_eq(run("compare", a, bad, NULL, NULL), 2);
    cr_expect_eq(run("compare", a, NULL, NULL, NULL), 2);
    cr_expect_eq(run("compare", a, b, "--threshold", NULL), 2);
    cr_expect_eq(run("compare", a, b, "--threshold=-1", NULL), 2);
    cr_expect_eq(run("compare", a, b, "-o", "x"), 2);
    cr_expect_eq(run("compare", "--help", NULL, NULL, NULL), 0);
    remove(out);
    cr_expect_eq(run("merge", out, a, bad, NULL), 2);
    cr_expect_not(is_there(out));
    cr_expect_eq(run("merge", out, a, b, NULL), 0);
    cr_expect_eq(run("merge", out, a, b, NULL), 2); /* it exists */
    cr_expect_eq(run("table", out, "--csv", "commands.csv", NULL), 0);
    cr_expect_eq(run("plot", out, NULL, NULL, NULL), 2);
    cr_expect_eq(run("plot", out, bad, "-o", "commands.html"), 2);
    cr_expect_not(is_there("commands.html"));
    cr_expect_eq(run("plot", out, "-o", "commands.html", NULL), 0);
    cr_expect(is_there("commands.html") && is_there("commands.csv"));
    cr_expect(!command_find("comparison"));
    const char *const made[] = {a, b, other, out, bad, "commands.html", "commands.csv"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        remove(made[i]);
}

#if !defined(_WIN32)
/* The path exists but cannot be opened, like a file without read permission. */
Test(commands, merge_keeps_what_it_cannot_read)
{
    static const char *const a = "kept_a.json", *out = "kept_out.json";
    char target[32];
    make_file(a, HEAD DENSE(64, 4) "]}");
    remove(out);
    cr_assert_eq(symlink(out, out), 0);
    cr_expect_eq(run("merge", out, a, a, NULL), 2);
    cr_expect_eq(readlink(out, target, sizeof target), (ssize_t)strlen(out), "it was replaced");
    remove(out);
    remove(a);
}
#endif
