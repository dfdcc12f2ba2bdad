// SPDX-License-Identifier: MIT
// Selected keys in a step of decoding with a paged cache: only the keys of the sequence's tile list are visited. It is
// the union of the lists of the new tokens' queries (union_lists.comp), and has a bit for each query that selects an
// entry (lists.h). Its slots are the keys of its entries: one of each, or those of a block.
#ifndef LIB_CACHE_SELECTED_GLSL
#define LIB_CACHE_SELECTED_GLSL

#include "../lib/lists.h"

uvec4 list_header; // offset of the list in units of LIST_UNIT bytes, slots, 0, log2 of the slots of an entry

// Requests the header of the list.
void fetch_slots(uint first, inout SLOTS(s))
{
    const uvec2 item = advance(p.PAGED_LISTS, sequence, uvec2(MASK_BATCH_LOW, MASK_BATCH_HIGH));
    list_header = Quads(advance(item, MASK_HEADS == 1 ? 0 : kv_head, uvec2(MASK_HEAD_LOW, MASK_HEAD_HIGH))).q[0];
}

// The slots of the split.
uvec2 split_entries(uint tokens)
{
    const uint all = list_header.y, each = split_size(all), first = min(split * each, all);
    return uvec2(first, min(first + each, all));
}

// Lists the keys of slots first to end - 1 (at most LIST_KEYS) that at least one row sees. Returns their number.
uint list_entries(uint first, uint end)
{
    const uint own = first + LOOKS * LIST_LANE, shift = list_header.w;
    const uvec2 list = advance(p.PAGED_LISTS, list_header.x, uvec2(LIST_UNIT, 0));
    uint key[LOOKS], bits[LOOKS]; // bits as in ranges[]
    float importance[LOOKS];
#ifdef FORMATS
    vec2 own_scales[LOOKS];
#endif
#ifdef PLACE_OF
    uint own_place[LOOKS];
#endif
    uint seen = 0;
    [[unroll]] for (uint i = 0; i < LOOKS; i++) {
        const uint slot = min(own + i, end - 1);
        const uvec2 entry = Pairs(list).p[slot >> shift];
        key[i] = (entry.x << shift) + (slot & (1u << shift) - 1);
        bits[i] = own + i < end && key[i] < length_ + count ? entry.y : 0;
        key[i] = min(key[i], length_ + count - 1);
    }
    [[unroll]] for (uint i = 0; i < LOOKS; i++) {
        const uvec2 tokens = entry_range(key[i], importance[i]);
        bits[i] = tokens.x < tokens.y ? bits[i] & (1u << tokens.y) - (1u << tokens.x) : 0;
        seen += bits[i] != 0 ? 1 : 0;
#ifdef FORMATS
        own_scales[i] = entry_scales(key[i]);
#endif
#ifdef PLACE_OF
        own_place[i] = PLACE_OF(key[i]);
#endif
    }
    uint total;
    uint at = LIST_AT(LIST_SCAN(seen, total));
    [[unroll]] for (uint i = 0; i < LOOKS; i++)
        if (bits[i] != 0) {
            entries[at] = key[i];
            ranges[at] = bits[i];
            biases[at] = counted_bias(importance[i]);
#ifdef FORMATS
            set_scales(at, own_scales[i]);
#endif
#ifdef PLACE_OF
            places[at] = own_place[i];
#endif
            at++;
        }
    END_LIST(total);
    return total;
}

#endif
