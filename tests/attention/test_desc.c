/* SPDX-License-Identifier: MIT
 * The attention descriptor: defaults, everything that is refused, sizes. */
#include "attention/desc.h"
#include "problem.h"
#include "support/sentences.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define SIZES .batch = 2, .queries = 5, .keys = 7, .heads = 4, .kv_heads = 2, .head_dim = 16, .value_dim = 24

static dmattn_attention_desc resolved(dmattn_attention_desc desc)
{
    dmattn_attention_desc d;
    sentences s = {0};
    dmattn_status status = dmattn_attention_desc_resolve(&desc, &d, &(messenger){sentences_keep, &s});
    cr_assert_eq(status, DMATTN_SUCCESS, "%s", s.text);
    cr_assert_eq(s.count, 0);
    return d;
}

static void expect_strides(const dmattn_strides *s, uint64_t batch, uint64_t sequence, uint64_t head)
{
    cr_expect_eq(s->batch, batch);
    cr_expect_eq(s->sequence, sequence);
    cr_expect_eq(s->head, head);
}

static void expect_shape(const dmattn_score_shape *s, uint32_t batch, uint32_t heads, uint32_t queries,
                         uint64_t batch_stride, uint64_t head_stride, uint64_t query_stride)
{
    cr_expect_eq(s->batch, batch);
    cr_expect_eq(s->heads, heads);
    cr_expect_eq(s->queries, queries);
    cr_expect_eq(s->batch_stride, batch_stride);
    cr_expect_eq(s->head_stride, head_stride);
    cr_expect_eq(s->query_stride, query_stride);
}

Test(desc, defaults)
{
    const dmattn_attention_desc d =
        resolved((dmattn_attention_desc){.batch = 2, .queries = 5, .keys = 7, .heads = 4, .head_dim = 64});
    cr_expect_eq(d.kv_heads, 4);
    cr_expect_eq(d.value_dim, 64);
    cr_expect_eq(d.scale, 0.125f);
    cr_expect_eq(d.soft_cap, 0);
    expect_strides(&d.q_strides, 5 * 256, 256, 64);
    expect_strides(&d.k_strides, 7 * 256, 256, 64);
    expect_strides(&d.v_strides, 7 * 256, 256, 64);
    expect_strides(&d.out_strides, 5 * 256, 256, 64);
    expect_shape(&d.mask_shape, 0, 0, 0, 0, 0, 0);
    expect_shape(&d.bias_shape, 0, 0, 0, 0, 0, 0);
}

Test(desc, defaults_of_scores)
{
    dmattn_attention_desc d = resolved((dmattn_attention_desc){SIZES, .mask = DMATTN_MASK_DENSE, .bias = true});
    expect_strides(&d.q_strides, 5 * 64, 64, 16);
    expect_strides(&d.k_strides, 7 * 32, 32, 16);
    expect_strides(&d.v_strides, 7 * 48, 48, 24);
    expect_strides(&d.out_strides, 5 * 96, 96, 24);
    expect_shape(&d.mask_shape, 1, 1, 1, 7, 7, 7);
    expect_shape(&d.bias_shape, 1, 1, 1, 7, 7, 7);
    d = resolved((dmattn_attention_desc){SIZES, .mask = DMATTN_MASK_DENSE,
                                         .mask_shape = {.batch = 2, .heads = 4, .queries = 5}, .bias = true,
                                         .bias_type = DMATTN_TYPE_BF16, .bias_shape = {.heads = 2, .queries = 5}});
    expect_shape(&d.mask_shape, 2, 4, 5, 4 * 5 * 7, 5 * 7, 7);
    expect_shape(&d.bias_shape, 1, 2, 5, 2 * 5 * 7, 5 * 7, 7);
}

