/* SPDX-License-Identifier: MIT */
#include "tile_contents.h"

#include "reference/element.h"

#include <float.h>
#include <math.h>

static void multiply_elements(problem *p, tensor_id t, double factor)
{
    const dmattn_type type = problem_type(p, t);
    const uint64_t count = problem_bytes(p, t) / dmattn_type_size(type);
    for (uint64_t i = 0; i < count; i++)
        element_store(type, p->tensor[t], i, factor * element_load(type, p->tensor[t], i));
}

/* Sets element 0 of all rows: of k to `of_tile` of the key's tile, of q to 1, -1, 0 or 0.5. So with scores that grow
 * from tile to tile, others in the same matrix fall or stay. The other elements, and biases, hardly matter. */
static void set_scores(problem *p, uint32_t tile_keys, double (*of_tile)(uint32_t tile))
{
    static const double factors[] = {1, -1, 0, 0.5};
    const dmattn_attention_desc *d = &p->desc;
    const tensor_box q = problem_box(p, TENSOR_Q), k = problem_box(p, TENSOR_K);
    multiply_elements(p, TENSOR_K, 0x1p-10);
    if (d->bias)
        multiply_elements(p, TENSOR_BIAS, 0x1p-10);
    for (uint64_t row = 0; row < tensor_box_rows(&q); row++)
        element_store(d->type, p->tensor[TENSOR_Q], tensor_box_at(&q, row), factors[(row + row / 4) % 4]);
    for (uint64_t row = 0; row < tensor_box_rows(&k); row++) {
        const uint32_t key = (uint32_t)(row / d->kv_heads % d->keys);
        element_store(d->type, p->tensor[TENSOR_K], tensor_box_at(&k, row), of_tile(key / tile_keys));
    }
}

/* As exponents of 2, scores differ from tile to tile by 7.98, 8.03, 18 (beyond f16), or 2^15, up and down. */
static double below_8(uint32_t tile)
{
    return 5.53125 * tile;
}

static double above_8(uint32_t tile)
{
    return 5.5625 * tile;
}

static double of_18(uint32_t tile)
{
    return 12.5 * tile;
}

static double of_2_to_15(uint32_t tile)
{
    return 22720.0 * (tile % 3);
}

/* The first tiles are hidden from most queries, and some queries see nothing. No key of a list is seen by all queries
 * of a tile, so lists have the order of the keys. */
static void hide_first_tiles(problem *p, uint32_t tile_keys)
{
    const dmattn_attention_desc *d = &p->desc;
    for (uint32_t j = 0; j < d->keys; j++) {
        const uint32_t tile = j / tile_keys;
        for (uint32_t t = 0; d->mask == DMATTN_MASK_DENSE && t < d->queries; t++)
            ((uint8_t *)p->tensor[TENSOR_MASK])[t * d->keys + j] = tile >= t % 6;
        for (uint32_t head = 0; d->mask == DMATTN_MASK_INTERVALS && head < d->kv_heads; head++) {
            ((int32_t *)p->tensor[TENSOR_BEGIN])[head * d->keys + j] = (int32_t)(7 * tile);
            ((int32_t *)p->tensor[TENSOR_END])[head * d->keys + j] = (int32_t)(7 * tile + 14);
        }
    }
}

/* Biases of a row by tile: the lowest and the highest finite number of their type, -infinity, or random (0). */
enum { LOWEST = 1, HIGHEST, HIDING };
static const uint8_t low_rows[][5] = {
    {LOWEST, LOWEST, 0, 0, LOWEST}, {HIDING, LOWEST, HIDING, 0, HIDING}, {HIDING, HIDING, 0, LOWEST, 0},
    {0, LOWEST, 0, HIDING, 0},      {HIDING, HIDING, HIDING, HIDING, 0},
};
static const uint8_t high_rows[][5] = {
    {LOWEST, LOWEST, LOWEST, LOWEST, LOWEST}, {0, HIGHEST, 0, HIGHEST, 0},     {HIGHEST, LOWEST, 0, 0, HIGHEST},
    {LOWEST, 0, HIGHEST, LOWEST, HIDING},     {HIDING, HIGHEST, LOWEST, 0, 0},
};

static void set_biases(problem *p, uint32_t tile_keys, const uint8_t rows[][5])
{
    static const double highest[] = {
        [DMATTN_TYPE_F32] = FLT_MAX, [DMATTN_TYPE_F16] = 65504, [DMATTN_TYPE_BF16] = 0x1.fep127};
    const tensor_box box = problem_box(p, TENSOR_BIAS);
    const dmattn_type type = p->desc.bias_type;
    for (uint64_t row = 0; row < tensor_box_rows(&box); row++)
        for (uint32_t j = 0; j < box.row; j++) {
            /* which row depends on the number of tiles, so that each is tried with few tiles, too */
            const int kind = rows[(row + box.row / tile_keys) % 5][j / tile_keys % 5];
            const double x = kind == LOWEST ? -highest[type] : kind == HIGHEST ? highest[type] : -INFINITY;
            if (kind)
                element_store(type, p->tensor[TENSOR_BIAS], tensor_box_at(&box, row) + j, x);
        }
}

static void low_biases(problem *p, uint32_t tile_keys)
{
    set_biases(p, tile_keys, low_rows);
}

static void high_biases(problem *p, uint32_t tile_keys)
{
    set_biases(p, tile_keys, high_rows);
}

const tile_contents many_tiles_contents[MANY_TILES_CONTENTS] = {
    {.name = "random", .least_tiles = 1},
    {.name = "steps of 7.98", .score = below_8, .least_tiles = 5},
    {.name = "steps of 8.03", .score = above_8, .least_tiles = 5},
    {.name = "steps of 18", .score = of_18, .least_tiles = 5},
    {.name = "steps of 2^15", .score = of_2_to_15, .least_tiles = 5},
    {.name = "hidden first tiles", .set = hide_first_tiles, .least_tiles = 1, .for_mask = true},
    {.name = "low biases", .set = low_biases, .least_tiles = 1, .for_bias = true},
    {.name = "high biases", .set = high_biases, .least_tiles = 4, .for_bias = true},
};

bool tile_contents_fit(const tile_contents *c, const dmattn_attention_desc *d)
{
    return (!c->for_mask || d->mask) && (!c->for_bias || d->bias);
}

void tile_contents_set(const tile_contents *c, problem *p, uint32_t tile_keys)
{
    if (c->score)
        set_scores(p, tile_keys, c->score);
    if (c->set)
        c->set(p, tile_keys);
}
