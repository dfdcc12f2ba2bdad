/* SPDX-License-Identifier: MIT
 * The gradients of attention against the reference: the cases of the forward kernels, at every level of the device. */
#include "attention/attention_cases.h"
#include "gradient_run.h"
#include "reference/element.h"
#include "support/few_registers.h"
#include "support/poison.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- one case ------------------------------------------------------------------------------------------------ */

/* The strides of an input's gradient: those of the input, or contiguous if elements would overlap. */
static dmattn_strides apart(const dmattn_strides *s, uint32_t batch, uint32_t sequence, uint32_t heads)
{
    const bool shared = (batch > 1 && !s->batch) || (sequence > 1 && !s->sequence) || (heads > 1 && !s->head);
    return shared ? (dmattn_strides){0} : *s;
}

static problem make(const char *name, const attention_case *c, dmattn_type type)
{
    attention_case of_type = *c;
    problem p;
    const messenger m = {harness_message, &h};
    of_type.desc.type = type;
    dmattn_status status = problem_create(&of_type.desc, &m, &p);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    const dmattn_attention_desc *d = &p.desc;
    const problem_backward wanted = {.dlse = d->sink || d->soft_cap > 0,
                                     .dout_strides = d->out_strides,
                                     .dq_strides = apart(&d->q_strides, d->batch, d->queries, d->heads),
                                     .dk_strides = apart(&d->k_strides, d->batch, d->keys, d->kv_heads),
                                     .dv_strides = apart(&d->v_strides, d->batch, d->keys, d->kv_heads)};
    status = problem_add_backward(&p, &wanted, &m);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    case_fill_inputs(&of_type, &p);
    poison_hidden_keys(&p, TENSOR_K, false);
    poison_hidden_keys(&p, TENSOR_V, false);
    return p;
}

/* Runs a case in type `type` at all levels from `lowest` on. The type may differ from the case's own. */
static void run_case(const char *case_name, const attention_case *c, dmattn_type type, dmattn_level lowest)
{
    problem p = make(case_name, c, type);
    p.least_tiles = harness_small_tiles();
    gradients want = {0};
    for (dmattn_level level = lowest; level <= DMATTN_LEVEL_MATRIX2; level++) {
        if ((type == DMATTN_TYPE_F32 && level > DMATTN_LEVEL_PORTABLE) || !harness_offers_backward(level)
            || !backward_has_kernels(&p.desc, level) || !harness_takes(case_name, attention_is_chosen(c, level, true)))
            continue;
        if (!want.tensor[TENSOR_DQ])
            want = backward_expect(&p);
        char name[160];
        snprintf(name, sizeof name, "%s, %s", case_name, dmattn_level_string(level));
        p.desc.level = level;
        device_problem dp = backward_forward(name, &p, c->data == DATA_LARGE);
        backward_check(name, &dp, &want);
        device_problem_destroy(&dp);
    }
    gradients_destroy(&want);
    problem_destroy(&p);
}

static bool offers_matrices(void)
{
    return harness_offers_backward(DMATTN_LEVEL_MATRIX) || harness_offers_backward(DMATTN_LEVEL_MATRIX2);
}

/* Rows whose biases are all the lowest number are left out, because rounding loses the sum in lse. */
static void run_group(const char *group, const attention_group *g)
{
    char name[128];
    for (size_t i = 0; i < g->count; i++) {
        const attention_case *c = &g->cases[i];
        if (c->data == DATA_LOWEST_ROWS || attention_has_no_gradients(&c->desc))
            continue;
        snprintf(name, sizeof name, "%s, %s", group, c->name);
        run_case(name, c, c->desc.type, DMATTN_LEVEL_PORTABLE);
        if (c->desc.type != DMATTN_TYPE_F32 || !offers_matrices())
            continue;
        const dmattn_type type = attention_case_type(c, i, DMATTN_LEVEL_MATRIX);
        snprintf(name, sizeof name, "%s, %s in %s", group, c->name, dmattn_type_string(type));
        run_case(name, c, type, DMATTN_LEVEL_MATRIX);
    }
}

/* ---- subsets ------------------------------------------------------------------------------------------------- */

