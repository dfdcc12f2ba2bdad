// SPDX-License-Identifier: MIT
// Reads rows of k or v in their format, and writes them as elements of TYPE, contiguous, for kernels that read those.
// Reads importances from pages, too.
//
// Workgroup (x, y, z): WORKGROUP / ROW_LANES keys of head y of batch item z; an invocation converts 8 elements of a row
// at a time. With PACKED, the keys of all items follow each other, and each invocation finds the item of its key.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#include "unpack.h"
#include "format.glsl"

UNPACK_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    UNPACK_PARAMS
#ifdef PACKED
    UNPACK_PACKED_PARAMS
#endif
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

const uvec2 BATCH = uvec2(BATCH_LOW, BATCH_HIGH), SEQUENCE = uvec2(SEQUENCE_LOW, SEQUENCE_HIGH),
            HEAD = uvec2(HEAD_LOW, HEAD_HIGH);

// The page of a key; the last one if the block table has a number of no page.
uint page_of(uint item, uint key)
{
    return min(Words(advance(p.table, item, uvec2(4 * p.table_pages, 0))).w[key / PAGE_SIZE], PAGES - 1);
}

uvec2 row_of(uint item, uint head, uint key)
{
    if (PAGE_SIZE != 0)
        return advance(advance(advance(p.from, page_of(item, key), BATCH), head, HEAD), key % PAGE_SIZE, SEQUENCE);
    return advance(head_base(p.from, item, p.keys, head, DERIVED_STRIDE != 0, BATCH, SEQUENCE, HEAD), key, SEQUENCE);
}

// The rows of a key in a contiguous tensor.
uvec2 contiguous_key(uvec2 base, uint item, uint key, uvec2 sequence)
{
    return advance(advance(base, item, advance(uvec2(0), p.keys, sequence)), key, sequence);
}

float scale_of(uint item, uint head, uint key)
{
    if (!has_scales(FORMAT))
        return 1;
    if (PAGE_SIZE != 0) {
        const uvec2 heads = advance(p.scales, page_of(item, key), BATCH);
        return uintBitsToFloat(Words(advance(heads, head, uvec2(4 * PAGE_SIZE, 0))).w[key % PAGE_SIZE]);
    }
    return uintBitsToFloat(Words(contiguous_key(p.scales, item, key, uvec2(4 * HEADS, 0))).w[head]);
}

#ifdef PACKED
// The item as schedule_items.comp wrote it: first row of q, queries, first row of k, keys.
uvec4 load_item(uint i)
{
    return Quads(advance(p.counts, i, uvec2(16, 0))).q[0];
}

// The last item whose first row of k is not after `row`. Items without keys before it begin at the same row.
uint item_of(uint row)
{
    uint low = 0, high = p.items - 1;
    while (low < high) {
        const uint middle = (low + high + 1) / 2;
        if (load_item(middle).z > row)
            high = middle - 1;
        else
            low = middle;
    }
    return low;
}

#endif

void main()
{
#ifdef PACKED
    const uint to_row = WORKGROUP_ID.x * (WORKGROUP / ROW_LANES) + gl_LocalInvocationIndex / ROW_LANES;
    const uint head = WORKGROUP_ID.y;
    if (to_row >= p.keys || gl_LocalInvocationIndex / ROW_LANES >= WORKGROUP / ROW_LANES)
        return;
    const uint item = item_of(to_row);
    const uvec4 rows = load_item(item);
    const uint key = to_row - rows.z;
    if (key >= rows.w)
        return;
    const uvec2 row = uvec2(element_size(TYPE) * DIM, 0), from = row_of(item, head, key);
    const uvec2 to = advance(advance(p.to, to_row, advance(uvec2(0), HEADS, row)), head, row);
#else
    const uint key = WORKGROUP_ID.x * (WORKGROUP / ROW_LANES) + gl_LocalInvocationIndex / ROW_LANES;
    const uint head = WORKGROUP_ID.y, item = WORKGROUP_ID.z;
    if (key >= p.keys || gl_LocalInvocationIndex / ROW_LANES >= WORKGROUP / ROW_LANES)
        return;
    if (COUNTS != 0 && int(key) >= int(Pairs(p.counts).p[item].y))
        return;
    const uvec2 row = uvec2(element_size(TYPE) * DIM, 0), from = row_of(item, head, key);
    if (DIM == 1) {
        Words(advance(p.to, item * HEADS + head, uvec2(4 * p.keys, 0))).w[key] = Words(from).w[0];
        return;
    }
    const uvec2 to = advance(contiguous_key(p.to, item, key, advance(uvec2(0), HEADS, row)), head, row);
#endif
    const float scale = scale_of(item, head, key);
    for (uint unit = gl_LocalInvocationIndex % ROW_LANES; unit < DIM / 8; unit += ROW_LANES) {
        vec4 a, b;
        load_8_of(FORMAT, from, unit, scale, a, b);
        store_4(TYPE, true, to, 2 * unit, a);
        store_4(TYPE, true, to, 2 * unit + 1, b);
    }
}
