/* SPDX-License-Identifier: MIT
 * The stage that computes gradients through the importance, alone, against a computation in double. */
#include "low_precision.h"
#include "mask/importance_backward.h"
#include "operators/operators.h"
#include "problem.h"
#include "reference/element.h"
#include "support/harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define F32                 .type = DMATTN_TYPE_F32
#define F16                 .type = DMATTN_TYPE_F16
#define BF16                .type = DMATTN_TYPE_BF16
#define SIZE(b, sk, hk, dv) .batch = (b), .keys = (sk), .kv_heads = (hk), .value_dim = (dv)
#define IMPORTANCE(...)     .importance = {__VA_ARGS__}
#define SOFTPLUS            .activation = DMATTN_ACTIVATION_SOFTPLUS
#define PARAMETERS(of)      .parameter_type = DMATTN_TYPE_##of
#define DT_BIAS             .dt_bias = true

typedef struct backward_case {
    const char *name;
    dmattn_mask_desc desc;
    dmattn_strides dv_strides;
    uint32_t gradients;  /* 0: all */
    bool minus_infinity; /* the importance of head 0 is -infinity */
} backward_case;

static const backward_case sizes[] = {
    {.name = "one head", .desc = {F32, SIZE(1, 301, 1, 64)}},
    {.name = "one head of 8", .desc = {F16, SIZE(3, 77, 1, 8), IMPORTANCE(DT_BIAS)}},
    {.name = "one head of 256", .desc = {BF16, SIZE(1, 131, 1, 256), IMPORTANCE(DT_BIAS)}},
    {.name = "2 heads", .desc = {F16, SIZE(2, 259, 2, 64), IMPORTANCE(PARAMETERS(F16), DT_BIAS)}},
    {.name = "2 heads of 256", .desc = {F32, SIZE(2, 67, 2, 256), IMPORTANCE(SOFTPLUS)}},
    {.name = "2 heads of 24", .desc = {BF16, SIZE(1, 65, 2, 24), IMPORTANCE(PARAMETERS(BF16))}},
    {.name = "5 heads of 24", .desc = {F16, SIZE(2, 191, 5, 24), IMPORTANCE(SOFTPLUS, DT_BIAS)}},
    {.name = "5 heads of 256", .desc = {BF16, SIZE(1, 63, 5, 256)}},
    {.name = "5 heads of 8", .desc = {F32, SIZE(1, 129, 5, 8), IMPORTANCE(PARAMETERS(F16), DT_BIAS)}},
    {.name = "12 heads of 8", .desc = {F32, SIZE(2, 133, 12, 8), IMPORTANCE(SOFTPLUS, PARAMETERS(BF16), DT_BIAS)}},
    {.name = "12 heads of 64", .desc = {BF16, SIZE(1, 201, 12, 64), IMPORTANCE(DT_BIAS)}},
    {.name = "12 heads of 24", .desc = {F16, SIZE(3, 33, 12, 24), IMPORTANCE(PARAMETERS(F16))}},
    {.name = "a head without importance",
     .desc = {F32, SIZE(2, 70, 3, 8), IMPORTANCE(SOFTPLUS, DT_BIAS)},
     .minus_infinity = true},
    {.name = "one key", .desc = {F32, SIZE(1, 1, 2, 8), IMPORTANCE(DT_BIAS)}},
    {.name = "one key of many items", .desc = {F16, SIZE(300, 1, 2, 16), IMPORTANCE(DT_BIAS)}},
    {.name = "many keys", .desc = {F32, SIZE(1, 20001, 2, 8), IMPORTANCE(DT_BIAS)}},
    {.name = "many keys of two items", .desc = {F16, SIZE(2, 5003, 1, 16), IMPORTANCE(SOFTPLUS)}},
};

