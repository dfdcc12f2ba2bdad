// SPDX-License-Identifier: MIT
// The paged cache in a step of decoding: all keys, in pages that a table lists for each sequence. Entries are the keys;
// the last entries are the new tokens. If no query sees a key, only the key's importance is read. With SELECTED_KEYS,
// only keys of the queries' lists are visited.
#ifndef LIB_CACHE_PAGED_GLSL
#define LIB_CACHE_PAGED_GLSL

uvec2 entry_page(uint entry)
{
    return page_of(p.pages, p.table, sequence, entry);
}

#ifdef FORMATS
uint entry_token(uint entry)
{
    return entry < length_ ? NONE : entry - length_;
}

vec2 entry_scales(uint entry)
{
    const uvec2 page = entry_page(entry);
    return scales_of(entry_token(entry), page_number(page, PAGE_KEY_SCALES_AT, kv_head, entry),
                     page_number(page, PAGE_VALUE_SCALES_AT, kv_head, entry));
}
#endif

#define SLOTS(s) uint s

#ifndef SELECTED_KEYS
void fetch_slots(uint first, inout SLOTS(s))
{
}
#endif

void begin_cache(inout SLOTS(s))
{
    barrier(); // the importance of all tokens is known
}

#ifdef SELECTED_KEYS
uvec2 split_entries(uint tokens);
#elif defined(BALANCED)
// The numbers of the split's keys, among those that the window does not hide.
uvec2 split_entries(uint tokens)
{
    const uint all = keys_in_window(length_ + tokens, window_begin_, SINKS), each = split_size(all);
    const uint first = min(split * each, all);
    return uvec2(first, min(first + each, all));
}

uint numbered_entry(uint number)
{
    return number < window_sinks ? number : number - window_sinks + window_begin_;
}
#define NUMBERED_ENTRY(number) numbered_entry(number)
#else
uvec2 split_entries(uint tokens)
{
    const uint all = length_ + tokens, each = split_size(all), first = min(split * each, all);
    return uvec2(first, min(first + each, all));
}
#define NUMBERED_ENTRY(number) number
#endif

// The new tokens x to y - 1, whose queries see an entry if the mask allows it, and its importance. Loads are
// unconditional: with a branch around each load, each would wait for the one before.
uvec2 entry_range(uint entry, out float importance)
{
    const uint old = min(entry, max(length_, 1) - 1);
    const uvec2 at = page_number(entry_page(old), PAGE_IMPORTANCE_AT, kv_head, old);
    importance = BIAS != 0 ? uintBitsToFloat(Words(at).w[0]) : 0;
    if (entry >= length_)
        importance = token_importance[entry - length_];
    const uint end = end_of(entry, eviction_by_itself(entry, importance));
    return uvec2(max(entry, length_) - length_, min(max(end, length_) - length_, count));
}

#define FIRST_IS_KNOWN false

void fetch_list(uint block)
{
}

shared uint entries[BLOCK_KEYS]; // the entries of the current list that some row sees

#if defined(FORMATS) && defined(FRAGMENTS)
// For each entry of the list, where its rows are, so that no load of a row waits for the table: the index of its page,
// or, with SUBGROUP_LISTS, the place of its row of k.
shared uint places[BLOCK_KEYS];

// As in page_of().
uint page_index(uint entry)
{
    const uint at = min(entry / PAGE_SIZE, TABLE_PAGES - 1);
    return min(Words(advance(p.table, sequence, uvec2(4 * TABLE_PAGES, 0))).w[at], PAGES - 1);
}

#ifdef BLOCKS
#define PLACE_OF page_index
#else
#include "fragments/lists.glsl"
#endif
#endif
#ifndef SUBGROUP_LISTS
// The list of a block is the workgroup's.
const uint LIST_KEYS = BLOCK_KEYS, LIST_LANES = WORKGROUP;
#define LIST_LANE      invocation
#define LIST_AT(i)     i
#define LIST_SCAN      exclusive_scan
#define END_LIST(size) barrier()
#endif

bool mask_allows(uint entry, uint row)
{
    if (MASK == 0)
        return true;
    const uint head = MASK_HEADS == 1 ? 0 : MASK_HEADS == KV_HEADS ? kv_head : row_head(row);
    const uvec2 item = advance(p.mask, sequence, uvec2(MASK_BATCH_LOW, MASK_BATCH_HIGH));
    const uvec2 plane = advance(item, head, uvec2(MASK_HEAD_LOW, MASK_HEAD_HIGH));
    const uvec2 keys = advance(plane, row_query(row), uvec2(MASK_QUERY_LOW, MASK_QUERY_HIGH));
    return (load_bytes(advance(keys, entry, uvec2(1, 0)), 1) & 0xffu) != 0;
}

