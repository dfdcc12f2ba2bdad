// SPDX-License-Identifier: MIT
// The lists of selected keys of a map of blocks: the numbers of the bytes of a row that are not 0, or of its bits that
// are 1, in ascending order.
//
// Workgroup (x, y): row x of plane y. An invocation looks at four blocks at a time.
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

// Which of `count` blocks from `block` on, a multiple of 4, are visible: a bit for each.
uint visible_blocks(uvec2 map, uint block, uint count)
{
    if (count == 0)
        return 0;
    if (BITS != 0)
        return load_bytes(advance(map, block / 8, uvec2(1, 0)), 1) >> block % 8 & (1u << count) - 1;
    const uint bytes = load_bytes(advance(map, block, uvec2(1, 0)), count);
    uint visible = 0;
    for (uint i = 0; i < count; i++)
        visible |= bitfieldExtract(bytes, int(8 * i), 8) != 0 ? 1u << i : 0;
    return visible;
}

void main()
{
    const uint row = WORKGROUP_ID.x, rows = (p.queries - 1) / p.query_block + 1;
    const uint blocks = (p.keys - 1 >> p.shift) + 1, first = row * p.query_block;
    const uint row_bytes = BITS != 0 ? (blocks + 7) / 8 : blocks;
    const uvec2 map = advance(advance(p.indptr, WORKGROUP_ID.y, wide_product(rows, row_bytes)), row,
                              uvec2(row_bytes, 0));
    list = advance(advance(p.selected, WORKGROUP_ID.y, wide_product(p.queries, 4 * p.count)), first,
                   uvec2(4 * p.count, 0));
    queries = min(p.query_block, p.queries - first);
    uint found = 0;
    for (uint begin = 0; begin < blocks; begin += 4 * WORKGROUP) {
        const uint block = begin + 4 * ordered_invocation();
        const uint visible = visible_blocks(map, block, min(4, blocks - min(block, blocks)));
        uint total, place = found + exclusive_scan(bitCount(visible), total);
        for (uint left = visible; left != 0; left &= left - 1) {
            if (place < p.count)
                store(place, block + findLSB(left));
            place++;
        }
        found += total;
    }
    for (uint place = found + ordered_invocation(); place < p.count; place += WORKGROUP)
        store(place, NOTHING);
}