/* Parts that the descriptor does not request may hold anything. */
Test(desc, absent_parts_are_ignored)
{
    const dmattn_score_shape nonsense = {77, 78, 79, 1, 2, 3};
    dmattn_attention_desc d = resolved(
        (dmattn_attention_desc){SIZES, .mask_shape = nonsense, .bias_shape = nonsense, .bias_type = (dmattn_type)99});
    expect_shape(&d.mask_shape, 0, 0, 0, 0, 0, 0);
    expect_shape(&d.bias_shape, 0, 0, 0, 0, 0, 0);
    cr_expect_eq(d.bias_type, DMATTN_TYPE_F32);
}

/* A format that is that of the type is none. */
Test(desc, formats_of_types)
{
    static const dmattn_format same[] = {DMATTN_FORMAT_F32, DMATTN_FORMAT_F16, DMATTN_FORMAT_BF16};
    for (int type = 0; type < 3; type++)
        for (int format = 0; format < 3; format++) {
            const dmattn_attention_desc d = resolved((dmattn_attention_desc){
                SIZES, .type = (dmattn_type)type, .k_format = same[format], .v_format = same[(format + 1) % 3]});
            cr_expect_eq(d.k_format == DMATTN_FORMAT_TYPE, type == format);
            cr_expect_eq(d.v_format == DMATTN_FORMAT_TYPE, type == (format + 1) % 3);
        }
}

Test(desc, resolving_twice_changes_nothing)
{
    const dmattn_attention_desc d = resolved((dmattn_attention_desc){
        SIZES, .mask = DMATTN_MASK_DENSE, .mask_shape = {.queries = 5}, .bias = true, .q_strides = {640, 128, 32}});
    const dmattn_attention_desc e = resolved(d);
    for (int t = 0; t < TENSOR_COUNT; t++)
        cr_expect_eq(dmattn_attention_tensor_bytes(&d, (tensor_id)t), dmattn_attention_tensor_bytes(&e, (tensor_id)t));
    cr_expect_eq(d.scale, e.scale);
    expect_strides(&e.q_strides, 640, 128, 32);
}

/* ---- refused ------------------------------------------------------------------------------------------------- */

typedef struct bad_desc {
    const char *sentence; /* a part of it */
    dmattn_attention_desc desc;
} bad_desc;

#define WIDE_SIZES  .batch = 2, .queries = 5, .keys = 7, .heads = 4, .kv_heads = 2, .head_dim = 32
#define HUGE_STRIDE (UINT64_C(1) << 60)
#define DENSE       .mask = DMATTN_MASK_DENSE
#define INTERVALS   .mask = DMATTN_MASK_INTERVALS

