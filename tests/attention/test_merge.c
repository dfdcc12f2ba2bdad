/* SPDX-License-Identifier: MIT
 * Merging two results of attention: against the reference, with every type, strides, rows without keys and extreme lse;
 * and against attention to all keys. */
#include "support/harness.h"

#include "attention/merge.h"
#include "plan.h"
#include "reference/element.h"
#include "reference/merge.h"
#include "tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERN = 0x5a, MOST_DIM = DMATTN_MAX_VALUE_DIM };

typedef struct merge_case {
    const char *name;
    dmattn_merge_desc desc;
} merge_case;

static const merge_case cases[] = {
    {"f32", {DMATTN_TYPE_F32, .batch = 2, .queries = 37, .heads = 3, .value_dim = 64, .lse = true}},
    {"f16", {DMATTN_TYPE_F16, .batch = 2, .queries = 37, .heads = 3, .value_dim = 64, .lse = true}},
    {"bf16", {DMATTN_TYPE_BF16, .batch = 1, .queries = 130, .heads = 2, .value_dim = 128, .lse = true}},
    {"without lse", {DMATTN_TYPE_F32, .batch = 1, .queries = 5, .heads = 2, .value_dim = 512}},
    {"narrow", {DMATTN_TYPE_F32, .batch = 3, .queries = 71, .heads = 1, .value_dim = 8, .lse = true}},
    {"a dimension that is no power of 2",
     {DMATTN_TYPE_F16, .batch = 1, .queries = 11, .heads = 5, .value_dim = 40, .lse = true}},
    {"strides",
     {DMATTN_TYPE_F32, .batch = 2, .queries = 19, .heads = 3, .value_dim = 16, .lse = true,
      .a_strides = {3 * 19 * 16, 16, 19 * 16}, .b_strides = {19 * 3 * 20 + 8, 3 * 20, 20},
      .out_strides = {19 * 64, 64, 16}}},
    {"rows that begin in the middle of a word",
     {DMATTN_TYPE_BF16, .batch = 2, .queries = 19, .heads = 3, .value_dim = 16, .lse = true,
      .out_strides = {19 * 3 * 17, 3 * 17, 17}}},
};

typedef struct image { /* a tensor on the host and on the device */
    unsigned char *host;
    uint64_t bytes;
    dmattn_buffer buffer;
} image;

/* With guard bytes after the tensor. */
static image make_image(uint64_t bytes)
{
    image i = {.bytes = bytes + 64};
    i.host = malloc(i.bytes);
    cr_assert_not_null(i.host);
    memset(i.host, PATTERN, i.bytes);
    ASSERT_OK(dmattn_buffer_create(h.device, i.bytes, &i.buffer));
    return i;
}

static void upload(const image *i)
{
    ASSERT_OK(dmattn_upload(h.device, &i->buffer, 0, i->host, i->bytes));
}

static void download(const image *i, unsigned char *to)
{
    ASSERT_OK(dmattn_download(h.device, &i->buffer, 0, to, i->bytes));
}

static void free_image(image *i)
{
    dmattn_buffer_destroy(h.device, &i->buffer);
    free(i->host);
}

static float random_float(float scale)
{
    return scale * ((float)rand() / (float)RAND_MAX - 0.5f);
}

/* lse of a row: usual numbers, and all pairs of special ones. */
static float lse_of(uint32_t row, bool of_b)
{
    static const float special[] = {-INFINITY, 0, 1e4f, -1e4f, NAN, INFINITY, 3e38f};
    enum { COUNT = sizeof special / sizeof *special };
    const uint32_t pair = row % (2 * COUNT * COUNT);
    if (pair < COUNT * COUNT)
        return special[of_b ? pair / COUNT : pair % COUNT];
    return random_float(20);
}

/* Fills out and lse of a set of keys. Where its lse is -infinity, its out is NaN: it must not count. */
static void fill(const dmattn_merge_desc *d, const dmattn_strides *s, bool of_b, image *out, image *lse)
{
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t head = 0; head < d->heads; head++)
            for (uint32_t t = 0; t < d->queries; t++) {
                const uint32_t row = (b * d->heads + head) * d->queries + t;
                const float value = lse_of(row, of_b);
                ((float *)(void *)lse->host)[row] = value;
                for (uint32_t i = 0; i < d->value_dim; i++)
                    element_store(d->type, out->host, b * s->batch + t * s->sequence + head * s->head + i,
                                  value < 0 && isinf(value) ? (double)NAN : (double)random_float(2));
            }
}

