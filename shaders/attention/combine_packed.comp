// SPDX-License-Identifier: MIT
// The same as combine_splits.comp for packed items: combines the splits of the tiles in the parts of the schedule
// (schedule_items.h).
//
// Workgroup (x, y): ROUNDS times WORKGROUP / (VALUE_DIM / 4) rows (query, head) of the tile whose first part is 2 y or
// 2 y + 1; an invocation computes 4 columns of a row at a time. The grid has a place for each tile that may have
// several splits. Mostly there are few, so workgroups have several rounds, and those without a tile are not many.
// p.partials holds f32 [parts, tile_queries, H, Dv], p.sums f32 pairs [H, parts, tile_queries].
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#define PARAMS COMBINE_PACKED_PARAMS
#include "../lib/attention.glsl"
#include "../lib/score.glsl"
#include "../lib/schedule_items.h"

const uint BESIDE = 8; // splits that are loaded together: the kernel mostly waits for loads

uint first_part, splits; // of the tile; no splits: there is none
uint tile_rows;          // pairs of a query and a head
uint first_row;          // of out and lse

// A tile has two parts or more. So of two neighbours, at most one is the first of its tile.
void find_tile()
{
    const uint even = 2 * WORKGROUP_ID.y;
    const uint split = Quads(advance(p.schedule, even, uvec2(ENTRY_BYTES, 0))).q[1].z;
    first_part = split != 0 && even + 1 < p.parts ? even + 1 : even;
    const uvec2 entry = advance(p.schedule, first_part, uvec2(ENTRY_BYTES, 0));
    const uvec4 item = Quads(entry).q[0], part = Quads(entry).q[1];
    const uint first_query = part.y * p.tile_queries;
    splits = part.z == 0 ? part.w : 0;
    tile_rows = min(p.tile_queries, item.y - first_query) * HEADS;
    first_row = item.x + first_query;
}

void combine_row(uint row, uint column)
{
    const uint query = row / HEADS, head = row % HEADS;
    const uvec2 sums = advance(p.sums, head, uvec2(8 * p.partial_rows, 0));
    float largest = LOWEST, sum = 0;
    vec4 o = vec4(0);
    for (uint first = 0; first < splits; first += BESIDE) {
        vec2 softmax[BESIDE];
        vec4 x[BESIDE];
        [[unroll]] for (uint n = 0; n < BESIDE; n++) { // of a split that does not exist, the last one
            const uint tile = (first_part + min(first + n, splits - 1)) * p.tile_queries;
            const uvec2 rows = advance(p.partials, tile, uvec2(4 * VALUE_DIM * HEADS, 0));
            softmax[n] = uintBitsToFloat(Pairs(sums).p[tile + query]);
            x[n] = uintBitsToFloat(Quads(advance(rows, row, uvec2(4 * VALUE_DIM, 0))).q[column]);
        }
        float new_largest = largest;
        [[unroll]] for (uint n = 0; n < BESIDE; n++)
            new_largest = max(new_largest, softmax[n].x);
        const float shrink = exp2((largest - new_largest) * LOG2_E);
        o *= shrink;
        sum *= shrink;
        largest = new_largest;
        [[unroll]] for (uint n = 0; n < BESIDE; n++)
            if (first + n < splits) {
                const float weight = softmax[n].y * exp2((softmax[n].x - largest) * LOG2_E);
                o += weight * x[n];
                sum += weight;
            }
    }
    if (SINK != 0)
        o *= add_sink(load_sink(p.sink, head), largest, sum);
    // A row that sees no key has weights of 0 only.
    const uvec2 sequence = uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH), heads = uvec2(OUT_HEAD_LOW, OUT_HEAD_HIGH);
    store_4(OUT_TYPE, OUT_ALIGNED != 0, advance(advance(p.out_, first_row + query, sequence), head, heads), column,
            sum == 0 ? vec4(0) : o / sum);
    if (LSE != 0 && column == 0)
        Words(advance(p.lse, head, uvec2(4 * p.rows, 0))).w[first_row + query] =
            floatBitsToUint(softmax_lse(largest, sum));
}

void main()
{
    const uint columns = VALUE_DIM / 4, rows_here = WORKGROUP / columns;
    const uint own_row = gl_LocalInvocationIndex / columns;
    find_tile();
    if (splits == 0 || own_row >= rows_here)
        return;
    for (uint round = 0; round < COMBINE_ROUNDS; round++) {
        const uint row = (WORKGROUP_ID.x * COMBINE_ROUNDS + round) * rows_here + own_row;
        if (row < tile_rows)
            combine_row(row, gl_LocalInvocationIndex % columns);
    }
}
