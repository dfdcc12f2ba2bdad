// SPDX-License-Identifier: MIT
// Gradients of keys, values and a bias by key, with cooperative matrices. A workgroup has a tile of keys and visits the
// tiles of queries that see some of its keys. Rows of pairs are keys, columns are queries.
//
//     P^T  = exp(S - lse)^T; 0 if the pair is hidden
//     dv   = sum of P^T dout
//     dS^T = P^T * (dout v^T - D)^T          meanwhile, the next tile's q and dout are loaded
//     dk   = scale * sum of dS^T q;  dbias = sum of dS^T over its columns
//
// Workgroup (x, y): work item y * ITEM_ROW + x (key_schedule.glsl). Each subgroup has its own keys. Their k and v are
// in registers; if registers are too few, the rest is in shared memory. All subgroups share q and dout of a tile in
// shared memory.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_KHR_shader_subgroup_vote : require

#define PARAMS BACKWARD_KEY_PARAMS
#define WALK WORKSPACE(p.walk_at)
#ifdef SELECTED_KEYS
#define LISTED_QUERIES
#define QUERY_SETS 3
#endif
#define PAIR_ROWS TILE_KEYS
#define PAIR_COLUMNS TILE_ROWS
#include "../lib/matrix.glsl"

#define SOFTMAX_SETS 2
#include "dout.glsl"
#include "key_results.glsl"
#include "tile_keys.glsl"

shared float tile_bias[TILE_KEYS];

#define QUERY_OF(i, j) (j)
#define KEY_OF(i, j) (i)

uint number_of(uint key)
{
    return min(tile_keys[key], p.keys - 1);
}

ivec2 range_of(uint key)
{
    return tile_ranges[key];
}

float bias_of(uint key)
{
    return tile_bias[key];
}

// Whether any requested gradient needs dS, or the slope of the soft cap.
const bool MAKES_DS = (GRADIENTS & (GRADIENT_K | GRADIENT_BIAS)) != 0;
const bool NEEDS_SLOPE = (GRADIENTS & GRADIENT_K) != 0;

#ifdef SELECTED_KEYS
#include "listed_queries.glsl"
#endif
#include "gradients_matrix.glsl"

// ---- keys -----------------------------------------------------------------------------------------------------------

uvec4 k_unit(uint row, uint column)
{
    const uvec4 x = load_operands(advance(k_row(tile_keys[row]), min(column, HEAD_DIM / 8 - 1), uvec2(16, 0)));
    return column < HEAD_DIM / 8 ? x : uvec4(0);
}

uvec4 v_unit(uint row, uint column)
{
    const uvec4 x = load_operands(advance(v_row(tile_keys[row]), min(column, VALUE_DIM / 8 - 1), uvec2(16, 0)));
    return column < VALUE_DIM / 8 ? x : uvec4(0);
}

DEFINE_LOAD_ROWS(k, HEAD_BLOCKS, QUERY_BLOCKS, k_unit)
DEFINE_LOAD_ROWS(v, VALUE_FACTORS, DOUT_BLOCKS, v_unit)

// ---- tiles of queries -----------------------------------------------------------------------------------------------

bool none_is_hidden(uint column)
{
    return false;
}

DEFINE_STAGING(queries, HEAD_COLUMNS, HEAD_DIM, 0, q_address, none_is_hidden)
DEFINE_STAGING(douts, VALUE_COLUMNS, VALUE_DIM, BUFFER_VALUES, dout_address, none_is_hidden)

// Sets q and dout of the dropped rows of the current tile to 0.
void drop_rows(uint buffer_, uint softmax)
{
    for (uint i = invocation; i < TILE_ROWS * HEAD_COLUMNS; i += WORKGROUP)
        if (row_is_dropped(row_softmax[softmax + i / HEAD_COLUMNS].x))
            staged[buffer_ + i / HEAD_COLUMNS * HEAD_PITCH + i % HEAD_COLUMNS] = uvec4(0);
    for (uint i = invocation; i < TILE_ROWS * VALUE_COLUMNS; i += WORKGROUP)
        if (row_is_dropped(row_softmax[softmax + i / VALUE_COLUMNS].x))
            staged[buffer_ + BUFFER_VALUES + i / VALUE_COLUMNS * VALUE_PITCH + i % VALUE_COLUMNS] = uvec4(0);
    barrier();
}