static bool near(double got, double want, double tolerance)
{
    return isnan(want) ? isnan(got) : isinf(want) ? got < 0 && isinf(got) && want < 0 : fabs(got - want) <= tolerance;
}

/* Compares a result with the reference, and every byte that is no element with its value before. */
static void compare(const merge_case *c, const dmattn_merge_desc *d, const image tensor[4], const image *before,
                    const unsigned char *out, const float *lse)
{
    static const double round_off[] = {[DMATTN_TYPE_F32] = 0, [DMATTN_TYPE_F16] = 0x1p-11, [DMATTN_TYPE_BF16] = 0x1p-8};
    const uint32_t size = dmattn_type_size(d->type);
    const dmattn_strides *strides[] = {&d->a_strides, &d->b_strides, &d->out_strides};
    unsigned char *expected = malloc(before->bytes);
    double row[3][MOST_DIM], want_lse;
    memcpy(expected, before->host, before->bytes);
    for (uint32_t r = 0; r < d->batch * d->heads * d->queries; r++) {
        const uint32_t t = r % d->queries, head = r / d->queries % d->heads, b = r / d->queries / d->heads;
        const float lse_a = ((float *)(void *)tensor[1].host)[r], lse_b = ((float *)(void *)tensor[3].host)[r];
        uint64_t at[3];
        for (int i = 0; i < 3; i++)
            at[i] = b * strides[i]->batch + t * strides[i]->sequence + head * strides[i]->head;
        for (uint32_t i = 0; i < d->value_dim; i++) {
            row[0][i] = element_load(d->type, tensor[0].host, at[0] + i);
            row[1][i] = element_load(d->type, tensor[2].host, at[1] + i);
        }
        reference_merge_row(row[0], (double)lse_a, row[1], (double)lse_b, d->value_dim, row[2], &want_lse);
        for (uint32_t i = 0; i < d->value_dim; i++) {
            const double got = element_load(d->type, out, at[2] + i), want = row[2][i];
            /* the weights have an error of some units of f32, relative to their sum; the values are at most 1 */
            cr_assert(near(got, want, 4e-6 + round_off[d->type] * fabs(want)), "%s, row %u: %g instead of %g", c->name,
                      r, got, want);
            memcpy(expected + (at[2] + i) * size, out + (at[2] + i) * size, size);
        }
        const double got_lse = lse ? (double)lse[r] : want_lse;
        cr_assert(near(got_lse, want_lse, 4e-6 + 0x1p-22 * fabs(want_lse)), "%s, row %u: lse %g", c->name, r, got_lse);
    }
    cr_expect(!memcmp(expected, out, before->bytes), "%s: bytes beside the elements of out were changed", c->name);
    free(expected);
}

static void run(const merge_case *c)
{
    dmattn_merge_desc d = c->desc;
    const messenger m = {harness_message, &h};
    dmattn_plan *plan;
    VkCommandBuffer commands;
    ASSERT_OK(dmattn_merge_plan(h.context, &c->desc, &plan));
    const uint64_t alignment = plan->tensor[TENSOR_OUT].alignment;
    ASSERT_OK(dmattn_merge_desc_resolve(&c->desc, &d, &m));
    image tensor[6]; /* out_a, lse_a, out_b, lse_b, out, lse */
    const tensor_id ids[] = {TENSOR_OUT_A, TENSOR_LSE_A, TENSOR_OUT_B, TENSOR_LSE_B, TENSOR_OUT, TENSOR_LSE};
    for (int i = 0; i < 6; i++)
        tensor[i] = make_image(plan->tensor[ids[i]].bytes);
    fill(&d, &d.a_strides, false, &tensor[0], &tensor[1]);
    fill(&d, &d.b_strides, true, &tensor[2], &tensor[3]);
    for (int i = 0; i < 6; i++)
        upload(&tensor[i]);
    cr_expect_eq(alignment, strstr(c->name, "middle") ? 2 : 16, "%s", c->name);
    dmattn_merge_args args = {.out_a = tensor[0].buffer,
                              .lse_a = tensor[1].buffer,
                              .out_b = tensor[2].buffer,
                              .lse_b = tensor[3].buffer,
                              .out = tensor[4].buffer,
                              .lse = tensor[5].buffer};
    unsigned char *out = malloc(tensor[4].bytes), *lse = malloc(tensor[5].bytes), *again = malloc(tensor[0].bytes);
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_merge_record(plan, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    download(&tensor[4], out);
    download(&tensor[5], lse);
    compare(c, &d, tensor, &tensor[4], out, d.lse ? (const float *)(const void *)lse : NULL);

    /* in place, if both tensors have the same layout */
    if (!memcmp(&d.a_strides, &d.out_strides, sizeof d.a_strides)) {
        args.out = args.out_a;
        args.lse = args.lse_a;
        ASSERT_OK(dmattn_commands_begin(h.device, &commands));
        ASSERT_OK(dmattn_merge_record(plan, commands, &args));
        ASSERT_OK(dmattn_commands_submit(h.device));
        download(&tensor[0], again);
        cr_expect(!memcmp(again, out, tensor[0].bytes), "%s: another result in place", c->name);
        download(&tensor[1], again);
        cr_expect(!d.lse || !memcmp(again, lse, tensor[1].bytes), "%s: another lse in place", c->name);
    }
    dmattn_plan_destroy(plan);
    for (int i = 0; i < 6; i++)
        free_image(&tensor[i]);
    free(out);
    free(lse);
    free(again);
}

DEVICE_TEST(merge, cases)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run(&cases[i]);
}

