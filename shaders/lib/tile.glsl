// SPDX-License-Identifier: MIT
// The tile of rows that a workgroup computes, and which keys its queries see.
//
// Workgroup (x, y, z): tile x of queries (if causal, counted from the end, so that the tiles with most keys come
// first), tile y of heads, batch item z / SPLITS, split z % SPLITS of the keys. With head packing, a query has
// HEADS_PER_TILE rows, one per head; these heads of a group read the same keys. With SPLIT, out is f32 and has
// SPLITS items for each batch item, and lse holds the maximum and the sum of each row of each split
// (combine_splits.comp).
//
// With PACKED, workgroup (x, y): tile x of heads, entry y of a list of the schedule (schedule_items.h). With SPLIT, out
// has a tile of queries for each entry.
#ifndef LIB_TILE_GLSL
#define LIB_TILE_GLSL

#include "lists.h"
#include "pairs.glsl"
#include "math.glsl"
#ifdef PACKED
#include "schedule_items.h"
#endif

// The source of the tiles of keys: LISTED: a tile list; BITMAP: the bitmap of mask_tiles.comp; neither: all tiles.
// Kernels for lists of selected keys, SELECTED_KEYS, are variants of their own, and the text of the others stays as it
// is: new text can make a kernel several times slower, even if it never runs (docs/notes/experiments.md).
#ifdef SELECTED_KEYS
const bool LISTED = true;
#else
const bool LISTED = MASK == MASK_INTERVALS;
#endif
const bool BITMAP = MASK == MASK_DENSE ? true : MASK == MASK_ADDITIVE;

// 1: a key has one bias for all rows of the tile. This is a number because glslang makes no valid constant from && and
// !.
const uint BIAS_OF_ROW = BIAS_HEADS == SCORE_HEADS_ALL ? HEADS_PER_TILE - 1 : 0;
const uint BIAS_BY_KEY = BIAS_QUERIES + BIAS_OF_ROW + SLOPES > 0 ? 0 : BIAS;

// Not 0: pair_bias() adds something to a score. A term of another kind is added to this sum; if it exists, BIAS_BY_KEY
// must be 0.
const uint TERMS = BIAS + SLOPES;
#define PAIR_TERMS TERMS
#include "score.glsl"

// Not 0: scores of full tiles must be scaled or added to. A full tile of an additive mask holds zeros.
const uint FULL_TERMS = MASK == MASK_ADDITIVE ? REAL_UNITS : BIAS_AT_END;

// Whether something is loaded for each pair: an element of a mask, or of a bias that is not by key.
#define LOADS_BY_PAIR (BITMAP ? true : BIAS_BY_KEY != 0 ? false : TERMS != 0)

uint batch, kv_head, first_head, end_head;
uint query_tile, first_query, end_query;
uvec2 q_item, k_base, v_base, bias_base;
uvec4 list;       // the header of the tile list, clamped by find_list()
uvec2 list_words; // the address of its words

#ifdef SELECTED_KEYS
// An entry of a list is a word and then the members, one bit for each query of the tile (lists.h). In place of the
// visible range of a key, kernels then have these bits: bit i % 32 of word i / 32 tells whether query first_query + i
// sees the key.
const uint MEMBER_WORDS = TILE_QUERIES > 32 ? 2 : 1;
const uint ENTRY_WORDS = 1 + MEMBER_WORDS;
#define MAX_BLOCK_SHIFT SELECTED_MAX_SHIFT
#else
#define MAX_BLOCK_SHIFT LIST_BLOCK_SHIFT
#endif

// Kernels for batch items with their own numbers of queries and keys, COUNTED, are variants, too.
#ifdef COUNTED
uvec2 counts; // of the batch item
#define ITEM_QUERIES counts.x
#define ITEM_KEYS counts.y
#else
#define ITEM_QUERIES p.queries
#define ITEM_KEYS p.keys
#endif

// A kernel for packed queries, PACKED, finds its tile in the schedule. It is COUNTED, too.
#ifdef PACKED
uvec4 entry_item;     // first row of q, queries, first row of k, keys of the batch item
uint split, splits;   // of the tile; no splits: the workgroup has nothing to do
uint row_of_first;    // the row of out and lse, or of partial results, of query 0 of the item
#define QUERIES_HERE  ITEM_QUERIES
#define KEYS_HERE     max(ITEM_KEYS, 1u) // rows from k_base on that may be read
#else
#define QUERIES_HERE p.queries
#define KEYS_HERE    p.keys
#endif

