/* SPDX-License-Identifier: MIT
 * Every operator with more batch items, or more heads in all items, than most devices allow workgroups in a dimension.
 * Shapes are tiny. Results are compared with the reference. A CPU takes tens of seconds for so large batches. So there,
 * the tests lower the limit that the library reads, and half as many items are too many. */
#include "backward/gradient_run.h"
#include "context.h"
#include "decode/desc.h"
#include "kernel.h"
#include "low_precision.h"
#include "operators/operators.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#define MOST 70000

/* The number of items or heads. */
static uint32_t many(void)
{
    if (!harness_small_tiles() || harness_takes_all())
        return MOST;
    for (int i = 0; i < 3; i++)
        h.context->caps.max_workgroup_count[i] = PART_GROUPS;
    harness_small_workgroups();
    return PART_GROUPS + 200;
}

/* ---- attention, dynamic masks, gradients ------------------------------------------------------------------------- */

static void check_forward(const char *name, const problem *p, const device_problem *dp)
{
    const dmattn_attention_desc *d = &p->desc;
    const reference_inputs in = problem_inputs(p);
    const uint64_t rows = (uint64_t)d->batch * d->queries * d->heads, count = rows * d->value_dim;
    float *out = malloc(count * sizeof *out), *lse = malloc(rows * sizeof *lse);
    double *want = malloc(count * sizeof *want), *want_lse = malloc(rows * sizeof *want_lse);
    ASSERT_OK(reference_attention(d, &in, want, want_lse));
    low_precision_attention(d, &in, out, lse);
    const errors low = compare_results(d, out, lse, want, want_lse);
    const tolerances allowed = derive_tolerances(d, &low);
    ASSERT_OK(device_problem_download(dp, out, lse));
    const errors got = compare_results(d, out, lse, want, want_lse);
    cr_expect(!got.out_mismatch && got.out <= allowed.out, "%s: out is off by %g at %llu", name, got.out,
              (unsigned long long)got.out_at);
    cr_expect(!got.lse_mismatch && got.lse <= allowed.lse, "%s: lse is off by %g at %llu", name, got.lse,
              (unsigned long long)got.lse_at);
    free(out);
    free(lse);
    free(want);
    free(want_lse);
}

/* Runs forward, then backward with all gradients. A CPU needs minutes for backward, so it runs there only if
 * DMATTN_TEST_CASES selects it. */
