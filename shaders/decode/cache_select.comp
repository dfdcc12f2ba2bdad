// SPDX-License-Identifier: MIT
// Selects the keys that a bounded cache holds after new tokens were added: those of its slots and of the new tokens
// that a later token may need, also if up to ROLLBACK tokens are taken back. Slots of other keys are free for new
// tokens.
//
//     the last ROLLBACK tokens of the sequence are left for later, as far as they are new
//     the w-th most important of all other keys   digit by digit, from the top (radix select): each pass makes a
//                                                 histogram of the keys that have the digits found so far. A digit is
//                                                 one of the importance, or, if that is not enough, of the position
//     slots of keys that are not needed are free  their list is in the last words of slots until the end
//     new keys that are needed go to free slots
//     the last tokens, one after another          each evicts the least important key, as in a step
//                                                 (cache_bounded.glsl)
//
// An evicted key never returns. So the w most important keys are among the w before, which have slots, and the new
// ones: the selection is the same whether tokens come at once, in parts or in steps.
//
// One workgroup for each kv head. It reads the importance of new tokens five times, or nine times if keys are equal.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "fill.glsl"

#include "../lib/scan.glsl"

// Slots, through which invocations exchange data.
layout(buffer_reference, std430, buffer_reference_align = 4) coherent buffer SlotWords {
    uint w[];
};
layout(buffer_reference, std430, buffer_reference_align = 16) coherent buffer SlotQuads {
    uvec4 q[];
};

#define DIGIT_BITS 8
shared uint histogram[1 << DIGIT_BITS];
shared uint least_order, least_place; // a rank, see rank_of()
shared uint left, equals;

uint invocation, kv_head;
uvec2 slots; // the address of slot 0
uint kept, length_; // tokens before and after the filling
uint floor_;        // the header's floor after it
uint free_slots, taken_slots;

struct slot {
    uint position; // NONE: it is empty
    uint evicted;
    float importance;
};

// Slot i. Tokens may have been taken back. Then slots and evictions of later tokens do not count; `tokens` is the
// number of those that count.
slot slot_at(uint i, uint tokens)
{
    const uvec4 words = SlotQuads(slots).q[i];
    slot s;
    s.position = words.x - 1 >= tokens ? NONE : words.x - 1;
    s.importance = uintBitsToFloat(words.y);
    s.evicted = words.z >= tokens ? NEVER : words.z;
    return s;
}

void store_slot(uint i, uint position, uint evicted, float importance)
{
    SlotWords(slots).w[4 * i] = position + 1;
    SlotWords(slots).w[4 * i + 1] = floatBitsToUint(importance);
    SlotWords(slots).w[4 * i + 2] = evicted;
}

// Keys of lower rank are evicted first. No two keys have the same rank.
uvec2 rank_of(float importance, uint position)
{
    return uvec2(order_of(importance), TIE_BREAK == TIE_BREAK_LATER ? position : ~position);
}

bool is_less(uvec2 a, uvec2 b)
{
    return a.x < b.x || a.x == b.x && a.y < b.y;
}

// The rank of the key of a slot, if it is one of the most important keys so far; otherwise `none`.
uvec2 rank_of_slot(slot s, uint none)
{
    return s.position != NONE && s.evicted == NEVER ? rank_of(s.importance, s.position) : uvec2(none);
}

// ---- new tokens that cannot be taken back ---------------------------------------------------------------------------

// Counts digits of orders (place == false), or of the places of keys of order `least_order`, among keys that have the
// higher digits of `least`.
void count_digits(uint keys, bool place, uint shift, uint least)
{
    const uint old_slots = kept == 0 ? 0 : CAPACITY;
    for (uint i = invocation; i < old_slots + keys; i += WORKGROUP) {
        uvec2 rank;
        if (i < old_slots)
            rank = rank_of_slot(slot_at(i, kept), NEVER_SEEN);
        else
            rank = rank_of(new_importance(kv_head, i - old_slots), kept + i - old_slots);
        const uint x = place ? rank.y : rank.x;
        const bool counts = rank.x != NEVER_SEEN && (!place || rank.x == least_order);
        if (counts && (shift == 32 - DIGIT_BITS || x >> shift + DIGIT_BITS == least >> shift + DIGIT_BITS))
            atomicAdd(histogram[x >> shift & (1u << DIGIT_BITS) - 1], 1);
    }
}

// Finds the `left`-th greatest order or place. `equals` keys have it, and `left` of them are among the WINDOW most
// important keys.
uint find_number(uint keys, bool place)
{
    uint least = 0;
    for (int shift = 32 - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
        for (uint i = invocation; i < 1u << DIGIT_BITS; i += WORKGROUP)
            histogram[i] = 0;
        barrier();
        count_digits(keys, place, shift, least);
        barrier();
        uint digit = (1u << DIGIT_BITS) - 1, remaining = left;
        for (; digit > 0 && histogram[digit] < remaining; digit--)
            remaining -= histogram[digit];
        least |= digit << shift;
        const uint found = histogram[digit];
        barrier();
        if (invocation == 0) {
            left = remaining;
            equals = found;
        }
        barrier();
    }
    return least;
}

