// SPDX-License-Identifier: MIT
// Gradient of a bias with a query dimension, portable level: each tile of it is dS, summed over the batch items and
// heads that share the tile.
//
// Workgroup (x, y, z): tile x of keys, tile y of queries, batch item and head z of the bias. HEADS_PER_TILE is 1.
#version 460
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#define PARAMS BACKWARD_BIAS_PARAMS
#define WALK uvec2(0) // tiles of keys are not visited one after the other
#include "../lib/tile.glsl"

#define PAIR_ROWS TILE_ROWS
#define PAIR_COLUMNS TILE_KEYS
#define SUMMAND_UNITS 1 // none
#define ROWS_APART (BY_UNIT != 0)
#include "../lib/products.glsl"

#include "../attention/key_walk.glsl"

#define LANE_QUERIES LANE_ROWS
#define LANE_KEYS LANE_COLUMNS
#define QUERY_OF(r) (row_lane + (r) * ROW_LANES)
#define KEY_OF(k) key_at(column_lane + (k) * KEY_LANES)
#define PAIR(x, r, k) x[r][k]
#define RANGE_OF(key, k) visible_range(key)
#define SEES(key, row, k, range) is_visible(key, row, range)
#include "gradients.glsl"

DEFINE_PRODUCT(multiply_qk, HEAD_DIM, q_row, row_exists, k_row_at, key_exists_at)
DEFINE_PRODUCT(multiply_dout_v, VALUE_DIM, dout_row, row_exists, v_row_at, key_exists_at)

shared uint any_is_seen;

bool sees_any()
{
    bool seen = false;
    EACH_KEY(k) {
        const ivec2 range = visible_range(KEY_OF(k));
        EACH_QUERY(r)
            seen = seen || is_visible(KEY_OF(k), QUERY_OF(r), range);
    }
    barrier();
    if (invocation == 0)
        any_is_seen = 0;
    barrier();
    if (seen)
        atomicOr(any_is_seen, 1);
    barrier();
    return any_is_seen != 0;
}

void add_head(uint head, inout PAIRS(sum))
{
    PAIRS(probability);
    PAIRS(ds);
    PAIRS(slope);
    kv_head = head / GROUP;
    find_heads(head % GROUP);
    find_inputs();
    find_dout();
    if (!sees_any())
        return;
    load_row_softmax();
    multiply_qk(probability);
    find_probabilities(true, probability, slope);
    multiply_dout_v(ds);
    find_gradients(probability, ds);
    EACH_ROW(i) EACH_COLUMN(n)
        sum[i][n] += ds[i][n];
}

void main()
{
    begin_lanes();
    const uint heads = score_heads(BIAS_HEADS), sharing = HEADS / heads;
    const uint bias_batch = WORKGROUP_ID.z / heads, bias_head = WORKGROUP_ID.z % heads;
    find_queries(WORKGROUP_ID.y);
    first_key = WORKGROUP_ID.x * TILE_KEYS;
    PAIRS(sum);
    EACH_ROW(i) EACH_COLUMN(n)
        sum[i][n] = 0;
    const uint end_batch = BIAS_BATCHES != 0 ? bias_batch + 1 : p.batches;
    for (batch = bias_batch; batch < end_batch; batch++)
        for (uint head = bias_head * sharing; head < (bias_head + 1) * sharing; head++)
            add_head(head, sum);

    EACH_QUERY(r) {
        const uint query = first_query + QUERY_OF(r);
        const uvec2 to = advance(p.dbias, WORKGROUP_ID.z * p.queries + query, uvec2(4 * p.keys, 0));
        EACH_KEY(k)
            if (query < end_query && KEY_OF(k) < p.keys)
                Words(to).w[KEY_OF(k)] = floatBitsToUint(sum[r][k]);
    }
}
