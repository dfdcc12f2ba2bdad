// SPDX-License-Identifier: MIT
// What a workgroup of score_keys*.comp computes: rows of a tile of queries of a list, TILE_KEYS numbers of them.
#ifndef SELECTOR_SCORE_TILE_GLSL
#define SELECTOR_SCORE_TILE_GLSL

#define WIDE_PRODUCTS
#include "selector.h"
#include "../lib/memory.glsl"

SCORES_CONSTANTS(DMATTN_CONSTANT)
#ifdef PAGED
SCORES_PAGED_CONSTANTS(DMATTN_CONSTANT)
#endif

layout(push_constant, std430) uniform Params {
    SCORES_PARAMS
#ifdef PAGED
    SCORES_PAGED_PARAMS
#endif
    PART_PARAM
} p;

#include "seen.glsl"
#ifdef PAGED
#include "pages.glsl"
#endif

const uint LIST_HEADS = HEADS / LISTS; // of q; the heads of a list

uint item, list, first_query, first_number;
uint end_query, end_number; // rows of q and k from here on are not read
uvec2 q_base, k_base;       // of the list's first head

// Returns false if no query of the tile sees one of the numbers.
bool begin_tile()
{
    const uint tiles = (p.queries - 1) / TILE_QUERIES + 1, tile = p.first_tile + WORKGROUP_ID.y;
    const uint plane = tile / tiles;
    item = plane / LISTS;
    list = plane % LISTS;
    first_query = tile % tiles * TILE_QUERIES;
    first_number = WORKGROUP_ID.x * TILE_KEYS;
    const item_lengths l = lengths_of(item);
    end_query = min(first_query + TILE_QUERIES, l.queries);
    if (first_query >= end_query)
        return false;
    end_number = seen_numbers(l, end_query - 1);
    q_base = head_base(p.q, item, p.queries, list * LIST_HEADS, (DERIVED_STRIDES & SCORES_DERIVED_Q) != 0,
                       uvec2(Q_BATCH_LOW, Q_BATCH_HIGH), uvec2(Q_SEQUENCE_LOW, Q_SEQUENCE_HIGH),
                       uvec2(Q_HEAD_LOW, Q_HEAD_HIGH));
#ifdef PAGED
    k_base = advance(p.k, list * LIST_HEADS / (HEADS / KV_HEADS), uvec2(K_HEAD_LOW, K_HEAD_HIGH));
#else
    k_base = head_base(p.k, item, p.numbers, list * LIST_HEADS / (HEADS / KV_HEADS),
                       (DERIVED_STRIDES & SCORES_DERIVED_K) != 0, uvec2(K_BATCH_LOW, K_BATCH_HIGH),
                       uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH), uvec2(K_HEAD_LOW, K_HEAD_HIGH));
#endif
    return first_number < end_number;
}

// The row of a query for head `head` of the list.
uvec2 q_row(uint query, uint head)
{
    return advance(advance(q_base, query, uvec2(Q_SEQUENCE_LOW, Q_SEQUENCE_HIGH)), head,
                   uvec2(Q_HEAD_LOW, Q_HEAD_HIGH));
}

uvec2 k_row(uint number)
{
#ifdef PAGED
    return paged_row(k_base, item, number, uvec2(K_BATCH_LOW, K_BATCH_HIGH), uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH));
#else
    return advance(k_base, number, uvec2(K_SEQUENCE_LOW, K_SEQUENCE_HIGH));
#endif
}

// The factor of a product; of x + |x| if RELU.
float load_weight(uint query, uint head)
{
    float weight = 1;
    if (WEIGHTS != 0) {
        const uvec2 of_item = advance(p.weights, item, wide_product(p.queries, 4 * HEADS));
        weight = uintBitsToFloat(Words(advance(of_item, query, uvec2(4 * HEADS, 0))).w[list * LIST_HEADS + head]);
    }
    return RELU != 0 ? 0.5 * weight : weight;
}

// Twice max(x, 0), or x. NaN stays NaN: max() may drop it.
float rectified(float x)
{
    return RELU != 0 ? x + abs(x) : x;
}

// The scores of row `row` of the tile, from the tile's first number on.
uvec2 score_row(uint row)
{
    const uvec2 first = advance(p.scores, WORKGROUP_ID.y * TILE_QUERIES + row, wide_product(p.row_words, 4));
    return advance(first, first_number, uvec2(4, 0));
}

#endif
