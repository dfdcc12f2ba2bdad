// SPDX-License-Identifier: MIT
// Which numbers a query sees. The includer has the constants CAUSAL and COUNTS, and push constants counts, queries,
// keys and shift.
#ifndef SELECTOR_SEEN_GLSL
#define SELECTOR_SEEN_GLSL

#include "../lib/memory.glsl"

struct item_lengths {
    uint queries, keys;
};

item_lengths lengths_of(uint item)
{
    if (COUNTS == 0)
        return item_lengths(p.queries, p.keys);
    const ivec2 counts = ivec2(Pairs(p.counts).p[item]);
    return item_lengths(uint(clamp(counts.x, 0, int(p.queries))), uint(clamp(counts.y, 0, int(p.keys))));
}

int position_of(item_lengths l, uint query)
{
    return int(query) + int(l.keys) - int(l.queries);
}

uint existing_numbers(item_lengths l)
{
    return l.keys == 0 ? 0 : (l.keys - 1 >> p.shift) + 1;
}

// A query sees the numbers below the result.
uint seen_numbers(item_lengths l, uint query)
{
    const uint numbers = existing_numbers(l);
    if (query >= l.queries)
        return 0;
    if (CAUSAL == 0)
        return numbers;
    const int position = position_of(l, query);
    return position < 0 ? 0 : min(numbers, (uint(position) >> p.shift) + 1);
}

#endif
