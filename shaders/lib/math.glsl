// SPDX-License-Identifier: MIT
// A soft cap; and exp and softplus, whose error is at most 2 units in the last place on every device. Built-in
// functions may have larger errors: near 1, the absolute error of log2 may be 2^-21. Then two keys of different
// importance could get the same importance.
#ifndef LIB_MATH_GLSL
#define LIB_MATH_GLSL

#define MINUS_INFINITY uintBitsToFloat(0xff800000u)
#define PLUS_INFINITY uintBitsToFloat(0x7f800000u)
#define NOT_A_NUMBER uintBitsToFloat(0x7fc00000u)
const float LOWEST = -3.402823466e38, HIGHEST = 3.402823466e38; // the lowest and the highest finite number
const float LOG2_E = 1.44269504088896;
const float LN_2 = 0.693147180559945;

bool is_nan(float x) // isnan() may be optimised away
{
    return (floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u;
}

bool is_finite(float x)
{
    return (floatBitsToUint(x) & 0x7f800000u) != 0x7f800000u;
}

// A bias, or an importance, as scores take it: NaN counts as -infinity, +infinity as the highest number.
float counted_bias(float x)
{
    return is_nan(x) ? MINUS_INFINITY : min(x, HIGHEST);
}

// 2^n for n from -126 to 127
float power_of_2(int n)
{
    return uintBitsToFloat(uint(n + 127) << 23);
}

// e^x = 2^n e^r, r = x - n ln 2, |r| <= ln 2 / 2; ln 2 is subtracted in two parts, because the first part times n is
// exact (Cody and Waite 1980). e^r is a Taylor series. `precise` is needed because some drivers otherwise join the two
// parts again; fma() cannot be precise.
float accurate_exp(float x)
{
    x = clamp(x, -104, 89); // beyond these limits, the result is 0 or infinity
    const float n = roundEven(x * 1.44269504088896);
    precise float r = x - n * 0.693359375;
    r = r + n * 2.12194440e-4;
    float e = 1.0 / 5040;
    e = fma(e, r, 1.0 / 720);
    e = fma(e, r, 1.0 / 120);
    e = fma(e, r, 1.0 / 24);
    e = fma(e, r, 1.0 / 6);
    e = fma(e, r, 0.5);
    e = fma(e, r, 1);
    e = fma(e, r, 1);
    const int half_n = int(n) / 2;
    return e * power_of_2(half_n) * power_of_2(int(n) - half_n);
}

// ln(1 + u) for u from 0 to 1: 2 artanh(u / (2 + u)), as a series. Each term is at most 1/9 of the one before it.
float log_of_1_plus(float u)
{
    const float s = u / (2 + u), s2 = s * s;
    float t = 1.0 / 17;
    t = fma(t, s2, 1.0 / 15);
    t = fma(t, s2, 1.0 / 13);
    t = fma(t, s2, 1.0 / 11);
    t = fma(t, s2, 1.0 / 9);
    t = fma(t, s2, 1.0 / 7);
    t = fma(t, s2, 1.0 / 5);
    t = fma(t, s2, 1.0 / 3);
    return 2 * fma(t * s2, s, s);
}

// ln(1 + e^z)
float softplus(float z)
{
    return max(z, 0) + log_of_1_plus(accurate_exp(-abs(z)));
}

// cap tanh(x / cap). `slope` is its derivative. It is computed from e = exp(-2 |x| / cap), because 1 - tanh^2 loses its
// digits if tanh is near 1.
float soft_cap(float x, float cap, out float slope)
{
    const float y = x / cap, y2 = y * y, e = exp2(-2 * LOG2_E * abs(y));
    slope = 4 * e / ((1 + e) * (1 + e));
    // Near 0, 1 - e loses its digits.
    const float t =
        abs(y) < 0.2 ? abs(y) * (1 + y2 * (-1.0 / 3 + y2 * (2.0 / 15 - y2 * 17.0 / 315))) : (1 - e) / (1 + e);
    return y < 0 ? -cap * t : cap * t;
}

// 1 / (1 + e^-z), the derivative of softplus
float sigmoid(float z)
{
    const float e = accurate_exp(-abs(z));
    return (z < 0 ? e : 1) / (1 + e);
}

#endif