/* ---- two sets of keys instead of all ------------------------------------------------------------------------------
 */

enum { QUERIES = 33, KEYS = 90, FIRST = 40, HEADS = 2, DIM = 32, ROW = HEADS * DIM };

/* Attention to keys from `first` on, as embedding.md does it: with offsets into the buffers of k and v. */
static void attend(const dmattn_buffer *q, const dmattn_buffer *k, const dmattn_buffer *v, uint32_t first,
                   uint32_t keys, const dmattn_buffer *out, const dmattn_buffer *lse)
{
    const dmattn_attention_desc desc = {
        .batch = 1, .queries = QUERIES, .keys = keys, .heads = HEADS, .head_dim = DIM, .lse = true};
    dmattn_attention_args args = {.q = *q, .k = *k, .v = *v, .out = *out, .lse = *lse};
    VkCommandBuffer commands;
    dmattn_plan *plan;
    dmattn_plan_info info;
    args.k.offset += first * ROW * sizeof(float);
    args.v.offset += first * ROW * sizeof(float);
    args.k.size = args.v.size = keys * ROW * sizeof(float);
    ASSERT_OK(dmattn_attention_plan(h.context, &desc, &plan));
    dmattn_plan_get_info(plan, &info);
    if (info.workspace_size)
        ASSERT_OK(dmattn_buffer_create(h.device, info.workspace_size, &args.workspace));
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_attention_record(plan, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    dmattn_plan_destroy(plan);
}

static dmattn_buffer random_buffer(size_t count)
{
    dmattn_buffer buffer;
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = random_float(3);
    ASSERT_OK(dmattn_buffer_create(h.device, count * sizeof *values, &buffer));
    ASSERT_OK(dmattn_upload(h.device, &buffer, 0, values, count * sizeof *values));
    free(values);
    return buffer;
}

DEVICE_TEST(merge, equals_attention_to_all_keys)
{
    static float want[QUERIES * ROW], got[QUERIES * ROW], want_lse[HEADS * QUERIES], got_lse[HEADS * QUERIES];
    const dmattn_buffer q = random_buffer(QUERIES * ROW), k = random_buffer(KEYS * ROW), v = random_buffer(KEYS * ROW);
    dmattn_buffer out[3], lse[3];
    for (int i = 0; i < 3; i++) {
        out[i] = random_buffer(QUERIES * ROW);
        lse[i] = random_buffer(HEADS * QUERIES);
    }
    attend(&q, &k, &v, 0, KEYS, &out[0], &lse[0]);
    attend(&q, &k, &v, 0, FIRST, &out[1], &lse[1]);
    attend(&q, &k, &v, FIRST, KEYS - FIRST, &out[2], &lse[2]);
    ASSERT_OK(dmattn_download(h.device, &out[0], 0, want, sizeof want));
    ASSERT_OK(dmattn_download(h.device, &lse[0], 0, want_lse, sizeof want_lse));
    const dmattn_merge_desc desc = {.batch = 1, .queries = QUERIES, .heads = HEADS, .value_dim = DIM, .lse = true};
    const dmattn_merge_args args = {
        .out_a = out[1], .lse_a = lse[1], .out_b = out[2], .lse_b = lse[2], .out = out[1], .lse = lse[1]};
    VkCommandBuffer commands;
    dmattn_plan *plan;
    ASSERT_OK(dmattn_merge_plan(h.context, &desc, &plan));
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    ASSERT_OK(dmattn_merge_record(plan, commands, &args));
    ASSERT_OK(dmattn_commands_submit(h.device));
    dmattn_plan_destroy(plan);
    ASSERT_OK(dmattn_download(h.device, &out[1], 0, got, sizeof got));
    ASSERT_OK(dmattn_download(h.device, &lse[1], 0, got_lse, sizeof got_lse));
    for (int i = 0; i < QUERIES * ROW; i++)
        cr_expect(near((double)got[i], (double)want[i], 4e-6), "element %d: %g, %g", i, (double)got[i],
                  (double)want[i]);
    for (int i = 0; i < HEADS * QUERIES; i++)
        cr_expect(near((double)got_lse[i], (double)want_lse[i], 4e-6), "lse %d", i);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

DEVICE_TEST(merge, refused)
{
    const dmattn_merge_desc good = {.batch = 1, .queries = 5, .heads = 2, .value_dim = 8};
    const struct {
        const char *part;
        dmattn_status status;
        dmattn_merge_desc desc;
    } bad[] = {
        {"type 3", DMATTN_ERROR_INVALID, {(dmattn_type)3, .batch = 1, .queries = 5, .heads = 2, .value_dim = 8}},
        {"batch is 0", DMATTN_ERROR_INVALID, {.queries = 5, .heads = 2, .value_dim = 8}},
        {"queries is 0", DMATTN_ERROR_INVALID, {.batch = 1, .heads = 2, .value_dim = 8}},
        {"heads is 0", DMATTN_ERROR_INVALID, {.batch = 1, .queries = 5, .value_dim = 8}},
        {"value_dim is 4", DMATTN_ERROR_INVALID, {.batch = 1, .queries = 5, .heads = 2, .value_dim = 4}},
        {"value_dim is 1024", DMATTN_ERROR_UNSUPPORTED, {.batch = 1, .queries = 5, .heads = 2, .value_dim = 1024}},
        {"out_a spans",
         DMATTN_ERROR_INVALID,
         {.batch = 1, .queries = 5, .heads = 2, .value_dim = 8, .a_strides = {0, UINT64_MAX / 2, 8}}},
        {"out_strides",
         DMATTN_ERROR_INVALID,
         {.batch = 1, .queries = 5, .heads = 2, .value_dim = 8, .out_strides = {0, 8, 8}}},
    };
    dmattn_plan *plan;
    dmattn_buffer small;
    VkCommandBuffer commands;
    EXPECT_FAILURE(dmattn_merge_plan(h.context, NULL, &plan), DMATTN_ERROR_INVALID, "descriptor");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        EXPECT_FAILURE(dmattn_merge_plan(h.context, &bad[i].desc, &plan), bad[i].status, bad[i].part);
    ASSERT_OK(dmattn_merge_plan(h.context, &good, &plan));
    ASSERT_OK(dmattn_buffer_create(h.device, 4 * 5 * 2 * 8 - 4, &small));
    dmattn_merge_args args = {.out_a = small, .lse_a = small, .out_b = small, .lse_b = small, .out = small};
    ASSERT_OK(dmattn_commands_begin(h.device, &commands));
    EXPECT_FAILURE(dmattn_merge_record(plan, commands, &args), DMATTN_ERROR_INVALID, "out ");
    args.out.buffer = args.out_a.buffer = VK_NULL_HANDLE;
    EXPECT_FAILURE(dmattn_merge_record(plan, commands, &args), DMATTN_ERROR_INVALID, "missing");
    EXPECT_FAILURE(dmattn_merge_record(plan, commands, NULL), DMATTN_ERROR_INVALID, "args");
    cr_expect_eq(dmattn_merge_record(NULL, commands, &args), DMATTN_ERROR_INVALID);
    dmattn_commands_cancel(h.device);
    dmattn_plan_destroy(plan);
}