static const bad_desc bad[] = {
    {"batch is 0", {.queries = 5, .keys = 7, .heads = 4, .head_dim = 16}},
    {"queries is 0", {.batch = 2, .keys = 7, .heads = 4, .head_dim = 16}},
    {"keys is 0", {.batch = 2, .queries = 5, .heads = 4, .head_dim = 16}},
    {"heads is 0", {.batch = 2, .queries = 5, .keys = 7, .head_dim = 16}},
    {"batch is 1073741824", {.batch = 1u << 30, .queries = 5, .keys = 7, .heads = 4, .head_dim = 16}},
    {"queries is 4294967295", {.batch = 2, .queries = UINT32_MAX, .keys = 7, .heads = 4, .head_dim = 16}},
    {"keys is 1073741824", {.batch = 2, .queries = 5, .keys = 1u << 30, .heads = 4, .head_dim = 16}},
    {"heads is 2147483648", {.batch = 2, .queries = 5, .keys = 7, .heads = 1u << 31, .head_dim = 16}},
    {"head_dim is 0", {.batch = 2, .queries = 5, .keys = 7, .heads = 4}},
    {"head_dim is 4", {.batch = 2, .queries = 5, .keys = 7, .heads = 4, .head_dim = 4}},
    {"head_dim is 20", {.batch = 2, .queries = 5, .keys = 7, .heads = 4, .head_dim = 20}},
    {"value_dim is 12", {.batch = 2, .queries = 5, .keys = 7, .heads = 4, .head_dim = 16, .value_dim = 12}},
    {"kv_heads (3)", {.batch = 2, .queries = 5, .keys = 7, .heads = 4, .kv_heads = 3, .head_dim = 16}},
    {"kv_heads (8)", {.batch = 2, .queries = 5, .keys = 7, .heads = 4, .kv_heads = 8, .head_dim = 16}},
    {"type 3", {SIZES, .type = (dmattn_type)3}},
    {"type -1", {SIZES, .type = (dmattn_type)-1}},
    {"k_format 8", {SIZES, .k_format = (dmattn_format)8}},
    {"v_format -1", {SIZES, .v_format = (dmattn_format)-1}},
    {"k_format is q8_0, but the dimension 16 of k", {SIZES, .k_format = DMATTN_FORMAT_Q8_0}},
    {"v_format is q4_0, but the dimension 24 of v", {SIZES, .v_format = DMATTN_FORMAT_Q4_0}},
    {"a stride of k", {WIDE_SIZES, .k_format = DMATTN_FORMAT_Q8_0, .k_strides = {0, 80, 32}}},
    {"a stride of k", {WIDE_SIZES, .k_format = DMATTN_FORMAT_Q8_0, .k_strides = {1, 64, 32}}},
    {"a stride of v", {WIDE_SIZES, .v_format = DMATTN_FORMAT_Q4_0, .v_strides = {0, 64, 33}}},
    {"counts is set, but an interval of no queries", {SIZES, INTERVALS, .counts = true}},
    {"total_queries is set, but counts is not", {SIZES, .total_queries = 5}},
    {"total_keys is set, but counts is not", {SIZES, .total_keys = 5}},
    {"total_keys is set, but total_queries is not", {SIZES, .counts = true, .total_keys = 5}},
    {"total_queries is 1073741824", {SIZES, .counts = true, .total_queries = 1u << 30}},
    {"total_keys is 1073741824", {SIZES, .counts = true, .total_queries = 5, .total_keys = 1u << 30}},
    {"total_queries is set, but with lists",
     {SIZES, .counts = true, .total_queries = 5, .mask = DMATTN_MASK_SELECTED, .selected_count = 3}},
    {"lengths and total_queries", {SIZES, .counts = true, .lengths = true, .total_queries = 5}},
    {"out_strides give two elements", {SIZES, .counts = true, .total_queries = 5, .out_strides = {5 * 4 * 24, 24, 24}}},
    {"pages is set, but page_size is 0", {SIZES, .pages = 5}},
    {"page_bytes is set, but page_size is 0", {SIZES, .page_bytes = 16}},
    {"page_size is 257", {SIZES, .page_size = 257, .pages = 5}},
    {"page_size is 512", {SIZES, .page_size = 512, .pages = 5}},
    {"pages is 0", {SIZES, .page_size = 16}},
    {"pages is 1073741824", {SIZES, .page_size = 16, .pages = 1u << 30}},
    {"page_bytes is 5104, but must be a multiple of 16 of at least 5120",
     {SIZES, .page_size = 16, .pages = 5, .page_bytes = 5104}},
    {"page_bytes is 5128", {SIZES, .page_size = 16, .pages = 5, .page_bytes = 5128}},
    {"pages has more than 2^62 bytes", {SIZES, .page_size = 1, .pages = 1u << 29, .page_bytes = UINT64_C(1) << 40}},
    {"mask 5", {SIZES, .mask = (dmattn_mask)5}},
    {"selected_count is 0", {SIZES, .mask = DMATTN_MASK_SELECTED}},
    {"selected_count is 1048577", {SIZES, .mask = DMATTN_MASK_SELECTED, .selected_count = (1 << 20) + 1}},
    {"selected_block is 48", {SIZES, .mask = DMATTN_MASK_SELECTED, .selected_count = 3, .selected_block = 48}},
    {"selected_block is 8192", {SIZES, .mask = DMATTN_MASK_SELECTED, .selected_count = 3, .selected_block = 8192}},
    {"selected_count is set", {SIZES, DENSE, .selected_count = 3}},
    {"selected_block is set", {SIZES, .selected_block = 16}},
    {"selected_queries is set", {SIZES, .selected_queries = 1}},
    {"lists is set", {SIZES, .mask = DMATTN_MASK_SELECTED, .selected_count = 3, .lists = true}},
    {"list_capacity is set", {SIZES, .mask = DMATTN_MASK_SELECTED, .selected_count = 3, .list_capacity = 9}},
    {"mask_shape.queries is 2",
     {SIZES, .mask = DMATTN_MASK_SELECTED, .selected_count = 3, .mask_shape = {.queries = 2}}},
    {"level 4", {SIZES, .level = (dmattn_level)4}},
    {"level -1", {SIZES, .level = (dmattn_level)-1}},
    {"bias_type 3", {SIZES, .bias = true, .bias_type = (dmattn_type)3}},
    {"scale", {SIZES, .scale = INFINITY}},
    {"scale", {SIZES, .scale = NAN}},
    {"scale is 3.4e+38", {SIZES, .scale = 3.4e38f}},
    {"scale is -3.68935e+19", {SIZES, .scale = -0x1p65f}},
    {"scale is 2.71051e-20", {SIZES, .scale = 0x1p-65f}},
    {"soft_cap", {SIZES, .soft_cap = -1}},
    {"soft_cap", {SIZES, .soft_cap = INFINITY}},
    {"soft_cap is 3.68935e+19", {SIZES, .soft_cap = 0x1p65f}},
    {"soft_cap is 1.4013e-45", {SIZES, .soft_cap = 0x1p-149f}},
    {"soft_cap", {SIZES, .soft_cap = NAN}},
    {"mask_shape.batch is 3", {SIZES, DENSE, .mask_shape = {.batch = 3}}},
    {"mask_shape.heads is 3", {SIZES, DENSE, .mask_shape = {.heads = 3}}},
    {"mask_shape.queries is 4", {SIZES, DENSE, .mask_shape = {.queries = 4}}},
    {"mask_shape.queries is 5", {SIZES, INTERVALS, .mask_shape = {.queries = 5}}},
    {"mask_shape.heads is 8", {SIZES, INTERVALS, .mask_shape = {.heads = 8}}},
    {"bias_shape.batch is 5", {SIZES, .bias = true, .bias_shape = {.batch = 5}}},
    {"bias_shape.heads is 16", {SIZES, .bias = true, .bias_shape = {.heads = 16}}},
    {"bias_shape.queries is 7", {SIZES, .bias = true, .bias_shape = {.queries = 7}}},
    {"bias_shape.queries is 5", {SIZES, INTERVALS, .bias = true, .bias_shape = {.queries = 5}}},
    {"q spans", {SIZES, .q_strides = {HUGE_STRIDE, 64, 16}}},
    {"k spans", {SIZES, .k_strides = {224, HUGE_STRIDE, 16}}},
    {"v spans", {SIZES, .v_strides = {224, 32, UINT64_MAX}}},
    {"out spans", {SIZES, .out_strides = {UINT64_MAX / 2 + 2, 96, 24}}},
    {"mask spans", {SIZES, DENSE, .mask_shape = {.batch = 2, .batch_stride = HUGE_STRIDE}}},
    {"mask spans", {SIZES, INTERVALS, .mask_shape = {.heads = 4, .head_stride = UINT64_MAX / 3 + 1}}},
    {"bias spans", {SIZES, .bias = true, .bias_shape = {.queries = 5, .query_stride = UINT64_MAX / 4 + 1}}},
    /* 2^30 - 1 each, contiguous */
    {"q ", {.batch = (1u << 30) - 1, .queries = (1u << 30) - 1, .keys = 1, .heads = 1, .head_dim = 8}},
    {"k ", {.batch = (1u << 20), .queries = 1, .keys = (1u << 30) - 1, .heads = 1u << 20, .head_dim = 256}},
    {"mask ",
     {.batch = 1,
      .queries = 1u << 29,
      .keys = 1u << 29,
      .heads = 64,
      .kv_heads = 1,
      .head_dim = 8,
      DENSE,
      .mask_shape = {.heads = 64, .queries = 1u << 29}}},
    /* two elements of out have the same address */
    {"out_strides", {SIZES, .out_strides = {0, 96, 24}}},
    {"out_strides", {SIZES, .out_strides = {480, 0, 24}}},
    {"out_strides", {SIZES, .out_strides = {480, 96, 0}}},
    {"out_strides", {SIZES, .out_strides = {480, 96, 23}}},
    {"out_strides", {SIZES, .out_strides = {480, 95, 24}}},
    {"out_strides", {SIZES, .out_strides = {479, 96, 24}}},
    {"out_strides", {SIZES, .out_strides = {24, 96, 24}}},
    {"out_strides", {SIZES, .out_strides = {1, 1, 1}}},
};