// Finds the addresses of q, k and v for `batch` and `kv_head`.
void find_inputs()
{
#ifdef PACKED
    q_item = advance(p.q, entry_item.x, uvec2(Q_SEQUENCE_LOW, Q_SEQUENCE_HIGH));
#else
    q_item = head_base(p.q, batch, p.queries, 0, is_derived(DERIVED_Q), uvec2(Q_BATCH_LOW, Q_BATCH_HIGH),
                       uvec2(Q_SEQUENCE_LOW, Q_SEQUENCE_HIGH), uvec2(Q_HEAD_LOW, Q_HEAD_HIGH));
#endif
    k_base = head_base(p.k, batch, p.keys, kv_head, is_derived(DERIVED_K), uvec2(K_BATCH_LOW, K_BATCH_HIGH),
                       uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH), uvec2(K_HEAD_LOW, K_HEAD_HIGH));
    v_base = head_base(p.v, batch, p.keys, kv_head, is_derived(DERIVED_V), uvec2(V_BATCH_LOW, V_BATCH_HIGH),
                       uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH), uvec2(V_HEAD_LOW, V_HEAD_HIGH));
#ifdef PACKED // without packed keys, the row is 0; with them, the stride of batch items is
    k_base = advance(k_base, entry_item.z, uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH));
    v_base = advance(v_base, entry_item.z, uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH));
#endif
}

// Finds the address of the bias by key for `batch` and `first_head`.
void find_bias()
{
    if (BIAS_BY_KEY != 0)
        bias_base = bias_row(batch, first_head, 0);
}

// Sets the heads of a tile of heads of the kv head.
void find_heads(uint head_tile)
{
    first_head = kv_head * GROUP + head_tile * HEADS_PER_TILE;
    end_head = min(first_head + HEADS_PER_TILE, (kv_head + 1) * GROUP);
}

#ifdef QUERY_SETS
uint query_set; // where the entries of the current tile begin
#endif

void find_queries(uint tile)
{
#ifdef QUERY_SETS
    query_set = tile % QUERY_SETS * TILE_QUERIES;
#endif
    query_tile = tile;
    first_query = tile * TILE_QUERIES;
    end_query = min(first_query + TILE_QUERIES, QUERIES_HERE);
}

// ---- rows -----------------------------------------------------------------------------------------------------------

#ifdef LISTED_QUERIES // the queries of a tile are entries of a list; numbers from p.queries on mean: no query
// The entry of a row. Rows beyond the last query have that of another row.
#define ENTRY_OF(row) \
    (TILE_ROWS % HEADS_PER_TILE == 0 ? (row) / HEADS_PER_TILE : min((row) / HEADS_PER_TILE, TILE_QUERIES - 1))
#ifdef QUERY_SETS // so many tiles have entries in shared memory at a time
shared uint tile_queries[QUERY_SETS * TILE_QUERIES];
#define TILE_QUERY(row) tile_queries[query_set + ENTRY_OF(row)]
#else
shared uint tile_queries[TILE_QUERIES];
#define TILE_QUERY(row) tile_queries[ENTRY_OF(row)]
#endif
#endif

// The query and head of a row. If the row does not exist, they are those of another row.
uint row_query(uint row)
{
#ifdef LISTED_QUERIES
    return min(TILE_QUERY(row), p.queries - 1);
#else
    return min(first_query + row / HEADS_PER_TILE, end_query - 1);
#endif
}

uint row_head(uint row)
{
    return min(first_head + row % HEADS_PER_TILE, end_head - 1);
}

bool row_exists(uint row)
{
#ifdef LISTED_QUERIES
    return row < TILE_QUERIES * HEADS_PER_TILE && TILE_QUERY(row) < p.queries
           && first_head + row % HEADS_PER_TILE < end_head;
#else
    return row < TILE_QUERIES * HEADS_PER_TILE && first_query + row / HEADS_PER_TILE < end_query
           && first_head + row % HEADS_PER_TILE < end_head;
#endif
}

