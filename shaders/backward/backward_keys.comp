// SPDX-License-Identifier: MIT
// Gradients of keys, values and a bias by key, portable level. A workgroup has a tile of keys and visits the tiles of
// queries that see some of its keys. Rows of pairs are keys, columns are queries.
//
//     P^T  = exp(S - lse)^T; 0 if the pair is hidden
//     dv   = P^T dout
//     dS^T = P^T o (dout v^T - D)^T
//     dk   = scale dS^T q;  dbias = sum of dS^T over queries
//
// dk and dv of more than BAND columns are made in bands, one dispatch each.
//
// Workgroup (x, y): work item y * ITEM_ROW + x (key_schedule.glsl).
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#define PARAMS BACKWARD_KEY_PARAMS
#define WALK WORKSPACE(p.walk_at)
#ifdef SELECTED_KEYS
#define LISTED_QUERIES
#endif
#include "../lib/tile.glsl"

#define PAIR_ROWS TILE_KEYS
#define PAIR_COLUMNS TILE_ROWS
#define SUMMAND_UNITS (HEAD_UNITS > VALUE_UNITS ? HEAD_UNITS : VALUE_UNITS)
#define BEGIN_PART recall();
void recall();
#define ROWS_APART (BY_UNIT != 0)
#include "../lib/products.glsl"

#include "key_results.glsl"
#include "query_walk.glsl"

#define LANE_QUERIES LANE_COLUMNS
#define LANE_KEYS LANE_ROWS
#define QUERY_OF(r) (column_lane + (r) * KEY_LANES)
#define KEY_OF(k) tile_keys[row_lane + (k) * ROW_LANES]
#define PAIR(x, r, k) x[k][r]
#define RANGE_OF(key, k) visible_range(key)
#ifdef SELECTED_KEYS
#define SEES(key, row, k, range) row_sees_key(row, row_lane + (k) * ROW_LANES)
#else
#define SEES(key, row, k, range) is_visible(key, row, range)
#endif
#include "gradients.glsl"

uvec4 item; // the work item

// As in backward_queries.comp. These stay the same while the kernel walks over the tiles of some heads. If something is
// loaded for each pair, its addresses would need more registers than this saves.
const bool KEEPS = LOADS_BY_PAIR ? false : BY_UNIT != 0;
shared uvec4 kept[KEEPS ? 5 : 1];

void keep()
{
    if (!KEEPS)
        return;
    if (invocation == 0) {
        kept[0] = uvec4(q_item, k_base);
        kept[1] = uvec4(v_base, dout_item);
        kept[2] = uvec4(first_head, end_head, batch, kv_head);
        kept[3] = uvec4(key_tile, walk_end, all_queries);
        kept[4] = item;
    }
    barrier();
}

void recall()
{
    if (!KEEPS)
        return;
    q_item = kept[0].xy;
    k_base = kept[0].zw;
    v_base = kept[1].xy;
    dout_item = kept[1].zw;
    first_head = kept[2].x;
    end_head = kept[2].y;
    batch = kept[2].z;
    kv_head = kept[2].w;
    key_tile = kept[3].x;
    walk_end = kept[3].y;
    all_queries = ivec2(kept[3].zw);
    item = kept[4];
}

bool row_is_dropped_at(uint i)
{
    return row_is_dropped(row_softmax[i].x);
}

// Whether any requested gradient needs dS.
const bool MAKES_DS = (GRADIENTS & (GRADIENT_K | GRADIENT_BIAS)) != 0;

// The same as multiply_staged(), but all columns are read together, between fences. If registers are few, ANV otherwise
// puts each read before its use, so that each waits. Only a pass for dv has registers for this.
void multiply_together(inout PAIRS(x))
{
    [[unroll]] for (uint d = 0; d < DEPTH_4; d++) {
        vec4 a[LANE_ROWS], b[LANE_COLUMNS];
        EACH_ROW(i)
            a[i] = staged[(row_lane + i * ROW_LANES) * STAGE_PITCH + d];
        EACH_COLUMN(n)
            b[n] = staged[(PAIR_ROWS + column_lane + n * KEY_LANES) * STAGE_PITCH + d];
        subgroupMemoryBarrierShared();
        EACH_COLUMN(n)
            EACH_ROW(i) {
                float s = fma(a[i].x, b[n].x, x[i][n]);
                s = fma(a[i].y, b[n].y, s);
                s = fma(a[i].z, b[n].z, s);
                x[i][n] = fma(a[i].w, b[n].w, s);
            }
        subgroupMemoryBarrierShared();
    }
}

// The first product. Reading together pays if a lane has one key and many queries.
void multiply_first(inout PAIRS(x))
{
    if (BY_UNIT != 0 && !MAKES_DS && KEY_LANES == gl_SubgroupSize && LANE_ROWS == 1 && LANE_COLUMNS > 4)
        multiply_together(x);
    else
        multiply_staged(x);
}

