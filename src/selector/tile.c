/* SPDX-License-Identifier: MIT */
#include "tile.h"

#include "desc.h"

#include <stdio.h>
#include <string.h>

/* The scores of a round, in bytes. With so many, a row of each workgroup of the second kernel fills a large device, and
 * dispatches are long enough that their number costs little. */
#define ROUND_BYTES (UINT64_C(128) << 20)

#define DEPTH 32 /* columns in shared memory at a time: score_keys.comp */

/* ---- portable -------------------------------------------------------------------------------------------------- */

static void choose_portable(const capabilities *caps, const dmattn_selector_desc *d, selector_tile *t)
{
    const bool few = d->queries <= 4;
    *t = (selector_tile){
        .level = DMATTN_LEVEL_PORTABLE,
        .workgroup = 128,
        .subgroup_size = dmattn_capabilities_subgroup_size(caps),
        .queries = few ? 4 : 32,
        .keys = 64,
        .query_lanes = few ? 2 : 8,
        .round_bytes = ROUND_BYTES,
    };
}

/* ---- matrices -------------------------------------------------------------------------------------------------- */

#define KEY_REGISTERS 64         /* of an invocation, for rows of k; twice as many hold the rest */
#define MOST_BLOCKS   4          /* of columns in a subgroup */
#define ROW_BLOCKS    4          /* rows of k are loaded once for so many blocks of rows of q */
#define LONG_ROW      (1u << 18) /* with more numbers, a tile has half as many, because its scores need 128 MiB */
#define MOST_STEPS    4
#define SHARED_STEPS  2   /* if rows of k are in shared memory */
#define FEW_REGISTERS 128 /* of an invocation: then, what is loaded ahead must be little */

static uint32_t head_blocks(const dmattn_selector_desc *d, const selector_tile *t)
{
    return dmattn_ceil_div(d->head_dim, t->matrix.k);
}

/* Units of 16 bytes of a row of q or k in shared memory: one more than it has, against bank conflicts. */
static uint32_t pitch(const dmattn_selector_desc *d, const selector_tile *t)
{
    return head_blocks(d, t) * t->matrix.k / 8 + 1;
}

uint32_t dmattn_selector_tile_shared_memory(const selector_tile *t, const dmattn_selector_desc *d)
{
    if (t->level == DMATTN_LEVEL_PORTABLE)
        return 4 * DEPTH * (t->queries + t->keys);
    const uint32_t subgroups = t->workgroup / t->subgroup_size, sum_pitch = t->matrix.n / 4 + 1;
    const uint32_t q = 2 * t->steps * t->matrix.m * pitch(d, t), k = subgroups * t->matrix.n * pitch(d, t);
    const uint32_t sums = subgroups * t->matrix.m * sum_pitch, weights = 2 * t->steps * t->matrix.m * sum_pitch;
    const uint32_t q_or_sums = dmattn_max(q, sums);
    return 16 * ((t->keys_shared ? k + q_or_sums : dmattn_max(k, q_or_sums)) + weights);
}

/* Blocks of rows of k that an invocation's registers hold. */
static uint32_t column_blocks(const capabilities *caps, const dmattn_selector_desc *d, const selector_tile *t)
{
    const uint32_t words = head_blocks(d, t) * t->matrix.k * t->matrix.n / 2 / t->subgroup_size;
    const uint32_t third = dmattn_capabilities_registers(caps) / 3;
    uint32_t blocks = MOST_BLOCKS;
    while (blocks > 1 && (blocks * words > KEY_REGISTERS || blocks * words > third))
        blocks /= 2;
    return blocks;
}

/* On devices whose registers hold addresses, the estimates count them. */
static bool fits(const capabilities *caps, const dmattn_selector_desc *d, const selector_tile *t)
{
    const uint32_t registers = dmattn_capabilities_registers(caps),
                   addresses = dmattn_capabilities_address_registers(caps);
    return t->workgroup <= caps->max_invocations && dmattn_selector_tile_shared_memory(t, d) <= caps->shared_memory
           && dmattn_selector_tile_registers(caps, t, d) <= registers + addresses;
}

