/* SPDX-License-Identifier: MIT
 * The reference's gradients against differences of the reference's results, and rules that gradients obey. */
#include "problem.h"
#include "reference/backward.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- a problem and its gradients ----------------------------------------------------------------------------- */

/* All tensors are f32; out and dout are contiguous. */
typedef struct differentiated {
    problem p;
    uint64_t count[TENSOR_COUNT]; /* number of elements of q, k, v, bias and sink, which are contiguous, and of dout */
    float *dout, *dlse;           /* dlse only if the descriptor has lse */
    attention_gradients g;
} differentiated;

static double *doubles(uint64_t count)
{
    double *array = malloc(count * sizeof *array);
    for (uint64_t i = 0; i < count; i++)
        array[i] = NAN; /* all must be overwritten */
    return array;
}

static differentiated make(const dmattn_attention_desc *desc)
{
    differentiated x = {0};
    cr_assert_eq(problem_create(desc, NULL, &x.p), DMATTN_SUCCESS);
    problem_randomize(&x.p, 3);
    for (int t = 0; t < TENSOR_COUNT; t++)
        x.count[t] = problem_bytes(&x.p, (tensor_id)t) / sizeof(float);
    x.count[TENSOR_DOUT] = x.count[TENSOR_OUT];
    x.dout = malloc(x.count[TENSOR_DOUT] * sizeof *x.dout);
    uint64_t state = 4;
    for (uint64_t i = 0; i < x.count[TENSOR_DOUT]; i++)
        x.dout[i] = (float)random_normal(&state);
    if (desc->lse) {
        x.dlse = malloc(x.count[TENSOR_LSE] * sizeof *x.dlse);
        for (uint64_t i = 0; i < x.count[TENSOR_LSE]; i++)
            x.dlse[i] = (float)random_normal(&state);
    }
    x.g = (attention_gradients){doubles(x.count[TENSOR_Q]), doubles(x.count[TENSOR_K]), doubles(x.count[TENSOR_V]),
                                x.p.desc.bias && !desc->slopes ? doubles(x.count[TENSOR_BIAS]) : NULL,
                                desc->sink ? doubles(x.count[TENSOR_SINK]) : NULL};
    return x;
}

static void destroy(differentiated *x)
{
    free(x->dout);
    free(x->dlse);
    free(x->g.dsink);
    free(x->g.dq);
    free(x->g.dk);
    free(x->g.dv);
    free(x->g.dbias);
    problem_destroy(&x->p);
}

static void differentiate(const differentiated *x)
{
    const reference_inputs in = problem_inputs(&x->p);
    const reference_dout dout = {x->dout, x->p.desc.out_strides, x->dlse};
    cr_assert_eq(reference_attention_backward(&x->p.desc, &in, &dout, &x->g), DMATTN_SUCCESS);
}

/* ---- differences --------------------------------------------------------------------------------------------- */

/* sum(out * dout) + sum(lse * dlse). lse is behind out. A query that sees no key has no part. */
static double loss(const differentiated *x, double *out)
{
    const reference_inputs in = problem_inputs(&x->p);
    double *lse = out + x->count[TENSOR_OUT], sum = 0;
    cr_assert_eq(reference_attention(&x->p.desc, &in, out, x->dlse ? lse : NULL), DMATTN_SUCCESS);
    for (uint64_t i = 0; i < x->count[TENSOR_OUT]; i++)
        sum += out[i] * x->dout[i];
    for (uint64_t i = 0; x->dlse && i < x->count[TENSOR_LSE]; i++)
        sum += lse[i] == -INFINITY ? 0 : lse[i] * x->dlse[i];
    return sum;
}

/* The derivative of a function by one of its floats, from differences. The step is what remains after rounding to
 * f32. */
#define STEP 0x1p-10f
static double difference(double (*function)(const void *user), const void *user, float *at)
{
    const float was = *at, above = was + STEP, below = was - STEP;
    *at = above;
    const double high = function(user);
    *at = below;
    const double low = function(user);
    *at = was;
    return (high - low) / ((double)above - below);
}

