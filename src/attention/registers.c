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

/* Biases of pairs, and the slope of a soft cap for each pair. */
static uint32_t score_registers(const dmattn_attention_desc *d, uint32_t pairs)
{
    const bool bias_of_pairs = d->bias && (d->bias_shape.queries > 1 || d->bias_shape.heads > d->kv_heads);
    return (d->soft_cap > 0 ? pairs : 0) + (bias_of_pairs ? 6 : 0);
}

/* Whether pairs of some tiles are tested. */
static bool has_mask(const dmattn_attention_desc *d)
{
    return dmattn_attention_has_bitmap(d) || d->mask == DMATTN_MASK_INTERVALS;
}

static uint32_t list_registers(const dmattn_attention_desc *d)
{
    return d->mask == DMATTN_MASK_INTERVALS ? 5 : 0;
}

/* Eight elements of f32 at any address are eight loads. */
static uint32_t load_registers(const dmattn_attention_desc *d)
{
    return d->type == DMATTN_TYPE_F32 && !dmattn_attention_is_aligned(d) ? 13 : 0;
}

/* Gradients have two products. If registers hold addresses, those of their reads of shared memory are kept. Reads of 32
 * elements have twice as many as those of 16. */
static uint32_t gradient_addresses(const capabilities *caps, const attention_tile *t)
{
    return dmattn_capabilities_address_registers(caps) * (t->depth > 16 ? 3 : 1);
}

/* Each row has pairs, a maximum, a sum and weights; the rest is addresses and loads. */
static uint32_t row_registers(const attention_tile *t, const dmattn_attention_desc *d)
{
    const lane l = lane_of(t, t->rows, t->keys, dmattn_tile_columns(t, d->value_dim));
    return l.sums + l.rows * (7 + 3 * l.columns) + 35 + list_registers(d);
}

uint32_t dmattn_tile_registers(const capabilities *caps, const attention_tile *t, const dmattn_attention_desc *d)
{
    (void)caps;
    return row_registers(t, d);
}

/* More than forward: D of each row, P beside dS, and addresses. */
uint32_t dmattn_backward_query_registers(const capabilities *caps, const attention_tile *t,
                                         const dmattn_attention_desc *d)
{
    const lane l = lane_of(t, t->rows, t->keys, dmattn_tile_columns(t, d->value_dim));
    return row_registers(t, d) + 18 + score_registers(d, l.rows * l.columns) + load_registers(d)
           + gradient_addresses(caps, t);
}

/* The sums of dk and dv are never in use together, so a quarter of them costs nothing. A pass for one of them also has
 * less around it. Rows are pairs, their weights and addresses. With many rows, these need more registers than loads and
 * options do, which have their peak elsewhere. */
#define MANY_ROWS 4
uint32_t dmattn_backward_key_registers(const capabilities *caps, const attention_tile *t,
                                       const dmattn_attention_desc *d)
{
    const uint32_t head = dmattn_tile_columns(t, d->head_dim), value = dmattn_tile_columns(t, d->value_dim);
    const lane k = lane_of(t, t->keys, t->rows, head), v = lane_of(t, t->keys, t->rows, value);
    const uint32_t dim = head > value ? head : value, pairs = k.rows * k.columns;
    const uint32_t widest = k.sums > v.sums ? k.sums : v.sums, around = t->two_passes ? 51 : 63;
    const uint32_t sums = t->two_passes ? widest : k.sums + v.sums;
    const uint32_t steps = dmattn_ceil_div(t->value_keys * dim / 8, t->workgroup); /* of loading a part of values */
    const uint32_t loads = 5 * (steps - 1) + (t->depth > 16 ? 3 : 0) + (d->type == DMATTN_TYPE_F32) + load_registers(d);
    const uint32_t options = (has_mask(d) ? 8 : 0) + (d->soft_cap > 0 ? 9 : 0) + score_registers(d, pairs);
    return sums * 3 / 4 + 7 * (k.rows * k.rows + 2 * pairs) / 4 + around + dim / 16
           + (k.rows < MANY_ROWS ? loads + options : 0) + gradient_addresses(caps, t);
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

/* The output, a row of q and the scores; the rest is addresses and operands. With the output in shared memory, a loop
 * over blocks of keys needs some registers, which are free otherwise. So do masks, and other options together. */
uint32_t dmattn_tile_matrix_registers(const attention_tile *t, const dmattn_attention_desc *d)
{
    const uint32_t in_steps = 4 + (has_mask(d) ? 9 : 0) + (score_registers(d, 0) ? 9 : 0);
    return (t->sums_shared ? 0 : sum_elements(t, dmattn_tile_columns(t, d->value_dim)))
           + operand_words(t, t->query_blocks) + sum_elements(t, t->keys) + 88
           + (t->sums_shared && t->keys > t->matrix.k ? in_steps : 0);
}

/* The sums of dq, or of dk and dv unless a pass makes one of them; a row of each of the other two; P and dS. */
uint32_t dmattn_backward_matrix_registers(const attention_tile *t, const dmattn_attention_desc *d, bool keys_are_rows)
{
    const uint32_t widest = d->head_dim > d->value_dim ? d->head_dim : d->value_dim;
    const uint32_t columns = !keys_are_rows ? d->head_dim : widest > 128 ? widest : d->head_dim + d->value_dim;
    return sum_elements(t, columns) + operand_words(t, t->query_blocks + t->dout_blocks)
           + 2 * sum_elements(t, keys_are_rows ? t->rows : t->keys) + 88;
}