static const struct {
    attention_case c;
    uint32_t single; /* gradients that are computed alone by default */
} subsets[] = {
    {{.name = "causal f32", .desc = {F32, SIZE(2, 70, 90, 4, 2, 16, 24), CAUSAL, BIAS(F32, .heads = 4, .queries = 70)}},
     DMATTN_GRADIENT_Q | DMATTN_GRADIENT_K | DMATTN_GRADIENT_V | DMATTN_GRADIENT_BIAS},
    {{.name = "dense f16", .desc = {F16, SIZE(1, 70, 90, 4, 2, 24, 0), DENSE(.heads = 2, .queries = 70)}},
     DMATTN_GRADIENT_Q | DMATTN_GRADIENT_K},
    {{.name = "intervals bf16",
      .desc = {BF16, SIZE(2, 70, 90, 4, 2, 32, 0), CAUSAL, INTERVALS(.batch = 2, .heads = 2),
               BIAS(F32, .batch = 2, .heads = 2)}},
     DMATTN_GRADIENT_Q | DMATTN_GRADIENT_V | DMATTN_GRADIENT_BIAS},
    {{.name = "sinks f16", .desc = {F16, SIZE(2, 70, 90, 4, 2, 16, 0), CAUSAL, SINK}}, DMATTN_GRADIENT_SINK},
};

DEVICE_TEST(backward, subsets)
{
    for (size_t i = 0; i < sizeof subsets / sizeof *subsets; i++)
        for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX2; level++) {
            const attention_case *c = &subsets[i].c;
            const dmattn_type type = c->desc.type;
            if ((type == DMATTN_TYPE_F32 && level > DMATTN_LEVEL_PORTABLE) || !harness_offers_backward(level))
                continue;
            problem p = make(c->name, c, type);
            p.desc.level = level;
            p.least_tiles = harness_small_tiles();
            device_problem dp = backward_forward(c->name, &p, false);
            gradients want = backward_expect(&p);
            backward_check_subsets(c->name, &dp, &want, subsets[i].single);
            gradients_destroy(&want);
            device_problem_destroy(&dp);
            problem_destroy(&p);
        }
}

/* ---- tiles for few registers --------------------------------------------------------------------------------- */

/* One case for each such tile of keys. */
static const attention_case few_register_cases[] = {
    {.name = "narrow", .desc = {F16, SIZE(1, 70, 90, 4, 2, 24, 32), CAUSAL, BIAS(F32, .heads = 4)}},
    {.name = "usual", .desc = {F32, SIZE(1, 70, 90, 2, 1, 128, 0), DENSE(.queries = 70)}},
    {.name = "wide", .desc = {BF16, SIZE(1, 40, 66, 2, 1, 160, 24), INTERVALS(.heads = 1), BIAS(F16, .heads = 2)}},
    {.name = "nothing by pair", .desc = {F16, SIZE(1, 70, 90, 4, 2, 24, 32), CAUSAL}},
    {.name = "many queries in a lane", .desc = {F16, SIZE(1, 70, 40, 2, 1, 136, 0), CAUSAL}},
    {.name = "two passes", .desc = {F16, SIZE(1, 20, 40, 2, 1, 136, 0), INTERVALS(.heads = 1), BIAS(F32, .heads = 1)}},
};

DEVICE_TEST(backward, tiles_for_few_registers)
{
    for (size_t driver = 0; driver < FEW_REGISTER_DRIVERS; driver++)
        for (size_t i = 0; i < sizeof few_register_cases / sizeof *few_register_cases; i++) {
            const attention_case *c = &few_register_cases[i];
            char name[96];
            const bool two_passes = c->desc.head_dim == 136; /* for Intel's registers */
            snprintf(name, sizeof name, "%s, %s", c->name, few_registers[driver].name);
            if (two_passes ? driver > 0 || !harness_takes(name, true) : !few_registers_take(name, driver, i))
                continue;
            problem p = make(name, c, c->desc.type);
            p.desc.level = DMATTN_LEVEL_PORTABLE;
            device_problem dp = backward_forward(name, &p, false);
            gradients want = backward_expect(&p);
            pretend_few_registers(driver);
            backward_check(name, &dp, &want);
            gradients_destroy(&want);
            device_problem_destroy(&dp);
            problem_destroy(&p);
        }
}

/* ---- dout ---------------------------------------------------------------------------------------------------- */

/* The gradient of the sum of out is 1 everywhere: all of dout is one number. */
DEVICE_TEST(backward, repeated_dout)
{
    for (int type = DMATTN_TYPE_F32; type <= DMATTN_TYPE_BF16; type++) {
        const dmattn_attention_desc desc = {.type = (dmattn_type)type,
                                            SIZE(2, 40, 50, 4, 2, 16, 24),
                                            CAUSAL,
                                            .level = DMATTN_LEVEL_PORTABLE,
                                            .out_strides = {40 * 4 * 24, 4 * 24, 24}};
        problem p;
        ASSERT_OK(problem_create(&desc, NULL, &p));
        ASSERT_OK(problem_add_backward(&p, &(problem_backward){.dout_strides = {0, 0, 1}}, NULL));
        problem_randomize(&p, 1);
        p.least_tiles = harness_small_tiles();
        const char *name = dmattn_type_string(desc.type);
        gradients want = backward_expect(&p);
        device_problem dp = backward_forward(name, &p, false);
        backward_check(name, &dp, &want);
        device_problem_destroy(&dp);
        gradients_destroy(&want);
        problem_destroy(&p);
    }
}