/* Checks every element of a gradient. Errors are of the order of STEP squared. */
static void expect_gradient(const char *name, double (*function)(const void *user), const void *user, float *input,
                            const double *gradient, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        const double want = difference(function, user, &input[i]);
        cr_expect(fabs(gradient[i] - want) <= 1e-5 * (1 + fabs(want)),
                  "%s, element %llu: %.9g, but differences give %.9g", name, (unsigned long long)i, gradient[i], want);
    }
}

typedef struct loss_user {
    const differentiated *x;
    double *out;
} loss_user;

static double loss_of(const void *user)
{
    const loss_user *u = user;
    return loss(u->x, u->out);
}

static void check(const dmattn_attention_desc *desc)
{
    differentiated x = make(desc);
    const loss_user user = {&x, doubles(x.count[TENSOR_OUT] + x.count[TENSOR_LSE])};
    differentiate(&x);
    const struct {
        tensor_id tensor;
        const double *gradient;
    } parts[] = {
        {TENSOR_Q, x.g.dq}, {TENSOR_K, x.g.dk}, {TENSOR_V, x.g.dv}, {TENSOR_BIAS, x.g.dbias}, {TENSOR_SINK, x.g.dsink}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        expect_gradient(dmattn_tensor_name(parts[i].tensor), loss_of, &user, x.p.tensor[parts[i].tensor],
                        parts[i].gradient, parts[i].gradient ? x.count[parts[i].tensor] : 0);
    free(user.out);
    destroy(&x);
}

#define SIZES .batch = 2, .queries = 5, .keys = 7, .heads = 4, .kv_heads = 2, .head_dim = 8

Test(backward_reference, plain)
{
    check(&(dmattn_attention_desc){SIZES, .value_dim = 16});
    check(&(dmattn_attention_desc){
        .batch = 1, .queries = 3, .keys = 9, .heads = 3, .kv_heads = 1, .head_dim = 8, .scale = -0.7f});
}

Test(backward_reference, causal)
{
    check(&(dmattn_attention_desc){SIZES, .causal = true});
    check(&(dmattn_attention_desc){.batch = 1,
                                   .queries = 7,
                                   .keys = 4,
                                   .heads = 3,
                                   .kv_heads = 1,
                                   .head_dim = 16,
                                   .value_dim = 8,
                                   .causal = true});
}

Test(backward_reference, soft_cap)
{
    check(&(dmattn_attention_desc){SIZES, .soft_cap = 0.8f});
    check(&(dmattn_attention_desc){SIZES, .soft_cap = 2, .scale = 1, .causal = true, .bias = true});
}

/* One query and four keys whose scores are 2, 4, 6 and 8 times the cap, where tanh is near 1. The right values were
 * computed with 40 digits. */
Test(backward_reference, saturated_cap)
{
    const float q[8] = {1, 1, 1, 1}, dout[8] = {1};
    float k[4 * 8] = {0}, v[4 * 8] = {1, [8] = -1, [16] = 2, [24] = -2};
    static const double right[4] = {0.068091256769290856, -0.0026792813729958572, 0.00015141335219212365,
                                    -3.634215108168275e-06};
    double dq[8];
    dmattn_attention_desc d;
    const dmattn_attention_desc desc = {
        .batch = 1, .queries = 1, .keys = 4, .heads = 1, .head_dim = 8, .scale = 1, .soft_cap = 2};
    for (int j = 0; j < 4; j++)
        k[9 * j] = (float)(4 * (j + 1));
    cr_assert_eq(dmattn_attention_desc_resolve(&desc, &d, NULL), DMATTN_SUCCESS);
    cr_assert_eq(reference_attention_backward(&d, &(reference_inputs){.q = q, .k = k, .v = v},
                                              &(reference_dout){.data = dout, .strides = d.out_strides},
                                              &(attention_gradients){.dq = dq}),
                 DMATTN_SUCCESS);
    for (int j = 0; j < 4; j++)
        cr_expect_leq(fabs(dq[j] / right[j] - 1), 1e-13, "%d: %.17g instead of %.17g", j, dq[j], right[j]);
}

/* Biases with item, head and query dimensions. */
Test(backward_reference, biases)
{
    for (uint32_t batch = 1; batch <= 2; batch++)
        for (uint32_t heads = 1; heads <= 4; heads *= 2)
            for (uint32_t queries = 1; queries <= 5; queries += 4)
                check(&(dmattn_attention_desc){SIZES, .bias = true,
                                               .bias_shape = {.batch = batch, .heads = heads, .queries = queries}});
}

Test(backward_reference, masks)
{
    check(&(dmattn_attention_desc){SIZES, .mask = DMATTN_MASK_DENSE,
                                   .mask_shape = {.batch = 2, .heads = 2, .queries = 5}});
    check(&(dmattn_attention_desc){SIZES, .causal = true, .mask = DMATTN_MASK_DENSE, .mask_shape = {.heads = 4}});
    check(&(dmattn_attention_desc){SIZES, .mask = DMATTN_MASK_INTERVALS, .mask_shape = {.batch = 2, .heads = 2},
                                   .bias = true, .bias_shape = {.batch = 2, .heads = 2}});
    check(&(dmattn_attention_desc){SIZES, .causal = true, .mask = DMATTN_MASK_INTERVALS, .bias = true});
}

Test(backward_reference, slopes_and_additive_masks)
{
    check(&(dmattn_attention_desc){SIZES, .slopes = true, .sink = true});
    check(&(dmattn_attention_desc){SIZES, .slopes = true, .bias = true, .bias_shape = {.queries = 5}});
    check(&(dmattn_attention_desc){SIZES, .mask = DMATTN_MASK_ADDITIVE, .bias_shape = {.heads = 2, .queries = 5}});
}

/* With more queries than keys, some queries see no key. */
Test(backward_reference, sinks)
{
    check(&(dmattn_attention_desc){SIZES, .sink = true});
    check(&(dmattn_attention_desc){SIZES, .sink = true, .soft_cap = 1, .scale = -0.7f, .lse = true});
    check(&(dmattn_attention_desc){
        .batch = 2, .queries = 7, .keys = 4, .heads = 4, .kv_heads = 2, .head_dim = 8, .causal = true, .sink = true});
    check(&(dmattn_attention_desc){SIZES, .sink = true, .lse = true, .mask = DMATTN_MASK_DENSE,
                                   .mask_shape = {.batch = 2, .heads = 2, .queries = 5}, .bias = true,
                                   .bias_shape = {.heads = 4}});
    check(&(dmattn_attention_desc){SIZES, .sink = true, .lse = true, .causal = true, .mask = DMATTN_MASK_INTERVALS,
                                   .bias = true});
}

Test(backward_reference, gradient_of_lse)
{
    check(&(dmattn_attention_desc){SIZES, .lse = true});
    check(&(dmattn_attention_desc){SIZES, .lse = true, .causal = true, .bias = true, .soft_cap = 1});
    check(&(dmattn_attention_desc){
        .batch = 1, .queries = 7, .keys = 4, .heads = 3, .kv_heads = 1, .head_dim = 8, .causal = true, .lse = true});
}

/* ---- what must hold ------------------------------------------------------------------------------------------ */

/* If a query sees any key, its probabilities add up to 1 for all scores, so the scores' gradients add up to 0. And the
 * sum of dv over keys is the sum of dout over queries. */
Test(backward_reference, sums)
{
    const dmattn_attention_desc desc = {SIZES,
                                        .causal = true,
                                        .mask = DMATTN_MASK_DENSE,
                                        .mask_shape = {.batch = 2, .heads = 4, .queries = 5},
                                        .bias = true,
                                        .bias_shape = {.batch = 2, .heads = 4, .queries = 5}};
    differentiated x = make(&desc);
    uint8_t *mask = x.p.tensor[TENSOR_MASK];
    memset(mask, 1, 2 * 4 * 5 * 7);
    memset(mask + 7 * 3, 0, 7); /* item 0, head 0: query 3 sees no key; all others see 3 or more */
    differentiate(&x);
    const double *dbias = x.g.dbias;
    for (int row = 0; row < 2 * 4 * 5; row++, dbias += 7) {
        double sum = 0, magnitude = 0;
        for (int j = 0; j < 7; j++) {
            sum += dbias[j];
            magnitude += fabs(dbias[j]);
        }
        cr_expect_leq(fabs(sum), 1e-12, "row %d", row);
        cr_expect_eq(row == 3, magnitude == 0, "row %d", row);
    }
    for (int i = 0; i < 8; i++) {
        double shared = 0, given = 0;
        for (int j = 0; j < 7; j++)
            shared += x.g.dv[(j * 2 + 0) * 8 + i]; /* item 0, kv head 0: heads 0 and 1 */
        for (int t = 0; t < 5; t++)
            given += (t == 3 ? 0 : (double)x.dout[(t * 4 + 0) * 8 + i]) + (double)x.dout[(t * 4 + 1) * 8 + i];
        cr_expect_float_eq(shared, given, 1e-12);
        cr_expect_eq(x.g.dq[(3 * 4 + 0) * 8 + i], 0);
    }
    destroy(&x);
}

/* The gradient of a broadcast bias is the sum over its copies. A gradient does not depend on which others are
 * requested. */
Test(backward_reference, broadcast_is_a_sum)
{
    dmattn_attention_desc desc = {SIZES, .bias = true, .bias_shape = {.batch = 2, .heads = 4, .queries = 5}};
    differentiated all = make(&desc);
    memset(all.p.tensor[TENSOR_BIAS], 0, problem_bytes(&all.p, TENSOR_BIAS));
    differentiate(&all);
    desc.bias_shape = (dmattn_score_shape){.heads = 2};
    differentiated few = make(&desc);
    memset(few.p.tensor[TENSOR_BIAS], 0, problem_bytes(&few.p, TENSOR_BIAS));
    attention_gradients alone = {.dbias = few.g.dbias};
    const reference_inputs in = problem_inputs(&few.p);
    const reference_dout dout = {.data = few.dout, .strides = few.p.desc.out_strides};
    cr_assert_eq(reference_attention_backward(&few.p.desc, &in, &dout, &alone), DMATTN_SUCCESS);
    for (int kv_head = 0; kv_head < 2; kv_head++)
        for (int j = 0; j < 7; j++) {
            double sum = 0;
            for (int b = 0; b < 2; b++)
                for (int head = 2 * kv_head; head < 2 * kv_head + 2; head++)
                    for (int t = 0; t < 5; t++)
                        sum += all.g.dbias[((b * 4 + head) * 5 + t) * 7 + j];
            cr_expect_float_eq(few.g.dbias[kv_head * 7 + j], sum, 1e-12);
        }
    destroy(&all);
    destroy(&few);
}

/* Keys that no query sees, because of their bias or interval, have a gradient of 0. If because of the interval, they
 * may hold anything. */
Test(backward_reference, hidden_keys)
{
    const dmattn_attention_desc desc = {SIZES, .mask = DMATTN_MASK_INTERVALS, .bias = true};
    differentiated x = make(&desc);
    int32_t *begin = x.p.tensor[TENSOR_BEGIN], *end = x.p.tensor[TENSOR_END];
    float *bias = x.p.tensor[TENSOR_BIAS], *k = x.p.tensor[TENSOR_K], *v = x.p.tensor[TENSOR_V];
    for (int j = 0; j < 7; j++) {
        begin[j] = j == 2 ? 3 : 0;
        end[j] = j == 2 ? 3 : 5;
        bias[j] = j == 4 ? -INFINITY : j == 5 ? NAN : bias[j];
        for (int i = 0; j == 2 && i < 16; i++)
            k[j * 16 + i] = v[j * 16 + i] = k[(7 + j) * 16 + i] = v[(7 + j) * 16 + i] = NAN;
    }
    differentiate(&x);
    for (int i = 0; i < 2 * 7 * 16; i++) {
        const int j = i / 16 % 7;
        const bool hidden = j == 2 || j == 4 || j == 5;
        cr_expect(isfinite(x.g.dk[i]) && isfinite(x.g.dv[i]), "key %d", j);
        cr_expect(hidden == (x.g.dk[i] == 0 && x.g.dv[i] == 0), "key %d", j);
        cr_expect(!hidden || x.g.dbias[j] == 0, "key %d", j);
    }
    destroy(&x);
}

/* ---- importance ---------------------------------------------------------------------------------------------- */

typedef struct importance_user {
    const problem *p;
    const double *dimportance;
} importance_user;

/* sum(importance * dimportance) */
static double importance_loss(const void *user)
{
    const importance_user *u = user;
    const dmattn_mask_desc *d = &u->p->mask_desc;
    const mask_inputs in = problem_mask_inputs(u->p);
    const double *g = u->dimportance;
    double sum = 0;
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t h = 0; h < d->kv_heads; h++)
            for (uint32_t j = 0; j < d->keys; j++)
                sum += reference_importance(d, &in, b, h, j) * *g++;
    return sum;
}

