/* SPDX-License-Identifier: MIT
 * The cases of tests/golden, on the CPU and on the device. Their results were computed without this library. */
#include "case_file.h"
#include "gradients.h"
#include "reference/element.h"
#include "support/harness.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ||got - want|| / ||want|| over the finite numbers; infinite unless the others are the same. */
static double relative_error(const float *got, const float *want, uint64_t count)
{
    double difference = 0, norm = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!isfinite(want[i]) || !isfinite(got[i])) {
            if (got[i] != want[i] && !(isnan(got[i]) && isnan(want[i])))
                return INFINITY;
            continue;
        }
        difference += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        norm += (double)want[i] * want[i];
    }
    return difference == 0 ? 0 : sqrt(difference / norm);
}

/* A case with its results. */
typedef struct golden {
    safetensors_file file;
    problem problem;
    uint64_t out_count, lse_count;
    const float *want_out, *want_lse;
    float *out, *lse; /* memory for the results under test */
} golden;

static void golden_open(const char *name, golden *g)
{
    char path[512], why[SAFETENSORS_ERROR_SIZE];
    const messenger m = {harness_message, &h};
    snprintf(path, sizeof path, DMATTN_GOLDEN "/%s", name);
    cr_assert_eq(safetensors_read(path, &g->file, why), SAFETENSORS_OK, "%s: %s", name, why);
    cr_assert_eq(case_file_read(&g->file, &m, &g->problem), DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    const dmattn_attention_desc *d = &g->problem.desc;
    g->lse_count = (uint64_t)d->batch * d->queries * d->heads;
    g->out_count = g->lse_count * d->value_dim;
    const safetensors_tensor *out = safetensors_find(&g->file, "out"), *lse = safetensors_find(&g->file, "lse");
    cr_assert(out && out->type == SAFETENSORS_F32 && out->bytes == g->out_count * sizeof(float), "%s", name);
    cr_assert(lse && lse->type == SAFETENSORS_F32 && lse->bytes == g->lse_count * sizeof(float), "%s", name);
    g->want_out = out->data;
    g->want_lse = lse->data;
    g->out = malloc(out->bytes);
    g->lse = malloc(lse->bytes);
}

static void golden_close(golden *g)
{
    free(g->out);
    free(g->lse);
    problem_destroy(&g->problem);
    safetensors_free(&g->file);
}

static void expect_results(const char *name, const golden *g, double tolerance)
{
    double out = relative_error(g->out, g->want_out, g->out_count);
    double lse = relative_error(g->lse, g->want_lse, g->lse_count);
    cr_expect_leq(out, tolerance, "%s: out has an error of %.3g, allowed %.3g", name, out, tolerance);
    cr_expect_leq(lse, tolerance, "%s: lse has an error of %.3g, allowed %.3g", name, lse, tolerance);
}

/* Checks importance and intervals, which the problem holds after a run. */
static void expect_mask(const char *name, const golden *g, double tolerance)
{
    static const struct {
        const char *name;
        tensor_id tensor;
    } products[] = {{"importance", TENSOR_IMPORTANCE}, {"begin", TENSOR_BEGIN}, {"end", TENSOR_END}};
    for (int i = 0; i < 3; i++) {
        const safetensors_tensor *want = safetensors_find(&g->file, products[i].name);
        const void *got = g->problem.tensor[products[i].tensor];
        cr_assert(want && want->bytes == problem_bytes(&g->problem, products[i].tensor), "%s: %s", name,
                  products[i].name);
        if (products[i].tensor == TENSOR_IMPORTANCE)
            cr_expect_leq(relative_error(got, want->data, want->bytes / sizeof(float)), tolerance, "%s: importance",
                          name);
        else
            cr_expect_eq(memcmp(got, want->data, want->bytes), 0, "%s: %s differs", name, products[i].name);
    }
}

/* Checks the gradients of a case with dout. */
static void expect_gradients(const char *name, const golden *g, const gradients *got, double tolerance)
{
    static const char *const names[TENSOR_COUNT] = {[TENSOR_DQ] = "dq",
                                                    [TENSOR_DK] = "dk",
                                                    [TENSOR_DV] = "dv",
                                                    [TENSOR_DBIAS] = "d_bias",
                                                    [TENSOR_DA] = "d_a",
                                                    [TENSOR_DDT_WEIGHT] = "d_dt_weight",
                                                    [TENSOR_DDT_BIAS] = "d_dt_bias",
                                                    [TENSOR_DSINK] = "d_sink"};
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++) {
        const safetensors_tensor *want = names[t] ? safetensors_find(&g->file, names[t]) : NULL;
        const uint64_t count = gradient_count(&g->problem, (tensor_id)t);
        cr_assert_eq(want ? want->bytes : 0, count * sizeof(float), "%s: %s", name, names[t]);
        if (!want)
            continue;
        const double error = relative_error(got->tensor[t], want->data, count);
        cr_expect_leq(error, tolerance, "%s: %s has an error of %.3g, allowed %.3g", name, names[t], error, tolerance);
    }
}