static const backward_case strides[] = {
    {.name = "v apart", .desc = {F16, SIZE(2, 70, 2, 24), .v_strides = {70 * 100 + 8, 96, 40}, IMPORTANCE(DT_BIAS)}},
    {.name = "dv apart", .desc = {F32, SIZE(2, 70, 2, 24)}, .dv_strides = {70 * 64 + 8, 64, 32}},
    {.name = "both [B, H, S, D]",
     .desc = {BF16, SIZE(2, 83, 3, 16), .v_strides = {3 * 83 * 16, 16, 83 * 16}},
     .dv_strides = {3 * 83 * 16, 16, 83 * 16}},
    {.name = "odd rows of v", .desc = {BF16, SIZE(2, 80, 2, 16), .v_strides = {80 * 39, 39, 19}}},
    {.name = "odd rows of v, f32", .desc = {F32, SIZE(2, 80, 2, 16), .v_strides = {80 * 39, 39, 19}}},
    {.name = "odd rows of dv", .desc = {F16, SIZE(2, 80, 2, 16)}, .dv_strides = {80 * 39 + 1, 39, 17}},
    {.name = "odd rows of dv without gaps", .desc = {F32, SIZE(2, 80, 3, 8)}, .dv_strides = {80 * 25, 25, 8}},
    {.name = "odd rows of both",
     .desc = {BF16, SIZE(2, 80, 5, 24), .v_strides = {80 * 125, 125, 25}, IMPORTANCE(DT_BIAS, PARAMETERS(F16))},
     .dv_strides = {80 * 127, 127, 25}},
    {.name = "v repeated by a stride of 0", .desc = {F32, SIZE(2, 70, 2, 16), .v_strides = {0, 16, 0}}},
};

#define V         DMATTN_GRADIENT_V
#define DT_WEIGHT DMATTN_GRADIENT_DT_WEIGHT
#define A         DMATTN_GRADIENT_A
#define BIAS      DMATTN_GRADIENT_DT_BIAS
#define SUBSET(what, bits)                                                                         \
    {                                                                                              \
        .name = what, .desc = {F16, SIZE(2, 150, 2, 24), IMPORTANCE(DT_BIAS)}, .gradients = (bits) \
    }

static const backward_case subsets[] = {
    SUBSET("v alone", V),          SUBSET("dt_weight alone", DT_WEIGHT),      SUBSET("a alone", A),
    SUBSET("dt_bias alone", BIAS), SUBSET("v and dt_weight", V | DT_WEIGHT),  SUBSET("a and dt_bias", A | BIAS),
    SUBSET("v and a", V | A),      SUBSET("all but v", DT_WEIGHT | A | BIAS), SUBSET("all but dt_weight", V | A | BIAS),
};

/* ---- a run ----------------------------------------------------------------------------------------------------- */

enum { GUARD = 64, SCRATCH = TENSOR_COUNT };
#define PATTERN 0xff /* NaN in every type */

typedef struct run {
    const char *name;
    dmattn_mask_desc d; /* resolved */
    dmattn_strides dv_strides;
    uint32_t gradients;
    pipeline_set pipelines;
    importance_backward_stage stage;
    uint64_t offset[TENSOR_COUNT + 1], bytes[TENSOR_COUNT + 1]; /* each tensor's place in its image, between guards */
    unsigned char *image[TENSOR_COUNT + 1];                     /* the content before the run */
    unsigned char *got[TENSOR_COUNT + 1];
    dmattn_buffer buffer[TENSOR_COUNT + 1];
} run;

static bool is_result(int t)
{
    return t == TENSOR_DV || t == TENSOR_DDT_WEIGHT || t == TENSOR_DA || t == TENSOR_DDT_BIAS || t == SCRATCH;
}

static uint64_t image_bytes(const run *r, int t)
{
    return r->offset[t] + r->bytes[t] + GUARD;
}

