/* SPDX-License-Identifier: MIT */
#include "format.h"

#include "element.h"

#include <math.h>
#include <string.h>

#define BLOCK 32

/* ---- loading --------------------------------------------------------------------------------------------------- */

static double e4m3_load(uint8_t code)
{
    const int exponent = code >> 3 & 15, mantissa = code & 7;
    if ((code & 0x7f) == 0x7f)
        return NAN;
    const double magnitude = exponent ? ldexp(8 + mantissa, exponent - 10) : ldexp(mantissa, -9);
    return code & 0x80 ? -magnitude : magnitude;
}

static double half_at(const uint8_t *bytes)
{
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return element_load(DMATTN_TYPE_F16, &half, 0);
}

static double int8_load(uint8_t byte)
{
    return byte < 128 ? byte : byte - 256;
}

double format_load(dmattn_format format, const void *row, float scale, uint64_t index)
{
    const uint8_t *bytes = row;
    const uint32_t i = index % BLOCK;
    switch (format) {
    case DMATTN_FORMAT_INT8: return (float)(scale * int8_load(bytes[index]));
    case DMATTN_FORMAT_E4M3: return (float)(scale * e4m3_load(bytes[index]));
    case DMATTN_FORMAT_Q8_0: bytes += index / BLOCK * 34; return half_at(bytes) * int8_load(bytes[2 + i]);
    case DMATTN_FORMAT_Q4_0:
        bytes += index / BLOCK * 18;
        return half_at(bytes) * ((bytes[2 + i % 16] >> (i < 16 ? 0 : 4) & 15) - 8);
    default: return element_load((dmattn_type)(format - DMATTN_FORMAT_F32), row, index);
    }
}

/* ---- storing --------------------------------------------------------------------------------------------------- */

/* The first one with the largest magnitude; NaN if one is not finite. */
static float largest_of(const float *x, uint32_t count)
{
    float largest = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!isfinite(x[i]))
            return NAN;
        if (fabsf(x[i]) > fabsf(largest))
            largest = x[i];
    }
    return largest;
}

/* x / divisor, or 0 if that, rounded to 24 bits, is below the normal numbers of f32. */
static float scale_of(float x, double divisor)
{
    const double scale = x / divisor;
    return isnan(x) ? NAN /* without a sign */ : fabs(scale) < 0x1p-126 * (1 - 0x1p-25) ? 0 : (float)scale;
}

static float inverse_of(float scale)
{
    return scale == 0 || isnan(scale) ? 0 : 1 / scale;
}

static uint8_t e4m3_store(float x)
{
    const double size = fabs((double)x);
    int exponent;
    frexp(size, &exponent); /* size = f * 2^exponent, 0.5 <= f < 1 */
    const uint8_t sign = signbit(x) ? 0x80 : 0;
    if (size == 0 || exponent < -5)
        return sign | (uint8_t)nearbyint(ldexp(size, 9)); /* 8 is the smallest normal number */
    return sign | (uint8_t)(((exponent + 6) << 3) + (int)nearbyint(ldexp(size, 4 - exponent)) - 8);
}

static void q8_0_store(uint8_t *block, const float *x)
{
    const float d = scale_of(fabsf(largest_of(x, BLOCK)), 127), inverse = inverse_of(d);
    uint16_t half;
    element_store(DMATTN_TYPE_F16, &half, 0, d);
    memcpy(block, &half, sizeof half);
    for (uint32_t i = 0; i < BLOCK; i++)
        block[2 + i] = (uint8_t)(inverse == 0 ? 0 : (int)nearbyintf(x[i] * inverse));
}

static uint8_t q4_0_number(float x, float inverse)
{
    const float number = x * inverse, shifted = number + 8.5f;
    return inverse == 0 ? 8 : shifted > 15 ? 15 : (uint8_t)shifted;
}

static void q4_0_store(uint8_t *block, const float *x)
{
    const float d = scale_of(largest_of(x, BLOCK), -8), inverse = inverse_of(d);
    uint16_t half;
    element_store(DMATTN_TYPE_F16, &half, 0, d);
    memcpy(block, &half, sizeof half);
    for (uint32_t i = 0; i < 16; i++)
        block[2 + i] = (uint8_t)(q4_0_number(x[i], inverse) | q4_0_number(x[i + 16], inverse) << 4);
}

float format_store(dmattn_format format, void *row, const float *x, uint32_t count)
{
    uint8_t *bytes = row;
    const bool has_scale = format == DMATTN_FORMAT_INT8 || format == DMATTN_FORMAT_E4M3;
    const double greatest = format == DMATTN_FORMAT_INT8 ? 127 : 448;
    const float scale = has_scale ? scale_of(fabsf(largest_of(x, count)), greatest) : 0, inverse = inverse_of(scale);
    switch (format) {
    case DMATTN_FORMAT_INT8:
        for (uint32_t i = 0; i < count; i++)
            bytes[i] = (uint8_t)(inverse == 0 ? 0 : (int)nearbyintf(x[i] * inverse));
        break;
    case DMATTN_FORMAT_E4M3:
        for (uint32_t i = 0; i < count; i++)
            bytes[i] = inverse == 0 ? 0 : e4m3_store(x[i] * inverse);
        break;
    case DMATTN_FORMAT_Q8_0:
        for (uint32_t i = 0; i < count / BLOCK; i++)
            q8_0_store(bytes + 34 * i, x + BLOCK * i);
        break;
    case DMATTN_FORMAT_Q4_0:
        for (uint32_t i = 0; i < count / BLOCK; i++)
            q4_0_store(bytes + 18 * i, x + BLOCK * i);
        break;
    default:
        for (uint32_t i = 0; i < count; i++)
            element_store((dmattn_type)(format - DMATTN_FORMAT_F32), row, i, x[i]);
    }
    return scale;
}