/* There may be kernels for larger dimensions one day. */
Test(desc, dimensions_without_kernels)
{
    const dmattn_attention_desc large[] = {
        {.batch = 2, .queries = 5, .keys = 7, .heads = 4, .head_dim = 584},
        {.batch = 2, .queries = 5, .keys = 7, .heads = 4, .head_dim = 16, .value_dim = 520}};
    const char *const sentence[] = {"head_dim is 584", "value_dim is 520"};
    for (int i = 0; i < 2; i++) {
        dmattn_attention_desc d;
        sentences s = {0};
        cr_expect_eq(dmattn_attention_desc_resolve(&large[i], &d, &(messenger){sentences_keep, &s}),
                     DMATTN_ERROR_UNSUPPORTED);
        cr_expect(s.count == 1 && strstr(s.text, sentence[i]), "%s", s.text);
    }
}

Test(desc, what_is_refused)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dmattn_attention_desc d;
        sentences s = {0};
        dmattn_status status = dmattn_attention_desc_resolve(&bad[i].desc, &d, &(messenger){sentences_keep, &s});
        cr_expect_eq(status, DMATTN_ERROR_INVALID, "row %zu (%s): %s", i, bad[i].sentence,
                     dmattn_status_string(status));
        cr_expect_eq(s.count, 1, "row %zu (%s): %u sentences", i, bad[i].sentence, s.count);
        cr_expect_eq(s.severity, DMATTN_SEVERITY_ERROR);
        cr_expect(strstr(s.text, bad[i].sentence), "row %zu: no '%s' in: %s", i, bad[i].sentence, s.text);
        cr_expect(!strchr(s.text, '\n'), "row %zu: more than one line: %s", i, s.text);
        /* without a message callback, too */
        cr_expect_eq(dmattn_attention_desc_resolve(&bad[i].desc, &d, NULL), DMATTN_ERROR_INVALID);
    }
    dmattn_attention_desc d;
    sentences s = {0};
    cr_expect_eq(dmattn_attention_desc_resolve(NULL, &d, &(messenger){sentences_keep, &s}), DMATTN_ERROR_INVALID);
    cr_expect(s.count == 1 && strstr(s.text, "descriptor is NULL"), "%s", s.text);
}