static void add(run *r, int t, uint64_t bytes, uint64_t shift)
{
    if (!bytes)
        return;
    r->bytes[t] = bytes;
    r->offset[t] = GUARD + shift;
    r->image[t] = malloc(image_bytes(r, t));
    r->got[t] = malloc(image_bytes(r, t));
    memset(r->image[t], PATTERN, image_bytes(r, t));
    ASSERT_OK(dmattn_buffer_create(h.device, image_bytes(r, t), &r->buffer[t]));
}

/* If rows need not begin at multiples of 16 bytes, they begin one element later. */
static void add_rows(run *r, int t, const dmattn_strides *s)
{
    const dmattn_mask_desc *d = &r->d;
    const uint64_t size = dmattn_type_size(d->type);
    add(r, t, size * dmattn_strides_span(s, d->batch, d->keys, d->kv_heads, d->value_dim),
        dmattn_importance_backward_is_aligned(d, s) ? 0 : size);
}

static void create(run *r, const backward_case *c)
{
    *r = (run){.name = c->name, .d = c->desc, .dv_strides = c->dv_strides};
    dmattn_mask_desc *d = &r->d;
    const messenger m = {harness_message, &h};
    d->stages = DMATTN_STAGE_IMPORTANCE;
    r->gradients = c->gradients ? c->gradients : IMPORTANCE_GRADIENTS;
    ASSERT_OK(dmattn_mask_desc_resolve(d, d, &m));
    ASSERT_OK(dmattn_strides_resolve(&m, "dv", &r->dv_strides, d->batch, d->keys, d->kv_heads, d->value_dim));
    r->pipelines = (pipeline_set){.ctx = h.context, .builds = true};
    ASSERT_OK(dmattn_importance_backward_stage_plan(&r->stage, &r->pipelines, d, r->gradients, &r->dv_strides));
    const uint64_t parameter = dmattn_type_size(d->importance.parameter_type), heads = d->kv_heads;
    const uint64_t weights = heads * heads * d->value_dim;
    add_rows(r, TENSOR_V, &d->v_strides);
    add(r, TENSOR_DT_WEIGHT, parameter * weights, parameter);
    add(r, TENSOR_A, parameter * heads, parameter);
    add(r, TENSOR_DT_BIAS, d->importance.dt_bias ? parameter * heads : 0, parameter);
    add(r, TENSOR_DIMPORTANCE, 4 * d->batch * heads * d->keys, 4);
    if (r->gradients & V)
        add_rows(r, TENSOR_DV, &r->dv_strides);
    add(r, TENSOR_DDT_WEIGHT, r->gradients & DT_WEIGHT ? 4 * weights : 0, 4);
    add(r, TENSOR_DA, r->gradients & A ? 4 * heads : 0, 4);
    add(r, TENSOR_DDT_BIAS, r->gradients & BIAS ? 4 * heads : 0, 4);
    add(r, SCRATCH, dmattn_importance_backward_scratch_bytes(&r->stage), 4);
}

static void destroy(run *r)
{
    for (int t = 0; t <= SCRATCH; t++) {
        free(r->image[t]);
        free(r->got[t]);
        dmattn_buffer_destroy(h.device, &r->buffer[t]);
    }
    dmattn_pipelines_release(&r->pipelines);
}

static VkDeviceAddress address(const run *r, int t)
{
    const VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                            .buffer = r->buffer[t].buffer};
    return r->bytes[t] ? h.context->vk.GetBufferDeviceAddress(h.context->device, &info) + r->offset[t] : 0;
}

/* Tensors that do not exist have an invalid address, so that reading them fails. */
static void go(run *r)
{
    recorder rec = {.ctx = h.context};
    for (int t = 0; t <= SCRATCH; t++)
        if (r->bytes[t])
            ASSERT_OK(dmattn_upload(h.device, &r->buffer[t], 0, r->image[t], image_bytes(r, t)));
    for (int t = 0; t < TENSOR_COUNT; t++)
        rec.tensor[t] = address(r, t);
    rec.workspace = address(r, SCRATCH);
    ASSERT_OK(dmattn_commands_begin(h.device, &rec.commands));
    dmattn_importance_backward_stage_record(&r->stage, &rec);
    ASSERT_OK(dmattn_commands_submit(h.device));
    for (int t = 0; t <= SCRATCH; t++)
        if (r->bytes[t])
            ASSERT_OK(dmattn_download(h.device, &r->buffer[t], 0, r->got[t], image_bytes(r, t)));
}

