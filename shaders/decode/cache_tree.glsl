// SPDX-License-Identifier: MIT
// A step of the bounded cache with a mask of its new tokens, such as a tree of drafts. The path of a token is itself
// and the earlier new tokens that its row of the mask allows. Its query sees the keys of the cache and of its path as
// if these were the whole sequence: only tokens of the path count for positions, and only they evict keys.
//
// The e least important ones of the old keys and of a path are evicted, if these are e too many. So the least important
// old keys are listed once, one for each new token, and each token merges this list with its path.
//
// The state after the step is that of a step without a mask: all new tokens, one after another.
#ifndef LIB_CACHE_TREE_GLSL
#define LIB_CACHE_TREE_GLSL

shared uint paths[TOKENS];         // for each token, bits of the tokens of its path
shared uint evicted_paths[TOKENS]; // those of them that are evicted
shared uint evicted_slots[TOKENS]; // how many keys of `least_slots` are evicted, from the first on
shared uint least_slots[TOKENS];   // slots of the least important old keys, in order; NONE: there are no more
shared uvec2 least_ranks[TOKENS];
shared uint least_order, least_place;

// Keys of lower rank are evicted first. No two keys have the same rank.
uvec2 rank_of(float importance, uint position)
{
    return uvec2(order_of(importance), TIE_BREAK == TIE_BREAK_LATER ? position : ~position);
}

bool is_less(uvec2 a, uvec2 b)
{
    return a.x < b.x || a.x == b.x && a.y < b.y;
}

uint load_path(uint t)
{
    const uvec2 row = advance(advance(p.mask, sequence, uvec2(MASK_BATCH_LOW, MASK_BATCH_HIGH)), t,
                              uvec2(MASK_QUERY_LOW, MASK_QUERY_HIGH));
    uint path = 1u << t;
    for (uint x = 0; x < t; x++)
        path |= ((load_bytes(advance(row, x, uvec2(1, 0)), 1) & 0xffu) != 0 ? 1u : 0u) << x;
    return path;
}

void list_least_slots()
{
    for (uint n = 0; n < count; n++) {
        if (invocation == 0) {
            least_order = least_place = NONE;
            least_slots[n] = NONE;
            least_ranks[n] = uvec2(NONE);
        }
        barrier();
        uvec2 least = uvec2(NONE);
        uint at = NONE;
        for (uint i = invocation; i < CAPACITY; i += WORKGROUP) {
            const slot s = slot_of(fetch_slot(i));
            const uvec2 rank = rank_of(s.importance, s.position);
            const bool is_listed = n > 0 && !is_less(least_ranks[max(n, 1) - 1], rank);
            if (s.position != NONE && s.evicted == NEVER && !is_listed && is_less(rank, least)) {
                least = rank;
                at = i;
            }
        }
        atomicMin(least_order, least.x);
        barrier();
        if (least.x == least_order)
            atomicMin(least_place, least.y);
        barrier();
        if (at != NONE && least == uvec2(least_order, least_place)) {
            least_slots[n] = at;
            least_ranks[n] = least;
        }
        barrier();
    }
}

void evict_for(uint t)
{
    const uint path = paths[t], tokens = bitCount(path);
    uint evictions = RANKED ? min(max(length_ + tokens, WINDOW) - WINDOW, tokens) : 0, left = path, slots = 0;
    for (; evictions > 0; evictions--) {
        uvec2 least = least_ranks[min(slots, TOKENS - 1)];
        uint evicted = NONE;
        for (uint x = 0; x < count; x++) {
            const uvec2 rank = rank_of(token_importance[x], length_ + x);
            if ((left >> x & 1) != 0 && is_less(rank, least)) {
                least = rank;
                evicted = x;
            }
        }
        if (evicted == NONE)
            slots++;
        else
            left &= ~(1u << evicted);
    }
    evicted_paths[t] = path & ~left;
    evicted_slots[t] = slots;
}

// After the call, all invocations know what is evicted for each token.
void begin_tree()
{
    barrier(); // the importance of all tokens is known
    if (RANKED)
        list_least_slots();
    if (invocation < count) {
        paths[invocation] = load_path(invocation);
        evict_for(invocation);
    }
    barrier();
}

// The new tokens whose queries see an entry, as bits, and its importance. If the entry is a slot, `words` is its
// content.
uint entry_queries(uint entry, uvec4 words, out float importance)
{
    const bool is_new = entry >= CAPACITY;
    const uint token = is_new ? min(entry - CAPACITY, TOKENS - 1) : 0;
    const slot s = slot_of(words);
    importance = is_new ? token_importance[token] : s.importance;
    uint number = NONE; // in the list of the least important slots
    for (uint n = 0; RANKED && n < count; n++)
        number = least_slots[n] == entry ? n : number;
    uint queries = 0;
    for (uint t = 0; t < count; t++) {
        const uint path = paths[t], query = length_ + bitCount(path) - 1;
        uint position = s.position;
        bool is_there = position != NONE, is_evicted = number < evicted_slots[t];
        if (is_new) {
            position = length_ + bitCount(path & (1u << token) - 1);
            is_there = (path >> token & 1) != 0;
            is_evicted = (evicted_paths[t] >> token & 1) != 0;
        }
        const uint evicted = is_evicted ? position : is_new ? eviction_by_itself(position, importance) : s.evicted;
        queries |= (is_there && query < end_of(position, evicted) ? 1u : 0u) << t;
    }
    return queries;
}

#endif