/* Whether two elements of out have the same address, directly from the definition. */
static bool overlaps(const dmattn_attention_desc *d)
{
    static unsigned char taken[200000];
    memset(taken, 0, sizeof taken);
    for (uint32_t b = 0; b < d->batch; b++)
        for (uint32_t t = 0; t < d->queries; t++)
            for (uint32_t head = 0; head < d->heads; head++)
                for (uint32_t i = 0; i < d->value_dim; i++) {
                    uint64_t at =
                        b * d->out_strides.batch + t * d->out_strides.sequence + head * d->out_strides.head + i;
                    if (taken[at]++)
                        return true;
                }
    return false;
}

/* Overlapping strides are refused. Every order of dimensions with any gaps is accepted. Other interleavings may be
 * refused even if they do not overlap. */
Test(desc, overlapping_out)
{
    uint64_t state = 1;
    int taken = 0;
    for (int round = 0; round < 20000; round++) {
        dmattn_attention_desc d, desc = {.batch = 1 + (uint32_t)(random_bits(&state) % 3),
                                         .queries = 1 + (uint32_t)(random_bits(&state) % 4),
                                         .keys = 1,
                                         .heads = 1 + (uint32_t)(random_bits(&state) % 3),
                                         .head_dim = 8};
        desc.out_strides =
            (dmattn_strides){random_bits(&state) % 100, random_bits(&state) % 100, 1 + random_bits(&state) % 100};
        dmattn_status status = dmattn_attention_desc_resolve(&desc, &d, NULL);
        if (status == DMATTN_SUCCESS) {
            taken++;
            cr_assert(!overlaps(&d), "%u x %u x %u with strides %llu, %llu, %llu", d.batch, d.queries, d.heads,
                      (unsigned long long)d.out_strides.batch, (unsigned long long)d.out_strides.sequence,
                      (unsigned long long)d.out_strides.head);
        }
    }
    cr_expect(taken > 1000, "%d", taken);

    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int order = 0; order < 6; order++)
        for (uint64_t gap = 0; gap < 3; gap++) {
            const uint64_t extent[3] = {2, 3, 4};
            uint64_t stride[3], next = 8;
            for (int i = 0; i < 3; i++) {
                stride[orders[order][i]] = next + gap;
                next = (next + gap) * extent[orders[order][i]];
            }
            resolved((dmattn_attention_desc){.batch = 2,
                                             .queries = 3,
                                             .keys = 1,
                                             .heads = 4,
                                             .head_dim = 8,
                                             .out_strides = {stride[0], stride[1], stride[2]}});
        }
}

