/* SPDX-License-Identifier: MIT */
#include "gradient_run.h"

#include "device_tensor.h"
#include "low_precision.h"
#include "reference/element.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool backward_has_kernels(const dmattn_attention_desc *desc, dmattn_level level)
{
    dmattn_attention_backward_desc b = {.attention = *desc};
    if (level == DMATTN_LEVEL_PORTABLE || (desc->head_dim <= BAND && desc->value_dim <= BAND))
        return true;
    b.attention.level = level;
    dmattn_support support;
    cr_expect_eq(dmattn_attention_backward_check(h.context, &b, &support), DMATTN_ERROR_UNSUPPORTED);
    cr_expect(strstr(support.message, "no tiles for gradients of head_dim"), "%s", support.message);
    return false;
}

/* ---- forward ------------------------------------------------------------------------------------------------- */

/* Out as the kernels store it, and NaN between its rows. */
static void *store_out(const problem *p, const double *out)
{
    const tensor_box box = problem_box(p, TENSOR_OUT);
    void *stored = malloc(problem_bytes(p, TENSOR_OUT));
    memset(stored, 0xff, problem_bytes(p, TENSOR_OUT));
    for (uint64_t row = 0; row < tensor_box_rows(&box); row++)
        for (uint32_t i = 0; i < box.row; i++)
            element_store(p->desc.type, stored, tensor_box_at(&box, row) + i, out[row * box.row + i]);
    return stored;
}

static device_problem forward_by_reference(problem *p)
{
    const dmattn_attention_desc *d = &p->desc;
    const uint64_t rows = (uint64_t)d->batch * d->queries * d->heads;
    double *out = malloc(rows * d->value_dim * sizeof *out), *exact_lse = malloc(rows * sizeof *exact_lse);
    float *lse = malloc(rows * sizeof *lse);
    device_problem dp = {.device = h.device, .problem = p};
    if (p->dma)
        ASSERT_OK(problem_make_mask(p));
    const reference_inputs in = problem_inputs(p);
    ASSERT_OK(reference_attention(d, &in, out, exact_lse));
    for (uint64_t i = 0; i < rows; i++)
        lse[i] = (float)exact_lse[i];
    void *stored = store_out(p, out);
    for (int i = 0; i < TENSOR_COUNT; i++) {
        const tensor_id t = (tensor_id)i;
        dmattn_buffer *buffer = (dmattn_buffer *)device_problem_buffer(&dp, t);
        const void *data = t == TENSOR_OUT ? stored : t == TENSOR_LSE ? lse : p->tensor[t];
        if (buffer && problem_bytes(p, t))
            ASSERT_OK(device_tensor_create(h.device, problem_bytes(p, t), data, buffer));
    }
    free(stored);
    free(lse);
    free(exact_lse);
    free(out);
    return dp;
}

device_problem backward_forward(const char *name, problem *p, bool large_scores)
{
    device_problem dp;
    attention_tile tile;
    problem forward = *p;
    if (harness_small_tiles() && !harness_takes_all() && !large_scores)
        return forward_by_reference(p);
    if (harness_small_tiles())
        forward.desc.level = forward.dma_desc.attention.level = DMATTN_LEVEL_PORTABLE;
    forward.tile = harness_tile(&forward.desc, &tile);
    const dmattn_status status = device_problem_create(&forward, h.device, &dp);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    ASSERT_OK(device_problem_run(&dp));
    dp.problem = p;
    if (p->dma)
        ASSERT_OK(device_problem_download_mask(&dp, p));
    return dp;
}

/* ---- what is right ------------------------------------------------------------------------------------------- */

gradients backward_expect(const problem *p)
{
    gradients want;
    ASSERT_OK(gradients_create(p, &want));
    ASSERT_OK(gradients_on_cpu(p, &want));
    return want;
}

/* The right gradients, their size if no terms cancelled, and the tolerance for a kernel. */
typedef struct expectation {
    const gradients *want;
    gradients size;
    double tolerance[TENSOR_COUNT];
} expectation;