/* Puts the subgroups of the largest tile that fits, its steps and its blocks of columns. The more blocks a subgroup
 * has, the fewer reads of q there are. If no row of k fits in registers, it stays in shared memory, and steps share the
 * reads of k. */
static bool choose_sizes(const capabilities *caps, const dmattn_selector_desc *d, selector_tile *t)
{
    const bool few = dmattn_capabilities_registers(caps) <= FEW_REGISTERS;
    const uint32_t most_steps = t->keys_shared ? SHARED_STEPS : few ? 1 : MOST_STEPS;
    const uint32_t most_blocks = t->keys_shared ? 1 : column_blocks(caps, d, t);
    for (uint32_t subgroups = 8; subgroups; subgroups /= 2)
        for (t->steps = most_steps; t->steps; t->steps /= 2)
            for (uint32_t blocks = most_blocks; blocks; blocks /= 2) {
                t->workgroup = subgroups * t->subgroup_size;
                t->keys = subgroups * blocks * t->matrix.n;
                if (fits(caps, d, t))
                    return true;
            }
    return false;
}

/* A few queries of many heads: rows of a block are heads, so that matrices are full. */
static uint32_t row_heads(const dmattn_selector_desc *d, const selector_tile *t)
{
    const uint32_t list_heads = d->heads / d->list_heads;
    uint32_t heads = 1;
    while (2 * heads <= t->matrix.m && list_heads % (2 * heads) == 0 && t->matrix.m / (2 * heads) >= d->queries)
        heads *= 2;
    return heads;
}

static bool choose_matrix(const capabilities *caps, const dmattn_selector_desc *d, dmattn_level level, selector_tile *t,
                          char *why, size_t size)
{
    *t = (selector_tile){.level = DMATTN_LEVEL_MATRIX,
                         .subgroup_size = dmattn_capabilities_subgroup_size(caps),
                         .round_bytes = ROUND_BYTES};
    t->matrix = dmattn_capabilities_matrix(caps, d->type, &t->operands);
    if (!t->matrix.m) {
        snprintf(why, size, "the device has no matrices of %s", dmattn_type_string(d->type));
        return false;
    }
    if (t->operands != d->type && d->level != level) {
        snprintf(why, size, "the device has no matrices of %s", dmattn_type_string(d->type));
        return false;
    }
    t->row_heads = row_heads(d, t);
    const uint32_t most = dmattn_selector_numbers(d) > LONG_ROW ? ROW_BLOCKS / 2 : ROW_BLOCKS;
    const uint32_t blocks = dmattn_ceil_div(d->queries, t->matrix.m / t->row_heads);
    t->queries = (blocks < most ? blocks : most) * (t->matrix.m / t->row_heads);
    if (choose_sizes(caps, d, t))
        return true;
    t->keys_shared = true;
    if (choose_sizes(caps, d, t))
        return true;
    snprintf(why, size, "rows of %u elements need too many registers, or too much shared memory", d->head_dim);
    return false;
}

bool dmattn_selector_tile_choose(const capabilities *caps, const dmattn_selector_desc *d, dmattn_level level,
                                 selector_tile *t, char *why, size_t size)
{
    if (!dmattn_capabilities_can(caps, level, why, size))
        return false;
    if (level == DMATTN_LEVEL_PORTABLE) {
        choose_portable(caps, d, t);
        return true;
    }
    if (level == DMATTN_LEVEL_MATRIX2) {
        snprintf(why, size, "a selector has no kernels of this level");
        return false;
    }
    if (d->type == DMATTN_TYPE_F32) {
        snprintf(why, size, "matrices have elements of 16 bits, but q and k are f32");
        return false;
    }
    return choose_matrix(caps, d, level, t, why, size);
}

void dmattn_selector_tile_kernel(const selector_tile *t, bool paged, char name[KERNEL_NAME])
{
    const char *stem = paged ? "score_keys_paged" : "score_keys", *few = t->keys_shared ? "_few" : "";
    const char *types[] = {[DMATTN_TYPE_F16] = "f16", [DMATTN_TYPE_BF16] = "bf16"};
    if (t->level == DMATTN_LEVEL_PORTABLE)
        snprintf(name, KERNEL_NAME, "%s", stem);
    else
        snprintf(name, KERNEL_NAME, "%s%s_shared_%s", stem, few, types[t->operands]);
}