uvec2 q_row(uint row)
{
    return advance(advance(q_item, row_query(row), uvec2(Q_SEQUENCE_LOW, Q_SEQUENCE_HIGH)), row_head(row),
                   uvec2(Q_HEAD_LOW, Q_HEAD_HIGH));
}

// The number of workgroups that share the keys of a tile, and which of them this one is.
#ifdef PACKED
#define SPLITS     (SPLIT != 0 ? splits : 1)
#define SPLIT_HERE split
#else
#ifdef TILE_LSE
#define SPLITS (SPLIT != 0 ? TILE_LSE.y : 1)
#else
#define SPLITS 1
#endif
#define SPLIT_HERE WORKGROUP_ID.z % SPLITS
#endif

#ifdef TILE_OUT // the kernel writes a row of a tensor for each row of the tile
uvec2 out_item;

// The app may have written the lists, so a header may hold anything. Here it is clamped: all slots are within the
// memory of the lists.
void find_list()
{
    list = list_header(batch, score_head(MASK_HEADS, first_head), first_query);
    list_words = advance(WALK, list.x, uvec2(LIST_UNIT, 0));
    const uvec2 first = advance(uvec2(0), list.x, uvec2(LIST_UNIT / 4, 0));
    uint borrow;
    const uint low = usubBorrow(p.lists_end.x, first.x, borrow);
#ifdef SELECTED_KEYS
    const uint words =
        (first.y + borrow > p.lists_end.y ? 0 : first.y + borrow < p.lists_end.y ? 0xffffffffu : low) / ENTRY_WORDS;
#else
    const uint words = first.y + borrow > p.lists_end.y ? 0 : first.y + borrow < p.lists_end.y ? 0xffffffffu : low;
#endif
    list.w = min(list.w, MAX_BLOCK_SHIFT);
    list.y = min(list.y, min(words, 0x7fffffffu >> list.w) << list.w);
    list.y = min(list.y, p.keys + (1u << MAX_BLOCK_SHIFT) - 1); // no key is in a list twice
    list.z = min(list.z, list.y);
}

#ifdef PACKED
#include "packed_tile.glsl"
#else
void begin_tile()
{
    kv_head = WORKGROUP_ID.y / GROUP_TILES;
    batch = WORKGROUP_ID.z / SPLITS;
    find_heads(WORKGROUP_ID.y % GROUP_TILES);
#ifdef ADDITIVE_ROWS
    find_queries((p.queries - 1) / TILE_QUERIES - WORKGROUP_ID.x);
#else
    find_queries(CAUSAL != 0 ? (p.queries - 1) / TILE_QUERIES - WORKGROUP_ID.x : WORKGROUP_ID.x);
#endif
    find_inputs();
    out_item = head_base(TILE_OUT, WORKGROUP_ID.z, p.queries, 0, is_derived(DERIVED_OUT),
                         uvec2(OUT_BATCH_LOW, OUT_BATCH_HIGH), uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH),
                         uvec2(OUT_HEAD_LOW, OUT_HEAD_HIGH));
    find_bias();
#ifdef COUNTED
    counts = uvec2(clamp(ivec2(Pairs(p.ITEM_COUNTS).p[batch]), ivec2(0), ivec2(p.queries, p.keys)));
#endif
    if (LISTED)
        find_list();
#if defined(COUNTED) && defined(SELECTED_KEYS)
    if (first_query >= ITEM_QUERIES) // the list may be that of several items
        list.y = 0;
#endif
}

uvec2 out_row(uint row)
{
    return advance(advance(out_item, row_query(row), uvec2(OUT_SEQUENCE_LOW, OUT_SEQUENCE_HIGH)), row_head(row),
                   uvec2(OUT_HEAD_LOW, OUT_HEAD_HIGH));
}
#endif
#endif

#ifdef TILE_LSE // the kernel writes lse for each row of the tile
// Whether the maximum and the sum of a row are stored, as lse or as numbers of a split.
const bool STORES_SOFTMAX = SPLIT != 0 || LSE != 0;

