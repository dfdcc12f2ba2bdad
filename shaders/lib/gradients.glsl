// SPDX-License-Identifier: MIT
// What the backward kernels share: rows of dout, what is known of the rows of a tile of queries, and from a tile's products
// to P and dS. Before it is included, PAIR_ROW(i, n) is the row of the tile that pair (i, n) of an invocation belongs to, and
// PAIR_KEY(i, n) its key.
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

// From q k^T to P; `slope` is that of the soft cap.
void find_probabilities(bool partial, inout PAIRS(x), out PAIRS(slope))
{
    EACH_ROW(i) EACH_COLUMN(n) {
        const uint row = PAIR_ROW(i, n), key = PAIR_KEY(i, n), query = row_query(row);
        float s = p.scale * x[i][n];
        if (SOFT_CAP != 0) {
            s = cap(s);
            slope[i][n] = 1 - s / p.soft_cap * (s / p.soft_cap);
        }
        if (BIAS != 0)
            s += load_bias(BIAS_BY_KEY != 0 ? first_head : row_head(row), query, min(key, p.keys - 1));
        const bool seen = !partial || is_seen(key, query, key_life(key));
        x[i][n] = seen ? exp2((s - row_softmax[row].x) * LOG2_E) : 0;
    }
}

// From dP = dout v^T to dS. A hidden key may hold anything.
void find_gradients(PAIRS(probability), inout PAIRS(x))
{
    EACH_ROW(i) EACH_COLUMN(n) {
        const float dp = x[i][n] - row_softmax[PAIR_ROW(i, n)].y;
        x[i][n] = probability[i][n] > 0 ? probability[i][n] * dp : 0;
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
