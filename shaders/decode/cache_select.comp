// SPDX-License-Identifier: MIT
// Selects the keys of a prompt that a bounded cache holds: the keys that the next token may need, in order.
//
// The w-th largest importance is found digit by digit, from the top: each step makes a histogram of the keys that have
// the digits found so far (radix select). Among the keys of exactly this importance, the latest ones are selected, or
// the earliest ones, by TIE_BREAK.
//
// One workgroup for each kv head. It reads the importance six times. The prompt's attention reads more bytes of k than
// that.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "cache.glsl"

layout(push_constant, std430) uniform Params {
    FILL_PARAMS
    PART_PARAM
} p;

#include "../lib/scan.glsl"

#define DIGIT_BITS 8
shared uint histogram[1 << DIGIT_BITS];
shared uint least_, left_, equals_;

uint invocation, kv_head;

float importance_at(uint key)
{
    if (BIAS == 0)
        return 0;
    return clean(uintBitsToFloat(Words(advance(p.importance, kv_head, uvec2(4 * p.keys, 0))).w[key]));
}

// Finds `least_`, the order of the WINDOW-th most important key. `equals_` keys have this order, and `left_` of them
// are selected.
void find_least()
{
    if (invocation == 0) {
        least_ = 0;
        left_ = WINDOW;
    }
    for (int shift = 32 - DIGIT_BITS; shift >= 0; shift -= DIGIT_BITS) {
        for (uint i = invocation; i < 1u << DIGIT_BITS; i += WORKGROUP)
            histogram[i] = 0;
        barrier();
        const uint above = least_;
        for (uint key = invocation; key < p.keys; key += WORKGROUP) {
            const uint order = order_of(importance_at(key));
            if (shift == 32 - DIGIT_BITS || order >> shift + DIGIT_BITS == above >> shift + DIGIT_BITS)
                atomicAdd(histogram[order >> shift & (1u << DIGIT_BITS) - 1], 1);
        }
        barrier();
        if (invocation == 0) {
            uint digit = (1u << DIGIT_BITS) - 1;
            for (; digit > 0 && histogram[digit] < left_; digit--)
                left_ -= histogram[digit];
            least_ |= digit << shift;
            equals_ = histogram[digit];
        }
        barrier();
    }
}

void main()
{
    invocation = ordered_invocation();
    kv_head = WORKGROUP_ID.x;
    const uvec2 state = sequence_state(p.state, p.sequence);
    const bool all = !RANKED || p.keys <= WINDOW;
    if (!all)
        find_least();

    uint equals_before = 0, slots = 0;
    for (uint first = 0; first < p.keys; first += WORKGROUP) {
        const uint key = first + invocation;
        const bool exists = key < p.keys;
        const float importance = importance_at(min(key, p.keys - 1));
        bool kept = all;
        if (!all) {
            const uint order = order_of(importance);
            uint equals_here;
            const uint rank = equals_before + exclusive_scan(exists && order == least_ ? 1 : 0, equals_here);
            const bool tie_kept = TIE_BREAK == TIE_BREAK_LATER ? rank >= equals_ - left_ : rank < left_;
            kept = order > least_ || order == least_ && tie_kept;
            equals_before += equals_here;
        }
        const uint evicted = kept ? eviction_by_itself(key, importance) : key;
        uint here;
        const bool needed = exists && is_needed(key, evicted, p.keys);
        const uint slot = slots + exclusive_scan(needed ? 1 : 0, here);
        slots += here;
        if (needed && slot < CAPACITY)
            Quads(slots_of(state, kv_head)).q[slot] = uvec4(key + 1, floatBitsToUint(importance), evicted, 0);
    }
    for (uint slot = slots + invocation; slot < CAPACITY; slot += WORKGROUP)
        Quads(slots_of(state, kv_head)).q[slot] = uvec4(0);
    if (invocation < HEADER_WORDS / 4)
        Quads(header_of(state, kv_head)).q[invocation] = invocation == 0 ? uvec4(p.keys, p.keys, 0, 0) : uvec4(0);
}
