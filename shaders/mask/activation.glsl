// SPDX-License-Identifier: MIT
// Turns z into the importance of a key.
#ifndef MASK_ACTIVATION_GLSL
#define MASK_ACTIVATION_GLSL

#include "../lib/math.glsl"

// Returns exp(a softplus(z)) if `exponential`, otherwise a softplus(z). NaN becomes -infinity, and +infinity becomes
// the highest finite number.
float activate(float z, float a, bool exponential)
{
    const float x = a * softplus(z);
    return counted_bias(is_nan(z) || is_nan(x) ? NOT_A_NUMBER : exponential ? accurate_exp(x) : x);
}

#endif