static void run(const char *name, problem *p)
{
    attention_tile tile;
    device_problem dp;
    problem_randomize(p, 1);
    p->least_tiles = harness_small_tiles();
    p->tile = harness_tile(&p->desc, &tile);
    cr_assert_eq(device_problem_create(p, h.device, &dp), DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    ASSERT_OK(device_problem_run(&dp));
    if (p->dma)
        ASSERT_OK(device_problem_download_mask(&dp, p));
    check_forward(name, p, &dp);
    if (harness_takes(name, !harness_small_tiles())) {
        gradients want = backward_expect(p);
        backward_check(name, &dp, &want);
        gradients_destroy(&want);
    }
    device_problem_destroy(&dp);
    problem_destroy(p);
}

static void run_attention(const char *name, const dmattn_attention_desc *desc)
{
    problem p;
    ASSERT_OK(problem_create(desc, NULL, &p));
    ASSERT_OK(problem_add_backward(&p, NULL, NULL));
    run(name, &p);
}

DEVICE_TEST(batches, dense)
{
    const uint32_t batch = many();
    const dmattn_attention_desc desc = {.batch = batch,
                                        .queries = 2,
                                        .keys = 3,
                                        .heads = 1,
                                        .head_dim = 8,
                                        .level = DMATTN_LEVEL_PORTABLE,
                                        .mask = DMATTN_MASK_DENSE,
                                        .mask_shape = {.batch = batch, .queries = 2},
                                        .bias = true,
                                        .bias_shape = {.batch = batch, .queries = 2}};
    run_attention("items with a dense mask", &desc);
}

/* Many heads and kv heads in one batch item. Tile lists take a CPU half a minute, and test dma makes some, too. */
DEVICE_TEST(batches, heads)
{
    const uint32_t heads = many();
    dmattn_attention_desc desc = {.batch = 1,
                                  .queries = 2,
                                  .keys = 3,
                                  .heads = heads,
                                  .head_dim = 8,
                                  .level = DMATTN_LEVEL_PORTABLE,
                                  .mask = DMATTN_MASK_DENSE,
                                  .mask_shape = {.heads = heads, .queries = 2},
                                  .bias = true,
                                  .bias_shape = {.heads = heads}};
    run_attention("heads with a dense mask", &desc);
    desc.mask = DMATTN_MASK_INTERVALS;
    desc.mask_shape = (dmattn_score_shape){.heads = heads};
    if (harness_takes("heads with intervals", !harness_small_tiles()))
        run_attention("heads with intervals", &desc);
}

/* Runs with one head per batch item, then with two. Sorting takes minutes on a CPU, because each plane is padded to
 * 1024 keys. So it runs there only if DMATTN_TEST_CASES selects it. */
static void run_dma(const char *name, const dmattn_selection *selection, bool chosen)
{
    const uint32_t batch = many();
    const problem_backward all = {.gradients = DMATTN_GRADIENT_Q | DMATTN_GRADIENT_K | DMATTN_GRADIENT_V
                                               | DMATTN_GRADIENT_IMPORTANCE | DMATTN_GRADIENT_DT_WEIGHT
                                               | DMATTN_GRADIENT_A};
    if (!harness_takes(name, chosen))
        return;
    const uint32_t most_heads = harness_small_tiles() && !harness_takes_all() ? 1 : 2;
    for (uint32_t heads = 1; heads <= most_heads; heads++) {
        const dmattn_dma_desc desc = {.attention = {.batch = batch / heads,
                                                    .queries = 3,
                                                    .keys = 3,
                                                    .heads = heads,
                                                    .head_dim = 8,
                                                    .lse = true,
                                                    .level = DMATTN_LEVEL_PORTABLE},
                                      .selection = *selection};
        problem p;
        ASSERT_OK(problem_create_dma(&desc, NULL, &p));
        ASSERT_OK(problem_add_backward(&p, &all, NULL));
        run(name, &p);
    }
}

DEVICE_TEST(batches, dma)
{
    const dmattn_selection sliding = {.sliding = 2, .causal = true};
    const dmattn_selection topw = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 2, .causal = true};
    run_dma("a sliding window", &sliding, true);
    run_dma("the most important keys", &topw, !harness_small_tiles());
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

#define DIM   8
#define STEPS 2

typedef float row[DIM];

/* The inputs of all sequences in a step. */
typedef struct step {
    row q[MOST], k[MOST], v[MOST];
    float importance[MOST];
} step;

static step *make_step(uint64_t seed)
{
    step *s = malloc(sizeof *s);
    float *values = (float *)s;
    for (size_t i = 0; i < sizeof *s / sizeof *values; i++)
        values[i] = (float)random_uniform(&seed) - 0.5f;
    return s;
}

/* The output of a sequence's last query, which sees all of its tokens, with their importance as bias. */
static void attend(step *const steps[], uint32_t count, uint32_t sequence, double out[DIM])
{
    double weight[STEPS], sum = 0;
    for (uint32_t j = 0; j < count; j++) {
        weight[j] = steps[j]->importance[sequence];
        for (int i = 0; i < DIM; i++)
            weight[j] += (double)steps[count - 1]->q[sequence][i] * steps[j]->k[sequence][i] / sqrt(DIM);
        sum += weight[j] = exp(weight[j]);
    }
    for (int i = 0; i < DIM; i++) {
        out[i] = 0;
        for (uint32_t j = 0; j < count; j++)
            out[i] += weight[j] / sum * steps[j]->v[sequence][i];
    }
}

static dmattn_buffer make_buffer(uint64_t bytes, const void *data)
{
    dmattn_buffer buffer;
    unsigned char *zeros = calloc(bytes, 1);
    ASSERT_OK(dmattn_buffer_create(h.device, bytes, &buffer));
    ASSERT_OK(dmattn_upload(h.device, &buffer, 0, data ? data : zeros, bytes));
    free(zeros);
    return buffer;
}

/* On a CPU, a workgroup is a subgroup. */
static dmattn_plan *plan_decode(const dmattn_decode_desc *desc)
{
    dmattn_plan *plan;
    dmattn_decode_desc resolved;
    decode_tile tile;
    char why[224];
    ASSERT_OK(dmattn_decode_desc_resolve(desc, &resolved, &h.context->messenger));
    cr_assert(dmattn_decode_tile_choose(&h.context->caps, &resolved, DMATTN_LEVEL_PORTABLE, &tile, why, sizeof why));
    if (harness_small_tiles() && !harness_takes_all()) {
        tile.workgroup = tile.subgroup_size;
        tile.loads_ahead = 1;
    }
    ASSERT_OK(dmattn_decode_plan_tiles(h.context, desc, &(decode_tiles){.step = &tile}, &plan));
    return plan;
}

static void run_decode(const char *name, const dmattn_decode_desc *desc)
{
    const uint32_t batch = desc->attention.batch;
    dmattn_plan *plan;
    dmattn_plan_info info;
    dmattn_cache_layout layout;
    step *steps[STEPS];
    row *out = malloc(batch * sizeof *out);
    int32_t *table = malloc(batch * sizeof *table);
    for (uint32_t i = 0; i < batch; i++)
        table[i] = (int32_t)(batch - 1 - i);
    plan = plan_decode(desc);
    ASSERT_OK(dmattn_decode_get_layout(plan, &layout));
    dmattn_plan_get_info(plan, &info);
    const dmattn_buffer inputs = make_buffer(sizeof(step), NULL);
#define INPUT(member) {inputs.buffer, inputs.offset + offsetof(step, member), sizeof(((step *)0)->member)}
    dmattn_decode_args args = {.q = INPUT(q),
                               .k = INPUT(k),
                               .v = INPUT(v),
                               .importance = INPUT(importance),
                               .out = make_buffer(batch * sizeof *out, NULL),
                               .state = make_buffer(layout.state_size, NULL),
                               .workspace = make_buffer(info.workspace_size, NULL)};
    if (desc->cache == DMATTN_CACHE_PAGED) {
        args.pages = make_buffer(layout.pages_size, NULL);
        args.table = make_buffer(batch * sizeof *table, table);
    }
    for (uint32_t n = 0; n < STEPS; n++) {
        VkCommandBuffer commands;
        steps[n] = make_step(n);
        ASSERT_OK(dmattn_upload(h.device, &inputs, 0, steps[n], sizeof(step)));
        ASSERT_OK(dmattn_commands_begin(h.device, &commands));
        ASSERT_OK(dmattn_decode_record(plan, commands, &args));
        ASSERT_OK(dmattn_commands_submit(h.device));
        ASSERT_OK(dmattn_download(h.device, &args.out, 0, out, batch * sizeof *out));
        for (uint32_t b = 0; b < batch; b++) {
            double want[DIM];
            attend(steps, n + 1, b, want);
            /* Weights sum up to 1, their relative errors are a few of 2^-24, and |v| is at most 1/2. */
            for (int i = 0; i < DIM; i++)
                cr_assert(fabs(out[b][i] - want[i]) <= 16 * 0x1p-24, "%s, step %u: out[%u, %d] is %.9g instead of %.9g",
                          name, n, b, i, (double)out[b][i], want[i]);
        }
    }
    dmattn_plan_destroy(plan);
    for (uint32_t n = 0; n < STEPS; n++)
        free(steps[n]);
    free(out);
    free(table);
}

DEVICE_TEST(batches, decode)
{
    const uint32_t batch = many();
    dmattn_decode_desc desc = {
        .attention = {.batch = batch, .queries = 1, .heads = 1, .head_dim = DIM, .level = DMATTN_LEVEL_PORTABLE},
        .importance_given = true,
        .selection = {.select = DMATTN_SELECT_TOPW_CAUSAL, .window = STEPS, .causal = true}};
    run_decode("bounded cache", &desc);
    desc.selection = (dmattn_selection){.causal = true};
    desc.cache = DMATTN_CACHE_PAGED;
    desc.page_size = desc.max_keys = 16;
    desc.pages = batch;
    if (harness_takes("paged cache", !harness_small_tiles()))
        run_decode("paged cache", &desc);
}