// What is added to the score of a pair: the bias, or minus the distance, times the slope of the head.
float entry_term(uint entry, uint row)
{
    float factor = -float(length_ + row_query(row) - entry);
    if (PAIR_BIAS != 0) {
        const uint head = PAIR_BIAS_HEADS == 1 ? 0 : PAIR_BIAS_HEADS == KV_HEADS ? kv_head : row_head(row);
        const uvec2 item = advance(p.PAGED_BIAS, sequence, uvec2(PAIR_BIAS_BATCH_LOW, PAIR_BIAS_BATCH_HIGH));
        const uvec2 plane = advance(item, head, uvec2(PAIR_BIAS_HEAD_LOW, PAIR_BIAS_HEAD_HIGH));
        const uvec2 keys = advance(plane, row_query(row), uvec2(PAIR_BIAS_QUERY_LOW, PAIR_BIAS_QUERY_HIGH));
        factor = counted_bias(load_element(PAIR_BIAS_TYPE, keys, entry));
    }
    if (SLOPES == 0 || factor == 0)
        return factor;
    return counted_bias(uintBitsToFloat(Words(p.PAGED_SLOPES).w[row_head(row)]) * factor);
}

bool some_row_is_allowed(uint entry)
{
    bool allowed = MASK == 0;
    for (uint row = 0; !allowed && row < count * GROUP; row++)
        allowed = mask_allows(entry, row);
    return allowed;
}

// The number of entries of a list that an invocation looks at, all together.
const uint LOOKS = (LIST_KEYS + LIST_LANES - 1) / LIST_LANES;

#ifdef SELECTED_KEYS
#include "cache_selected.glsl"
#else

// Lists the entries from first to end - 1 (at most LIST_KEYS) that at least one row sees. Returns their number. If
// BALANCED, first and end are numbers of keys that the window does not hide.
uint list_entries(uint first, uint end)
{
    const uint own = first + LOOKS * LIST_LANE;
    uint range[LOOKS]; // as in ranges[]; 0: no row sees it
    float importance[LOOKS];
#ifdef FORMATS
    vec2 own_scales[LOOKS];
#endif
#ifdef PLACE_OF
    uint own_place[LOOKS];
#endif
    uint seen = 0;
    [[unroll]] for (uint i = 0; i < LOOKS; i++) {
        const uint entry = NUMBERED_ENTRY(min(own + i, end - 1));
        const uvec2 tokens = entry_range(entry, importance[i]);
        range[i] = own + i < end && tokens.x < tokens.y && some_row_is_allowed(entry) ? tokens.x | tokens.y << 8 : 0;
        seen += range[i] != 0 ? 1 : 0;
#ifdef FORMATS
        own_scales[i] = entry_scales(entry);
#endif
#ifdef PLACE_OF
        own_place[i] = PLACE_OF(entry);
#endif
    }
    uint total;
    uint at = LIST_AT(LIST_SCAN(seen, total));
    [[unroll]] for (uint i = 0; i < LOOKS; i++)
        if (range[i] != 0) {
            entries[at] = NUMBERED_ENTRY(own + i);
            ranges[at] = range[i];
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

// The entry with number `i` in the list of the block that begins with entry `block`.
uint entry_at(uint block, uint i)
{
    return entries[LIST_AT(i)];
}

#ifdef FORMATS

#ifndef SELECTED_KEYS
#define LATE_NEW_ROWS

// Whether there are new tokens among the workgroup's keys.
bool sees_new_tokens()
{
    const uvec2 range = split_entries(count);
    return range.x < range.y && NUMBERED_ENTRY(range.y - 1) >= length_;
}
#endif

// Where the rows of an entry are. Those of a new token are not there yet.
uvec2 entry_key(uint entry)
{
    return page_key(entry_page(entry), kv_head, entry);
}

uvec2 entry_value(uint entry)
{
    return page_value(entry_page(entry), kv_head, entry);
}

#ifdef BLOCKS

// The same for number `i` of the list.
uvec2 listed_page(uint i)
{
    return advance(p.pages, places[i], uvec2(PAGE_BYTES, 0));
}

uvec2 listed_key(uint block, uint i)
{
    return page_key(listed_page(i), kv_head, entries[i]);
}

uvec2 listed_value(uint block, uint i)
{
    return page_value(listed_page(i), kv_head, entries[i]);
}

#endif

#else

bool entry_is_aligned(uint entry)
{
    return entry < length_ || ALIGNED != 0;
}

uvec2 entry_key(uint entry)
{
    return entry < length_ ? page_key(entry_page(entry), kv_head, entry) : new_key(entry - length_);
}

uvec2 entry_value(uint entry)
{
    return entry < length_ ? page_value(entry_page(entry), kv_head, entry) : new_value(entry - length_);
}

#endif

void end_cache()
{
    for (uint t = 0; t < count; t++) {
        const uvec2 page = entry_page(length_ + t);
#ifdef FORMATS
        store_new_rows(t, page_key(page, kv_head, length_ + t), page_value(page, kv_head, length_ + t),
                       page_number(page, PAGE_KEY_SCALES_AT, kv_head, length_ + t),
                       page_number(page, PAGE_VALUE_SCALES_AT, kv_head, length_ + t));
#else
        copy_row(page_key(page, kv_head, length_ + t), new_key(t), ALIGNED != 0, KEY_BYTES, invocation, WORKGROUP);
        copy_row(page_value(page, kv_head, length_ + t), new_value(t), ALIGNED != 0, VALUE_BYTES, invocation,
                 WORKGROUP);
#endif
        const uvec2 importance = page_number(page, PAGE_IMPORTANCE_AT, kv_head, length_ + t);
        if (BIAS != 0 && invocation == 0)
            Words(importance).w[0] = floatBitsToUint(token_importance[t]);
    }
}

#endif