/* ---- inputs ---------------------------------------------------------------------------------------------------- */

static double load(const run *r, int t, dmattn_type type, uint64_t index)
{
    return element_load(type, r->image[t] + r->offset[t], index);
}

static void store(run *r, int t, dmattn_type type, uint64_t index, double x)
{
    element_store(type, r->image[t] + r->offset[t], index, x);
}

static uint64_t at(const dmattn_strides *s, uint32_t batch, uint32_t key, uint32_t head)
{
    return batch * s->batch + key * s->sequence + head * s->head;
}

/* The kinds of keys. */
typedef enum key_kind {
    UNSEEN_NAN,      /* no query sees it, and it holds NaN */
    UNSEEN_INFINITY, /* no query sees it, and it holds infinity */
    UNSEEN,
    NAN_IMPORTANCE, /* v holds NaN; even if its importance has a gradient, all others are 0 */
    SEEN_BY_SOME,   /* some heads see it */
    SEEN
} key_kind;

static key_kind random_kind(const run *r, uint64_t *state)
{
    const uint64_t kind = random_bits(state) % 12;
    if (r->d.v_strides.batch == 0 && kind < SEEN_BY_SOME)
        return UNSEEN; /* other items have the same v */
    return kind < SEEN ? (key_kind)kind : SEEN;
}

static void fill_key(run *r, uint32_t b, uint32_t j, uint64_t *state)
{
    const dmattn_mask_desc *d = &r->d;
    const key_kind kind = r->d.keys > 1 ? random_kind(r, state) : SEEN;
    for (uint32_t head = 0; head < d->kv_heads; head++) {
        for (uint32_t i = 0; i < d->value_dim; i++) {
            store(r, TENSOR_V, d->type, at(&d->v_strides, b, j, head) + i, random_normal(state));
            if (r->bytes[TENSOR_DV])
                store(r, TENSOR_DV, d->type, at(&r->dv_strides, b, j, head) + i, random_normal(state));
        }
        const bool seen = kind == SEEN || kind == NAN_IMPORTANCE || (kind == SEEN_BY_SOME && random_bits(state) % 2);
        store(r, TENSOR_DIMPORTANCE, DMATTN_TYPE_F32, ((uint64_t)b * d->kv_heads + head) * d->keys + j,
              seen ? random_normal(state) : 0);
    }
    if (kind == UNSEEN_NAN || kind == UNSEEN_INFINITY || kind == NAN_IMPORTANCE) {
        const uint32_t head = (uint32_t)(random_bits(state) % d->kv_heads);
        store(r, TENSOR_V, d->type, at(&d->v_strides, b, j, head) + random_bits(state) % d->value_dim,
              kind == UNSEEN_INFINITY ? (double)INFINITY : (double)NAN);
    }
}

static void fill(run *r, bool minus_infinity, uint64_t seed)
{
    const dmattn_mask_desc *d = &r->d;
    const dmattn_type type = d->importance.parameter_type;
    const uint64_t row = (uint64_t)d->kv_heads * d->value_dim;
    uint64_t state = seed;
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t j = 0; j < d->keys; j++)
            fill_key(r, b, j, &state);
    for (uint64_t i = 0; i < d->kv_heads * row; i++)
        store(r, TENSOR_DT_WEIGHT, type, i, random_normal(&state) / sqrt((double)row));
    for (uint32_t head = 0; head < d->kv_heads; head++) {
        store(r, TENSOR_A, type, head, 0.5 * random_normal(&state));
        if (d->importance.dt_bias)
            store(r, TENSOR_DT_BIAS, type, head, random_normal(&state));
    }
    if (minus_infinity) {
        store(r, TENSOR_A, type, 0, -1);
        store(r, TENSOR_DT_BIAS, type, 0, (double)INFINITY);
    }
}

