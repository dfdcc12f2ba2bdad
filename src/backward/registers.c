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
    return dmattn_attention_has_bitmap(d) || dmattn_attention_has_lists(d);
}

static uint32_t list_registers(const dmattn_attention_desc *d)
{
    return dmattn_attention_has_lists(d) ? 5 : 0;
}

/* Eight elements of f32 at any address are eight loads. */
static uint32_t load_registers(const dmattn_attention_desc *d)
{
    return d->type == DMATTN_TYPE_F32 && !dmattn_attention_is_aligned(d) ? 14 : 0;
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

/* What ANV needs beyond that: for more than four loads of a part of q and k in flight; for rows of one head, whose
 * addresses are not shared; for rows at any address; and where the keys are split. */
static uint32_t more_row_registers(const attention_tile *t, const dmattn_attention_desc *d)
{
    const uint32_t loads = dmattn_ceil_div((t->rows + t->keys) * t->depth / 4, t->workgroup);
    return (loads > 4 ? 2 * (loads - 4) : 0) + (t->heads_per_tile == 1 ? 2 : 0) + (load_registers(d) ? 2 : 0)
           + (t->splits > 1 || dmattn_tile_shares(d, t) ? 5 + (has_mask(d) ? 5 : 0) : 0);
}

uint32_t dmattn_tile_registers(const capabilities *caps, const attention_tile *t, const dmattn_attention_desc *d)
{
    return row_registers(t, d) + (dmattn_capabilities_is_intel(caps) ? more_row_registers(t, d) : 0);
}

/* More than forward: D of each row, P beside dS, and addresses. ANV needs less, because what is the same for a
 * workgroup, or for a row in a subgroup, is read from shared memory where it is used. But options need addresses. From
 * 16 pairs on, it also has few left to order reads so that they do not wait, so fewer pairs are faster. */
#define MANY_PAIRS 16
uint32_t dmattn_backward_query_registers(const capabilities *caps, const attention_tile *t,
                                         const dmattn_attention_desc *d)
{
    const lane l = lane_of(t, t->rows, t->keys, dmattn_tile_columns(t, d->value_dim));
    const uint32_t pairs = l.rows * l.columns, options = score_registers(d, pairs);
    const uint32_t more = options + load_registers(d) + gradient_addresses(caps, t);
    if (dmattn_capabilities_is_intel(caps))
        return l.sums + 3 * l.rows / 2 + 3 * pairs + 52 + more + (options ? 10 : 0) + (pairs < MANY_PAIRS ? 0 : 8);
    return row_registers(t, d) + 18 + more;
}

/* Compilers with few registers need more if lanes do not share the elements of a row evenly. */
static uint32_t uneven_registers(const attention_tile *t, uint32_t dim)
{
    return t->by_unit && dim / 4 > t->key_lanes && dim / 4 % t->key_lanes ? 5 : 0;
}

/* Then, with many rows, a mask, a bias of pairs and a soft cap at once count, too. */
static uint32_t uneven_option_registers(const attention_tile *t, const dmattn_attention_desc *d, uint32_t dim)
{
    return uneven_registers(t, dim) && has_mask(d) && d->soft_cap > 0 && score_registers(d, 0) ? 10 : 0;
}

/* The same options need more in f32. */
static uint32_t f32_option_registers(const dmattn_attention_desc *d)
{
    return d->type == DMATTN_TYPE_F32 && has_mask(d) && d->soft_cap > 0 && score_registers(d, 0) > 0 ? 5 : 0;
}

/* Whether something is loaded for each pair (LOADS_BY_PAIR of lib/tile.glsl). */
static bool loads_by_pair(const dmattn_attention_desc *d)
{
    return dmattn_attention_has_bitmap(d) || d->slopes || score_registers(d, 0);
}

/* What ANV needs beyond dmattn_backward_key_registers(), or does not need: as for queries, except if something is
 * loaded for each pair. Then its addresses count, of listed keys, and in two passes of many pairs. */
static int32_t kept_registers(const attention_tile *t, const dmattn_attention_desc *d, uint32_t pairs, uint32_t dim)
{
    const int32_t listed = d->mask == DMATTN_MASK_INTERVALS ? 21 : 0;
    if (loads_by_pair(d))
        return listed + (t->two_passes && pairs >= MANY_PAIRS / 2 ? 2 * (int32_t)pairs : 0);
    return t->two_passes ? -12 : dim / 4 <= t->key_lanes ? 2 : 0;
}

/* In two passes, generations whose registers hold addresses keep those of listed queries, if a lane has many pairs. */
static uint32_t list_addresses(const capabilities *caps, const attention_tile *t, const dmattn_attention_desc *d,
                               uint32_t pairs)
{
    const bool kept = d->mask == DMATTN_MASK_SELECTED && t->two_passes && pairs >= MANY_PAIRS / 2;
    return kept ? 2 * dmattn_capabilities_address_registers(caps) : 0;
}

/* The sums of dk and dv are never in use together, so a quarter of them costs nothing. A pass for one of them also has
 * less around it. Rows are pairs, their weights and addresses. With many rows, these need more registers than options
 * and most loads do, which have their peak elsewhere. */
#define MANY_ROWS       4
#define MANY_PAIRS_NEED 193 /* at least, with any sums */
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
    const uint32_t all =
        sums * 3 / 4 + 7 * (k.rows * k.rows + 2 * pairs) / 4 + around + dim / 16
        + (k.rows < MANY_ROWS ? loads + options
                              : load_registers(d) + uneven_option_registers(t, d, dim) + f32_option_registers(d))
        + gradient_addresses(caps, t) + uneven_registers(t, dim);
    if (dmattn_capabilities_is_intel(caps))
        return all + (uint32_t)kept_registers(t, d, pairs, dim) + list_addresses(caps, t, d, pairs);
    return pairs < MANY_PAIRS || all > MANY_PAIRS_NEED ? all : MANY_PAIRS_NEED;
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

/* Runs of other lengths may split the keys, and so do packed items, whose place in the tensors is in registers, too. */
static uint32_t option_registers(const attention_tile *t, const dmattn_attention_desc *d)
{
    const bool splits = d->lengths || dmattn_tile_splits(d, t) > 1 || dmattn_tile_shares(d, t);
    const uint32_t mask = has_mask(d) ? 9 : 0, bias_of_pairs = score_registers(d, 0) ? 6 : 0;
    return mask + bias_of_pairs + (d->slopes && (!mask || bias_of_pairs) ? 2 : 0) + (splits ? 6 : 0)
           + (d->lse && !mask ? 4 : 0) + (d->total_queries ? 2 : 0);
}

/* With the output in shared memory. With one block of keys, the peak is where rows are loaded, so scores do not count.
 * With few blocks of q, compilers seem to unroll the loop over them although they must not. */
static uint32_t shared_sums_registers(const capabilities *caps, const attention_tile *t, const dmattn_attention_desc *d)
{
    const uint32_t blocks = dmattn_ceil_div(d->head_dim, t->matrix.k);
    if (t->keys <= t->matrix.k)
        return 112 - dmattn_capabilities_address_registers(caps) + (blocks < 4 ? 8 : 0);
    return operand_words(t, t->query_blocks) + sum_elements(t, t->keys) + (t->keys > 2 * t->matrix.k ? 92 : 95)
           + (blocks < 3 ? 7 - 2 * blocks : 0);
}

/* ANV holds more than twice the output, and the coming keys. */
static uint32_t intel_matrix_registers(uint32_t sums, uint32_t queries, uint32_t scores, uint32_t steps)
{
    return sums * 12 / 5 + queries + scores + 4 * steps + 58;
}

/* The output, of which RADV holds a part twice, a row of q and the scores; the rest is addresses and operands. While k
 * of the next tile is loaded, registers hold it, too. If a workgroup is one subgroup, compilers remove its barriers,
 * and v of the next tile may join k. */
#define FEW_STEPS      5
#define FEW_STEPS_OF_1 6
uint32_t dmattn_tile_matrix_registers(const capabilities *caps, const attention_tile *t, const dmattn_attention_desc *d)
{
    const uint32_t options = option_registers(t, d);
    if (t->sums_shared)
        return shared_sums_registers(caps, t, d) + options;
    const uint32_t queries = operand_words(t, t->query_blocks);
    const uint32_t steps = dmattn_ceil_div(t->keys * (d->head_dim / 8), t->workgroup);
    const uint32_t n = t->matrix.n, columns = dmattn_ceil_div(dmattn_tile_columns(t, d->value_dim), n) * n;
    if (dmattn_capabilities_is_intel(caps)) /* beside a mask, slopes count, too */
        return intel_matrix_registers(sum_elements(t, columns), queries, sum_elements(t, t->keys), steps) + options
               + (d->slopes && has_mask(d) ? 3 : 0);
    const uint32_t loads = steps > FEW_STEPS ? 7 * (steps - FEW_STEPS) + (d->head_dim > BAND ? 0 : 2) : 0;
    const uint32_t joined = t->workgroup == t->subgroup_size && steps > FEW_STEPS_OF_1 ? steps - FEW_STEPS_OF_1 : 0;
    return sum_elements(t, columns) * 5 / 4
           + (dmattn_capabilities_holds_operands_twice(caps) ? 2 * queries + 2 : queries) + sum_elements(t, t->keys)
           + 62 + loads + 21 * joined + options;
}

/* What ANV needs for gradients, fitted on Xe3. For queries, it holds the sums more than twice, and the coming rows of k
 * and v. For keys, a pass for one of the sums has less around it. */
static uint32_t intel_gradient_registers(const attention_tile *t, const dmattn_attention_desc *d, bool keys_are_rows)
{
    const uint32_t n = t->matrix.n, scores = sum_elements(t, keys_are_rows ? t->rows : t->keys);
    const uint32_t head = sum_elements(t, dmattn_ceil_div(d->head_dim, n) * n);
    const uint32_t value = sum_elements(t, dmattn_ceil_div(d->value_dim, n) * n);
    const uint32_t same = operand_words(t, t->query_blocks + t->dout_blocks) + 2 * scores + (has_mask(d) ? 9 : 0)
                          + score_registers(d, scores);
    const uint32_t units = t->keys * (d->head_dim / 8), value_units = t->keys * (d->value_dim / 8);
    if (keys_are_rows)
        return (t->two_passes ? (head > value ? head : value) * 3 / 2 + 104 : (head + value) * 3 / 2 + 114) + same;
    return head * 35 / 16 + same + 79
           + 2 * (dmattn_ceil_div(units, t->workgroup) + dmattn_ceil_div(value_units, t->workgroup));
}

/* The sums of dq, or of dk and dv unless a pass makes one of them; a row of each of the other two, twice on RDNA3;
 * P and dS. */
uint32_t dmattn_backward_matrix_registers(const capabilities *caps, const attention_tile *t,
                                          const dmattn_attention_desc *d, bool keys_are_rows)
{
    const uint32_t widest = d->head_dim > d->value_dim ? d->head_dim : d->value_dim;
    const uint32_t columns = !keys_are_rows ? d->head_dim : t->two_passes ? widest : d->head_dim + d->value_dim;
    if (dmattn_capabilities_is_intel(caps))
        return intel_gradient_registers(t, d, keys_are_rows);
    return sum_elements(t, columns) + 2 * operand_words(t, t->query_blocks + t->dout_blocks)
           + 2 * sum_elements(t, keys_are_rows ? t->rows : t->keys) + 88;
}