// Finds the rank of the WINDOW-th most important key of the slots and the first `keys` new tokens.
uvec2 find_least(uint keys)
{
    if (invocation == 0)
        left = WINDOW;
    barrier();
    const uint order = find_number(keys, false);
    if (invocation == 0)
        least_order = order;
    barrier();
    return uvec2(order, equals == left ? 0 : find_number(keys, true));
}

// ---- slots ----------------------------------------------------------------------------------------------------------

// Empties slots whose keys are not needed, and lists them. Keys of lower rank than `least` are evicted.
void free_old_slots(uvec2 least)
{
    free_slots = 0;
    for (uint first = 0; first < CAPACITY; first += WORKGROUP) {
        const uint i = first + invocation;
        slot s = slot_at(min(i, CAPACITY - 1), kept);
        if (is_less(rank_of_slot(s, NONE), least))
            s.evicted = s.position;
        const bool needed = s.position != NONE && is_needed(s.position, s.evicted, floor_);
        uint here;
        const uint at = free_slots + exclusive_scan(i < CAPACITY && !needed ? 1 : 0, here);
        free_slots += here;
        if (i < CAPACITY && needed)
            store_slot(i, s.position, s.evicted, s.importance);
        if (i < CAPACITY && !needed) {
            store_slot(i, NONE, 0, 0);
            SlotWords(slots).w[4 * at + 3] = i;
        }
    }
    memoryBarrierBuffer();
    barrier();
}

// Puts a new key to free slot number `at`.
void fill_slot(uint at, uint position, uint evicted, float importance)
{
    if (at < free_slots)
        store_slot(min(SlotWords(slots).w[4 * at + 3], CAPACITY - 1), position, evicted, importance);
}

void add_tokens(uint end, uvec2 least)
{
    for (uint first = kept; first < end; first += WORKGROUP) {
        const uint key = first + invocation;
        const float importance = new_importance(kv_head, min(key, end - 1) - kept);
        const uint evicted =
            is_less(rank_of(importance, key), least) ? key : eviction_by_itself(key, importance);
        uint here;
        const bool needed = key < end && is_needed(key, evicted, floor_);
        const uint at = taken_slots + exclusive_scan(needed ? 1 : 0, here);
        taken_slots += here;
        if (needed)
            fill_slot(at, key, evicted, importance);
    }
    memoryBarrierBuffer();
    barrier();
}

// ---- tokens that can be taken back: the position of the token that evicts a key must be known -----------------------

// Evicts the key of least rank among the slots and token t. Returns whether that is token t.
bool evict_by(uint t, float importance)
{
    if (invocation == 0)
        least_order = least_place = NONE;
    barrier();
    uvec2 least = invocation == 0 ? rank_of(importance, t) : uvec2(NONE);
    uint at = NONE;
    for (uint i = invocation; i < CAPACITY; i += WORKGROUP) {
        const uvec2 rank = rank_of_slot(slot_at(i, t), NONE);
        if (is_less(rank, least)) {
            least = rank;
            at = i;
        }
    }
    atomicMin(least_order, least.x);
    barrier();
    if (least.x == least_order)
        atomicMin(least_place, least.y);
    barrier();
    const bool is_least = least == uvec2(least_order, least_place);
    if (is_least && at != NONE)
        SlotWords(slots).w[4 * at + 2] = t;
    return is_least && at == NONE;
}

void add_last_tokens(uint first)
{
    for (uint t = first; t < length_; t++) {
        const float importance = new_importance(kv_head, t - kept);
        const bool evicts_itself = RANKED && t >= WINDOW && evict_by(t, importance);
        if (invocation == 0)
            fill_slot(taken_slots, t, evicts_itself ? t : eviction_by_itself(t, importance), importance);
        taken_slots++;
        memoryBarrierBuffer();
        barrier();
    }
}

void main()
{
    invocation = ordered_invocation();
    kv_head = WORKGROUP_ID.x;
    const uvec2 state = sequence_state(p.state, p.sequence), header_at = header_of(state, kv_head);
    const uvec4 header = Quads(header_at).q[0];
    slots = slots_of(state, kv_head);
    kept = kept_tokens(header);
    length_ = kept + p.keys;
    const uint old_floor = kept == 0 ? 0 : header[HEADER_FLOOR];
    const uint last_tokens = max(length_, ROLLBACK) - ROLLBACK, selected = max(kept, last_tokens);
    floor_ = max(old_floor, last_tokens);
    taken_slots = 0;
    uvec2 least = uvec2(0);
    if (RANKED && selected > kept && selected > WINDOW)
        least = find_least(selected - kept);
    free_old_slots(least);
    add_tokens(selected, least);
    add_last_tokens(selected);
    for (uint i = invocation; i < CAPACITY; i += WORKGROUP)
        SlotWords(slots).w[4 * i + 3] = 0;
    const bool broken = kept != 0 && ((header[HEADER_FLAGS] & FLAG_BROKEN) != 0 || kept < old_floor);
    if (invocation < HEADER_WORDS / 4)
        Quads(header_at).q[invocation] =
            invocation == 0 ? uvec4(length_, floor_, 0, broken ? FLAG_BROKEN : 0) : uvec4(0);
}