/* ---- sizes --------------------------------------------------------------------------------------------------- */

/* Products and sums are right up to 2^62, and TOO_MANY_BYTES beyond. */
Test(desc, products_of_sizes)
{
    static const uint64_t sizes[] = {0,
                                     1,
                                     2,
                                     3,
                                     UINT32_MAX,
                                     UINT64_C(1) << 31,
                                     UINT64_C(1) << 32,
                                     (UINT64_C(1) << 61) - 1,
                                     UINT64_C(1) << 61,
                                     MAX_TENSOR_BYTES - 1,
                                     MAX_TENSOR_BYTES,
                                     TOO_MANY_BYTES,
                                     UINT64_C(1) << 63,
                                     UINT64_MAX};
    enum { COUNT_OF_SIZES = sizeof sizes / sizeof *sizes };
    for (int i = 0; i < COUNT_OF_SIZES; i++)
        for (int j = 0; j < COUNT_OF_SIZES; j++) {
            const long double sum = (long double)sizes[i] + sizes[j], product = (long double)sizes[i] * sizes[j];
            const bool adds = sum <= (long double)MAX_TENSOR_BYTES, fits = product <= (long double)MAX_TENSOR_BYTES;
            cr_expect_eq(dmattn_add(sizes[i], sizes[j]), adds ? sizes[i] + sizes[j] : TOO_MANY_BYTES);
            cr_expect_eq(dmattn_product(sizes[i], sizes[j]), fits ? sizes[i] * sizes[j] : TOO_MANY_BYTES);
            cr_expect_eq(dmattn_product(sizes[i], sizes[j], 0), 0);
            cr_expect_eq(dmattn_product(1, sizes[i], 1, sizes[j]), dmattn_product(sizes[i], sizes[j]));
        }
    cr_expect_eq(dmattn_product(1u << 31, 1u << 31), MAX_TENSOR_BYTES);
    cr_expect_eq(dmattn_product(1u << 31, 1u << 31, 2), TOO_MANY_BYTES);
    cr_expect_eq(dmattn_product(1u << 31, 1u << 31, 4), TOO_MANY_BYTES, "2^64 wraps to 0");
}