static expectation derive(const char *name, const device_problem *forward, const gradients *want)
{
    const problem *p = forward->problem;
    const dmattn_attention_desc *d = &p->desc;
    expectation e = {.want = want};
    gradients low;
    float *out = malloc((uint64_t)d->batch * d->queries * d->heads * d->value_dim * sizeof *out);
    ASSERT_OK(gradients_create(p, &low));
    ASSERT_OK(gradients_create(p, &e.size));
    ASSERT_OK(device_problem_download(forward, out, NULL));
    low_precision_backward(p, out, &low, &e.size);
    const gradient_errors low_errors = compare_gradients(p, &low, want, &e.size);
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++) {
        cr_expect(!low_errors.mismatch[t], "%s, %s: the low-precision evaluation computes something else", name,
                  dmattn_tensor_name((tensor_id)t));
        e.tolerance[t] = gradient_tolerance(p, &low_errors, want, &e.size, (tensor_id)t);
    }
    gradients_destroy(&low);
    free(out);
    return e;
}

/* Writes a name such as "dq[0, 3, 1, 7]", from the tensor's extents. */
static void describe(const problem *p, tensor_id t, uint64_t at, char *text, size_t size)
{
    const tensor_box box = problem_box(p, t);
    const uint64_t row = at / box.row;
    snprintf(text, size, "%s[%llu, %llu, %llu, %llu]", dmattn_tensor_name(t),
             (unsigned long long)(row / box.extent[2] / box.extent[1]),
             (unsigned long long)(row / box.extent[2] % box.extent[1]), (unsigned long long)(row % box.extent[2]),
             (unsigned long long)(at % box.row));
}

static void compare(const char *name, const problem *p, const gradients *got, const expectation *e)
{
    const gradient_errors found = compare_gradients(p, got, e->want, &e->size);
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++) {
        const uint64_t at = found.at[t];
        char where[96];
        if (!got->tensor[t])
            continue;
        describe(p, (tensor_id)t, at, where, sizeof where);
        cr_expect(!found.mismatch[t] && found.error[t] <= e->tolerance[t],
                  "%s: %s is %.9g instead of %.9g%s; error %.3g, allowed %.3g", name, where, got->tensor[t][at],
                  e->want->tensor[t][at], e->size.tensor[t][at] == 0 ? ", although no query sees it" : "",
                  found.error[t], e->tolerance[t]);
    }
}

/* ---- guards -------------------------------------------------------------------------------------------------- */

#define GUARD 256 /* bytes before and after a tensor */

/* The gradients, dout and the workspace, each in the middle of a larger buffer that holds NaN. */
typedef struct guarded_gradients {
    device_gradients dg;
    dmattn_buffer whole[TENSOR_COUNT + 1]; /* the last: the workspace */
} guarded_gradients;

static dmattn_buffer *place_of(guarded_gradients *g, int tensor)
{
    if (tensor < TENSOR_COUNT)
        return device_gradients_buffer(&g->dg, (tensor_id)tensor);
    return g->dg.forward->problem->dma ? &g->dg.dma_args.workspace : &g->dg.args.workspace;
}

/* Fills the whole buffer with NaN, and puts `data` in the tensor's place. */
static void fill(guarded_gradients *g, int tensor, const void *data)
{
    const dmattn_buffer *whole = &g->whole[tensor], *place = place_of(g, tensor);
    unsigned char *image = malloc(whole->size);
    memset(image, 0xff, whole->size);
    if (data)
        memcpy(image + place->offset, data, place->size);
    ASSERT_OK(dmattn_upload(h.device, whole, 0, image, whole->size));
    free(image);
}

static void guard(guarded_gradients *g)
{
    const problem *p = g->dg.forward->problem;
    dmattn_plan_info info;
    dmattn_plan_get_info(g->dg.plan, &info);
    for (int t = TENSOR_DOUT; t <= TENSOR_COUNT; t++) {
        dmattn_buffer *place = place_of(g, t);
        if (!place || !place->buffer)
            continue;
        const uint64_t bytes = t < TENSOR_COUNT ? problem_bytes(p, (tensor_id)t) : info.workspace_size;
        const uint64_t offset =
            GUARD
            + (t == TENSOR_COUNT                      ? info.workspace_alignment
               : t < TENSOR_DBIAS && t != TENSOR_DLSE ? info.data_alignment
                                                      : sizeof(float)); /* the smallest valid alignment */
        dmattn_buffer_destroy(h.device, place);
        ASSERT_OK(dmattn_buffer_create(h.device, offset + bytes + GUARD, &g->whole[t]));
        *place = (dmattn_buffer){g->whole[t].buffer, offset, bytes};
        fill(g, t, t < TENSOR_DQ ? p->tensor[t] : NULL);
    }
}

