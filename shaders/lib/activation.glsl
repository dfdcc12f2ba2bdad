// SPDX-License-Identifier: MIT
// From z to the importance of a key.
#ifndef LIB_ACTIVATION_GLSL
#define LIB_ACTIVATION_GLSL

#include "math.glsl"

// `exponential`: exp(a softplus(z)), else a softplus(z). NaN becomes -infinity.
float activate(float z, float a, bool exponential)
{
    const float x = a * softplus(z);
    if (is_nan(z) || is_nan(x))
        return uintBitsToFloat(0xff800000u);
    return exponential ? accurate_exp(x) : x;
}

#endif
