// SPDX-License-Identifier: MIT
// Which rows of a subgroup see the keys of a block of columns, with FRAGMENTS. Each invocation finds the rows that see
// one key, as bits, and the others ask it for these bits. So an element takes two instructions, whatever the mask is.
#ifndef LIB_VISIBLE_ROWS_GLSL
#define LIB_VISIBLE_ROWS_GLSL

// Bit r: the subgroup's row r belongs to one of the queries from `first` to `end` - 1. A subgroup has at most 32 rows.
// `first` and `end` may be any numbers, so they become queries of the tile before anything is subtracted.
uint rows_of_queries(int first, int end)
{
    const int first_row = int(tile_row_of(0, 0)), rows = int(ROW_BLOCKS * MATRIX_M), heads = int(HEADS_PER_TILE);
    const int tile = int(first_query);
    const ivec2 queries = clamp(ivec2(first, end), tile, tile + int(TILE_QUERIES)) - tile;
    const uvec2 row = uvec2(clamp(queries * heads - first_row, 0, rows));
    return low_bits(row.y) & ~low_bits(row.x);
}

#ifdef SELECTED_KEYS
// The same for the queries that are members of a slot (tile.glsl).
uint rows_of_members(uvec2 members)
{
    const uint rows = ROW_BLOCKS * MATRIX_M, first_row = tile_row_of(0, 0), first = first_row / HEADS_PER_TILE;
    const uint high = first % 32 == 0 ? 0 : members.y << 32 - first % 32;
    const uint queries = first < 32 ? members.x >> first | high : members.y >> first - 32; // of the subgroup
    if (HEADS_PER_TILE == 1)
        return queries;
    const bool whole = rows % HEADS_PER_TILE == 0; // the subgroup has all rows of its queries
    const uint most = rows / HEADS_PER_TILE + (whole ? 0 : 2), before = whole ? 0 : first_row % HEADS_PER_TILE;
    uint seen = 0;
    [[unroll]] for (uint i = 0; i < most; i++) {
        const uint end = (i + 1) * HEADS_PER_TILE - before, begin = i == 0 ? 0 : i * HEADS_PER_TILE - before;
        if ((queries & 1u << i) != 0)
            seen |= low_bits(end) & ~low_bits(begin);
    }
    return seen & low_bits(rows);
}
#endif

// Bit r: the subgroup's row r sees a key, unless its bias hides the pair. `range`: the key's visible range.
uint rows_that_see(ivec2 range, uint key)
{
#ifdef SELECTED_KEYS
    return rows_of_members(uvec2(range));
#else
    const uint rows = rows_of_queries(range.x, range.y);
    if (!BITMAP || HIDES_BY_BIAS)
        return rows;
    const uint first = first_query + tile_row_of(0, 0) / HEADS_PER_TILE;
    const uint count = MASK_QUERIES == 0 ? 1 : (ROW_BLOCKS * MATRIX_M - 1) / HEADS_PER_TILE + 2;
    uint allowed = 0;
    for (uint query = first; query < first + count; query++)
        if (load_mask(key, min(query, end_query - 1)))
            allowed |= MASK_QUERIES == 0 ? ~0u : rows_of_queries(int(query), int(query + 1));
    return rows & allowed;
#endif
}

#ifdef ADDITIVE_ROWS
// Bit i: element i of 8 is visible.
uint visible_elements(vec4 a, vec4 b)
{
    uint visible = 0;
    [[unroll]] for (uint i = 0; i < 4; i++)
        visible |= (counted_bias(a[i]) > MINUS_INFINITY ? 1u << i : 0)
                   | (counted_bias(b[i]) > MINUS_INFINITY ? 16u << i : 0);
    return visible;
}

// Elements `key` to `key` + 7 of a row of the mask; -infinity beyond its end.
void load_existing(uvec2 row, uint key, out vec4 a, out vec4 b)
{
    a = b = vec4(MINUS_INFINITY);
    [[unroll]] for (uint i = 0; i < 4; i++) {
        if (key + i < p.keys)
            a[i] = load_element(BIAS_TYPE, row, key + i);
        if (key + 4 + i < p.keys)
            b[i] = load_element(BIAS_TYPE, row, key + 4 + i);
    }
}