static problem importance_problem(dmattn_activation activation, bool dt_bias)
{
    const dmattn_dma_desc desc = {.attention = {SIZES},
                                  .importance = {.activation = activation, .dt_bias = dt_bias},
                                  .selection = {.causal = true}};
    problem p;
    cr_assert_eq(problem_create_dma(&desc, NULL, &p), DMATTN_SUCCESS);
    problem_randomize(&p, 5);
    return p;
}

static void check_importance(dmattn_activation activation, bool dt_bias)
{
    problem p = importance_problem(activation, dt_bias);
    double dimportance[2 * 2 * 7], dv[2 * 7 * 16], ddt_weight[2 * 16], da[2], ddt_bias[2];
    uint64_t state = 6;
    for (int i = 0; i < 2 * 2 * 7; i++)
        dimportance[i] = random_normal(&state);
    for (int i = 0; i < 2 * 7 * 16; i++)
        dv[i] = 100 + i;
    const mask_inputs in = problem_mask_inputs(&p);
    reference_importance_backward(&p.mask_desc, &in, dimportance,
                                  &(importance_gradients){dv, ddt_weight, da, dt_bias ? ddt_bias : NULL});
    for (int i = 0; i < 2 * 7 * 16; i++)
        dv[i] -= 100 + i;
    const importance_user user = {&p, dimportance};
    expect_gradient("v", importance_loss, &user, p.tensor[TENSOR_V], dv, 2 * 7 * 16);
    expect_gradient("dt_weight", importance_loss, &user, p.tensor[TENSOR_DT_WEIGHT], ddt_weight, 2 * 16);
    expect_gradient("a", importance_loss, &user, p.tensor[TENSOR_A], da, 2);
    if (dt_bias)
        expect_gradient("dt_bias", importance_loss, &user, p.tensor[TENSOR_DT_BIAS], ddt_bias, 2);
    problem_destroy(&p);
}

