// SPDX-License-Identifier: MIT
// What the backward kernels share: rows of dout, what is known of the rows of a tile of queries, and from a tile's products
// to P and dS. Before it is included it is said which way round the pairs lie: QUERY_OF(r), r < LANE_QUERIES, is the row of
// the tile of queries, KEY_OF(k), k < LANE_KEYS, the key, and PAIR(x, r, k) the pair of both.
#ifndef LIB_GRADIENTS_GLSL
#define LIB_GRADIENTS_GLSL

uvec2 dout_item;
shared vec2 row_softmax[TILE_ROWS]; // lse and D; lse is infinite where there is no row

void find_dout()
{
    dout_item = head_base(p.dout, batch, p.queries, 0, packed(PACKED_DOUT), uvec2(DOUT_BATCH_LOW, DOUT_BATCH_HIGH),
                          uvec2(DOUT_SEQUENCE_LOW, DOUT_SEQUENCE_HIGH), uvec2(DOUT_HEAD_LOW, DOUT_HEAD_HIGH));
}

uvec2 dout_row(uint row)
{
    return advance(advance(dout_item, row_query(row), uvec2(DOUT_SEQUENCE_LOW, DOUT_SEQUENCE_HIGH)), row_head(row),
                   uvec2(DOUT_HEAD_LOW, DOUT_HEAD_HIGH));
}

// Of the present queries and heads; they can be read after the next barrier.
void load_row_softmax()
{
    for (uint row = invocation; row < TILE_ROWS; row += WORKGROUP) {
        const uvec2 head = advance(p.rows, batch * p.heads + row_head(row), uvec2(8 * p.queries, 0));
        const vec2 known = uintBitsToFloat(Pairs(head).p[row_query(row)]);
        row_softmax[row] = row_exists(row) ? known : vec2(uintBitsToFloat(0x7f800000u), 0);
    }
}

// Whether a query sees a key, by its life and the mask.
bool is_seen(uint key, uint query, ivec2 life)
{
    const bool lives = life.x <= int(query) && int(query) < life.y;
    return lives && (MASK != MASK_DENSE || mask_allows(key, query));
}

#define EACH_KEY(k) [[unroll]] for (uint k = 0; k < LANE_KEYS; k++)
#define EACH_QUERY(r) [[unroll]] for (uint r = 0; r < LANE_QUERIES; r++)

// From q k^T to P; `slope` is that of the soft cap.
void find_probabilities(bool partial, inout PAIRS(x), out PAIRS(slope))
{
    EACH_KEY(k) {
        const uint key = KEY_OF(k);
        const float key_bias = BIAS_BY_KEY != 0 ? load_bias_of_key(min(key, p.keys - 1)) : 0;
        const ivec2 life = partial ? key_life(key) : ivec2(0, p.queries);
        EACH_QUERY(r) {
            const uint row = QUERY_OF(r);
            float s = p.scale * PAIR(x, r, k);
            if (SOFT_CAP != 0) {
                s = cap(s);
                PAIR(slope, r, k) = 1 - s / p.soft_cap * (s / p.soft_cap);
            }
            if (BIAS != 0)
                s += BIAS_BY_KEY != 0 ? key_bias : load_bias(row_head(row), row_query(row), min(key, p.keys - 1));
            const bool seen = !partial || is_seen(key, row_query(row), life);
            PAIR(x, r, k) = seen ? exp2((s - row_softmax[row].x) * LOG2_E) : 0;
        }
    }
}

// From dP = dout v^T to dS. A hidden key may hold anything.
void find_gradients(PAIRS(probability), inout PAIRS(x))
{
    EACH_QUERY(r) {
        const float d = row_softmax[QUERY_OF(r)].y;
        EACH_KEY(k)
            PAIR(x, r, k) = PAIR(probability, r, k) > 0 ? PAIR(probability, r, k) * (PAIR(x, r, k) - d) : 0;
    }
}

// On the way back through the soft cap.
void uncap(PAIRS(slope), inout PAIRS(x))
{
    if (SOFT_CAP != 0)
        EACH_ROW(i) EACH_COLUMN(n)
            x[i][n] *= slope[i][n];
}

#endif