/* ---- in double ------------------------------------------------------------------------------------------------- */

#define UNIT 0x1p-24 /* half a unit in the last place of 1 in f32 */

/* A number, and the maximum error of its computation in f32. */
typedef struct bounded {
    double value, error;
} bounded;

/* The terms of one key and head. Errors: z has rounding errors of its additions, first in an invocation, which adds at
 * least every fourth piece of 8, then over invocations. exp and softplus have errors of 2 units in the last place. The
 * other errors follow from derivatives. */
static void find_terms(const run *r, uint32_t b, uint32_t head, uint32_t key, bounded *dz, bounded *da)
{
    const dmattn_mask_desc *d = &r->d;
    const dmattn_type type = d->importance.parameter_type;
    const double g = load(r, TENSOR_DIMPORTANCE, DMATTN_TYPE_F32, ((uint64_t)b * d->kv_heads + head) * d->keys + key);
    const double a = load(r, TENSOR_A, type, head);
    double z = d->importance.dt_bias ? load(r, TENSOR_DT_BIAS, type, head) : 0, magnitude = fabs(z);
    uint64_t weight = (uint64_t)head * d->kv_heads * d->value_dim;
    for (uint32_t other = 0; other < d->kv_heads; other++)
        for (uint32_t i = 0; i < d->value_dim; i++) {
            const double x = load(r, TENSOR_V, d->type, at(&d->v_strides, b, key, other) + i)
                             * load(r, TENSOR_DT_WEIGHT, type, weight++);
            z += x;
            magnitude += fabs(x);
        }
    *dz = *da = (bounded){0, 0};
    const double softplus = fmax(z, 0) + log1p(exp(-fabs(z))), sigmoid = 1 / (1 + exp(-z));
    if (g == 0 || isnan(z) || a * softplus == -INFINITY)
        return;
    cr_assert(isfinite(z), "%s", r->name);
    const bool exponential = d->importance.activation == DMATTN_ACTIVATION_EXP_SOFTPLUS;
    const double depth = d->kv_heads * d->value_dim / 4 + 16;
    const double z_error = depth * UNIT * magnitude, s_error = z_error + 4 * UNIT * softplus;
    const double x_error = exponential ? fabs(a) * s_error + UNIT * fabs(a * softplus) + 5 * UNIT : 0;
    const double scale = exponential ? g * exp(a * softplus) : g;
    dz->value = scale * a * sigmoid;
    dz->error = fabs(dz->value) * expm1(x_error + z_error + 12 * UNIT);
    da->value = scale * softplus;
    da->error = fabs(da->value) * expm1(x_error + s_error / softplus + UNIT);
}

/* A gradient as a sum. */
typedef struct bounded_sum {
    double value, error, magnitude;
} bounded_sum;

static void add_term(bounded_sum *s, bounded term, double factor)
{
    s->value += term.value * factor;
    s->error += term.error * fabs(factor);
    s->magnitude += fabs(term.value * factor);
}

typedef struct wanted {
    bounded_sum *dv; /* [B, Sk, Hk, Dv], what the stage adds to dv */
    bounded_sum *ddt_weight, *da, *ddt_bias;
} wanted;

