/* SPDX-License-Identifier: MIT
 * The gradients of dynamic mask attention against the reference, at every level of the device. */
#include "gradient_run.h"
#include "mask/dma_cases.h"

#include <math.h>
#include <stdio.h>

/* Requests all gradients, also of the importance. */
static problem make(const char *name, const dmattn_dma_desc *desc)
{
    problem p;
    const messenger m = {harness_message, &h};
    dmattn_status status = problem_create_dma(desc, &m, &p);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    status = problem_add_backward(&p, NULL, &m);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    p.backward.gradients |= DMATTN_GRADIENT_IMPORTANCE;
    problem_randomize(&p, 7);
    p.least_tiles = harness_small_tiles();
    return p;
}

static void run_problem(const char *name, problem *p)
{
    device_problem dp = backward_forward(name, p, false);
    gradients want = backward_expect(p);
    backward_check(name, &dp, &want);
    gradients_destroy(&want);
    device_problem_destroy(&dp);
}

/* Runs a case at every level. At matrix levels, f32 cases run in f16, because of their selection and sizes. */
static void run_case(const dma_case *c)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX2; level++) {
        if (!harness_offers_backward(level) || !backward_has_kernels(&c->desc.attention, level)
            || !harness_takes(c->name, dma_is_chosen(c, level, true)))
            continue;
        dmattn_dma_desc desc = c->desc;
        char name[128];
        desc.attention.level = level;
        if (desc.attention.type == DMATTN_TYPE_F32 && level > DMATTN_LEVEL_PORTABLE)
            desc.attention.type = DMATTN_TYPE_F16;
        snprintf(name, sizeof name, "%s, %s at level %s", c->name, dmattn_type_string(desc.attention.type),
                 dmattn_level_string(level));
        problem p = make(name, &desc);
        run_problem(name, &p);
        problem_destroy(&p);
    }
}

#define GROUP_TEST(group)                                \
    DEVICE_TEST(dma_backward, group)                     \
    {                                                    \
        for (size_t i = 0; i < cases_##group.count; i++) \
            run_case(&cases_##group.cases[i]);           \
    }
DMA_GROUPS(GROUP_TEST)

/* ---- subsets ------------------------------------------------------------------------------------------------- */

static void check_subsets(const char *name, const dmattn_dma_desc *desc, uint32_t single)
{
    problem p = make(name, desc);
    device_problem dp = backward_forward(name, &p, false);
    gradients want = backward_expect(&p);
    backward_check_subsets(name, &dp, &want, single);
    gradients_destroy(&want);
    device_problem_destroy(&dp);
    problem_destroy(&p);
}

/* The subsets of attention's gradients are in test_backward.c. */
DEVICE_TEST(dma_backward, subsets)
{
    check_subsets("given",
                  &(dmattn_dma_desc){.attention = {F32, SIZE(2, 70, 90, 4, 2, 16, 24), .level = DMATTN_LEVEL_PORTABLE},
                                     TOPW(20),
                                     .importance_given = true},
                  DMATTN_GRADIENT_IMPORTANCE);
    check_subsets("made",
                  &(dmattn_dma_desc){.attention = {F16, SIZE(1, 50, 60, 4, 2, 16, 0), .level = DMATTN_LEVEL_PORTABLE},
                                     TOPW(20),
                                     .importance = {.dt_bias = true}},
                  DMATTN_GRADIENT_V | DMATTN_GRADIENT_DT_WEIGHT | DMATTN_GRADIENT_A | DMATTN_GRADIENT_DT_BIAS);
}

/* ---- edges --------------------------------------------------------------------------------------------------- */

/* Strides of gradients: the order [B, H, S, D], and rows that begin in the middle of words. */
DEVICE_TEST(dma_backward, strides)
{
    const dmattn_dma_desc desc = {.attention = {F16, SIZE(2, 50, 60, 4, 2, 16, 24), .level = DMATTN_LEVEL_PORTABLE},
                                  TOPW(20)};
    problem p;
    ASSERT_OK(problem_create_dma(&desc, NULL, &p));
    const problem_backward wanted = {.dout_strides = {4 * 50 * 24, 24, 50 * 24},
                                     .dq_strides = {4 * 50 * 16, 16, 50 * 16},
                                     .dk_strides = {60 * 35, 35, 17},
                                     .dv_strides = {60 * 51, 51, 25}};
    ASSERT_OK(problem_add_backward(&p, &wanted, NULL));
    p.backward.gradients |= DMATTN_GRADIENT_IMPORTANCE;
    problem_randomize(&p, 8);
    p.least_tiles = harness_small_tiles();
    run_problem("strides", &p);
    problem_destroy(&p);
}

/* If the app gives an importance of NaN or -infinity, no query sees the key, and its gradients are 0. */
DEVICE_TEST(dma_backward, nan_importance)
{
    const dmattn_dma_desc desc = {.attention = {F16, SIZE(2, 100, 100, 4, 2, 16, 0), .level = DMATTN_LEVEL_PORTABLE},
                                  TOPW(60),
                                  .importance_given = true};
    problem p = make("NaN importance", &desc);
    for (int i = 0; i < 2 * 2 * 100; i++)
        if (i % 3 == 0)
            ((float *)p.tensor[TENSOR_IMPORTANCE])[i] = i % 2 ? NAN : -INFINITY;
    run_problem("NaN importance", &p);
    problem_destroy(&p);
}

/* NaN in values gives keys no importance. They have no gradient and do not change other gradients. No query may see a
 * key with such values, so these keys come after enough other keys. */
DEVICE_TEST(dma_backward, nan_values)
{
    const dmattn_dma_desc desc = {.attention = {F32, SIZE(1, 64, 64, 2, 2, 8, 0), .level = DMATTN_LEVEL_PORTABLE},
                                  TOPW(16)};
    problem p = make("NaN values", &desc);
    for (int j = 20; j < 64; j += 7)
        ((float *)p.tensor[TENSOR_V])[16 * j + j % 8] = NAN;
    run_problem("NaN values", &p);
    problem_destroy(&p);
}
