// SPDX-License-Identifier: MIT
// The lists of selected keys of a map of blocks: the numbers of the bytes of a row that are not 0, in ascending order.
//
// Workgroup (x, y): row x of plane y. An invocation reads the four bytes of a word.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#define WIDE_PRODUCTS
#include "block_lists.h"
#include "../lib/memory.glsl"

BLOCK_LISTS_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    BLOCK_LISTS_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

#include "../lib/scan.glsl"

const uint NOTHING = 0xffffffff;

uvec2 list; // of the row's first query
uint queries;

// Stores a number in the lists of all queries of the row.
void store(uint place, uint number)
{
    for (uint r = 0; r < queries; r++)
        Words(advance(list, r, uvec2(4 * p.count, 0))).w[place] = number;
}

void main()
{
    const uint row = WORKGROUP_ID.x, rows = (p.queries - 1) / p.query_block + 1;
    const uint blocks = (p.keys - 1 >> p.shift) + 1, first = row * p.query_block;
    const uvec2 map = advance(advance(p.indptr, WORKGROUP_ID.y, wide_product(rows, blocks)), row, uvec2(blocks, 0));
    list = advance(advance(p.selected, WORKGROUP_ID.y, wide_product(p.queries, 4 * p.count)), first,
                   uvec2(4 * p.count, 0));
    queries = min(p.query_block, p.queries - first);
    uint found = 0;
    for (uint begin = 0; begin < blocks; begin += 4 * WORKGROUP) {
        const uint block = begin + 4 * ordered_invocation(), count = min(4, blocks - min(block, blocks));
        const uint bytes = count > 0 ? load_bytes(advance(map, block, uvec2(1, 0)), count) : 0;
        uint mine = 0, total;
        for (uint i = 0; i < count; i++)
            mine += bitfieldExtract(bytes, int(8 * i), 8) != 0 ? 1 : 0;
        uint place = found + exclusive_scan(mine, total);
        for (uint i = 0; i < count; i++)
            if (bitfieldExtract(bytes, int(8 * i), 8) != 0) {
                if (place < p.count)
                    store(place, block + i);
                place++;
            }
        found += total;
    }
    for (uint place = found + ordered_invocation(); place < p.count; place += WORKGROUP)
        store(place, NOTHING);
}
