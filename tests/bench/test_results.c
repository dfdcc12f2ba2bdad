/* SPDX-License-Identifier: MIT
 * Reading result files: vkbench's own, and the output of ggml's test-backend-ops. */
#include "result_documents.h"
#include "results/neighbours.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

Test(results, fields)
{
    results all = {0};
    static char why[RESULTS_WHY_SIZE];
    cr_assert(add_document(&all, HEAD DENSE(64, 4) "," SPARSE(64, 2) "]}", why), "%s", why);
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
    cr_expect(add_document(&all, one, why), "%s", why);
    cr_expect(add_document(&all, two, why), "%s", why);
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
        cr_expect_not(add_document(&all, rows[i].text, why), "%s", rows[i].text);
        cr_expect(strstr(why, rows[i].part) && strstr(why, "some.json"), "'%s' instead of '%s'", why, rows[i].part);
        results_destroy(&all);
    }
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
    /* the message says so if the file is truncated, at any place */
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
