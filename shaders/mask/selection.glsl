// SPDX-License-Identifier: MIT
// What the kernels of the selection share: constants, parameters, and the order of keys. The includer defines PARAMS as
// one of the lists of push constants in selection.h.
#ifndef LIB_SELECTION_GLSL
#define LIB_SELECTION_GLSL

#include "selection.h"
#include "../lib/memory.glsl"
#include "../lib/order.glsl"

SELECTION_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

bool is_valid(uint batch, uint key)
{
    if (key >= p.keys)
        return false;
    if (KEY_VALID == 0)
        return true;
    uvec2 row = advance(p.key_valid, batch, uvec2(p.keys, 0));
    return (load_bytes(advance(row, key, uvec2(1, 0)), 1) & 0xffu) != 0;
}

float load_importance(uint plane, uint key)
{
    return uintBitsToFloat(Words(advance(p.importance, plane, uvec2(4 * p.keys, 0))).w[key]);
}

#endif
