// SPDX-License-Identifier: MIT
// Turns a tile's products into P and dS, portable level. The includer defines how pairs are arranged:
//     QUERY_OF(r)          a row of the tile of queries, r < LANE_QUERIES
//     KEY_OF(k)            a key, k < LANE_KEYS
//     PAIR(x, r, k)        the element of x for both
//     RANGE_OF(key, k)     the visible range of the key
//     SEES(key, row, k, range)  whether the row sees the key
#ifndef LIB_GRADIENTS_GLSL
#define LIB_GRADIENTS_GLSL

#include "dout.glsl"

#define EACH_KEY(k) [[unroll]] for (uint k = 0; k < LANE_KEYS; k++)
#define EACH_QUERY(r) [[unroll]] for (uint r = 0; r < LANE_QUERIES; r++)

float probability_of(float score, uint row)
{
    return exp2((score - row_softmax[row].x) * LOG2_E);
}

// Turns q k^T into P; `slope` is the derivative of the soft cap.
void find_probabilities(bool partial, inout PAIRS(x), out PAIRS(slope))
{
    EACH_KEY(k) {
        const uint key = KEY_OF(k);
        const float key_bias = BIAS_BY_KEY != 0 ? load_bias_of_key(min(key, p.keys - 1)) : 0;
        const ivec2 range = partial ? RANGE_OF(key, k) : ivec2(0, p.queries);
        EACH_QUERY(r) {
            const uint row = QUERY_OF(r);
            const float bias = pair_bias(row, min(key, p.keys - 1), key_bias);
            const float s = finish_score(PAIR(x, r, k), bias, true, PAIR(slope, r, k));
            const bool visible = !partial || SEES(key, row, k, range);
            // A branch for each pair costs more than an exponential, but keeps loads for several pairs apart.
            if (BY_UNIT == 0 || LOADS_BY_PAIR)
                PAIR(x, r, k) = visible ? probability_of(s, row) : 0;
            else {
                const float probability = probability_of(s, row);
                PAIR(x, r, k) = visible ? probability : 0;
            }
        }
    }
}

// Turns dP = dout v^T into dS. A hidden key may hold anything, even NaN. A probability of NaN makes dS NaN.
void find_gradients(PAIRS(probability), inout PAIRS(x))
{
    EACH_QUERY(r) {
        const float d = row_softmax[QUERY_OF(r)].y;
        EACH_KEY(k)
            PAIR(x, r, k) = PAIR(probability, r, k) != 0 ? PAIR(probability, r, k) * (PAIR(x, r, k) - d) : 0;
    }
}

// The gradient through the soft cap.
void uncap(PAIRS(slope), inout PAIRS(x))
{
    if (NONLINEAR != 0)
        EACH_ROW(i) EACH_COLUMN(n)
            x[i][n] = x[i][n] != 0 ? x[i][n] * slope[i][n] : 0; // the slope of a hidden pair may be NaN
}

#endif
