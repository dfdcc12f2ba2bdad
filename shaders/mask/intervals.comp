// SPDX-License-Identifier: MIT
// For each key, finds the interval of queries that see it.
//
// A key is kept from its own position on, until w keys that beat it have come: until the w-th smallest index among the
// keys that beat it. These are the keys before it in the sorted order. Neighbouring invocations handle neighbours in
// this order, so they take nearly the same path down the tree.
//
// CACHED: the first keys are what a bounded cache holds, in the order of their positions, so their positions have gaps.
// `begin` and `end` then hold the place and the position of each key (chunk/chunk_keys.comp), before they get the
// interval. The place counts as the position: query t has the place keys - queries + t. Only keys of the chunk, whose
// index is their place, can evict a key that a query sees.
//
// Invocation (x, y): rank x in the order of plane y (key x if keys are not sorted).
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

#define PARAMS INTERVALS_PARAMS
#include "tree.glsl"

const bool SORTED = SELECTION == SELECT_TOPW_CAUSAL || SELECTION == SELECT_TOPW_SHARED;

// The queries and keys of the key's document, or all of them.
int first_query, end_query, first_key, end_key;

// False if the key is in no document.
bool find_document(uint batch, uint key)
{
    first_query = 0;
    end_query = int(p.queries);
    first_key = 0;
    end_key = int(p.keys);
    if (DOCUMENTS == 0)
        return true;
    const uvec2 row = uvec2(4 * (p.documents + 1), 0);
    Words queries = Words(advance(p.query_offsets, batch, row)), keys = Words(advance(p.key_offsets, batch, row));
    uint low = 0, high = p.documents; // finds the last document that begins at or before the key, if one exists
    while (low < high) {
        uint middle = (low + high + 1) / 2;
        if (middle < p.documents && int(keys.w[middle]) <= int(key))
            low = middle;
        else
            high = middle - 1;
    }
    first_key = clamp(int(keys.w[low]), 0, int(p.keys));
    end_key = clamp(int(keys.w[low + 1]), first_key, int(p.keys));
    first_query = clamp(int(queries.w[low]), 0, int(p.queries));
    end_query = clamp(int(queries.w[low + 1]), first_query, int(p.queries));
    return first_key <= int(key) && int(key) < end_key;
}

// The position from which on a key is not kept any more. If this is at or before its own position, it is never kept.
// `beaten_by`: its rank in the order, which is the number of keys that beat it.
int kept_until(uint plane, uint key, uint beaten_by)
{
    if (SELECTION == SELECT_THRESHOLD)
        return order_of(load_importance(plane, key)) > order_of(uintBitsToFloat(THRESHOLD)) ? end_key : int(key);
    if (!SORTED)
        return end_key;
    // Keys of other documents do not count.
    const uint before = first_key > 0 ? count_below(plane, beaten_by, uint(first_key)) : 0;
    if (SELECTION == SELECT_TOPW_SHARED) {
        uint within = (DOCUMENTS != 0 ? count_below(plane, beaten_by, uint(end_key)) : beaten_by) - before;
        return within < WINDOW ? end_key : int(key);
    }
    if (beaten_by - before < WINDOW)
        return end_key;
    return min(int(nth_smallest(plane, beaten_by, before + WINDOW)), end_key);
}

void main()
{
    const uint plane = WORKGROUP_ID.y, rank = WORKGROUP_ID.x * WORKGROUP + gl_LocalInvocationIndex;
    if (rank >= (SORTED ? padded_keys() : p.keys))
        return;
    uint key = rank;
    bool seen;
    if (SORTED) {
        const uvec2 pair = sorted_keys(p.sorted, plane).p[rank];
        key = pair.y;
        seen = pair.x != NEVER_SEEN;
    } else
        seen = is_valid(plane / p.heads, key);
    if (key >= p.keys)
        return;

    int begin = 0, end = 0;
    if (seen && find_document(plane / p.heads, key)) {
        // The key is kept at positions low to high - 1. Query t is at position end_key - (end_query - t).
#ifdef CACHED
        const int own = int(Words(advance(p.begin, plane, uvec2(4 * p.keys, 0))).w[key]);
        const uint position = Words(advance(p.end, plane, uvec2(4 * p.keys, 0))).w[key];
#else
        const int own = int(key);
#endif
        const int first = end_key - (end_query - first_query);
        const int until = kept_until(plane, key, rank);
#ifdef CACHED
        const bool sink = position < SINKS;
#else
        const bool sink = key - uint(first_key) < SINKS;
#endif
        int low = CAUSAL != 0 ? own : first, high = sink ? end_key : until;
        if (high <= own) { // not kept
            low = own;
            high = own;
        }
        high = max(high, min(own + int(RECENT), end_key));
        if (!sink && SLIDING != 0)
            high = min(high, own + int(SLIDING));
        begin = max(first_query, end_query - (end_key - low));
        end = end_query - (end_key - high);
        if (begin >= end)
            begin = end = 0;
    }
    Words(advance(p.begin, plane, uvec2(4 * p.keys, 0))).w[key] = uint(begin);
    Words(advance(p.end, plane, uvec2(4 * p.keys, 0))).w[key] = uint(end);
}
