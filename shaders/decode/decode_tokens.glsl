// SPDX-License-Identifier: MIT
// The importance of a step's new tokens. It is computed for all TOKENS tokens, before the real number is loaded.
#ifndef LIB_DECODE_TOKENS_GLSL
#define LIB_DECODE_TOKENS_GLSL

#include "../mask/activation.glsl"
#include "../mask/importance.h"

const uint PIECES_AHEAD = LOADS_AHEAD; // pieces of 8 values that are loaded at a time

shared float token_importance[TOKENS];

// With few registers, fewer loads are in flight, and compilers must not unroll loops to load more.
const bool FEW_REGISTERS = LOADS_AHEAD < 8;

// Adds to z the products of PIECES_AHEAD pieces from `first` on.
void add_pieces(uint first, uint lane, uvec2 row, uvec2 weights, inout float z)
{
    const uint head_pieces = VALUE_DIM / 8, pieces = KV_HEADS * head_pieces;
    vec4 low[PIECES_AHEAD], high[PIECES_AHEAD], a[PIECES_AHEAD], b[PIECES_AHEAD];
    [[unroll]] for (uint n = 0; n < PIECES_AHEAD; n++) {
        const uint piece = min(first + n * COLUMN_LANES + lane, pieces - 1);
        load_8(TYPE, ALIGNED != 0, advance(row, piece / head_pieces, uvec2(V_HEAD_LOW, V_HEAD_HIGH)),
               piece % head_pieces, low[n], high[n]);
        load_8(PARAMETER_TYPE, true, weights, piece, a[n], b[n]);
    }
    [[unroll]] for (uint n = 0; n < PIECES_AHEAD; n++)
        if (first + n * COLUMN_LANES + lane < pieces)
            [[unroll]] for (uint i = 0; i < 4; i++)
                z = fma(b[n][i], high[n][i], fma(a[n][i], low[n][i], z));
}

// z of a token, computed by COLUMN_LANES neighbouring invocations; each of them returns it. The order of the sums is
// that of importance.comp, so the result has the same bits: whether two keys tie must not depend on the kernel.
float find_z(uint token, uint lane)
{
    const uint head_pieces = VALUE_DIM / 8, pieces = KV_HEADS * head_pieces;
    const uvec2 row = advance(advance(p.v, sequence, uvec2(V_BATCH_LOW, V_BATCH_HIGH)), token,
                              uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH));
    const uvec2 weights = advance(p.dt_weight, kv_head, uvec2(element_size(PARAMETER_TYPE) * pieces * 8, 0));
    float z = 0;
    const uint step = PIECES_AHEAD * COLUMN_LANES;
    if (FEW_REGISTERS)
        [[dont_unroll]] for (uint first = 0; first < pieces; first += step)
            add_pieces(first, lane, row, weights, z);
    else
        for (uint first = 0; first < pieces; first += step)
            add_pieces(first, lane, row, weights, z);
    [[unroll]] for (uint step = 1; step < COLUMN_LANES; step *= 2)
        z += subgroupShuffleXor(z, step);
    return z;
}

// All invocations can read token_importance after the next barrier.
void find_importance()
{
    if (IMPORTANCE_GIVEN != 0) {
        if (invocation < TOKENS)
            token_importance[invocation] = clean(uintBitsToFloat(
                Words(advance(p.dt_weight, sequence * KV_HEADS + kv_head, uvec2(4 * TOKENS, 0))).w[invocation]));
    } else if (BIAS != 0) {
        const float a = load_element(PARAMETER_TYPE, p.a, kv_head);
        float dt_bias = 0;
        if (DT_BIAS != 0)
            dt_bias = load_element(PARAMETER_TYPE, p.dt_bias, kv_head);
        for (uint first = 0; first < TOKENS; first += WORKGROUP / COLUMN_LANES) {
            if (first + gl_SubgroupID * gl_SubgroupSize / COLUMN_LANES >= TOKENS)
                break; // the whole subgroup leaves: it has no token
            const uint token = first + invocation / COLUMN_LANES;
            const float z = find_z(min(token, TOKENS - 1), invocation % COLUMN_LANES) + dt_bias;
            if (token < TOKENS && invocation % COLUMN_LANES == 0)
                token_importance[token] = activate(z, a, ACTIVATION == ACTIVATION_EXP_SOFTPLUS);
        }
    } else if (invocation < TOKENS)
        token_importance[invocation] = 0;
}

#endif
