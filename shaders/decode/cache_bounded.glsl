// SPDX-License-Identifier: MIT
// The bounded cache in a step of decoding. Entries are its slots, followed by the new tokens.
//
// If there are `window` keys before token t, the least important key is evicted, which may be t itself. If several are
// equally important, TIE_BREAK says which: the earliest if the later ones stay, otherwise the latest.
#ifndef LIB_CACHE_BOUNDED_GLSL
#define LIB_CACHE_BOUNDED_GLSL

shared uint victims[TOKENS]; // the entry that token t evicts, or NONE
shared uint targets[TOKENS]; // the slot that token t goes to
uint last_victim, last_target; // of the last token; with one token, no shared memory and no barrier is needed
shared uvec4 found[WORKGROUP / 4]; // for each subgroup: order, position and entry of its victim, and a free slot

// The number of slots of an invocation, and how many it loads at a time. If these are all, no slot is read twice.
const uint INVOCATION_SLOTS = (CAPACITY + WORKGROUP - 1) / WORKGROUP;
const uint MOST_SLOTS = LOADS_AHEAD < 8 ? LOADS_AHEAD : 9, SOME_SLOTS = LOADS_AHEAD < 5 ? LOADS_AHEAD : 5;
const uint SLOTS_AHEAD = INVOCATION_SLOTS > MOST_SLOTS ? SOME_SLOTS : INVOCATION_SLOTS;
const bool SLOTS_ARE_HELD = SLOTS_AHEAD == INVOCATION_SLOTS;

struct slot {
    uint position; // NONE: it is empty
    uint evicted;
    float importance;
};

// Tokens may have been taken back. Then slots and evictions of later tokens do not count.
slot slot_of(uvec4 words)
{
    slot s;
    s.position = words.x - 1 >= length_ ? NONE : words.x - 1;
    s.importance = uintBitsToFloat(words.y);
    s.evicted = words.z >= length_ ? NEVER : words.z;
    return s;
}

// Slot i, or the last one.
uvec4 fetch_slot(uint i)
{
    return Quads(slots_of(state, kv_head)).q[min(i, CAPACITY - 1)];
}

bool is_free(slot s)
{
    return s.position == NONE || !is_needed(s.position, s.evicted, floor_);
}

uint victim_of(uint t)
{
    return TOKENS == 1 ? last_victim : victims[t];
}

uint target_of(uint t)
{
    return TOKENS == 1 ? last_target : targets[t];
}

// Which of the first `tokens` new tokens evicts an entry; NONE if it stays.
uint evictor_of(uint entry, uint tokens)
{
    uint by = NONE;
    for (uint t = 0; t < tokens; t++)
        by = victim_of(t) == entry ? t : by;
    return by;
}

bool is_taken(uint i, uint tokens)
{
    bool taken = false;
    for (uint t = 0; t < tokens; t++)
        taken = taken || target_of(t) == i;
    return taken;
}

// Whether key `a` is evicted before key `b`.
bool is_before(uvec4 a, uvec4 b)
{
    return a.x < b.x || a.x == b.x && (TIE_BREAK == TIE_BREAK_LATER ? a.y < b.y : a.y > b.y);
}

uvec4 better(uvec4 a, uvec4 b)
{
    return uvec4(is_before(b, a) ? b.xyz : a.xyz, min(a.w, b.w));
}

// The best of `lanes` neighbouring invocations. `lanes` is a power of 2.
uvec4 best_of(uvec4 x, uint lanes)
{
    for (uint step = 1; step < lanes; step *= 2)
        x = better(x, subgroupShuffleXor(x, step));
    return x;
}

// SLOTS_AHEAD slots of an invocation.
#define SLOTS(s) uvec4 s[SLOTS_AHEAD]

void fetch_slots(uint first, inout SLOTS(s))
{
    [[unroll]] for (uint n = 0; n < SLOTS_AHEAD; n++)
        s[n] = fetch_slot(first + n * WORKGROUP + invocation);
}

// If SLOTS_ARE_HELD, a bit for each slot of an invocation: a new token has evicted its key; a new token goes to it.
uint evicted_bits = 0, taken_bits = 0;

uint bit_of(uint entry)
{
    return entry < CAPACITY && entry % WORKGROUP == invocation ? 1u << entry / WORKGROUP : 0;
}

bool bit_is_set(uint bits, uint n)
{
    return (bits >> n & 1) != 0;
}