Test(backward_reference, importance)
{
    check_importance(DMATTN_ACTIVATION_EXP_SOFTPLUS, true);
    check_importance(DMATTN_ACTIVATION_SOFTPLUS, true);
    check_importance(DMATTN_ACTIVATION_EXP_SOFTPLUS, false);
}

/* Values that are NaN give keys no importance. Such keys have no gradient. */
Test(backward_reference, no_importance)
{
    problem p = importance_problem(DMATTN_ACTIVATION_EXP_SOFTPLUS, true);
    double dimportance[2 * 2 * 7] = {0}, dv[2 * 7 * 16] = {0}, ddt_weight[2 * 16], da[2], ddt_bias[2];
    float *v = p.tensor[TENSOR_V];
    v[3 * 16] = NAN; /* item 0, key 3 */
    dimportance[3] = 1;
    const mask_inputs in = problem_mask_inputs(&p);
    reference_importance_backward(&p.mask_desc, &in, dimportance,
                                  &(importance_gradients){dv, ddt_weight, da, ddt_bias});
    for (int i = 0; i < 2 * 7 * 16; i++)
        cr_expect_eq(dv[i], 0);
    cr_expect(da[0] == 0 && ddt_bias[0] == 0 && ddt_weight[0] == 0);
    dimportance[2] = 1;
    reference_importance_backward(&p.mask_desc, &in, dimportance,
                                  &(importance_gradients){dv, ddt_weight, da, ddt_bias});
    cr_expect(da[0] != 0 && da[1] == 0 && isfinite(ddt_weight[0]) && dv[2 * 16] != 0);
    problem_destroy(&p);
}
