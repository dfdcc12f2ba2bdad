// SPDX-License-Identifier: MIT
// The bounded cache in a step of decoding. Entries are its slots, and behind them the new tokens.
//
// Token t evicts the least important of the `window` keys before it and of itself, if there are as many before it; of equally
// important ones the earliest.
#ifndef LIB_CACHE_BOUNDED_GLSL
#define LIB_CACHE_BOUNDED_GLSL

shared uint victims[TOKENS]; // the entry that token t evicts; NONE
shared uint places[TOKENS];  // the slot that it goes to
shared uvec4 found[WORKGROUP / 4]; // by each subgroup: order, position and entry of its victim, and a free slot

const uint SLOTS_AHEAD = 5; // that are under way at a time

struct slot {
    uint position; // NONE: it is empty
    uint evicted;
    float importance;
};

// What came after the tokens that are kept has not been.
slot slot_of(uvec4 words)
{
    slot s;
    s.position = words.x - 1 >= length_ ? NONE : words.x - 1;
    s.importance = uintBitsToFloat(words.y);
    s.evicted = words.z >= length_ ? NEVER : words.z;
    return s;
}

slot load_slot(uint i)
{
    return slot_of(Quads(slots_of(state, kv_head)).q[i]);
}

bool is_free(slot s)
{
    return s.position == NONE || !is_needed(s.position, s.evicted, floor_);
}

// The new token that evicts an entry, NONE if it stays; of the first `tokens`.
uint evictor_of(uint entry, uint tokens)
{
    uint by = NONE;
    for (uint t = 0; t < tokens; t++)
        by = victims[t] == entry ? t : by;
    return by;
}

bool is_taken(uint i, uint tokens)
{
    bool taken = false;
    for (uint t = 0; t < tokens; t++)
        taken = taken || places[t] == i;
    return taken;
}

bool is_before(uvec4 a, uvec4 b)
{
    return a.x < b.x || a.x == b.x && a.y < b.y;
}

uvec4 better(uvec4 a, uvec4 b)
{
    return uvec4(is_before(b, a) ? b.xyz : a.xyz, min(a.w, b.w));
}

// Whom token t evicts, and where it goes.
void place_token(uint t)
{
    const bool evicts = RANKED && length_ + t >= WINDOW;
    uvec4 best = uvec4(NONE);
    Quads slots = Quads(slots_of(state, kv_head));
    for (uint first = invocation; first < CAPACITY; first += SLOTS_AHEAD * WORKGROUP) {
        uvec4 words[SLOTS_AHEAD];
        [[unroll]] for (uint n = 0; n < SLOTS_AHEAD; n++)
            words[n] = slots.q[min(first + n * WORKGROUP, CAPACITY - 1)];
        [[unroll]] for (uint n = 0; n < SLOTS_AHEAD; n++) {
            const uint i = min(first + n * WORKGROUP, CAPACITY - 1); // the last one again, which changes nothing
            const slot s = slot_of(words[n]);
            const uvec4 candidate = uvec4(order_of(s.importance), s.position, i, NONE);
            if (evicts && s.position != NONE && s.evicted == NEVER && is_before(candidate, best) && evictor_of(i, t) == NONE)
                best.xyz = candidate.xyz;
            if (i < best.w && is_free(s) && !is_taken(i, t))
                best.w = i;
        }
    }
    if (evicts && invocation <= t && evictor_of(CAPACITY + invocation, t) == NONE)
        best = better(best, uvec4(order_of(token_importance[invocation]), length_ + invocation, CAPACITY + invocation, NONE));
    for (uint step = 1; step < gl_SubgroupSize; step *= 2)
        best = better(best, subgroupShuffleXor(best, step));
    if (gl_SubgroupInvocationID == 0)
        found[gl_SubgroupID] = best;
    barrier();
    for (uint i = 0; i < gl_NumSubgroups; i++)
        best = better(best, found[i]);
    if (invocation == 0) {
        victims[t] = best.z;
        places[t] = best.w;
    }
    barrier();
}

void begin_cache()
{
    for (uint t = 0; t < TOKENS; t++) // known where it is 1
        if (t < count)
            place_token(t);
}