#ifndef SELECTED_KEYS
uint walk_next, walk_end; // the next of the item's tiles of queries, and the end
ivec2 any_query;          // no query outside x to y - 1 sees any of these keys
ivec2 all_queries;        // the queries from x to y - 1 see all of these keys

// A subgroup visits the tiles of queries that see some of its own keys. Without REGISTERS, the loop contains subgroup
// barriers, and some drivers let all subgroups of the workgroup wait there. So all subgroups then visit the same tiles:
// those that see some key of the tile.
#ifdef REGISTERS
#define FIRST_KEY tile_row_of(0, 0)
#define OWN_KEYS (ROW_BLOCKS * MATRIX_M)
#else
#define FIRST_KEY 0
#define OWN_KEYS TILE_KEYS
#endif

// Loads the visible ranges and the bias of the keys for the current heads, and begins with the item's first tile of
// queries.
void begin_walk(uvec4 item)
{
    barrier();
    for (uint i = invocation; i < TILE_KEYS; i += WORKGROUP) {
        tile_ranges[i] = visible_range(tile_keys[i]);
        if (BIAS_BY_KEY != 0)
            tile_bias[i] = load_bias_of_key(number_of(i));
    }
    barrier();
    any_query = ivec2(p.queries, 0);
    all_queries = ivec2(0, p.queries);
    for (uint i = 0; i < OWN_KEYS; i++) {
        const ivec2 range = tile_ranges[FIRST_KEY + i];
        if (range.x < range.y)
            any_query = ivec2(min(any_query.x, range.x), max(any_query.y, range.y));
        all_queries = ivec2(max(all_queries.x, range.x), min(all_queries.y, range.y));
    }
    walk_next = item.y;
    walk_end = item.z;
}

// Bit 0 of x, y from the mask's bitmap: some query of the tile sees some of the keys; all see all.
uvec2 mask_bits(uint tile)
{
    return BITMAP ? bits_of_tile(tile_row(batch, score_head(MASK_HEADS, first_head), tile), key_tile) : uvec2(1);
}

uint next_query_tile()
{
    while (walk_next < walk_end && mask_bits(walk_next).x == 0)
        walk_next++;
    return walk_next < walk_end ? walk_next++ : NONE;
}
#endif

// ---- products -------------------------------------------------------------------------------------------------------

DEFINE_PRODUCT(k, HEAD_BLOCKS, QUERY_BLOCKS, HEAD_PITCH)
DEFINE_PRODUCT(v, VALUE_FACTORS, DOUT_BLOCKS, VALUE_PITCH)
DEFINE_SUM(add_p_dout, VALUE_BLOCKS, VALUE_PITCH)
DEFINE_SUM(add_ds_q, HEAD_SUMS, HEAD_PITCH)

#define DBIAS float dbias[ROW_BLOCKS][ROW_VALUES] // sums of an invocation's own pairs

// Handles one tile of queries.
#define ATTEND(partial)                                           \
    {                                                             \
        begin_scores(probability);                                \
        add_k(k, buffer_, probability);                           \
        if (MAKES_DS) {                                           \
            begin_gradients(softmax, ds);                         \
            add_v(v, buffer_ + BUFFER_VALUES, ds);                \
        }                                                         \
        find_probabilities(partial, softmax, probability, slope); \
        if ((GRADIENTS & GRADIENT_V) != 0) {                      \
            make_weights(probability, w);                         \
            add_p_dout(w, buffer_ + BUFFER_VALUES, dv);           \
        }                                                         \
        if (MAKES_DS) {                                           \
            find_gradients(probability, ds);                      \
            if ((GRADIENTS & GRADIENT_BIAS) != 0)                 \
                EACH_PAIR(m, n, e)                                \
                    dbias[m][ROW_VALUE(e)] += ds[m][n][e];        \
            if ((GRADIENTS & GRADIENT_K) != 0) {                  \
                uncap(slope, ds);                                 \
                make_weights(ds, w);                              \
                add_ds_q(w, buffer_, dk);                         \
            }                                                     \
        }                                                         \
    }