// Finds in an invocation's slots the least important key that none of the first `tokens` tokens has evicted (its order,
// position and slot) and a free slot. `s` holds the first slots.
void scan_some_slots(uint first, uint tokens, inout SLOTS(s), inout uvec4 best)
{
    if (!SLOTS_ARE_HELD && (first > 0 || tokens > 0))
        fetch_slots(first, s);
    [[unroll]] for (uint n = 0; n < SLOTS_AHEAD; n++) {
        const uint i = first + n * WORKGROUP + invocation;
        const slot x = slot_of(s[n]);
        const uvec4 candidate = uvec4(order_of(x.importance), x.position, i, NONE);
        const bool is_gone = SLOTS_ARE_HELD ? bit_is_set(evicted_bits, n) : evictor_of(i, tokens) != NONE;
        const bool has_come = SLOTS_ARE_HELD ? bit_is_set(taken_bits, n) : is_taken(i, tokens);
        const bool is_ranked = RANKED && i < CAPACITY && x.position != NONE && x.evicted == NEVER;
        const bool is_better = is_ranked && !is_gone && is_before(candidate, best);
        best.xyz = is_better ? candidate.xyz : best.xyz;
        best.w = i < CAPACITY && is_free(x) && !has_come ? min(best.w, i) : best.w;
    }
}

uvec4 scan_slots(uint tokens, inout SLOTS(s))
{
    const uint step = SLOTS_AHEAD * WORKGROUP;
    uvec4 best = uvec4(NONE);
    if (FEW_REGISTERS)
        [[dont_unroll]] for (uint first = 0; first < CAPACITY; first += step)
            scan_some_slots(first, tokens, s, best);
    else
        for (uint first = 0; first < CAPACITY; first += step)
            scan_some_slots(first, tokens, s, best);
    return best;
}

// Finds the entry that token t evicts, and the slot that it goes to. `own` is the result of scan_slots(). After the
// barrier, all invocations know the importance of all tokens.
void insert_token(uint t, uvec4 own)
{
    const uvec4 of_subgroup = best_of(own, gl_SubgroupSize);
    if (gl_SubgroupInvocationID == 0)
        found[gl_SubgroupID] = of_subgroup;
    barrier();
    // One invocation for each subgroup's result and for each token, if there are enough invocations.
    const uint all = max(gl_NumSubgroups, t + 1);
    uint lanes = 1;
    while (lanes < all && lanes < gl_SubgroupSize)
        lanes *= 2;
    uvec4 best = uvec4(NONE);
    for (uint first = 0; first < all; first += lanes) {
        const uint i = first + gl_SubgroupInvocationID % lanes, token = min(i, t);
        const uvec4 of_token = uvec4(order_of(token_importance[token]), length_ + token, CAPACITY + token, NONE);
        best = better(best, found[min(i, gl_NumSubgroups - 1)]);
        best = better(best, evictor_of(CAPACITY + token, t) == NONE ? of_token : uvec4(NONE));
    }
    best = best_of(best, lanes);
    last_victim = RANKED && length_ + t >= WINDOW ? best.z : NONE;
    last_target = best.w;
    if (TOKENS > 1) {
        if (invocation == 0) {
            victims[t] = last_victim;
            targets[t] = last_target;
        }
        barrier();
    }
}

#ifdef TREE
#include "cache_tree.glsl"
#endif

// `s` is from fetch_slots(0, s).
void begin_cache(inout SLOTS(s))
{
    uvec4 own = scan_slots(0, s);
    for (uint t = 0; t < TOKENS; t++) // TOKENS is constant, so with one token there is no loop
        if (t < count) {
            insert_token(t, own);
            const bool lost = own.z != NONE && own.z == last_victim || own.w != NONE && own.w == last_target;
            if (t + 1 < TOKENS && (SLOTS_ARE_HELD || lost)) {
                evicted_bits |= bit_of(last_victim);
                taken_bits |= bit_of(last_target);
                own = scan_slots(t + 1, s);
            }
        }
#ifdef TREE
    begin_tree();
#endif
}

// ---- entries --------------------------------------------------------------------------------------------------------

// The new tokens x to y - 1, whose queries see an entry, and its importance. If the entry is a slot, `words` is its
// content.
uvec2 entry_range(uint entry, uvec4 words, out float importance)
{
    const bool is_new = entry >= CAPACITY;
    const uint token = is_new ? min(entry - CAPACITY, TOKENS - 1) : 0;
    const float new_importance = token_importance[token];
    slot s = slot_of(words);
    s.position = is_new ? length_ + token : s.position;
    s.evicted = is_new ? eviction_by_itself(length_ + token, new_importance) : s.evicted;
    importance = is_new ? new_importance : s.importance;
    const uint by = evictor_of(entry, count);
    const uint end = end_of(s.position, by == NONE ? s.evicted : length_ + by);
    const uvec2 range = uvec2(token, min(max(end, length_) - length_, count));
    return s.position == NONE ? uvec2(0) : range;
}

// Nearly all slots are visible, so a block's list contains all its entries. Their addresses are known before anything
// is read.
#define FIRST_IS_KNOWN true