#ifndef PACKED
// Stores the lse of a row, or, of a split, its largest score and the sum of exp(score - largest).
void store_softmax(uint row, float largest, float sum)
{
    const uint plane = WORKGROUP_ID.z * HEADS + row_head(row), query = row_query(row);
    if (SPLIT != 0) {
        const uvec2 sums = advance(TILE_OUT, TILE_LSE.x, uvec2(16, 0));
        Pairs(advance(sums, plane, uvec2(8 * p.queries, 0))).p[query] = floatBitsToUint(vec2(largest, sum));
    } else
        Words(advance(TILE_LSE, plane, uvec2(4 * p.queries, 0))).w[query] =
            floatBitsToUint(softmax_lse(largest, sum));
}
#endif
#endif

// ---- keys -----------------------------------------------------------------------------------------------------------

uvec2 k_row(uint key)
{
    return advance(k_base, min(key, KEYS_HERE - 1), uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH));
}

uvec2 v_row(uint key)
{
    return advance(v_base, min(key, KEYS_HERE - 1), uvec2(V_SEQUENCE_LOW, V_SEQUENCE_HIGH));
}

// The key of a slot of the tile list; p.keys if there is none.
uint listed_key(uint slot)
{
    if (slot >= list.y)
        return p.keys;
#ifdef SELECTED_KEYS
    uint word = Words(list_words).w[(slot >> list.w) * ENTRY_WORDS];
#else
    uint word = Words(list_words).w[slot >> list.w];
#endif
    return min(word << list.w | slot & (1u << list.w) - 1, p.keys);
}

// One past the last key that a causal query sees. The query is at position query + keys - queries.
uint causal_end(uint query)
{
    return uint(max(int(query) + 1 + int(ITEM_KEYS) - int(ITEM_QUERIES), 0));
}

uint low_bits(uint count)
{
    return count >= 32 ? 0xffffffffu : (1u << count) - 1;
}

// One past the last key that a query sees, as far as causality and numbers of keys are concerned.
#define END_KEY(query) (CAUSAL != 0 ? min(causal_end(query), ITEM_KEYS) : ITEM_KEYS)

// TILE_END_KEY: one past the last key that a query of the tile sees; TILE_FULL_KEY: all its queries see keys before it.
#ifdef COUNTED
uint tile_end_key()
{
    return first_query >= ITEM_QUERIES ? 0 : END_KEY(end_query - 1);
}

uint tile_full_key()
{
    return end_query > ITEM_QUERIES ? 0 : END_KEY(first_query);
}
#define TILE_END_KEY tile_end_key()
#define TILE_FULL_KEY tile_full_key()
#else
#define TILE_END_KEY END_KEY(end_query - 1)
#define TILE_FULL_KEY END_KEY(first_query)
#endif

// Of `tiles` tiles of keys, the workgroup's split has the tiles from x to y - 1.
uvec2 split_of(uint tiles)
{
    const uint each = (tiles + SPLITS - 1) / SPLITS, first = min(SPLIT_HERE * each, tiles);
    return uvec2(first, min(first + each, tiles));
}

// Bit i tells whether tile first + i is in `range`, for 32 tiles. `first` is a multiple of 32.
uint bits_of(uvec2 range, uint first)
{
    return low_bits(range.y > first ? range.y - first : 0) & ~low_bits(range.x > first ? range.x - first : 0);
}

// The visible range of a key, from its interval and causality: the queries from x to y - 1. Empty if the key does not
// exist.
ivec2 visible_range(uint key)
{
    if (key >= ITEM_KEYS)
        return ivec2(0);
    ivec2 range = ivec2(0, ITEM_QUERIES);
    if (MASK == MASK_INTERVALS) {
        const uint mask_head = score_head(MASK_HEADS, first_head);
        range = ivec2(Words(mask_row(p.INTERVAL_BEGIN, batch, mask_head, 0)).w[key],
                      Words(mask_row(p.INTERVAL_END, batch, mask_head, 0)).w[key]);
    }
    if (CAUSAL != 0)
        range.x = max(range.x, int(key) + int(ITEM_QUERIES) - int(ITEM_KEYS));
    return range;
}

