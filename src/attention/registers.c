/* SPDX-License-Identifier: MIT
 * Estimates of the 32-bit registers that a lane of a portable kernel needs. They are fitted to what compilers reported:
 * the live values that ANV counts, and the tiles that spilled on Adreno and on Apple's GPUs. docs/notes/experiments.md
 * has both; they differ by a tenth. */
#include "backward.h"

/* The rows and columns of a lane's pairs, and the elements of its sums. */
typedef struct lane {
    uint32_t rows, columns, sums;
} lane;

static lane lane_of(const attention_tile *t, uint32_t rows, uint32_t columns, uint32_t dim)
{
    const uint32_t lane_rows = dmattn_ceil_div(rows, t->workgroup / t->key_lanes);
    return (lane){.rows = lane_rows,
                  .columns = columns / t->key_lanes,
                  .sums = 4 * lane_rows * dmattn_ceil_div(dim / 4, t->key_lanes)};
}

/* Each row has pairs, a maximum, a sum and weights; the rest is addresses and loads. */
uint32_t dmattn_tile_registers(const attention_tile *t, const dmattn_attention_desc *d)
{
    const lane l = lane_of(t, t->rows, t->keys, d->value_dim);
    return l.sums + l.rows * (7 + 3 * l.columns) + 35;
}

/* The sums of dk and dv are never in use together, so a quarter of them costs nothing. Loads use the registers of pairs
 * if there are many. */
uint32_t dmattn_backward_key_registers(const attention_tile *t, const dmattn_attention_desc *d)
{
    const lane k = lane_of(t, t->keys, t->rows, d->head_dim), v = lane_of(t, t->keys, t->rows, d->value_dim);
    const uint32_t loads =
        k.rows > 1 ? 0 : 2 + (dmattn_attention_has_bitmap(d) ? 8 : 0) + (d->type == DMATTN_TYPE_F32 ? 10 : 0);
    return (k.sums + v.sums) * 3 / 4 + k.rows * (8 + 3 * k.columns) + 78 + loads;
}

/* ---- by matrices, in the form shared ---------------------------------------------------------------------------- */

/* The elements of an accumulator, and of an operand of 16 bits in words, that a lane holds. */
static uint32_t sum_elements(const attention_tile *t, uint32_t columns)
{
    return t->matrix.m * columns / t->subgroup_size;
}

static uint32_t operand_words(const attention_tile *t, uint32_t blocks)
{
    return t->matrix.m * t->matrix.k * blocks / t->subgroup_size / 2;
}

/* The output, a row of q and the scores; the rest is addresses and operands. */
uint32_t dmattn_tile_matrix_registers(const attention_tile *t, const dmattn_attention_desc *d)
{
    return (t->sums_shared ? 0 : sum_elements(t, d->value_dim)) + operand_words(t, t->query_blocks)
           + sum_elements(t, t->keys) + 88;
}

/* The sums of dq, or of dk and dv unless a pass makes one of them; a row of each of the other two; P and dS. */
uint32_t dmattn_backward_matrix_registers(const attention_tile *t, const dmattn_attention_desc *d, bool keys_are_rows)
{
    const uint32_t widest = d->head_dim > d->value_dim ? d->head_dim : d->value_dim;
    const uint32_t columns = !keys_are_rows ? d->head_dim : widest > 128 ? widest : d->head_dim + d->value_dim;
    return sum_elements(t, columns) + operand_words(t, t->query_blocks + t->dout_blocks)
           + 2 * sum_elements(t, keys_are_rows ? t->rows : t->keys) + 88;
}
