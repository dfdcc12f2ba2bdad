// SPDX-License-Identifier: MIT
// The score S of a pair (query, key) from the product x = q k, in attention, its gradients and decoding at all levels:
//
//     s = scale x                 with a soft cap c: s = c tanh(scale x / c)
//     S = s + bias                -infinity if the query does not see the key
//
// and the end of a row's softmax. An option that changes s belongs here. An option that adds to s belongs in
// pair_bias() of tile.glsl. A score of +infinity or NaN makes the sum of the row's probabilities NaN, or infinite where
// exp2(NaN) is +infinity.
//
// The includer defines BIAS and the constants of score.h. It may define these macros:
//     PAIR_TERMS         not 0: something is added to s (default: BIAS)
//     SCORE_SCALE        the scale (default: the constant)
//     SCALE_IN_EXPONENT  If s is linear in x, s is not multiplied by the scale. Instead, the exponent of the softmax is
//                        multiplied by exponent_scale(). Not if REAL_UNITS is set.
//     START_FROM_BIAS    Where SCALE_IN_EXPONENT applies, sums of products start from the bias by key. It is not added
//                        again.
#ifndef LIB_SCORE_GLSL
#define LIB_SCORE_GLSL

#include "math.glsl"
#include "memory.glsl"

#ifndef PAIR_TERMS
#define PAIR_TERMS BIAS
#endif
#ifndef SCORE_SCALE
#define SCORE_SCALE uintBitsToFloat(SCALE)
#endif

// 1: s is not a multiple of x. These are numbers because glslang makes no valid constants from && and !.
const uint NONLINEAR = SOFT_CAP;

#ifdef SCALE_IN_EXPONENT
const uint SCALED = NONLINEAR != 0 ? 1 : REAL_UNITS;
#else
const uint SCALED = 1;
#endif

#ifdef START_FROM_BIAS
const uint BIAS_AT_START = SCALED != 0 ? 0 : BIAS_BY_KEY;
#else
const uint BIAS_AT_START = 0;
#endif
const uint BIAS_AT_END = BIAS_AT_START != 0 ? 0 : PAIR_TERMS;

// The factor by which scores must still be multiplied.
float exponent_scale()
{
    return SCALED != 0 ? 1 : SCORE_SCALE;
}

// s of a product x; `slope` is ds / d(scale x).
float scale_and_cap(float x, out float slope)
{
    slope = 1;
    if (SCALED != 0)
        x *= SCORE_SCALE;
    if (SOFT_CAP != 0)
        x = soft_cap(x, uintBitsToFloat(SOFT_CAP), slope);
    return x;
}

float finish_score(float x, float bias, bool visible, out float slope)
{
    float s = scale_and_cap(x, slope);
    if (BIAS_AT_END != 0)
        s += bias;
    return visible ? s : MINUS_INFINITY;
}

float finish_score(float x, float bias, bool visible)
{
    float slope;
    return finish_score(x, bias, visible, slope);
}

// ---- the end of a row, from its largest score and the sum of e^(S - largest), which is 0 if the row sees no key -----

// The factor for the sum of P v.
float softmax_inverse(float sum)
{
    return sum == 0 ? 0 : is_finite(sum) ? 1 / sum : NOT_A_NUMBER;
}

float softmax_lse(float largest, float sum)
{
    return sum == 0 ? MINUS_INFINITY : is_finite(sum) ? largest + log2(sum) * LN_2 : NOT_A_NUMBER;
}

// The sink of a query head, from f32 [H].
float load_sink(uvec2 sinks, uint head)
{
    return counted_bias(uintBitsToFloat(Words(sinks).w[head]));
}

// Adds the row's sink, a score of no key, to `sum`. Returns the factor for the sum of P v, which was relative to the
// old `largest`.
float add_sink(float sink, inout float largest, inout float sum)
{
    if (sum == 0)
        largest = LOWEST;
    const float raised = max(largest, sink), shrink = exp2((largest - raised) * LOG2_E);
    sum = sum * shrink + exp2((sink - raised) * LOG2_E);
    largest = raised;
    return shrink;
}

#endif