#ifdef SELECTED_KEYS
// The members of a slot of the tile list, without queries from which causality hides the key.
uvec2 load_members(uint slot, uint key)
{
    if (slot >= list.y || key >= ITEM_KEYS)
        return uvec2(0);
    const uint at = (slot >> list.w) * ENTRY_WORDS + 1;
    uvec2 members = uvec2(Words(list_words).w[at], 0);
    if (MEMBER_WORDS > 1)
        members.y = Words(list_words).w[at + 1];
    if (CAUSAL != 0) {
        const uint hidden = uint(max(int(key) + int(ITEM_QUERIES) - int(ITEM_KEYS) - int(first_query), 0));
        members &= ~uvec2(low_bits(hidden), low_bits(max(hidden, 32) - 32));
    }
#ifdef COUNTED
    const uint existing = ITEM_QUERIES - min(first_query, ITEM_QUERIES);
    members &= uvec2(low_bits(existing), low_bits(max(existing, 32) - 32));
#endif
    return members;
}

bool range_meets_tile(ivec2 range)
{
    return (range.x | range.y) != 0;
}
#else
bool range_meets_tile(ivec2 range)
{
    return max(range.x, int(first_query)) < min(range.y, int(end_query));
}
#endif

float load_bias(uint head, uint query, uint key);

// Whether an element of a dense or additive mask shows the pair. `query` is ignored if the mask has no query dimension.
bool load_mask(uint key, uint query)
{
    if (MASK == MASK_ADDITIVE)
        return floatBitsToUint(load_bias(first_head, query, key)) != floatBitsToUint(MINUS_INFINITY);
    uvec2 row = mask_row(p.DENSE_MASK, batch, score_head(MASK_HEADS, first_head), query);
    return (load_bytes(advance(row, key, uvec2(1, 0)), 1) & 0xffu) != 0;
}

bool mask_allows(uint key, uint row)
{
    return !BITMAP || load_mask(key, row_query(row));
}

#include "visible.glsl"

// Whether a row sees a key. `range`: visible_range() of the key, or its load_members().
#ifdef SELECTED_KEYS
bool row_sees(uint key, uint row, ivec2 range)
{
    const uint query = row_query(row) - first_query;
    return (range[query / 32] & 1 << query % 32) != 0;
}
#else
#define row_sees(key, row, range) is_visible(key, row, range)
#endif

// Whether no query of the tile sees a key. A mask with a query dimension is not read for this.
bool key_is_hidden(uint key)
{
    return !range_meets_tile(visible_range(key)) || BITMAP && MASK_QUERIES == 0 && !load_mask(key, 0);
}

// ---- biases ---------------------------------------------------------------------------------------------------------

// The includer may have another unit for scores.
#ifndef IN_SCORE_UNITS
#define IN_SCORE_UNITS(bias) (bias)
#endif

float load_bias(uint head, uint query, uint key)
{
    return counted_bias(load_element(BIAS_TYPE, bias_row(batch, head, query), key));
}

// The bias of a key for all rows of the tile, if BIAS_BY_KEY.
float load_bias_of_key(uint key)
{
    return counted_bias(BIAS_TYPE == TYPE_F32 ? uintBitsToFloat(Words(advance(bias_base, key, uvec2(4, 0))).w[0])
                                              : load_element(BIAS_TYPE, bias_base, key));
}

// The bias of a pair times the slope of its head. Without a bias, the slope's factor is the distance of the pair, so
// that far keys have low scores (Press et al. 2021, ALiBi). A factor of 0 adds nothing, whatever the slope.
float sloped_bias(uint row, uint key)
{
    const uint query = row_query(row), head = row_head(row);
    const float distance_ = abs(float(int(query) + int(ITEM_KEYS) - int(ITEM_QUERIES) - int(key)));
    const float factor = BIAS != 0 ? load_bias(head, query, key) : -distance_;
    const float slope = uintBitsToFloat(Words(p.slopes).w[head]);
    return factor == 0 ? 0 : counted_bias(slope * factor);
}

// The bias of a pair. `key_bias`: the result of load_bias_of_key(), if BIAS_BY_KEY.
float pair_bias(uint row, uint key, float key_bias)
{
    return BIAS_BY_KEY != 0 ? key_bias
           : SLOPES != 0    ? IN_SCORE_UNITS(sloped_bias(row, key))
           : BIAS != 0      ? IN_SCORE_UNITS(load_bias(row_head(row), row_query(row), key))
                            : 0;
}

#endif