// Of a mask that only hides, which elements of the subgroup's rows of a tile are visible. Each invocation loads 8
// neighbouring elements of a query in each step, SEEN_AT_ONCE queries together. So each element is loaded once. A tile
// has at most 8 * SUBGROUP keys.
const uint SEEN_UNITS = TILE_KEYS / 8, SEEN_AT_ONCE = SUBGROUP / SEEN_UNITS;
const uint SEEN_ROWS = ROW_BLOCKS * MATRIX_M;
const uint SEEN_QUERIES =
    SEEN_ROWS % HEADS_PER_TILE == 0 ? SEEN_ROWS / HEADS_PER_TILE : (SEEN_ROWS - 1) / HEADS_PER_TILE + 2;
const uint SEEN_STEPS = (SEEN_QUERIES - 1) / SEEN_AT_ONCE + 1, SEEN_WORDS = (SEEN_STEPS + 3) / 4;
#define SEEN_ELEMENTS uint seen[SEEN_WORDS] // a byte for each step

uint first_seen_query()
{
    return first_query + tile_row_of(0, 0) / HEADS_PER_TILE;
}

#define SEE_ELEMENTS(load)                                                                                           \
    [[unroll]] for (uint step = 0; step < SEEN_STEPS; step++) {                                                      \
        const uint query = min(first + step * SEEN_AT_ONCE + gl_SubgroupInvocationID / SEEN_UNITS, end_query - 1);   \
        const uvec2 row = bias_row(batch, first_head, query);                                                        \
        vec4 a, b;                                                                                                   \
        load;                                                                                                        \
        seen[step / 4] |= visible_elements(a, b) << step % 4 * 8;                                                    \
    }

void see_elements(key_tile t, out SEEN_ELEMENTS)
{
    const uint first = first_seen_query(), unit = gl_SubgroupInvocationID % SEEN_UNITS;
    const uint address = bias_row(batch, first_head, first).x | bias_row(batch, first_head, first + 1).x;
    [[unroll]] for (uint i = 0; i < SEEN_WORDS; i++)
        seen[i] = 0;
    // one branch: with one around each load, each would wait for the one before
    if ((address & 15u) == 0 && t.first + TILE_KEYS <= p.keys)
        SEE_ELEMENTS(load_8(BIAS_TYPE, true, row, t.first / 8 + unit, a, b))
    else
        SEE_ELEMENTS(load_existing(row, t.first + 8 * unit, a, b))
}

// From these elements, the rows that see key i of the tile, which is that of the invocation's column. Half of the
// queries are looked at by the other invocation with this column.
uint rows_of_elements(key_tile t, uint i, const SEEN_ELEMENTS)
{
    const uint apart = SUBGROUP / MATRIX_N;
    uint rows = 0;
    [[unroll]] for (uint j = 0; j < SEEN_AT_ONCE; j += apart) {
        const uint other = j + gl_SubgroupInvocationID / MATRIX_N; // the invocations with this query of each step
        [[unroll]] for (uint word = 0; word < SEEN_WORDS; word++) {
            const uint bytes = subgroupShuffle(seen[word], min(other * SEEN_UNITS + i / 8, SUBGROUP - 1));
            [[unroll]] for (uint step = 4 * word; step < min(4 * word + 4, SEEN_STEPS); step++) {
                const int query = int(first_seen_query() + step * SEEN_AT_ONCE + other);
                const bool sees = other < SEEN_AT_ONCE && (bytes >> step % 4 * 8 + i % 8 & 1u) != 0;
                rows |= sees ? rows_of_queries(query, query + 1) : 0;
            }
        }
    }
    return (rows | subgroupShuffleXor(rows, MATRIX_N)) & rows_that_see(tile_range(t, i), tile_key(t, i));
}
#endif

// An invocation's elements of a block are in four columns. For each: the rows that see its key, shifted so that bit 0
// is the row of element 0 of row block 0.
#define COLUMN_ROWS uint[4]
#define ALL_ROWS {~0u, ~0u, ~0u, ~0u}

// `own`: rows_that_see() of the column gl_SubgroupInvocationID % MATRIX_N.
COLUMN_ROWS spread_rows(uint own)
{
    COLUMN_ROWS rows;
    [[unroll]] for (uint e = 0; e < 4; e++)
        rows[e] = subgroupShuffle(own, element_position(e).y) >> element_position(0).x;
    return rows;
}

// Whether the row of element e of row block m sees the key of the element's column.
bool row_sees_column(COLUMN_ROWS rows, uint m, uint e)
{
    return (rows[e & 3] & 1u << m * MATRIX_M + 8 * (e >> 2)) != 0;
}

#endif
