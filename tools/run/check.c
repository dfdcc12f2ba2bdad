/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "complain.h"
#include "low_precision.h"
#include "options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tolerances ---------------------------------------------------------------------------------------------- */

/* The largest difference that each result may have; for the importance, relative to the right value. */
typedef struct tolerance_list {
    double allowed[TENSOR_COUNT];
} tolerance_list;

/* The same problem twice: in double, and as the simplest kernel computes it. For dynamic mask attention each has an
 * importance of its own; the intervals are those of the first. */
typedef struct two_problems {
    problem exact, low;
    void *owned[4];
} two_problems;

static dmattn_status make_masks(two_problems *two, double *allowed)
{
    static const tensor_id products[] = {TENSOR_IMPORTANCE, TENSOR_BEGIN, TENSOR_END};
    problem *exact = &two->exact, *low = &two->low;
    for (int i = 0; i < 3; i++)
        if (!(exact->tensor[products[i]] = two->owned[i] = malloc(problem_bytes(exact, products[i]))))
            return DMATTN_ERROR_OUT_OF_MEMORY;
    TRY(problem_make_mask(exact));
    *low = *exact;
    float *importance = two->owned[3] = malloc(problem_bytes(exact, TENSOR_IMPORTANCE));
    if (!importance)
        return DMATTN_ERROR_OUT_OF_MEMORY;
    low->tensor[TENSOR_IMPORTANCE] = importance;
    *allowed = low_precision_importance(low, importance);
    return DMATTN_SUCCESS;
}

static dmattn_status make_problems(const problem *p, two_problems *two, double *allowed)
{
    *two = (two_problems){.exact = *p, .low = *p};
    if (!p->dma)
        return DMATTN_SUCCESS;
    if (p->backward.gradients) /* low_precision_backward() needs it */
        two->exact.backward.gradients |= DMATTN_GRADIENT_IMPORTANCE;
    return make_masks(two, allowed);
}

static void free_problems(two_problems *two)
{
    for (int i = 0; i < 4; i++)
        free(two->owned[i]);
}

static dmattn_status allow_forward(const two_problems *two, const case_results *r, tolerance_list *list)
{
    const dmattn_attention_desc *d = &two->exact.desc;
    const reference_inputs exact_in = problem_inputs(&two->exact), low_in = problem_inputs(&two->low);
    double *out = malloc(r->out_count * sizeof *out), *lse = malloc(r->lse_count * sizeof *lse);
    float *low_out = malloc(r->out_count * sizeof *low_out), *low_lse = malloc(r->lse_count * sizeof *low_lse);
    dmattn_status status =
        out && lse && low_out && low_lse ? reference_attention(d, &exact_in, out, lse) : DMATTN_ERROR_OUT_OF_MEMORY;
    if (!status) {
        low_precision_attention(d, &low_in, low_out, low_lse);
        const errors low = compare_results(d, low_out, low_lse, out, lse);
        const tolerances allowed = derive_tolerances(d, &low);
        list->allowed[TENSOR_OUT] = allowed.out;
        list->allowed[TENSOR_LSE] = allowed.lse;
    }
    free(out);
    free(lse);
    free(low_out);
    free(low_lse);
    return status;
}

/* The largest error of each gradient, without elements that are NaN or infinite. */
static gradient_errors finite_errors(const problem *p, const gradients *got, const gradients *want)
{
    gradient_errors e = {0};
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++)
        for (uint64_t i = 0; i < gradient_count(p, (tensor_id)t); i++) {
            const double error = fabs((double)got->tensor[t][i] - want->tensor[t][i]);
            if (isfinite(error))
                e.error[t] = fmax(e.error[t], error);
        }
    return e;
}

/* So that one element beyond f32 does not allow any error in the others. */
static void clear_not_finite(const problem *p, gradients *g)
{
    for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++)
        for (uint64_t i = 0; i < gradient_count(p, (tensor_id)t); i++)
            g->tensor[t][i] = isfinite(g->tensor[t][i]) ? g->tensor[t][i] : 0;
}