/* The number of cases with known gradients. */
static unsigned differentiated;

static void differentiate_on_cpu(const char *name, const golden *g)
{
    gradients got;
    cr_assert_eq(gradients_create(&g->problem, &got), DMATTN_SUCCESS);
    cr_assert_eq(gradients_on_cpu(&g->problem, &got), DMATTN_SUCCESS);
    expect_gradients(name, g, &got, 1e-6);
    gradients_destroy(&got);
    differentiated++;
}

static void run_on_cpu(const char *name)
{
    golden g;
    golden_open(name, &g);
    if (g.problem.dma) {
        cr_assert_eq(problem_make_mask(&g.problem), DMATTN_SUCCESS, "%s", name);
        expect_mask(name, &g, 1e-7);
    }
    double *out = malloc(g.out_count * sizeof *out), *lse = malloc(g.lse_count * sizeof *lse);
    const reference_inputs in = problem_inputs(&g.problem);
    cr_assert_eq(reference_attention(&g.problem.desc, &in, out, lse), DMATTN_SUCCESS);
    for (uint64_t i = 0; i < g.out_count; i++)
        g.out[i] = (float)out[i];
    for (uint64_t i = 0; i < g.lse_count; i++)
        g.lse[i] = (float)lse[i];
    expect_results(name, &g, 1e-6); /* results are stored as f32 */
    if (g.problem.backward.gradients)
        differentiate_on_cpu(name, &g);
    free(out);
    free(lse);
    golden_close(&g);
}

static void differentiate_on_device(const char *name, const golden *g, const device_problem *dp, double tolerance)
{
    gradients got;
    device_gradients dg;
    ASSERT_OK(gradients_create(&g->problem, &got));
    const dmattn_status status = device_gradients_create(dp, &dg);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    ASSERT_OK(device_gradients_run(&dg));
    ASSERT_OK(device_gradients_download(&dg, &got));
    expect_gradients(name, g, &got, tolerance);
    device_gradients_destroy(&dg);
    gradients_destroy(&got);
    differentiated++;
}

/* A CPU needs seconds to compile the kernels of a case. The reference gives the results of all cases, and the tables of
 * cases compare devices with the reference. So by default, a CPU runs only the extreme cases, and a third of the
 * others, which have gradients. */
static bool is_chosen(const char *name)
{
    return !harness_small_tiles() || strlen(name) % 3 == 0 || !strncmp(name, "extreme_", 8);
}

static bool takes_gradients(const char *name)
{
    return !harness_small_tiles() || harness_takes_all() || strlen(name) % 3 == 0;
}

static void run_at_level(const char *name, dmattn_level level)
{
    golden g;
    golden_open(name, &g);
    device_problem dp;
    attention_tile tile;
    g.problem.desc.level = g.problem.dma_desc.attention.level = level;
    g.problem.tile = harness_tile(&g.problem.desc, &tile);
    g.problem.least_tiles = harness_small_tiles() && !harness_takes_all();
    dmattn_status status = device_problem_create(&g.problem, h.device, &dp);
    if (g.problem.desc.type == DMATTN_TYPE_F32 && level > DMATTN_LEVEL_PORTABLE) {
        cr_expect_eq(status, DMATTN_ERROR_UNSUPPORTED, "%s, %s: f32", name, dmattn_level_string(level));
        golden_close(&g);
        return;
    }
    cr_assert_eq(status, DMATTN_SUCCESS, "%s, %s: %s", name, dmattn_level_string(level), h.sentence);
    ASSERT_OK(device_problem_run(&dp));
    ASSERT_OK(device_problem_download(&dp, g.out, g.lse));
    if (g.problem.dma) {
        ASSERT_OK(device_problem_download_mask(&dp, &g.problem));
        expect_mask(name, &g, 1e-6); /* f32 for all types */
    }
    const dmattn_type type = g.problem.desc.type; /* the tolerances that the golden cases were made with */
    const double tolerance = type == DMATTN_TYPE_F32 ? 2e-5 : type == DMATTN_TYPE_F16 ? 4e-3 : 3e-2;
    char at_level[128];
    snprintf(at_level, sizeof at_level, "%s, %s", name, dmattn_level_string(level));
    expect_results(at_level, &g, tolerance);
    if (g.problem.backward.gradients && takes_gradients(name) && harness_offers_backward(level))
        differentiate_on_device(at_level, &g, &dp, tolerance);
    device_problem_destroy(&dp);
    golden_close(&g);
}

