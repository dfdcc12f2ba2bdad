// SPDX-License-Identifier: MIT
// The history of a merge sort: a wavelet tree over the keys' indices (Grossi, Gupta and Vitter 2003), made from the
// bottom up.
//
// Keys are sorted by importance, the most important first. merge.glsl says which of equally important keys comes first.
// Runs have 2, 4, 8, … neighbouring keys. Level l has runs of 2^(l+1) keys. For each place in a sorted run, it stores
// one bit: whether this key came from the left half. For every 32 places, beside their bits, it stores the number of
// such keys in the run before these places. The first p places of a run are its p most important keys, and one read
// tells how many of them are in the left half. The search for the k-th smallest index among the p most important of all
// keys goes down the tree, with one read per level.
#ifndef LIB_TREE_GLSL
#define LIB_TREE_GLSL

#include "selection.glsl"

uint padded_keys()
{
    return (p.keys + TREE_BLOCK - 1) & ~(TREE_BLOCK - 1);
}

// A plane's sorted keys: x is order_of() its importance, y its index.
Pairs sorted_keys(uvec2 base, uint plane)
{
    return Pairs(advance(base, plane, uvec2(8 * padded_keys(), padded_keys() >> 29)));
}

// The words of a level: 32 bits, and the count before them.
Pairs tree_level(uint plane, uint level)
{
    const uint words = padded_keys() / 32;
    uvec2 base = advance(p.tree, plane * p.levels, uvec2(8 * words, 0));
    return Pairs(advance(base, level, uvec2(8 * words, 0)));
}

// The number of keys from the left half among the first `count` (at least 1) keys of the sorted run of level `level`
// that begins at key `run`.
uint count_left(uint plane, uint level, uint run, uint count)
{
    const uint last = run + count - 1, word = last / 32;
    const uvec2 pair = tree_level(plane, level).p[word];
    const uint run_bits = 0xffffffffu >> 31 - last % 32 & 0xffffffffu << (max(run, 32 * word) - 32 * word);
    return pair.y + bitCount(pair.x & run_bits);
}

// The k-th smallest index (k from 1 to `count`) among the `count` most important keys.
uint nth_smallest(uint plane, uint count, uint k)
{
    uint run = 0;
    for (uint level = p.levels; level-- > 0;) {
        uint left = count_left(plane, level, run, count);
        if (k <= left)
            count = left;
        else {
            k -= left;
            count -= left;
            run += 1u << level;
        }
    }
    return run;
}

// The number of keys with an index below `bound` among the `count` most important keys.
uint count_below(uint plane, uint count, uint bound)
{
    if (bound >= padded_keys())
        return count;
    uint run = 0, below = 0;
    for (uint level = p.levels; level-- > 0 && count != 0;) {
        uint left = count_left(plane, level, run, count);
        if (bound < run + (1u << level))
            count = left;
        else {
            below += left;
            count -= left;
            run += 1u << level;
        }
    }
    return below;
}

#endif
