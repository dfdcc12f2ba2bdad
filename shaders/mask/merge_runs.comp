// SPDX-License-Identifier: MIT
// Merges runs of 2^level keys, TREE_BLOCK or more, in pairs: one level of the tree.
//
// Workgroup (x, y): TREE_BLOCK ranks of plane y, from rank x * TREE_BLOCK on. A search along the diagonal (Green,
// McColl and Bader 2012) finds the keys that go there: from left_begin on in the left run, from right_begin on in the
// right run.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#define PARAMS SORT_PARAMS
#include "merge.glsl"

shared uint passed[2]; // for each half, the number of samples among the merged keys before the diagonal

// For both sides of the tile, the number of keys of the left run among the first ranks[side] merged keys. Each half of
// the workgroup searches for one side. In each step, it compares many samples and continues between two of them.
uvec2 split(Pairs sorted, uint left, uint left_length, uint right, uint right_length, uvec2 ranks)
{
    const uint samples = WORKGROUP / 2;
    const uint side = gl_LocalInvocationIndex / samples, sample_ = gl_LocalInvocationIndex % samples;
    uvec2 low = ranks - min(ranks, uvec2(right_length)), high = min(ranks, uvec2(left_length));
    while (low != high) {
        const uvec2 step = (high - low) / (samples + 1) + 1;
        barrier();
        if (gl_LocalInvocationIndex < 2)
            passed[gl_LocalInvocationIndex] = 0;
        barrier();
        // Key `at` of the left run is among the first ranks[side] keys if it precedes key ranks[side] - 1 - at of the
        // right run.
        const uint at = low[side] + (sample_ + 1) * step[side] - 1;
        if (at < high[side] && left_is_first(sorted.p[left + at].x, sorted.p[right + ranks[side] - 1 - at].x))
            atomicAdd(passed[side], 1);
        barrier();
        const uvec2 found = uvec2(passed[0], passed[1]);
        const uvec2 next = low + found * step;
        high = min(high, next + step - 1);
        low = next;
    }
    return low;
}

void main()
{
    const uint tile = WORKGROUP_ID.x, plane = WORKGROUP_ID.y;
    const uint length = 1u << p.level, run = tile * TREE_BLOCK & ~(2 * length - 1), before = tile * TREE_BLOCK - run;
    const uint left_length = min(length, padded_keys() - run);
    const uint right_length = min(length, padded_keys() - run - left_length);
    Pairs sorted = sorted_keys(p.sorted_in, plane);

    const uvec2 lefts = split(sorted, run, left_length, run + length, right_length, uvec2(before, before + TREE_BLOCK));
    const uint left_begin = lefts.x, left = lefts.y - lefts.x, right_begin = before - left_begin;
    for (uint i = gl_LocalInvocationIndex; i < TREE_BLOCK; i += WORKGROUP) {
        const uvec2 pair = sorted.p[i < left ? run + left_begin + i : run + length + right_begin + i - left];
        orders[i] = pair.x;
        indices[i] = pair.y;
    }
    clear_bits();
    barrier();
    merge_tile(left, TREE_BLOCK - left, left_begin);
    store_level(plane, p.level, tile);
    store_keys(plane, tile);
}
