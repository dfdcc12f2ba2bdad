/* SPDX-License-Identifier: MIT
 * Formats of keys and values: their sizes, and the reference, whose rows are compared with the formats' definitions. */
#include "descriptors/format.h"
#include "reference/element.h"
#include "reference/format.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#define BLOCK 32

static const dmattn_format quantized[] = {DMATTN_FORMAT_INT8, DMATTN_FORMAT_E4M3, DMATTN_FORMAT_Q8_0,
                                          DMATTN_FORMAT_Q4_0};

/* Numbers that differ from run to run of a test only if `seed` does. */
static float number(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return (float)(int32_t)*seed * 0x1p-31f;
}

static double half_of(const uint8_t *block)
{
    uint16_t half;
    memcpy(&half, block, sizeof half);
    return element_load(DMATTN_TYPE_F16, &half, 0);
}

Test(format, sizes)
{
    static const struct {
        dmattn_format format;
        uint64_t bytes;
        bool scales;
        const char *name;
    } rows[] = {
        {DMATTN_FORMAT_F32, 256, false, "f32"},   {DMATTN_FORMAT_F16, 128, false, "f16"},
        {DMATTN_FORMAT_BF16, 128, false, "bf16"}, {DMATTN_FORMAT_INT8, 64, true, "int8"},
        {DMATTN_FORMAT_E4M3, 64, true, "e4m3"},   {DMATTN_FORMAT_Q8_0, 68, false, "q8_0"},
        {DMATTN_FORMAT_Q4_0, 36, false, "q4_0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(dmattn_format_bytes(rows[i].format, 64), rows[i].bytes);
        cr_expect_eq(dmattn_format_has_scales(rows[i].format), rows[i].scales);
        cr_expect_str_eq(dmattn_format_string(rows[i].format), rows[i].name);
        cr_expect_eq(64 % dmattn_format_block(rows[i].format), 0);
        cr_expect_eq(dmattn_format_of(rows[i].format, DMATTN_TYPE_F16), rows[i].format);
        cr_expect_eq(dmattn_check_format(NULL, "k_format", rows[i].format), DMATTN_SUCCESS);
    }
    cr_expect_eq(dmattn_check_format(NULL, "k_format", (dmattn_format)8), DMATTN_ERROR_INVALID);
    cr_expect_eq(dmattn_check_format(NULL, "k_format", (dmattn_format)-1), DMATTN_ERROR_INVALID);
    cr_expect_eq(dmattn_format_of(DMATTN_FORMAT_TYPE, DMATTN_TYPE_F32), DMATTN_FORMAT_F32);
    cr_expect_eq(dmattn_format_of(DMATTN_FORMAT_TYPE, DMATTN_TYPE_F16), DMATTN_FORMAT_F16);
    cr_expect_eq(dmattn_format_of(DMATTN_FORMAT_TYPE, DMATTN_TYPE_BF16), DMATTN_FORMAT_BF16);
    cr_expect(dmattn_format_is_type(DMATTN_FORMAT_BF16, DMATTN_TYPE_BF16));
    cr_expect_not(dmattn_format_is_type(DMATTN_FORMAT_F16, DMATTN_TYPE_BF16));
}

/* The number of a code, from the definition of the format. */
static double e4m3(int code)
{
    const double sign = code & 0x80 ? -1 : 1, fraction = (code & 7) / 8.0;
    const int exponent = code >> 3 & 15;
    return (code & 0x7f) == 0x7f ? NAN
           : exponent            ? sign * (1 + fraction) * pow(2, exponent - 7)
                                 : sign * fraction * pow(2, -6);
}

Test(format, e4m3_codes)
{
    for (int code = 0; code < 256; code++) {
        const uint8_t row[2] = {(uint8_t)code, 0x7e};
        const double x = format_load(DMATTN_FORMAT_E4M3, row, 1, 0);
        cr_assert(isnan(x) ? isnan(e4m3(code)) : x == e4m3(code), "code %d is %g", code, x);
        cr_assert(isnan(x) || format_load(DMATTN_FORMAT_E4M3, row, 0.25f, 0) == 0.25 * x);
        if (isnan(x))
            continue;
        uint8_t stored[2];
        const float numbers[2] = {(float)x, 448};
        cr_assert_eq(format_store(DMATTN_FORMAT_E4M3, stored, numbers, 2), 1);
        cr_assert_arr_eq(stored, row, 2, "%g has code %d, not %d", x, stored[0], code);
    }
}

/* Between two neighbouring codes: the nearer one, and of a number in the middle the even one. */
Test(format, e4m3_rounding)
{
    for (int code = 0; code < 0x7e; code++) {
        const float middle = (float)((e4m3(code) + e4m3(code + 1)) / 2);
        const float numbers[4] = {middle, nextafterf(middle, 0), nextafterf(middle, 1e9f), 448};
        uint8_t stored[4];
        cr_assert_eq(format_store(DMATTN_FORMAT_E4M3, stored, numbers, 4), 1);
        cr_assert_eq(stored[0], code + (code & 1), "the middle after code %d is %d", code, stored[0]);
        cr_assert_eq(stored[1], code);
        cr_assert_eq(stored[2], code + 1);
    }
}

Test(format, int8_rounding)
{
    float numbers[8] = {0.5f, 1.5f, -0.5f, -1.5f, 126.5f, 2.4999998f, -127, 0};
    const int expected[8] = {0, 2, 0, -2, 126, 2, -127, 0};
    uint8_t row[8];
    cr_assert_eq(format_store(DMATTN_FORMAT_INT8, row, numbers, 8), 1);
    for (int i = 0; i < 8; i++)
        cr_expect_eq((int8_t)row[i], expected[i], "%g is %d", numbers[i], (int8_t)row[i]);
    for (int i = 0; i < 8; i++)
        cr_expect_eq(format_load(DMATTN_FORMAT_INT8, row, 2, (uint64_t)i), 2 * expected[i]);
}

/* No element is further from what was stored than half a step of its format, and a little for what is rounded before.
 */
Test(format, errors_of_rounding)
{
    uint32_t seed = 1;
    for (int n = 0; n < 4000; n++) {
        const dmattn_format format = quantized[n % 4];
        const float size = ldexpf(1, n / 4 % 38 - 20);
        float x[2 * BLOCK], largest[2] = {0, 0};
        uint8_t row[2 * BLOCK + 4];
        for (int i = 0; i < 2 * BLOCK; i++) {
            x[i] = size * number(&seed) * (i < BLOCK ? 1 : 0.125f);
            largest[i / BLOCK] = fmaxf(largest[i / BLOCK], fabsf(x[i]));
        }
        const float scale = format_store(format, row, x, 2 * BLOCK);
        const bool rows = dmattn_format_has_scales(format);
        cr_assert(rows ? fabs(scale * (format == DMATTN_FORMAT_INT8 ? 127.0 : 448.0) / largest[0] - 1) < 1e-6
                       : scale == 0);
        for (uint64_t i = 0; i < 2 * BLOCK; i++) {
            const double most = largest[rows ? 0 : i / BLOCK], y = format_load(format, row, scale, i);
            /* Q4_0 has no number for the largest magnitude with the other sign: that is a whole step away. The f16 of d
             * is rounded, too, and may be subnormal. */
            const double step = format == DMATTN_FORMAT_INT8   ? most / 127 / 2
                                : format == DMATTN_FORMAT_E4M3 ? fmax(fabs(x[i]) / 16, most / 448 / 1024)
                                : format == DMATTN_FORMAT_Q8_0 ? most / 127 / 2 + most * 0x1p-11 + 127 * 0x1p-25
                                                               : most / 8 + most * 0x1p-11 + 8 * 0x1p-25;
            cr_assert_leq(fabs(y - x[i]), step * 1.00001, "%s: %.9g became %.9g", dmattn_format_string(format), x[i],
                          y);
        }
    }
}

/* The bytes of a block, from what ggml's format is. */
Test(format, blocks)
{
    float x[BLOCK];
    uint8_t block[34];
    for (int i = 0; i < BLOCK; i++)
        x[i] = (float)(i - 16) * 0.5f; /* -8 to 7.5 */
    format_store(DMATTN_FORMAT_Q4_0, block, x, BLOCK);
    cr_expect_eq(half_of(block), 1); /* -8 / -8 */
    for (int i = 0; i < 16; i++) {
        cr_expect_eq(block[2 + i] & 15, (int)(x[i] + 8.5f));
        cr_expect_eq(block[2 + i] >> 4, i == 15 ? 15 : (int)(x[i + 16] + 8.5f));
    }
    for (int i = 0; i < BLOCK; i++)
        x[i] = (float)(4 * i - 127) * 0.5f; /* largest: -63.5, so d is 1/2 */
    format_store(DMATTN_FORMAT_Q8_0, block, x, BLOCK);
    cr_expect_eq(half_of(block), 0.5);
    for (int i = 0; i < BLOCK; i++) {
        cr_expect_eq((int8_t)block[2 + i], 4 * i - 127);
        cr_expect_eq(format_load(DMATTN_FORMAT_Q8_0, block, 0, (uint64_t)i), x[i]);
    }
    /* of two largest magnitudes, the first one has the number -8 */
    memset(x, 0, sizeof x);
    x[3] = 4;
    x[20] = -4;
    format_store(DMATTN_FORMAT_Q4_0, block, x, BLOCK);
    cr_expect_eq(half_of(block), -0.5);
    cr_expect_eq(format_load(DMATTN_FORMAT_Q4_0, block, 0, 3), 4);
    cr_expect_eq(format_load(DMATTN_FORMAT_Q4_0, block, 0, 20), -3.5);
}

/* Rows of zeros, and rows so small that their scale is no normal number, are zeros. */
Test(format, zeros)
{
    for (int n = 0; n < 8; n++) {
        const dmattn_format format = quantized[n % 4];
        float x[BLOCK] = {0, -0.0f};
        uint8_t row[34];
        x[5] = n < 4 ? 0 : 0x1p-126f;
        x[7] = n < 4 ? 0 : -0x1p-149f;
        const float scale = format_store(format, row, x, BLOCK);
        cr_expect_eq(scale, 0);
        for (uint64_t i = 0; i < BLOCK; i++)
            cr_expect_eq(format_load(format, row, scale, i), 0);
    }
    float x[2] = {127 * 0x1p-126f, 0};
    uint8_t row[2];
    cr_expect_eq(format_store(DMATTN_FORMAT_INT8, row, x, 2), 0x1p-126f);
    cr_expect_eq(row[0], 127);
}

/* If an element is not finite, neither is any of its row or block. */
Test(format, not_finite)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int n = 0; n < 12; n++) {
        const dmattn_format format = quantized[n % 4];
        float x[2 * BLOCK];
        uint8_t row[68];
        for (int i = 0; i < 2 * BLOCK; i++)
            x[i] = (float)i;
        x[9] = bad[n / 4];
        const float scale = format_store(format, row, x, 2 * BLOCK);
        const bool whole = dmattn_format_has_scales(format);
        for (uint64_t i = 0; i < 2 * BLOCK; i++)
            cr_expect_eq(isnan(format_load(format, row, scale, i)) != 0, whole || i < BLOCK);
    }
}

/* Numbers near the ends of f32 have a scale; d of a block is an f16 and may not. */
Test(format, large)
{
    float x[BLOCK] = {FLT_MAX / 2, -FLT_MAX / 2, 1};
    uint8_t row[34];
    for (int n = 0; n < 2; n++) {
        const float scale = format_store(quantized[n], row, x, BLOCK);
        cr_expect(fabs(format_load(quantized[n], row, scale, 0) / x[0] - 1) < 1e-6);
        cr_expect(fabs(format_load(quantized[n], row, scale, 1) / x[1] - 1) < 1e-6);
        cr_expect_eq(format_load(quantized[n], row, scale, 2), 0);
    }
    for (int n = 2; n < 4; n++) {
        format_store(quantized[n], row, x, BLOCK);
        cr_expect_eq(format_load(quantized[n], row, 0, 0), INFINITY);
        cr_expect_eq(format_load(quantized[n], row, 0, 1), -INFINITY);
        cr_expect(isnan(format_load(quantized[n], row, 0, 2)));
    }
}
