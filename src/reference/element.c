/* SPDX-License-Identifier: MIT */
#include "element.h"

#include <float.h>
#include <math.h>
#include <string.h>

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float bits_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double from_half(uint16_t half)
{
    /* The bits of a half, shifted to the positions of a float, give a float that is 2^112 times too small. */
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    double magnitude = bits < 0x0f800000 ? (double)bits_float(bits) * 0x1p112 : bits == 0x0f800000 ? INFINITY : NAN;
    return half & 0x8000 ? -magnitude : magnitude;
}

static uint16_t to_half(double value)
{
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double magnitude = fabs(value);
    if (isnan(value))
        return sign | 0x7e00;
    if (magnitude >= 65520) /* halfway between the largest half and the next power of two */
        return sign | 0x7c00;
    int exponent;
    frexp(magnitude, &exponent); /* magnitude = f * 2^exponent, 0.5 <= f < 1 */
    if (magnitude == 0 || exponent < -13)
        return sign | (uint16_t)nearbyint(ldexp(magnitude, 24)); /* subnormal; 1024 is the smallest normal number */
    /* from 1024 to 2048; 2048 increments the exponent, which is correct */
    uint32_t scaled = (uint32_t)nearbyint(ldexp(magnitude, 11 - exponent));
    return (uint16_t)(sign | (((uint32_t)(exponent + 14) << 10) + scaled - 1024));
}

static uint16_t to_bfloat(double value)
{
    float nearest = (float)value;
    uint32_t bits = float_bits(nearest);
    if (isnan(value))
        return (uint16_t)(bits >> 16 | 0x40);
    /* Rounding twice can turn a near tie into a tie. Rounding to odd first avoids that: truncate, then set the last bit
     * if the result is inexact. */
    if (isfinite(nearest) && (double)nearest != value)
        bits = (fabs((double)nearest) > fabs(value) ? bits - 1 : bits) | 1;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

double element_load(dmattn_type type, const void *array, uint64_t index)
{
    if (type == DMATTN_TYPE_F32)
        return ((const float *)array)[index];
    uint16_t bits = ((const uint16_t *)array)[index];
    return type == DMATTN_TYPE_F16 ? from_half(bits) : bits_float((uint32_t)bits << 16);
}

double element_in_f32_range(double value)
{
    const float nearest = (float)value;
    return isinf(nearest) ? (double)nearest : value;
}

double element_counted_bias(double bias)
{
    return isnan(bias) ? -INFINITY : bias > FLT_MAX ? FLT_MAX : bias;
}

void element_store(dmattn_type type, void *array, uint64_t index, double value)
{
    if (type == DMATTN_TYPE_F32)
        ((float *)array)[index] = (float)value;
    else
        ((uint16_t *)array)[index] = type == DMATTN_TYPE_F16 ? to_half(value) : to_bfloat(value);
}