// ---- results --------------------------------------------------------------------------------------------------------

float dk_scale, dv_scale;
uint partial_index;

void put_partial(uint at, uint column, vec4 x, vec4 y)
{
    const uvec2 address = advance(partial_address(partial_index), at + 8 * column, uvec2(4, 0));
    Quads(address).q[0] = floatBitsToUint(x);
    Quads(address).q[1] = floatBitsToUint(y);
}

void put_dk(uint row, uint column, vec4 x, vec4 y)
{
    const uint key = tile_keys[row];
    if (column >= HEAD_DIM / 8)
        return;
    if (partial_index != NONE)
        put_partial(row * HEAD_DIM, column, x * dk_scale, y * dk_scale);
    else if (key < p.keys)
        store_8(TYPE, OUT_ALIGNED != 0, dk_row(key), column, x * dk_scale, y * dk_scale);
}

void put_dv(uint row, uint column, vec4 x, vec4 y)
{
    const uint key = tile_keys[row];
    if (column >= VALUE_DIM / 8)
        return;
    if (partial_index != NONE)
        put_partial(PARTIAL_DV + row * VALUE_DIM, column, x * dv_scale, y * dv_scale);
    else if (key < p.keys)
        store_8(TYPE, OUT_ALIGNED != 0, dv_row(key), column, x * dv_scale, y * dv_scale);
}

DEFINE_STORE_ROWS(dk, HEAD_SUMS, put_dk)
DEFINE_STORE_ROWS(dv, VALUE_BLOCKS, put_dv)

// Stores dbias of the keys for the heads summed so far, and sets the sums to 0.
void store_dbias(uint head_tile, inout DBIAS)
{
    const uint pitch = MATRIX_N / 4 + 1, slice = gl_SubgroupID * SLICE_UNITS;
    barrier();
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++) {
        MATRIX_C sums;
        [[unroll]] for (uint e = 0; e < ELEMENTS; e++)
            sums[e] = IS_ROW_VALUE(e) ? dbias[m][ROW_VALUE(e)] : 0;
        coopMatStore(sums, staged, slice, pitch, BY_ROWS);
        subgroup_sync();
        for (uint r = gl_SubgroupInvocationID; r < MATRIX_M; r += SUBGROUP) {
            vec4 sum = vec4(0);
            for (uint i = 0; i < MATRIX_N / 4; i++)
                sum += uintBitsToFloat(staged[slice + r * pitch + i]);
            const uint row = tile_row_of(m, r), x = floatBitsToUint(sum.x + sum.y + (sum.z + sum.w));
            if (partial_index != NONE)
                Words(partial_address(partial_index))
                    .w[PARTIAL_BIAS + (BIAS_PLANES > 1 ? head_tile : 0) * TILE_KEYS + row] = x;
            else if (tile_keys[row] < p.keys)
                Words(dbias_row(head_tile)).w[tile_keys[row]] = x;
        }
        subgroup_sync();
        [[unroll]] for (uint r = 0; r < ROW_VALUES; r++)
            dbias[m][r] = 0;
    }
    barrier();
}

