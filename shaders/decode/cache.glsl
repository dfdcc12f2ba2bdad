// SPDX-License-Identifier: MIT
// The cache of keys that decoding reads and writes: its memory layout, and which queries see a key.
#ifndef LIB_CACHE_GLSL
#define LIB_CACHE_GLSL

#include "decode.h"
#include "../lib/math.glsl"
#include "../lib/memory.glsl"
#include "../lib/order.glsl"

DECODE_CONSTANTS(DMATTN_CONSTANT)

const uint NONE = 0xffffffffu;

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

// Bytes of an element of a format, or, for formats of blocks, of a block.
#define FORMAT_BYTES(format)                                                                                           \
    ((format) == FORMAT_F32    ? 4                                                                                     \
     : (format) < FORMAT_INT8  ? 2                                                                                     \
     : (format) < FORMAT_Q8_0  ? 1                                                                                     \
     : (format) == FORMAT_Q8_0 ? Q8_0_BYTES                                                                            \
                               : Q4_0_BYTES)
#define FORMAT_ELEMENTS(format) ((format) < FORMAT_Q8_0 ? 1 : FORMAT_BLOCK)
#define SCALE_BYTES(format)     ((format) == FORMAT_INT8 ? 4 : (format) == FORMAT_E4M3 ? 4 : 0)

const uint KEY_BYTES = HEAD_DIM / FORMAT_ELEMENTS(K_FORMAT) * FORMAT_BYTES(K_FORMAT);
const uint VALUE_BYTES = VALUE_DIM / FORMAT_ELEMENTS(V_FORMAT) * FORMAT_BYTES(V_FORMAT);
const uint KEY_SCALE_BYTES = SCALE_BYTES(K_FORMAT), VALUE_SCALE_BYTES = SCALE_BYTES(V_FORMAT); // of a row

// ---- a sequence's state ---------------------------------------------------------------------------------------------

uvec2 sequence_state(uvec2 state, uint sequence)
{
    return advance(state, sequence, uvec2(STATE_LOW, STATE_HIGH));
}

uvec2 header_of(uvec2 sequence, uint kv_head)
{
    return advance(sequence, kv_head, uvec2(4 * HEADER_WORDS, 0));
}

// The address of slot 0 of a kv head in an array of a bounded cache. A slot has `bytes` bytes in this array, and
// `bytes_before` bytes in the arrays before it.
uvec2 array_of(uvec2 sequence, uint kv_head, uint bytes_before, uint bytes)
{
    const uvec2 array = advance(advance(sequence, KV_HEADS, uvec2(4 * HEADER_WORDS, 0)), KV_HEADS * CAPACITY,
                                uvec2(bytes_before, 0));
    return advance(array, kv_head * CAPACITY, uvec2(bytes, 0));
}

uvec2 slots_of(uvec2 sequence, uint kv_head) { return array_of(sequence, kv_head, 0, 16); }
uvec2 keys_of(uvec2 sequence, uint kv_head) { return array_of(sequence, kv_head, 16, KEY_BYTES); }
uvec2 values_of(uvec2 sequence, uint kv_head) { return array_of(sequence, kv_head, 16 + KEY_BYTES, VALUE_BYTES); }

uvec2 key_scales_of(uvec2 sequence, uint kv_head)
{
    return array_of(sequence, kv_head, 16 + KEY_BYTES + VALUE_BYTES, KEY_SCALE_BYTES);
}

uvec2 value_scales_of(uvec2 sequence, uint kv_head)
{
    return array_of(sequence, kv_head, 16 + KEY_BYTES + VALUE_BYTES + KEY_SCALE_BYTES, VALUE_SCALE_BYTES);
}

// ---- a page: rows of k of each kv head, then of v, then scales of k and of v and importance, as far as they exist.
// ---- Each array has whole units of 16 bytes.

#define PAGE_ARRAY(bytes) ((KV_HEADS * PAGE_SIZE * (bytes) + 15) / 16 * 16)

