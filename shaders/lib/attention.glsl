// SPDX-License-Identifier: MIT
// Constants and parameters of the attention kernels. The includer defines PARAMS as one of the lists of push constants
// in attention.h.
#ifndef LIB_ATTENTION_GLSL
#define LIB_ATTENTION_GLSL

#include "attention.h"
#include "memory.glsl"

ATTENTION_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

const uint TILE_QUERIES = TILE_ROWS / HEADS_PER_TILE;

// The number of tiles of heads in a group.
const uint GROUP_TILES = (GROUP + HEADS_PER_TILE - 1) / HEADS_PER_TILE;

// The address at offset `at` of the workspace.
#define WORKSPACE(at) advance(p.workspace, at, uvec2(16, 0))

bool is_derived(uint bit)
{
    return (DERIVED_STRIDES & bit) != 0;
}

#endif