static void compute(const run *r, const wanted *w)
{
    const dmattn_mask_desc *d = &r->d;
    const uint64_t row = (uint64_t)d->kv_heads * d->value_dim;
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t j = 0; j < d->keys; j++)
            for (uint32_t head = 0; head < d->kv_heads; head++) {
                bounded dz, da;
                find_terms(r, b, head, j, &dz, &da);
                if (dz.value == 0 && da.value == 0)
                    continue;
                add_term(&w->da[head], da, 1);
                add_term(&w->ddt_bias[head], dz, 1);
                for (uint64_t i = 0; i < row; i++) {
                    const uint64_t v = at(&d->v_strides, b, j, (uint32_t)(i / d->value_dim)) + i % d->value_dim;
                    add_term(&w->ddt_weight[head * row + i], dz, load(r, TENSOR_V, d->type, v));
                    add_term(&w->dv[((uint64_t)b * d->keys + j) * row + i], dz,
                             load(r, TENSOR_DT_WEIGHT, d->importance.parameter_type, head * row + i));
                }
            }
}

/* ---- comparisons ----------------------------------------------------------------------------------------------- */

/* Checks sums of `depth` additions, one after another. */
static void check_sums(const run *r, int t, const bounded_sum *want, uint32_t depth)
{
    for (uint64_t i = 0; i < r->bytes[t] / 4; i++) {
        const double got = element_load(DMATTN_TYPE_F32, r->got[t] + r->offset[t], i);
        const double allowed = want[i].error + depth * UNIT * want[i].magnitude;
        cr_assert(fabs(got - want[i].value) <= allowed, "%s: %s[%llu] is %.9g instead of %.9g; allowed %.3g", r->name,
                  dmattn_tensor_name((tensor_id)t), (unsigned long long)i, got, want[i].value, allowed);
    }
}

/* dv is rounded twice: before the stage (here, the input), and after the addition. */
static void check_dv(const run *r, const bounded_sum *want)
{
    const dmattn_mask_desc *d = &r->d;
    const double least = d->type == DMATTN_TYPE_F16 ? 0x1p-25 : 0;
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t j = 0; j < d->keys; j++)
            for (uint32_t i = 0; i < d->kv_heads * d->value_dim; i++, want++) {
                const uint64_t index = at(&r->dv_strides, b, j, i / d->value_dim) + i % d->value_dim;
                const double before = load(r, TENSOR_DV, d->type, index), all = before + want->value;
                const double got = element_load(d->type, r->got[TENSOR_DV] + r->offset[TENSOR_DV], index);
                const double sum_error = want->error + (d->kv_heads + 1) * UNIT * (want->magnitude + fabs(before));
                const double allowed = sum_error + type_epsilon(d->type) * (fabs(all) + sum_error) + least;
                cr_assert(want->magnitude > 0 ? fabs(got - all) <= allowed : got == before,
                          "%s: dv[%u, %u, %u] was %.9g and is %.9g instead of %.9g; allowed %.3g", r->name, b, j, i,
                          before, got, all, allowed);
            }
}

/* Expects that only elements of results were written, and no inputs. */
static void check_guards(const run *r)
{
    const dmattn_mask_desc *d = &r->d;
    const uint64_t size = dmattn_type_size(d->type);
    for (int t = 0; t <= SCRATCH; t++) {
        if (!r->bytes[t])
            continue;
        unsigned char *rest = malloc(image_bytes(r, t));
        memcpy(rest, r->got[t], image_bytes(r, t));
        if (t == TENSOR_DV)
            for (uint64_t row = 0; row < (uint64_t)d->batch * d->keys * d->kv_heads; row++) {
                const uint32_t head = (uint32_t)(row % d->kv_heads), key = (uint32_t)(row / d->kv_heads % d->keys);
                const uint64_t first = at(&r->dv_strides, (uint32_t)(row / d->kv_heads / d->keys), key, head);
                memcpy(rest + r->offset[t] + size * first, r->image[t] + r->offset[t] + size * first,
                       size * d->value_dim);
            }
        else if (is_result(t))
            memcpy(rest + r->offset[t], r->image[t] + r->offset[t], r->bytes[t]);
        cr_assert_eq(memcmp(rest, r->image[t], image_bytes(r, t)), 0, "%s: memory beside %s was written", r->name,
                     t < SCRATCH ? dmattn_tensor_name((tensor_id)t) : "the scratch memory");
        free(rest);
    }
}