/* The number of runs without shares. */
static unsigned expected_runs;

static void run_on_device(const char *name)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level; level = harness_next_level(level)) {
        expected_runs += harness_takes_all() || is_chosen(name);
        if (harness_takes(name, is_chosen(name)))
            run_at_level(name, level);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void each_case(void (*run)(const char *name))
{
    char names[64][64];
    unsigned count = 0;
    DIR *folder = opendir(DMATTN_GOLDEN);
    cr_assert(folder, "cannot open " DMATTN_GOLDEN);
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (strstr(entry->d_name, ".safetensors") && strncmp(entry->d_name, "merge_", 6) != 0
            && strncmp(entry->d_name, "selector_", 9) != 0 && strncmp(entry->d_name, "block_lists_", 12) != 0) {
            cr_assert(count < 64 && strlen(entry->d_name) < sizeof *names, "%s", entry->d_name);
            strcpy(names[count++], entry->d_name);
        }
    closedir(folder);
    qsort(names, count, sizeof *names, compare_names); /* shares are assigned in this order */
    for (unsigned i = 0; i < count; i++)
        run(names[i]);
    cr_expect_geq(count, 31, "only %u cases in " DMATTN_GOLDEN, count);
}

/* Runs without a device, too. */
Test(golden, reference)
{
    each_case(run_on_cpu);
    cr_expect_geq(differentiated, 25, "only %u cases with gradients in " DMATTN_GOLDEN, differentiated);
}

DEVICE_TEST(golden, device)
{
    each_case(run_on_device);
    if (h.runs_taken == expected_runs)
        cr_expect_geq(differentiated, harness_small_tiles() && !harness_takes_all() ? 9 : 25,
                      "only %u cases with gradients in " DMATTN_GOLDEN, differentiated);
}

/* ---- merging ------------------------------------------------------------------------------------------------------
 */

static dmattn_buffer buffer_with(const void *data, uint64_t bytes)
{
    dmattn_buffer buffer;
    ASSERT_OK(dmattn_buffer_create(h.device, bytes, &buffer));
    if (data)
        ASSERT_OK(dmattn_upload(h.device, &buffer, 0, data, bytes));
    return buffer;
}

/* Records attention of a case in f32 to `keys` of its keys, from `first` on. */
static dmattn_plan *record_part(VkCommandBuffer commands, const problem *p, uint32_t first, uint32_t keys,
                                const dmattn_buffer *q, dmattn_buffer k, dmattn_buffer v, const dmattn_buffer *out,
                                const dmattn_buffer *lse)
{
    const dmattn_attention_desc *d = &p->desc;
    dmattn_attention_desc part = *d;
    dmattn_attention_args args = {.q = *q, .k = k, .v = v, .out = *out, .lse = *lse};
    dmattn_plan_info info;
    dmattn_plan *plan;
    part.keys = keys; /* the strides are those of all keys */
    part.lse = true;
    args.k.offset = first * d->k_strides.sequence * sizeof(float);
    args.v.offset = first * d->v_strides.sequence * sizeof(float);
    args.k.size -= args.k.offset;
    args.v.size -= args.v.offset;
    ASSERT_OK(dmattn_attention_plan(h.context, &part, &plan));
    dmattn_plan_get_info(plan, &info);
    if (info.workspace_size)
        args.workspace = buffer_with(NULL, info.workspace_size);
    ASSERT_OK(dmattn_attention_record(plan, commands, &args));
    return plan;
}

/* Attention to a third of the keys and to the rest, merged, is the case's result. */
DEVICE_TEST(golden, merged)
{
    golden g;
    golden_open("dense_plain_f32.safetensors", &g);
    const problem *p = &g.problem;
    const dmattn_attention_desc *d = &p->desc;
    const uint32_t third = d->keys / 3;
    cr_assert(d->type == DMATTN_TYPE_F32 && !d->causal && !d->mask && !d->bias && third);
    const dmattn_merge_desc desc = {
        .batch = d->batch, .queries = d->queries, .heads = d->heads, .value_dim = d->value_dim, .lse = true};
    const dmattn_buffer q = buffer_with(p->tensor[TENSOR_Q], problem_bytes(p, TENSOR_Q));
    const dmattn_buffer k = buffer_with(p->tensor[TENSOR_K], problem_bytes(p, TENSOR_K));
    const dmattn_buffer v = buffer_with(p->tensor[TENSOR_V], problem_bytes(p, TENSOR_V));
    dmattn_buffer out[2], lse[2];
    dmattn_plan *plans[3];
    VkCommandBuffer commands;
    for (int i = 0; i < 2; i++) {
        out[i] = buffer_with(NULL, g.out_count * sizeof(float));
        lse[i] = buffer_with(NULL, g.lse_count * sizeof(float));
    }
    ASSERT_OK(dmattn_merge_plan(h.context, &desc, &plans[2]));
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    plans[0] = record_part(commands, p, 0, third, &q, k, v, &out[0], &lse[0]);
    plans[1] = record_part(commands, p, third, d->keys - third, &q, k, v, &out[1], &lse[1]);
    dmattn_commands_barrier(h.device);
    ASSERT_OK(dmattn_merge_record(
        plans[2], commands,
        &(dmattn_merge_args){
            .out_a = out[0], .lse_a = lse[0], .out_b = out[1], .lse_b = lse[1], .out = out[0], .lse = lse[0]}));
    ASSERT_OK(dmattn_commands_submit(h.device));
    ASSERT_OK(dmattn_download(h.device, &out[0], 0, g.out, g.out_count * sizeof(float)));
    ASSERT_OK(dmattn_download(h.device, &lse[0], 0, g.lse, g.lse_count * sizeof(float)));
    expect_results("dense_plain_f32.safetensors, merged", &g, 2e-5);
    for (int i = 0; i < 3; i++)
        dmattn_plan_destroy(plans[i]);
    golden_close(&g);
}

/* Two results and what they are together, by another program. */
DEVICE_TEST(golden, two_results)
{
    static const char *const inputs[] = {"out_a", "lse_a", "out_b", "lse_b"};
    char why[SAFETENSORS_ERROR_SIZE];
    safetensors_file file;
    dmattn_buffer buffer[6];
    dmattn_plan *plan;
    VkCommandBuffer commands;
    cr_assert_eq(safetensors_read(DMATTN_GOLDEN "/merge_f16.safetensors", &file, why), SAFETENSORS_OK, "%s", why);
    for (int i = 0; i < 4; i++) {
        const safetensors_tensor *t = safetensors_find(&file, inputs[i]);
        cr_assert_not_null(t);
        buffer[i] = buffer_with(t->data, t->bytes);
    }
    const safetensors_tensor *a = safetensors_find(&file, "out_a"), *out = safetensors_find(&file, "out"),
                             *lse = safetensors_find(&file, "lse");
    cr_assert(a->type == SAFETENSORS_F16 && out && lse);
    const dmattn_merge_desc desc = {.type = DMATTN_TYPE_F16,
                                    .batch = (uint32_t)a->shape[0],
                                    .queries = (uint32_t)a->shape[1],
                                    .heads = (uint32_t)a->shape[2],
                                    .value_dim = (uint32_t)a->shape[3],
                                    .lse = true};
    buffer[4] = buffer_with(NULL, a->bytes);
    buffer[5] = buffer_with(NULL, lse->bytes);
    ASSERT_OK(dmattn_merge_plan(h.context, &desc, &plan));
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_merge_record(plan, commands,
                                  &(dmattn_merge_args){.out_a = buffer[0],
                                                       .lse_a = buffer[1],
                                                       .out_b = buffer[2],
                                                       .lse_b = buffer[3],
                                                       .out = buffer[4],
                                                       .lse = buffer[5]}));
    ASSERT_OK(dmattn_commands_submit(h.device));
    const uint64_t count = out->bytes / sizeof(float);
    void *got = malloc(a->bytes);
    float *got_out = malloc(out->bytes), *got_lse = malloc(lse->bytes);
    ASSERT_OK(dmattn_download(h.device, &buffer[4], 0, got, a->bytes));
    ASSERT_OK(dmattn_download(h.device, &buffer[5], 0, got_lse, lse->bytes));
    for (uint64_t i = 0; i < count; i++)
        got_out[i] = (float)element_load(DMATTN_TYPE_F16, got, i);
    cr_expect_leq(relative_error(got_out, out->data, count), 4e-3);
    cr_expect_leq(relative_error(got_lse, lse->data, lse->bytes / sizeof(float)), 1e-6);
    free(got);
    free(got_out);
    free(got_lse);
    dmattn_plan_destroy(plan);
    safetensors_free(&file);
}