static dmattn_status allow_gradients(const two_problems *two, const case_results *r, tolerance_list *list)
{
    const problem *p = &two->exact;
    gradients want = {0}, low = {0}, size = {0};
    dmattn_status status = gradients_create(p, &want);
    if (!status)
        status = gradients_create(p, &low);
    if (!status)
        status = gradients_create(p, &size);
    if (!status)
        status = gradients_on_cpu(p, &want);
    if (!status) {
        low_precision_backward(&two->low, r->out, &low, &size);
        const gradient_errors found = finite_errors(p, &low, &want);
        clear_not_finite(p, &want);
        for (int t = TENSOR_DQ; t < TENSOR_COUNT; t++)
            list->allowed[t] = gradient_tolerance(p, &found, &want, &size, (tensor_id)t);
    }
    gradients_destroy(&want);
    gradients_destroy(&low);
    gradients_destroy(&size);
    return status;
}

static dmattn_status allow(const problem *p, const case_results *r, tolerance_list *list)
{
    two_problems two;
    *list = (tolerance_list){0};
    dmattn_status status = make_problems(p, &two, &list->allowed[TENSOR_IMPORTANCE]);
    if (!status)
        status = allow_forward(&two, r, list);
    if (!status && p->backward.gradients)
        status = allow_gradients(&two, r, list);
    free_problems(&two);
    return status;
}

/* ---- comparison ---------------------------------------------------------------------------------------------- */

static double element(const safetensors_tensor *t, uint64_t i)
{
    return t->type == SAFETENSORS_I32 ? ((const int32_t *)t->data)[i] : (double)((const float *)t->data)[i];
}

/* The difference of two elements; 0 if both are NaN, infinite if only one of them is NaN or infinite. */
static double difference(double got, double want, bool relative)
{
    if (got == want || (isnan(got) && isnan(want)))
        return 0;
    const double error = fabs(got - want) / (relative ? fabs(want) : 1);
    return isfinite(error) ? error : (double)INFINITY;
}

static void print_index(const safetensors_tensor *t, uint64_t at)
{
    uint64_t below = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        below *= t->shape[i];
    for (uint32_t i = 0; i < t->rank; i++) {
        below /= t->shape[i];
        printf("%s%llu", i ? ", " : "[", (unsigned long long)(at / below % t->shape[i]));
    }
    fputs("]", stdout);
}

bool check_tensor(const safetensors_tensor *got, const safetensors_tensor *want, double allowed, bool relative)
{
    uint64_t count = 1, at = 0;
    double worst = 0;
    for (uint32_t i = 0; i < got->rank; i++)
        count *= got->shape[i];
    for (uint64_t i = 0; i < count; i++) {
        const double error = difference(element(got, i), element(want, i), relative);
        if (error > worst) {
            worst = error;
            at = i;
        }
    }
    const bool ok = worst <= allowed;
    printf("%s: %s, error %.3g, allowed %.3g", got->name, ok ? "ok" : "wrong", worst, allowed);
    if (!ok) {
        fputs(", at ", stdout);
        print_index(got, at);
        printf(": %.9g instead of %.9g", element(got, at), element(want, at));
    }
    puts("");
    return ok;
}

static bool same_shape(const safetensors_tensor *a, const safetensors_tensor *b)
{
    return a->type == b->type && a->rank == b->rank && !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

int check_is_possible(const result_tensors *results, const safetensors_file *file, const char *path)
{
    size_t found = 0;
    for (size_t i = 0; i < results->count; i++) {
        const safetensors_tensor *want = safetensors_find(file, results->tensors[i].name);
        found += want != NULL;
        if (want && !same_shape(&results->tensors[i], want))
            return complain(RUN_BAD_INPUT, "%s: %s must be %s and have the shape that docs/cases.md describes", path,
                            want->name, safetensors_type_name(results->tensors[i].type));
    }
    return found ? RUN_DONE : complain(RUN_BAD_INPUT, "%s has no results to check", path);
}

int check_results(const problem *p, const case_results *r, const result_tensors *got, const safetensors_file *file)
{
    size_t wrong = 0;
    tolerance_list list;
    const dmattn_status status = allow(p, r, &list);
    if (status)
        return complain(RUN_FAILED, "cannot check on the CPU: %s", dmattn_status_string(status));
    for (size_t i = 0; i < got->count; i++) {
        const safetensors_tensor *of = &got->tensors[i], *want = safetensors_find(file, of->name);
        if (want && !isfinite(list.allowed[got->id[i]]))
            printf("%s: not checked, because terms of it are beyond f32\n", of->name);
        else if (want)
            wrong += !check_tensor(of, want, list.allowed[got->id[i]], got->id[i] == TENSOR_IMPORTANCE);
        else
            printf("%s: not in the file\n", of->name);
    }
    return wrong ? RUN_WRONG : RUN_DONE;
}