Test(desc, tensor_bytes)
{
    dmattn_attention_desc d = resolved((dmattn_attention_desc){SIZES});
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_Q), 4 * 2 * 5 * 4 * 16);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_K), 4 * 2 * 7 * 2 * 16);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_V), 4 * 2 * 7 * 2 * 24);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_OUT), 4 * 2 * 5 * 4 * 24);
    for (int t = TENSOR_LSE; t < TENSOR_COUNT; t++)
        cr_expect_eq(dmattn_attention_tensor_bytes(&d, (tensor_id)t), 0);

    d = resolved((dmattn_attention_desc){SIZES, .type = DMATTN_TYPE_F16, .lse = true, DENSE,
                                         .mask_shape = {.batch = 2, .heads = 2, .queries = 5}, .bias = true,
                                         .bias_type = DMATTN_TYPE_BF16, .bias_shape = {.heads = 4}});
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_Q), 2 * 2 * 5 * 4 * 16);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_LSE), 4 * 2 * 4 * 5);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_MASK), 2 * 2 * 5 * 7);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_BIAS), 2 * 4 * 7);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_SINK), 0);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_SLOPES), 0);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_BEGIN), 0);

    d = resolved((dmattn_attention_desc){WIDE_SIZES, .type = DMATTN_TYPE_BF16, .k_format = DMATTN_FORMAT_E4M3,
                                         .v_format = DMATTN_FORMAT_Q4_0, .v_strides = {7 * 96, 96, 32}});
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_K), 2 * 7 * 2 * 32);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_K_SCALES), 4 * 2 * 7 * 2);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_V), 18 * ((7 + 6) * 3 + 2));
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_V_SCALES), 0);
    d = resolved((dmattn_attention_desc){SIZES, .k_format = DMATTN_FORMAT_F16, .v_format = DMATTN_FORMAT_INT8});
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_K), 2 * 2 * 7 * 2 * 16);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_K_SCALES), 0);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_V), 2 * 7 * 2 * 24);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_V_SCALES), 4 * 2 * 7 * 2);

    d = resolved((dmattn_attention_desc){SIZES, .counts = true});
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_COUNTS), 8 * 2);

    d = resolved((dmattn_attention_desc){SIZES, .lse = true, .counts = true, .total_queries = 9, .total_keys = 11,
                                         .v_format = DMATTN_FORMAT_INT8});
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_COUNTS), 8 * 2);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_Q), 4 * 9 * 4 * 16);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_OUT), 4 * 9 * 4 * 24);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_LSE), 4 * 4 * 9);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_K), 4 * 11 * 2 * 16);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_V), 11 * 2 * 24);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_V_SCALES), 4 * 11 * 2);
    d = resolved((dmattn_attention_desc){SIZES, .counts = true, .total_queries = 9, .page_size = 2, .pages = 100});
    cr_expect_eq(d.total_keys, 2 * 7);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_TABLE), 4 * 2 * 4);

    /* in pages of 2 keys: rows of k, rows of v, and scales of v, each at a multiple of 16 bytes */
    d = resolved((dmattn_attention_desc){.batch = 2,
                                         .queries = 5,
                                         .keys = 25,
                                         .heads = 3,
                                         .kv_heads = 1,
                                         .head_dim = 8,
                                         .type = DMATTN_TYPE_F16,
                                         .v_format = DMATTN_FORMAT_INT8,
                                         .page_size = 2,
                                         .pages = 100,
                                         .k_strides = {1, 1, 1}});
    cr_expect_eq(d.page_bytes, 32 + 16 + 16);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_PAGES), 100 * 64);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_TABLE), 4 * 2 * 13);
    const tensor_id in_pages[] = {TENSOR_K, TENSOR_V, TENSOR_K_SCALES, TENSOR_V_SCALES};
    for (int i = 0; i < 4; i++)
        cr_expect_eq(dmattn_attention_tensor_bytes(&d, in_pages[i]), 0);

    d = resolved((dmattn_attention_desc){SIZES, .mask = DMATTN_MASK_ADDITIVE, .bias_type = DMATTN_TYPE_F16,
                                         .bias_shape = {.queries = 5}, .sink = true, .slopes = true});
    cr_expect(d.bias && dmattn_attention_has_bitmap(&d) && d.mask_shape.queries == 5, "the bias is the mask");
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_MASK), 0);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_BIAS), 2 * 5 * 7);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_SINK), 4 * 4);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_SLOPES), 4 * 4);

    d = resolved((dmattn_attention_desc){SIZES, INTERVALS, .mask_shape = {.batch = 2, .heads = 2}});
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_BEGIN), 4 * 2 * 2 * 7);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_END), 4 * 2 * 2 * 7);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_MASK), 0);

    d = resolved((dmattn_attention_desc){SIZES, .mask = DMATTN_MASK_SELECTED, .selected_count = 3, .causal = true,
                                         .mask_shape = {.batch = 2, .heads = 2, .queries = 5}});
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_SELECTED), 4 * 2 * 2 * 5 * 3);
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_MASK), 0);
    cr_expect_eq(d.selected_block, 1);
    cr_expect_eq(dmattn_attention_pairs(&d), 5 * 3, "a query sees at most the keys of its list");
    d.selected_block = 16;
    cr_expect_eq(dmattn_attention_pairs(&d), 3 + 4 + 5 + 6 + 7);
    cr_expect_eq(dmattn_attention_seen_keys(&d, 2), 7);

    /* up to the last element, with any gaps; the stride of a dimension of length 1 does not count */
    d = resolved((dmattn_attention_desc){.batch = 2,
                                         .queries = 3,
                                         .keys = 1,
                                         .heads = 2,
                                         .head_dim = 8,
                                         .q_strides = {1000, 100, 10},
                                         .k_strides = {0, 999999, 8}});
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_Q), 4 * (1000 + 200 + 10 + 8));
    cr_expect_eq(dmattn_attention_tensor_bytes(&d, TENSOR_K), 4 * (8 + 8));
}

