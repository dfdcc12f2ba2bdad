// SPDX-License-Identifier: MIT
// Merges two sorted runs within a workgroup, and records the merge in the tree.
#ifndef LIB_MERGE_GLSL
#define LIB_MERGE_GLSL

#include "tree.glsl"

const uint LANE_KEYS = TREE_BLOCK / WORKGROUP;

// A tile of TREE_BLOCK keys, and its part of a level.
shared uint orders[TREE_BLOCK];
shared uint indices[TREE_BLOCK];
shared uint bits[TREE_BLOCK / 32];
shared uint counts[TREE_BLOCK / 32];

// Whether, of two keys of the same order, the one from the left run comes first. It is the earlier one.
const bool LEFT_FIRST = TIE_BREAK == TIE_BREAK_EARLIER;

// Whether a key of the left run comes before a key of the right run, by their orders.
bool left_is_first(uint left, uint right)
{
    return left > right || LEFT_FIRST && left == right;
}

// The number of keys, among the sorted keys first to first + length - 1 of the tile, that come before `order`: keys of
// higher order and, if `equals`, of the same order.
uint count_before(uint first, uint length, uint order, bool equals)
{
    uint low = 0, high = length;
    while (low < high) {
        uint middle = (low + high) / 2, other = orders[first + middle];
        if (other > order || equals && other == order)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Merges in place. The tile consists of pairs of runs, `left` keys and then `right` keys, and each pair becomes one
// run. A run may be a part of a longer run; then `left_before` keys of the left run were merged before.
void merge_tile(uint left, uint right, uint left_before)
{
    uint order[LANE_KEYS], index[LANE_KEYS], rank[LANE_KEYS], count[LANE_KEYS];
    bool is_left[LANE_KEYS];
    [[unroll]] for (uint i = 0; i < LANE_KEYS; i++) {
        const uint at = i * WORKGROUP + gl_LocalInvocationIndex, pair = at / (left + right) * (left + right);
        order[i] = orders[at];
        index[i] = indices[at];
        is_left[i] = at - pair < left;
        const uint others = count_before(is_left[i] ? pair + left : pair, is_left[i] ? right : left, order[i],
                                         is_left[i] != LEFT_FIRST);
        rank[i] = is_left[i] ? at + others : at - left + others;
        count[i] = left_before + (is_left[i] ? at - pair : others); // number of left keys before it
    }
    barrier();
    [[unroll]] for (uint i = 0; i < LANE_KEYS; i++) {
        orders[rank[i]] = order[i];
        indices[rank[i]] = index[i];
        if (is_left[i])
            atomicOr(bits[rank[i] / 32], 1u << rank[i] % 32);
        if (rank[i] % 32 == 0)
            counts[rank[i] / 32] = left + right < 32 ? 0 : count[i];
    }
    barrier();
}

void clear_bits()
{
    for (uint i = gl_LocalInvocationIndex; i < TREE_BLOCK / 32; i += WORKGROUP)
        bits[i] = 0;
}

// Writes the tile's part of a level and clears it.
void store_level(uint plane, uint level, uint tile)
{
    Pairs words = tree_level(plane, level);
    for (uint i = gl_LocalInvocationIndex; i < TREE_BLOCK / 32; i += WORKGROUP) {
        words.p[tile * (TREE_BLOCK / 32) + i] = uvec2(bits[i], counts[i]);
        bits[i] = 0;
    }
}

void store_keys(uint plane, uint tile)
{
    Pairs sorted = sorted_keys(p.sorted_out, plane);
    for (uint i = gl_LocalInvocationIndex; i < TREE_BLOCK; i += WORKGROUP)
        sorted.p[tile * TREE_BLOCK + i] = uvec2(orders[i], indices[i]);
}

#endif
