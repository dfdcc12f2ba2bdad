// SPDX-License-Identifier: MIT
// Divides the work of a packed batch among the workgroups of attention (schedule_items.h). One workgroup does all.
//
// Numbers of queries and keys may be anything. Each is clamped, and so is the sum up to each item: the rows of items
// are within the tensors, and no row belongs to two items.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require

#include "../lib/schedule_items.h"
#include "../lib/memory.glsl"

SCHEDULE_ITEMS_CONSTANTS(DMATTN_CONSTANT)

layout(push_constant, std430) uniform Params {
    SCHEDULE_ITEMS_PARAMS
    PART_PARAM
} p;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

const uint NO_LIMIT = 0xffffffffu;

shared uvec2 sums[WORKGROUP];
shared uvec4 items[WORKGROUP]; // of a block of items
shared uint splits[WORKGROUP];

uint own; // the index of the invocation

// Sums of x over all invocations up to this one, at most `limit`. Call it in uniform control flow.
uvec2 sum_up(uvec2 x, uvec2 limit)
{
    barrier(); // earlier sums may still be read
    sums[own] = min(x, limit);
    for (uint step = 1; step < WORKGROUP; step *= 2) {
        barrier();
        const uvec2 before = own >= step ? sums[own - step] : uvec2(0);
        barrier();
        sums[own] = min(sums[own] + before, limit);
    }
    barrier();
    return sums[own];
}

uvec2 item_at(uint i)
{
    return advance(p.results, i, uvec2(ITEM_BYTES, 0));
}

uvec2 entries_at(uint list)
{
    return advance(item_at(p.items), list == 0 ? 0 : p.most_parts, uvec2(ENTRY_BYTES, 0));
}

uint tiles_of(uvec4 item)
{
    return parts_of(item.y, p.tile_queries);
}

uint units_of(uvec4 item)
{
    return parts_of(item.w, p.unit_keys);
}

// Finds the rows of all items. Returns the units of all their tiles.
uint place_items()
{
    const uvec2 most = uvec2(p.queries, p.keys), rows = uvec2(p.rows, p.key_rows == 0 ? NO_LIMIT / 2 : p.key_rows);
    uvec2 first = uvec2(0); // of the block
    uint units = 0;
    for (uint block = 0; block < p.items; block += WORKGROUP) {
        const uint i = block + own;
        uvec2 counts = uvec2(0);
        if (i < p.items)
            counts = uvec2(clamp(ivec2(Pairs(p.counts).p[i]), ivec2(0), ivec2(most)));
        const uvec2 end = min(first + sum_up(counts, rows), rows);
        sums[own] = end; // of the item; no other invocation reads this one
        barrier();
        const uvec2 begin = own == 0 ? first : sums[own - 1];
        first = sums[WORKGROUP - 1];
        const uvec4 item = uvec4(begin.x, end.x - begin.x, p.key_rows == 0 ? 0 : begin.y,
                                 p.key_rows == 0 ? counts.y : end.y - begin.y);
        if (i < p.items)
            Quads(item_at(i)).q[0] = item;
        units += tiles_of(item) * units_of(item);
    }
    sum_up(uvec2(units, 0), uvec2(NO_LIMIT));
    return sums[WORKGROUP - 1].x;
}

void store_entry(uint list, uint at, uvec4 item, uvec4 part)
{
    const uvec2 entry = advance(entries_at(list), at, uvec2(ENTRY_BYTES, 0));
    if (p.key_rows != 0)
        item.z = min(item.z, p.key_rows - 1); // kernels read a row, even if there is no key
    Quads(entry).q[0] = item;
    Quads(entry).q[1] = part;
}

// Writes the entries of a list for a block of items, from entry `first` on. `ends`: the entries of the items before and
// of each item. Returns the end.
uint store_entries(uint list, uint block, uint first, uint most)
{
    const uint count = min(sums[WORKGROUP - 1][list], most - first);
    for (uint e = own; e < count; e += WORKGROUP) {
        uint low = 0, high = WORKGROUP - 1; // the first item whose end is after e
        while (low < high) {
            const uint middle = (low + high) / 2;
            if (sums[middle][list] > e)
                high = middle;
            else
                low = middle + 1;
        }
        const uint in_item = e - (low == 0 ? 0 : sums[low - 1][list]), n = splits[low];
        // the last tile comes first: with causality, it has the most keys
        store_entry(list, first + e, items[low], uvec4(block + low, tiles_of(items[low]) - 1 - in_item / n,
                                                       in_item % n, n));
    }
    return first + count;
}

void main()
{
    own = gl_LocalInvocationIndex;
    const uint all_units = place_items(), most = units_of_split(all_units, p.most_parts, p.least_units);
    uvec2 next = uvec2(0); // entries of both lists
    for (uint block = 0; block < p.items; block += WORKGROUP) {
        const uint i = block + own;
        const uvec4 item = i < p.items ? Quads(item_at(i)).q[0] : uvec4(0);
        const uint tiles = tiles_of(item), n = p.most_parts == 0 ? 1 : splits_of_item(units_of(item), most);
        sum_up(n > 1 ? uvec2(tiles * n, 0) : uvec2(0, tiles), uvec2(NO_LIMIT));
        items[own] = item;
        splits[own] = n;
        barrier();
        next.x = store_entries(0, block, next.x, p.most_parts);
        next.y = store_entries(1, block, next.y, p.most_tiles);
        barrier(); // items and splits have been read
    }
    for (uint e = next.x + own; e < p.most_parts; e += WORKGROUP)
        store_entry(0, e, uvec4(0), uvec4(0));
    for (uint e = next.y + own; e < p.most_tiles; e += WORKGROUP)
        store_entry(1, e, uvec4(0), uvec4(0));
}