/* Downloads the whole buffer of a tensor; NULL if there is none. */
static unsigned char *fetch(const guarded_gradients *g, int tensor)
{
    const dmattn_buffer *whole = &g->whole[tensor];
    unsigned char *bytes = whole->buffer ? malloc(whole->size) : NULL;
    if (bytes)
        ASSERT_OK(dmattn_download(h.device, whole, 0, bytes, whole->size));
    return bytes;
}

/* Overwrites the tensor's elements with NaN. Then the whole buffer must be NaN. */
static void expect_intact(const char *name, guarded_gradients *g, int tensor, unsigned char *bytes)
{
    const problem *p = g->dg.forward->problem;
    const dmattn_buffer *place = place_of(g, tensor);
    if (tensor == TENSOR_COUNT)
        memset(bytes + place->offset, 0xff, place->size);
    else {
        const tensor_box box = problem_box(p, (tensor_id)tensor);
        const uint64_t size = dmattn_type_size(problem_type(p, (tensor_id)tensor));
        for (uint64_t row = 0; row < tensor_box_rows(&box); row++)
            memset(bytes + place->offset + size * tensor_box_at(&box, row), 0xff, size * box.row);
    }
    uint64_t at = 0;
    while (at < g->whole[tensor].size && bytes[at] == 0xff)
        at++;
    cr_expect_eq(at, g->whole[tensor].size, "%s: byte %lld of %s was written, but it has only %llu bytes", name,
                 (long long)at - (long long)place->offset,
                 tensor < TENSOR_COUNT ? dmattn_tensor_name((tensor_id)tensor) : "the workspace",
                 (unsigned long long)place->size);
}

/* ---- runs ---------------------------------------------------------------------------------------------------- */

void backward_check(const char *name, const device_problem *forward, const gradients *want)
{
    const problem *p = forward->problem;
    guarded_gradients g = {0};
    gradients got;
    const dmattn_status status = device_gradients_create(forward, &g.dg);
    cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", name, h.sentence);
    dmattn_plan_info info;
    dmattn_plan_get_info(g.dg.plan, &info);
    cr_expect_eq(info.level, p->desc.level, "%s: it runs at the wrong level %s", name, dmattn_level_string(info.level));
    guard(&g);
    ASSERT_OK(gradients_create(p, &got));
    ASSERT_OK(device_gradients_run(&g.dg));
    ASSERT_OK(device_gradients_download(&g.dg, &got));
    expectation e = derive(name, forward, want);
    compare(name, p, &got, &e);
    gradients_destroy(&e.size);

    unsigned char *first[TENSOR_COUNT + 1] = {NULL};
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++)
        if ((first[t] = fetch(&g, t)))
            fill(&g, t, NULL);
    ASSERT_OK(device_gradients_run(&g.dg)); /* the workspace still holds the data of the first run */
    for (int t = TENSOR_DQ; t <= TENSOR_COUNT; t++) {
        unsigned char *second = fetch(&g, t);
        if (first[t])
            cr_expect_eq(memcmp(first[t], second, g.whole[t].size), 0, "%s: a second run gives different bits in %s",
                         name, dmattn_tensor_name((tensor_id)t));
        if (second)
            expect_intact(name, &g, t, second);
        free(first[t]);
        free(second);
    }
    gradients_destroy(&got);
    device_gradients_destroy(&g.dg);
}

void backward_check_subsets(const char *name, const device_problem *forward, const gradients *want, uint32_t single)
{
    const uint32_t all = forward->problem->backward.gradients;
    expectation e = derive(name, forward, want);
    for (uint32_t subset = (all - 1) & all; subset; subset = (subset - 1) & all) {
        problem p = *forward->problem;
        device_problem of_subset = *forward;
        device_gradients dg;
        gradients got;
        char of_name[160];
        snprintf(of_name, sizeof of_name, "%s, gradients %#x of %#x", name, subset, all);
        if (!harness_takes(of_name, !(subset & (subset - 1)) && subset & single))
            continue;
        p.backward.gradients = subset;
        of_subset.problem = &p;
        ASSERT_OK(gradients_create(&p, &got));
        const dmattn_status status = device_gradients_create(&of_subset, &dg);
        cr_assert_eq(status, DMATTN_SUCCESS, "%s: %s", of_name, h.sentence);
        ASSERT_OK(device_gradients_run(&dg));
        ASSERT_OK(device_gradients_download(&dg, &got));
        compare(of_name, &p, &got, &e);
        device_gradients_destroy(&dg);
        gradients_destroy(&got);
    }
    gradients_destroy(&e.size);
}
