// SPDX-License-Identifier: MIT
// The lists of selected keys of block-sparse rows. All queries of a row have the same blocks. With BITS, each query
// sees some keys of a block.
//
// Workgroup (x, y, z): numbers from x * WORKGROUP on, of the queries of row y of plane z.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#define WIDE_PRODUCTS
#include "block_lists.h"
#include "../lib/memory.glsl"

BLOCK_LISTS_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    BLOCK_LISTS_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

const uint NOTHING = 0xffffffff;

// Whether bit `bit` of entry `entry` of the rows is set.
bool has_bit(uint entry, uint bit)
{
    const uvec2 bits = advance(p.bits, entry, uvec2((p.query_block << p.shift) / 8, 0));
    return (Words(bits).w[bit / 32] >> bit % 32 & 1u) != 0;
}

void main()
{
    const uint row = WORKGROUP_ID.y, rows = (p.queries - 1) / p.query_block + 1;
    const uint place = WORKGROUP_ID.x * WORKGROUP + gl_LocalInvocationIndex;
    if (place >= p.count)
        return;
    const uvec2 indptr = advance(p.indptr, WORKGROUP_ID.z, uvec2(4 * (rows + 1), 0));
    const int most = int(p.index_count), begin = clamp(int(Words(indptr).w[row]), 0, most);
    const int end = clamp(int(Words(indptr).w[row + 1]), begin, most);
    const uint entry = begin + (BITS != 0 ? place >> p.shift : place);
    const uint key = BITS != 0 ? place & (1u << p.shift) - 1 : 0; // of its block
    const uint block = entry < end ? Words(p.indices).w[entry] : NOTHING;
    const bool exists = block <= p.keys - 1 >> p.shift;
    const uint number = BITS != 0 ? (block << p.shift) + key : block;
    const uint first = row * p.query_block, queries = min(p.query_block, p.queries - first);
    const uvec2 plane = advance(p.selected, WORKGROUP_ID.z, wide_product(p.queries, 4 * p.count));
    for (uint r = 0; r < queries; r++) {
        bool sees = exists;
        if (BITS != 0 && exists)
            sees = number < p.keys && has_bit(entry, (r << p.shift) + key);
        Words(advance(plane, first + r, uvec2(4 * p.count, 0))).w[place] = sees ? number : NOTHING;
    }
}