/* ---- soft cap ------------------------------------------------------------------------------------------------ */

#define CAP_KEYS 4

/* The right values from test_backward_reference.c times dout, which is 2^14, so that dS is a normal number in f16. */
static const double saturated_dq[CAP_KEYS] = {0.068091256769290856, -0.0026792813729958572, 0.00015141335219212365,
                                              -3.634215108168275e-06};

static problem saturated_cap(dmattn_type type, dmattn_level level)
{
    problem p;
    const dmattn_attention_desc desc = {
        .type = type, SIZE(1, 1, CAP_KEYS, 1, 1, 16, 0), .scale = 1, .soft_cap = 2, .level = level};
    ASSERT_OK(problem_create(&desc, NULL, &p));
    ASSERT_OK(problem_add_backward(&p, NULL, NULL));
    for (uint64_t j = 0; j < CAP_KEYS; j++) {
        static const double v[CAP_KEYS] = {1, -1, 2, -2};
        element_store(type, p.tensor[TENSOR_Q], j, 1);
        element_store(type, p.tensor[TENSOR_K], 16 * j + j, 4 * ((double)j + 1));
        element_store(type, p.tensor[TENSOR_V], 16 * j, v[j]);
    }
    element_store(type, p.tensor[TENSOR_DOUT], 0, 0x1p14);
    p.least_tiles = harness_small_tiles();
    return p;
}

/* The relative error that rounding explains. x is the score divided by the cap. Vulkan allows an error of 3 + 2 (2 x
 * log2(e)) units of 2^-23 for exp2 of 2 x log2(e). This argument is rounded three times, by half a unit each. The few
 * operations of P, dP and D need 20 units. In f16, out, dS and dq are also rounded. */
static double cap_tolerance(dmattn_type type, double x)
{
    const double argument = 2 * x / log(2);
    const double f32 = 0x1p-23 * (3 + 2 * argument + 3 * argument * log(2) / 2 + 20);
    return type == DMATTN_TYPE_F32 ? f32 : f32 + 3 * 0x1p-11;
}

DEVICE_TEST(backward, saturated_cap)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX2; level++) {
        const dmattn_type type = level == DMATTN_LEVEL_PORTABLE ? DMATTN_TYPE_F32 : DMATTN_TYPE_F16;
        if (!harness_offers_backward(level))
            continue;
        problem p = saturated_cap(type, level);
        device_problem dp = backward_forward("saturated cap", &p, false);
        device_gradients dg;
        gradients got;
        ASSERT_OK(gradients_create(&p, &got));
        ASSERT_OK(device_gradients_create(&dp, &dg));
        ASSERT_OK(device_gradients_run(&dg));
        ASSERT_OK(device_gradients_download(&dg, &got));
        for (int j = 0; j < CAP_KEYS; j++) {
            const double dq = (double)got.tensor[TENSOR_DQ][j] / 0x1p14;
            cr_expect_leq(fabs(dq / saturated_dq[j] - 1), cap_tolerance(type, 2 * j + 2),
                          "%s, key %d: %.9g instead of %.9g", dmattn_level_string(level), j, dq, saturated_dq[j]);
        }
        gradients_destroy(&got);
        device_gradients_destroy(&dg);
        device_problem_destroy(&dp);
        problem_destroy(&p);
    }
}

/* ---- levels -------------------------------------------------------------------------------------------------- */

/* Matrices do not compute in f32. */
DEVICE_TEST(backward, f32_by_matrices)
{
    for (dmattn_level level = DMATTN_LEVEL_MATRIX; level <= DMATTN_LEVEL_MATRIX2; level++) {
        const dmattn_attention_backward_desc desc = {.attention = {F32, SIZE(1, 1, 1, 1, 1, 8, 0), .level = level}};
        dmattn_plan *plan;
        EXPECT_FAILURE(dmattn_attention_backward_plan(h.context, &desc, &plan), DMATTN_ERROR_UNSUPPORTED, "");
        cr_expect_null(plan);
    }
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

#define GROUP_TEST(group)                  \
    DEVICE_TEST(backward, group)           \
    {                                      \
        run_group(#group, &cases_##group); \
    }
ATTENTION_GROUPS(GROUP_TEST)