void main()
{
    invocation = gl_SubgroupID * SUBGROUP + gl_SubgroupInvocationID;
    const uint index = WORKGROUP_ID.y * ITEM_ROW + WORKGROUP_ID.x;
    const uvec4 item = index < max_items() ? work_item(index).q[0] : uvec4(NONE);
    if (item.x == NONE)
        return;
    partial_index = item.w;
    MATRIX_A k[ROW_BLOCKS][QUERY_BLOCKS];
    MATRIX_A v[ROW_BLOCKS][DOUT_BLOCKS];
    PAIRS(probability);
    PAIRS(ds);
    PAIRS(slope);
    WEIGHTS(w);
    SUMS(dk, HEAD_SUMS);
    SUMS(dv, VALUE_BLOCKS);
    DBIAS;
    uvec4 coming_queries[queries_STEPS], coming_douts[douts_STEPS];
    vec2 coming_softmax;

    find_keys(find_plane(item.x));
    find_inputs();
    find_dout();
    CLEAR(dk, HEAD_SUMS)
    CLEAR(dv, VALUE_BLOCKS)
    [[unroll]] for (uint m = 0; m < ROW_BLOCKS; m++)
        [[unroll]] for (uint r = 0; r < ROW_VALUES; r++)
            dbias[m][r] = 0;
    dv_scale = check_layout() ? 1 : uintBitsToFloat(0x7fc00000u);
    dk_scale = uintBitsToFloat(SCALE) * dv_scale;
    load_k(k);
    load_v(v);

    const bool rows_are_dropped = work_header().q[DROPPED_ROWS].x != 0;
    for (uint head_tile = 0; head_tile < GROUP_TILES; head_tile++) {
        find_heads(head_tile);
        find_bias();
        begin_walk(item);
        uint now = next_query_tile(), buffer_ = 0, softmax = 0;
        if (now != NONE) {
            find_queries(now);
            fetch_queries(coming_queries);
            fetch_douts(coming_douts);
            store_queries(0, coming_queries);
            store_douts(0, coming_douts);
            if (invocation < TILE_ROWS)
                row_softmax[invocation] = softmax_of(invocation);
        }
        barrier();
        while (now != NONE) {
            const uint next = next_query_tile();
            find_queries(next != NONE ? next : now);
#ifdef REGISTERS
            fetch_queries(coming_queries);
            fetch_douts(coming_douts);
#endif
            if (invocation < TILE_ROWS)
                coming_softmax = softmax_of(invocation);
            find_queries(now);
#ifdef SELECTED_KEYS
            const listed_query coming_query = fetch_query(walk_next);
#endif
            if (rows_are_dropped)
                drop_rows(buffer_, softmax);
#ifdef SELECTED_KEYS
            if (sees_own_keys())
                ATTEND(true)
#else
            const int first = int(first_query), end = int(end_query);
            if (any_query.x < end && first < any_query.y) {
                const bool full =
                    all_queries.x <= first && end <= all_queries.y && (BITMAP ? mask_bits(now).y != 0 : true);
#ifdef FRAGMENTS // here, separate code for full tiles is faster
                if (full)
                    ATTEND(false)
                else
                    ATTEND(true)
#else
                ATTEND(!full)
#endif
            }
#endif
            end_buffer();
#ifndef REGISTERS // too few registers to hold the loaded rows during the products
            find_queries(next != NONE ? next : now);
            fetch_queries(coming_queries);
            fetch_douts(coming_douts);
#endif
            store_queries(OTHER_BUFFER - buffer_, coming_queries);
            store_douts(OTHER_BUFFER - buffer_, coming_douts);
            if (invocation < TILE_ROWS)
                row_softmax[TILE_ROWS - softmax + invocation] = coming_softmax;
#ifdef SELECTED_KEYS
            store_query(walk_next, coming_query);
#endif
            buffer_ = OTHER_BUFFER - buffer_;
            softmax = TILE_ROWS - softmax;
            now = next;
            barrier();
        }
        if ((GRADIENTS & GRADIENT_BIAS) != 0 && (BIAS_HEADS == SCORE_HEADS_ALL || head_tile + 1 == GROUP_TILES))
            store_dbias(head_tile, dbias);
    }
    find_outputs();
    if ((GRADIENTS & GRADIENT_K) != 0)
        store_dk(dk);
    if ((GRADIENTS & GRADIENT_V) != 0)
        store_dv(dv);
}