Test(desc, pairs)
{
    for (uint32_t queries = 1; queries < 12; queries++)
        for (uint32_t keys = 1; keys < 12; keys++)
            for (int causal = 0; causal < 2; causal++) {
                const dmattn_attention_desc d = resolved((dmattn_attention_desc){
                    .batch = 1, .queries = queries, .keys = keys, .heads = 1, .head_dim = 8, .causal = causal});
                double count = 0;
                for (int t = 0; t < (int)queries; t++)
                    for (int j = 0; j < (int)keys; j++)
                        count += !causal || j <= t + (int)keys - (int)queries;
                cr_expect_eq(dmattn_attention_pairs(&d), count, "%u x %u, causal %d", queries, keys, causal);
            }
}

Test(desc, heads_of_scores)
{
    const dmattn_score_shape one = {.heads = 1}, by_kv_head = {.heads = 2}, by_head = {.heads = 6};
    for (uint32_t head = 0; head < 6; head++) {
        cr_expect_eq(dmattn_score_head(&one, head, 6, 2), 0);
        cr_expect_eq(dmattn_score_head(&by_kv_head, head, 6, 2), head / 3);
        cr_expect_eq(dmattn_score_head(&by_head, head, 6, 2), head);
        cr_expect_eq(dmattn_score_head(&one, head, 6, 1), 0);
    }
}

Test(desc, names)
{
    cr_expect_str_eq(dmattn_tensor_name(TENSOR_Q), "q");
    cr_expect_str_eq(dmattn_tensor_name(TENSOR_BIAS), "bias");
    cr_expect_str_eq(dmattn_type_string(DMATTN_TYPE_F32), "f32");
    cr_expect_str_eq(dmattn_type_string(DMATTN_TYPE_F16), "f16");
    cr_expect_str_eq(dmattn_type_string(DMATTN_TYPE_BF16), "bf16");
    cr_expect_eq(dmattn_version(), DMATTN_VERSION);
    for (int status = -5; status <= 1; status++)
        cr_expect(*dmattn_status_string((dmattn_status)status));
    for (int level = -1; level <= 4; level++)
        cr_expect(*dmattn_level_string((dmattn_level)level));
    cr_expect_str_eq(dmattn_vk_result_string(VK_ERROR_DEVICE_LOST), "VK_ERROR_DEVICE_LOST");
}