uvec2 split_entries(uint tokens)
{
    const uint each = split_size(CAPACITY + TOKENS), first = split * each;
    return uvec2(min(first, CAPACITY + tokens), min(first + each, CAPACITY + tokens));
}

// Slot `own_block` + `invocation`; `own_block` is the first entry of a block.
uvec4 own_slot;
uint own_block;

void fetch_list(uint block)
{
    own_block = block;
    own_slot = fetch_slot(block + invocation);
}

#ifdef FORMATS
uint entry_token(uint entry)
{
    return entry < CAPACITY ? NONE : min(entry - CAPACITY, TOKENS - 1);
}

vec2 entry_scales(uint entry)
{
    const uint slot = min(entry, CAPACITY - 1);
    return scales_of(entry_token(entry), advance(key_scales_of(state, kv_head), slot, uvec2(4, 0)),
                     advance(value_scales_of(state, kv_head), slot, uvec2(4, 0)));
}
#endif

// Finds ranges and biases of entries first to end - 1 (at most BLOCK_KEYS). Returns their number.
uint list_entries(uint first, uint end)
{
    for (uint i = invocation; i < end - first; i += WORKGROUP) {
        uvec4 words = own_slot;
        if (i >= WORKGROUP || first != own_block)
            words = fetch_slot(first + i);
        float importance;
#ifdef TREE
        ranges[i] = entry_queries(first + i, words, importance);
#else
        const uvec2 range = entry_range(first + i, words, importance);
        ranges[i] = range.x < range.y ? range.x | range.y << 8 : 0;
#endif
        biases[i] = counted_bias(importance);
#ifdef FORMATS
        if (HAS_SCALES) {
            const vec2 own_scales = entry_scales(first + i);
            scales[i] = ranges[i] != 0 ? own_scales : vec2(0); // of a key that no row sees, they may be anything
        }
#endif
    }
    barrier();
    return end - first;
}

// The entry with number `i` in the block that begins with entry `block`.
uint entry_at(uint block, uint i)
{
    return block + i;
}

#ifdef FORMATS

// Where the rows of an entry are, if it is a slot.
uvec2 entry_key(uint entry)
{
    return advance(keys_of(state, kv_head), min(entry, CAPACITY - 1), uvec2(KEY_BYTES, 0));
}

uvec2 entry_value(uint entry)
{
    return advance(values_of(state, kv_head), min(entry, CAPACITY - 1), uvec2(VALUE_BYTES, 0));
}

// The same for number `i` of the entries from `block` on.
uvec2 listed_key(uint block, uint i)
{
    return entry_key(block + i);
}

uvec2 listed_value(uint block, uint i)
{
    return entry_value(block + i);
}

#else

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

#endif

bool mask_allows(uint entry, uint row)
{
    return true;
}

float entry_term(uint entry, uint row)
{
    return 0;
}

// ---- the state after the step ---------------------------------------------------------------------------------------

void store_slot(uint i, uint position, uint evicted, float importance)
{
    Quads(slots_of(state, kv_head)).q[i] = uvec4(position + 1, floatBitsToUint(importance), evicted, 0);
}

void end_cache()
{
    if (went_back) {
        for (uint i = invocation; i < CAPACITY; i += WORKGROUP) {
            const slot s = slot_of(fetch_slot(i));
            store_slot(i, s.position, s.evicted, s.importance);
        }
        memoryBarrierBuffer();
        barrier();
    }
    if (invocation < count) {
        const uint t = invocation, by = evictor_of(CAPACITY + t, count);
        if (victim_of(t) < CAPACITY)
            Words(slots_of(state, kv_head)).w[4 * victim_of(t) + 2] = length_ + t;
        if (target_of(t) < CAPACITY)
            store_slot(target_of(t), length_ + t,
                       by != NONE ? length_ + by : eviction_by_itself(length_ + t, token_importance[t]),
                       token_importance[t]);
    }
    for (uint t = 0; t < count; t++) {
        const uint to = min(target_of(t), CAPACITY - 1);
#ifdef FORMATS
        store_new_rows(t, entry_key(to), entry_value(to), advance(key_scales_of(state, kv_head), to, uvec2(4, 0)),
                       advance(value_scales_of(state, kv_head), to, uvec2(4, 0)));
#else
        copy_row(advance(keys_of(state, kv_head), to, uvec2(KEY_BYTES, 0)), new_key(t), ALIGNED != 0, KEY_BYTES,
                 invocation, WORKGROUP);
        copy_row(advance(values_of(state, kv_head), to, uvec2(VALUE_BYTES, 0)), new_value(t), ALIGNED != 0, VALUE_BYTES,
                 invocation, WORKGROUP);
#endif
    }
}

#endif