#undef MULTIPLY
#define MULTIPLY multiply_first
DEFINE_PRODUCT(multiply_kq, HEAD_DIM, k_row_at, key_exists_at, q_row, row_exists)
#undef MULTIPLY
#define MULTIPLY multiply_staged
DEFINE_PRODUCT(multiply_v_dout, VALUE_DIM, v_row_at, key_exists_at, dout_row, row_exists)
DEFINE_SUM(add_p_dout, VALUE_COLUMNS, VALUE_UNITS, dout_row, row_is_dropped_at)
DEFINE_SUM(add_ds_q, HEAD_COLUMNS, HEAD_UNITS, q_row, row_is_dropped_at)

#define DBIAS float dbias[LANE_ROWS]

void attend(inout SUMS(dk, HEAD_UNITS), inout SUMS(dv, VALUE_UNITS), inout DBIAS)
{
    PAIRS(probability);
    PAIRS(ds);
    PAIRS(slope);
    barrier(); // all reads of the previous tile are done
    load_row_softmax();
    multiply_kq(probability);
    find_probabilities(partial, probability, slope);
    if ((GRADIENTS & GRADIENT_V) != 0) {
        store_weights(probability);
        add_p_dout(dv);
    }
    if (!MAKES_DS)
        return;
    multiply_v_dout(ds);
    find_gradients(probability, ds);
    if ((GRADIENTS & GRADIENT_BIAS) != 0)
        EACH_ROW(i) EACH_COLUMN(n)
            dbias[i] += ds[i][n];
    if ((GRADIENTS & GRADIENT_K) != 0) {
        uncap(slope, ds);
        store_weights(ds);
        add_ds_q(dk);
    }
}

// Stores unit `unit` of a row of dk or dv: in the row itself, or in the partial result, where the row begins at float
// `at`.
void store_sum(uvec2 row, uint at, uint unit, uint key, vec4 x)
{
    if (item.w != NONE)
        Quads(advance(partial_address(item.w), at + 4 * unit, uvec2(4, 0))).q[0] = floatBitsToUint(x);
    else if (key < p.keys)
        store_4(TYPE, OUT_ALIGNED != 0, row, unit, x);
}

// Stores dbias of the keys for the heads summed so far, and sets the sums to 0.
void store_bias(uint head_tile, inout DBIAS)
{
    EACH_ROW(i) {
        const float sum = sum_over_row(dbias[i]);
        const uint row = row_lane + i * ROW_LANES, key = tile_keys[row];
        if (column_lane == 0 && item.w != NONE)
            Words(partial_address(item.w))
                .w[PARTIAL_BIAS + (BIAS_PLANES > 1 ? head_tile : 0) * TILE_KEYS + row] = floatBitsToUint(sum);
        else if (column_lane == 0 && key < p.keys)
            Words(dbias_row(head_tile)).w[key] = floatBitsToUint(sum);
        dbias[i] = 0;
    }
}

void main()
{
    begin_lanes();
    const uint index = WORKGROUP_ID.y * ITEM_ROW + WORKGROUP_ID.x;
    item = index < max_items() ? work_item(index).q[0] : uvec4(NONE);
    if (item.x == NONE)
        return;
    find_keys(find_plane(item.x));
    find_inputs();
    find_dout();
    SUMS(dk, HEAD_UNITS);
    SUMS(dv, VALUE_UNITS);
    DBIAS;
    EACH_ROW(i) {
        dbias[i] = 0;
        [[unroll]] for (uint c = 0; c < HEAD_UNITS; c++)
            dk[i][c] = vec4(0);
        [[unroll]] for (uint c = 0; c < VALUE_UNITS; c++)
            dv[i][c] = vec4(0);
    }

    for (uint head_tile = 0; head_tile < GROUP_TILES; head_tile++) {
        find_heads(head_tile);
        find_bias();
        begin_walk(item);
        keep();
        while (next_tile())
            attend(dk, dv, dbias);
        if ((GRADIENTS & GRADIENT_BIAS) != 0 && (BIAS_HEADS == SCORE_HEADS_ALL || head_tile + 1 == GROUP_TILES))
            store_bias(head_tile, dbias);
    }

    find_outputs();
    EACH_ROW(i) {
        const uint row = row_lane + i * ROW_LANES, key = tile_keys[row];
        if ((GRADIENTS & GRADIENT_K) != 0)
            [[unroll]] for (uint c = 0; c < HEAD_UNITS; c++)
                if (column_lane + c * KEY_LANES < HEAD_COLUMNS / 4)
                    store_sum(dk_row(key), row * HEAD_DIM, FIRST_COLUMN / 4 + column_lane + c * KEY_LANES, key,
                              dk[i][c] * uintBitsToFloat(SCALE));
        if ((GRADIENTS & GRADIENT_V) != 0)
            [[unroll]] for (uint c = 0; c < VALUE_UNITS; c++)
                if (column_lane + c * KEY_LANES < VALUE_COLUMNS / 4)
                    store_sum(dv_row(key), PARTIAL_DV + row * VALUE_DIM,
                              FIRST_COLUMN / 4 + column_lane + c * KEY_LANES, key, dv[i][c]);
    }
}