const uint PAGE_VALUES_AT = PAGE_ARRAY(KEY_BYTES);
const uint PAGE_KEY_SCALES_AT = PAGE_VALUES_AT + PAGE_ARRAY(VALUE_BYTES);
const uint PAGE_VALUE_SCALES_AT = PAGE_KEY_SCALES_AT + PAGE_ARRAY(KEY_SCALE_BYTES);
const uint PAGE_IMPORTANCE_AT = PAGE_VALUE_SCALES_AT + PAGE_ARRAY(VALUE_SCALE_BYTES);
const uint PAGE_BYTES = PAGE_IMPORTANCE_AT + PAGE_ARRAY(BIAS != 0 ? 4 : 0);
const uint TABLE_PAGES = (CAPACITY + PAGE_SIZE - 1) / PAGE_SIZE; // maximum number of pages of a sequence

// The page of a key. The table may hold anything. A number that is no page counts as the last page.
uvec2 page_of(uvec2 pages, uvec2 table, uint sequence, uint key)
{
    const uint at = min(key / PAGE_SIZE, TABLE_PAGES - 1);
    const uint page = Words(advance(table, sequence, uvec2(4 * TABLE_PAGES, 0))).w[at];
    return advance(pages, min(page, PAGES - 1), uvec2(PAGE_BYTES, 0));
}

uvec2 page_key(uvec2 page, uint kv_head, uint key)
{
    return advance(page, kv_head * PAGE_SIZE + key % PAGE_SIZE, uvec2(KEY_BYTES, 0));
}

uvec2 page_value(uvec2 page, uint kv_head, uint key)
{
    return advance(advance(page, 1, uvec2(PAGE_VALUES_AT, 0)), kv_head * PAGE_SIZE + key % PAGE_SIZE,
                   uvec2(VALUE_BYTES, 0));
}

// The number of a kv head and key in the array of f32 that begins at byte `at` of a page.
uvec2 page_number(uvec2 page, uint at, uint kv_head, uint key)
{
    return advance(page, at + 4 * (kv_head * PAGE_SIZE + key % PAGE_SIZE), uvec2(1, 0));
}

// ---- selection ------------------------------------------------------------------------------------------------------

const bool RANKED = SELECTION == SELECT_TOPW_CAUSAL;

// The position of the token that evicts a key, as far as it follows from the key's own importance.
uint eviction_by_itself(uint position, float importance)
{
    return SELECTION == SELECT_THRESHOLD && order_of(importance) <= order_of(uintBitsToFloat(THRESHOLD)) ? position
                                                                                                         : NEVER;
}

// One past the last position whose query sees a key.
uint end_of(uint position, uint evicted)
{
    const uint end = max(evicted, position + RECENT);
    return position < SINKS ? NEVER : SLIDING != 0 ? min(end, position + SLIDING) : end;
}

// Whether a key may still be needed. All later queries are at position floor_ or after it. The token at floor_ may be
// replaced by another one. A key is needed if a query may see it, or if it is one of the most important keys.
bool is_needed(uint position, uint evicted, uint floor_)
{
    return evicted >= floor_ && (RANKED || SLIDING == 0 || floor_ < position + SLIDING) || position < SINKS
           || floor_ < position + RECENT && (SLIDING == 0 || floor_ < position + SLIDING);
}

// As it is ranked and kept: NaN counts as -infinity.
float clean(float importance)
{
    return is_nan(importance) ? MINUS_INFINITY : importance;
}

// ---- rows -----------------------------------------------------------------------------------------------------------

// Loads 16 bytes of a row. `aligned`: the row begins at a multiple of 16 bytes, as all rows of the cache do.
uvec4 load_quad(uvec2 row, bool aligned, uint i)
{
    if (aligned)
        return Quads(row).q[i];
    uvec4 words;
    for (uint w = 0; w < 4; w++)
        words[w] = load_bytes(advance(row, 16 * i + 4 * w, uvec2(1, 0)), 4);
    return words;
}

// Copies a row. `count` invocations share the work; this one has the number `i`.
void copy_row(uvec2 to, uvec2 from, bool aligned, uint bytes, uint i, uint count)
{
    for (uint quad = i; quad < bytes / 16; quad += count)
        Quads(to).q[quad] = load_quad(from, aligned, quad);
}

#endif