/* ---- layout and constants -------------------------------------------------------------------------------------- */

selector_layout dmattn_selector_layout(const dmattn_selector_desc *d, const selector_tile *t)
{
    const uint32_t numbers = dmattn_selector_numbers(d);
    const uint64_t planes = dmattn_product(d->batch, d->list_heads);
    selector_layout l = {.tiles = dmattn_product(planes, dmattn_ceil_div(d->queries, t->queries))};
    l.row_words = dmattn_ceil_div(numbers, t->keys) * t->keys;
    const uint64_t tile_bytes = dmattn_product(4, t->queries, l.row_words);
    const uint64_t fitting = t->round_bytes / tile_bytes ? t->round_bytes / tile_bytes : 1;
    const uint64_t rounds = (l.tiles - 1) / fitting + 1, round_tiles = (l.tiles - 1) / rounds + 1;
    l.rounds = rounds < UINT32_MAX ? (uint32_t)rounds : UINT32_MAX;
    l.round_tiles = (uint32_t)round_tiles; /* at most `fitting` */
    l.round_bytes = dmattn_product(tile_bytes, round_tiles);
    if (d->block > 1)
        l.means_bytes = dmattn_product(dmattn_type_size(d->type), d->batch, numbers, d->kv_heads, d->head_dim);
    return l;
}

uint32_t dmattn_selector_put_k_strides(const dmattn_selector_desc *d, uint32_t *c, uint32_t id, uint32_t bit)
{
    const uint32_t size = dmattn_type_size(d->type);
    if (!d->page_size)
        return dmattn_put_strides(c, id, &d->k_strides, d->batch, d->keys, d->kv_heads, size, bit);
    dmattn_put_stride(c, id, d->pages, d->page_bytes, 1);
    dmattn_put_stride(c, id + 2, d->page_size, d->head_dim, size);
    dmattn_put_stride(c, id + 4, d->kv_heads, (uint64_t)d->page_size * d->head_dim, size);
    return 0;
}

void dmattn_selector_constants(const dmattn_selector_desc *d, const selector_tile *t, uint32_t c[SCORES_CONSTANT_COUNT])
{
    const uint32_t size = dmattn_type_size(d->type);
    memset(c, 0, SCORES_CONSTANT_COUNT * sizeof *c);
    c[SCORES_WORKGROUP] = t->workgroup;
    c[SCORES_SUBGROUP] = t->subgroup_size;
    c[SCORES_TYPE] = d->type;
    c[SCORES_ALIGNED] = dmattn_selector_is_aligned(d);
    c[SCORES_HEADS] = d->heads;
    c[SCORES_KV_HEADS] = d->kv_heads;
    c[SCORES_LISTS] = d->list_heads;
    c[SCORES_HEAD_DIM] = d->head_dim;
    c[SCORES_RELU] = d->relu;
    c[SCORES_WEIGHTS] = d->weights;
    c[SCORES_CAUSAL] = d->causal;
    c[SCORES_COUNTS] = d->counts;
    c[SCORES_TILE_QUERIES] = t->queries;
    c[SCORES_TILE_KEYS] = t->keys;
    c[SCORES_QUERY_LANES] = t->query_lanes;
    c[SCORES_MATRIX_M] = t->matrix.m;
    c[SCORES_MATRIX_N] = t->matrix.n;
    c[SCORES_MATRIX_K] = t->matrix.k;
    c[SCORES_ROW_HEADS] = t->row_heads;
    c[SCORES_STEPS] = t->steps;
    c[SCORES_DERIVED_STRIDES] =
        dmattn_put_strides(c, SCORES_Q_BATCH_LOW, &d->q_strides, d->batch, d->queries, d->heads, size, SCORES_DERIVED_Q)
        | dmattn_selector_put_k_strides(d, c, SCORES_K_BATCH_LOW, SCORES_DERIVED_K);
    c[SCORES_PAGE_SIZE] = d->page_size;
    c[SCORES_PAGES] = d->pages;
    c[SCORES_TABLE_PAGES] = dmattn_selector_table_pages(d);
}