static void check_again(run *r)
{
    unsigned char *before[TENSOR_COUNT];
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (is_result(t) && r->bytes[t]) {
            before[t] = malloc(image_bytes(r, t));
            memcpy(before[t], r->got[t], image_bytes(r, t));
        }
    go(r);
    for (int t = 0; t < TENSOR_COUNT; t++)
        if (is_result(t) && r->bytes[t]) {
            cr_assert_eq(memcmp(before[t], r->got[t], image_bytes(r, t)), 0,
                         "%s: a second run gives different bits in %s", r->name, dmattn_tensor_name((tensor_id)t));
            free(before[t]);
        }
}

static uint32_t sum_depth(const run *r, const key_chunks *chunks)
{
    uint32_t c[IMPORTANCE_BACKWARD_CONSTANT_COUNT];
    dmattn_importance_backward_constants(&r->d, &r->d.v_strides, c);
    return chunks->chunk_tiles * c[IMPORTANCE_BACKWARD_LANE_KEYS] + c[IMPORTANCE_BACKWARD_WORKGROUP] + chunks->count;
}

static void run_case(const backward_case *c, uint64_t seed)
{
    run r;
    create(&r, c);
    fill(&r, c->minus_infinity, seed);
    go(&r);

    const uint64_t heads = r.d.kv_heads, row = heads * r.d.value_dim;
    const wanted w = {.dv = calloc(r.d.batch * (uint64_t)r.d.keys * row, sizeof *w.dv),
                      .ddt_weight = calloc(heads * row, sizeof *w.ddt_weight),
                      .da = calloc(heads, sizeof *w.da),
                      .ddt_bias = calloc(heads, sizeof *w.ddt_bias)};
    compute(&r, &w);
    check_sums(&r, TENSOR_DDT_WEIGHT, w.ddt_weight, sum_depth(&r, &r.stage.layout.weights));
    check_sums(&r, TENSOR_DA, w.da, sum_depth(&r, &r.stage.layout.sums));
    check_sums(&r, TENSOR_DDT_BIAS, w.ddt_bias, sum_depth(&r, &r.stage.layout.sums));
    if (r.bytes[TENSOR_DV])
        check_dv(&r, w.dv);
    check_guards(&r);
    check_again(&r);
    free(w.dv);
    free(w.ddt_weight);
    free(w.da);
    free(w.ddt_bias);
    destroy(&r);
}

static void run_cases(const backward_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
        run_case(&cases[i], i + 1);
}

DEVICE_TEST(importance_backward, sizes)
{
    run_cases(sizes, sizeof sizes / sizeof *sizes);
}

DEVICE_TEST(importance_backward, strides)
{
    run_cases(strides, sizeof strides / sizeof *strides);
}

DEVICE_TEST(importance_backward, subsets)
{
    run_cases(subsets, sizeof subsets / sizeof *subsets);
}

/* If no gradient of this stage is requested, the stage does not exist. */
DEVICE_TEST(importance_backward, nothing)
{
    importance_backward_stage s = {0};
    recorder rec = {.ctx = h.context};
    dmattn_mask_desc d = {F32, SIZE(1, 10, 1, 8), .stages = DMATTN_STAGE_IMPORTANCE};
    ASSERT_OK(dmattn_mask_desc_resolve(&d, &d, NULL));
    pipeline_set none = {.ctx = h.context, .builds = true};
    ASSERT_OK(dmattn_importance_backward_stage_plan(&s, &none, &d, DMATTN_GRADIENT_Q | DMATTN_GRADIENT_IMPORTANCE,
                                                    &d.v_strides));
    cr_expect_eq(none.count, 0);
    cr_expect_eq(dmattn_importance_backward_scratch_bytes(&s), 0);
    dmattn_importance_backward_stage_record(&s, &rec);
}