// ---- entries -------------------------------------------------------------------------------------------------------------

uvec2 part_entries(uint tokens)
{
    const uint each = (CAPACITY + TOKENS + SPLITS - 1) / SPLITS, first = part * each;
    return uvec2(min(first, CAPACITY + tokens), min(first + each, CAPACITY + tokens));
}

// The new tokens [x, y) whose queries see an entry, and its importance.
uvec2 entry_life(uint entry, out float importance)
{
    slot s;
    if (entry < CAPACITY)
        s = load_slot(entry);
    else {
        s.position = length_ + entry - CAPACITY;
        s.evicted = eviction_by_itself(s.position, token_importance[entry - CAPACITY]);
        s.importance = token_importance[entry - CAPACITY];
    }
    importance = s.importance;
    if (s.position == NONE)
        return uvec2(0);
    const uint by = evictor_of(entry, count);
    const uint end = end_of(s.position, by == NONE ? s.evicted : length_ + by);
    return uvec2(entry < CAPACITY ? 0 : entry - CAPACITY, min(max(end, length_) - length_, count));
}

// Nearly all slots are seen, so that a block's keys are all of its entries, and where they are is known before anything is
// read.
#define FIRST_IS_KNOWN true

// Looks at entries [first, end), BLOCK_KEYS or fewer; returns their number.
uint list_entries(uint first, uint end)
{
    for (uint i = invocation; i < end - first; i += WORKGROUP) {
        float importance;
        const uvec2 life = entry_life(first + i, importance);
        lives[i] = life.x < life.y ? life.x | life.y << 8 : 0;
        biases[i] = clean(importance);
    }
    barrier();
    return end - first;
}

// Number `i` of the block that begins with entry `block`.
uint entry_at(uint block, uint i)
{
    return block + i;
}

bool entry_is_aligned(uint entry)
{
    return entry < CAPACITY || ALIGNED != 0;
}

uvec2 entry_key(uint entry)
{
    const bool cached = entry < CAPACITY;
    return advance(cached ? keys_of(state, kv_head) : k_base, cached ? entry : entry - CAPACITY,
                   cached ? uvec2(KEY_BYTES, 0) : uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH));
}

uvec2 entry_value(uint entry)
{
    const bool cached = entry < CAPACITY;
    return advance(cached ? values_of(state, kv_head) : v_base, cached ? entry : entry - CAPACITY,
                   cached ? uvec2(VALUE_BYTES, 0) : uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH));
}

bool mask_allows(uint entry, uint row)
{
    return true;
}

// ---- the state after the step ----------------------------------------------------------------------------------------------

void store_slot(uint i, uint position, uint evicted, float importance)
{
    Quads(slots_of(state, kv_head)).q[i] = uvec4(position + 1, floatBitsToUint(importance), evicted, 0);
}

void end_cache()
{
    if (went_back) {
        for (uint i = invocation; i < CAPACITY; i += WORKGROUP) {
            const slot s = load_slot(i);
            store_slot(i, s.position, s.evicted, s.importance);
        }
        memoryBarrierBuffer();
        barrier();
    }
    if (invocation < count) {
        const uint t = invocation, by = evictor_of(CAPACITY + t, count);
        if (victims[t] < CAPACITY)
            Words(slots_of(state, kv_head)).w[4 * victims[t] + 2] = length_ + t;
        if (places[t] < CAPACITY)
            store_slot(places[t], length_ + t,
                       by != NONE ? length_ + by : eviction_by_itself(length_ + t, token_importance[t]), token_importance[t]);
    }
    for (uint t = 0; t < count; t++) {
        const uint to = min(places[t], CAPACITY - 1);
        copy_row(advance(keys_of(state, kv_head), to, uvec2(KEY_BYTES, 0)), new_key(t), ALIGNED != 0, KEY_BYTES, invocation,
                 WORKGROUP);
        copy_row(advance(values_of(state, kv_head), to, uvec2(VALUE_BYTES, 0)), new_value(t), ALIGNED != 0, VALUE_BYTES,
                 invocation, WORKGROUP);
    }
}

#endif
