// SPDX-License-Identifier: MIT
// What the kernels share that fill the cache of a sequence with new tokens. The first kernel, cache_length.comp for
// pages and cache_select.comp for slots, sets the length of the sequence. Then cache_copy.comp copies rows.
#ifndef LIB_FILL_GLSL
#define LIB_FILL_GLSL

#include "cache.glsl"

layout(push_constant, std430) uniform Params {
#ifdef CHUNK // chunk_keys.comp, which has members of the same names
    CHUNK_PARAMS
#else
    FILL_PARAMS
#endif
    PART_PARAM
} p;

// The number of tokens that the sequence keeps, before the filling changes its header. The new tokens follow them.
uint kept_tokens(uvec4 header)
{
    return min(p.first, header[HEADER_LENGTH]);
}

// The importance of new token `i`, as it is ranked and kept.
float new_importance(uint kv_head, uint i)
{
    if (BIAS == 0)
        return 0;
    return clean(uintBitsToFloat(Words(advance(p.importance, kv_head, uvec2(4 * p.importance_stride, 0))).w[i]));
}

#endif
