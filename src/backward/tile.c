/* SPDX-License-Identifier: MIT */
#include "backward.h"

#include "../../shaders/lib/lists.h"

#include <stdio.h>

/* ---- shared memory: what the shaders declare ------------------------------------------------------------------- */

/* Bytes of `staged` and `weights` of lib/products.glsl, for a tile of rows x columns and sums of `dim` elements. */
static uint32_t products_shared_memory(const attention_tile *t, uint32_t rows, uint32_t columns, uint32_t dim)
{
    const uint32_t units = dmattn_ceil_div(dmattn_tile_columns(t, dim) / 4, t->key_lanes);
    const uint32_t factors = (rows + columns) * (t->depth / 4 + 1), summands = t->value_keys * t->key_lanes * units;
    return 16 * (dmattn_max(factors, summands) + rows * (columns / 4 + 1));
}

/* Bytes of shared memory of backward/gradients_matrix.glsl and lib/operands.glsl, for a tile of rows x columns. */
static uint32_t matrix_shared_memory(const attention_tile *t, const dmattn_attention_desc *d, uint32_t rows,
                                     uint32_t columns)
{
    const matrix_shape *x = &t->matrix;
    const uint32_t subgroups = t->workgroup / t->subgroup_size, block = x->m * (dmattn_max(x->k / 8, x->n / 4) + 1);
    uint32_t column = 0, units = 0;
    const uint32_t dims[] = {d->head_dim, d->value_dim}, held[] = {t->query_blocks, t->dout_blocks};
    for (int i = 0; i < 2; i++) {
        const uint32_t blocks = dmattn_ceil_div(dims[i], x->k);
        column += dmattn_max(blocks * x->k, dmattn_ceil_div(dims[i], x->n) * x->n) / 8 + 1;
        units += blocks > held[i] ? rows * ((blocks - held[i]) * x->k / 8 + 1) : 1;
    }
    units += dmattn_max(t->tile_buffers * columns * column, subgroups * block);
    if (t->form == FORM_SHARED)
        units += subgroups * x->m * (columns / 4 + 1);
    return 16 * units;
}

/* Bytes of `kept` in backward_queries.comp and backward_keys.comp. */
static uint32_t kept_bytes(const attention_tile *t, uint32_t units)
{
    return 16 * (t->by_unit ? units : 1);
}

/* The kernel also has `kept`, listed_keys and row_softmax, or, at matrix levels, the slots of three tiles. */
uint32_t dmattn_backward_query_shared_memory(const attention_tile *t, const dmattn_attention_desc *d)
{
    if (t->form != FORM_PORTABLE) {
        const uint32_t slots = dmattn_attention_has_lists(d) ? 3 * t->keys : 1;
        return matrix_shared_memory(t, d, t->rows, t->keys) + 12 * slots + 4 * 3 * t->keys + 8 * t->rows;
    }
    const uint32_t members = d->mask == DMATTN_MASK_SELECTED ? 8 * t->keys : 0; /* listed_ranges */
    return products_shared_memory(t, t->rows, t->keys, d->head_dim) + kept_bytes(t, 4) + 4 * t->keys + members
           + 8 * t->rows;
}

/* The kernel also has `kept`, tile_keys, tile_ranges, row_softmax and, at matrix levels, tile_bias. backward_bias.comp
 * has any_is_seen. */
uint32_t dmattn_backward_key_shared_memory(const attention_tile *t, const dmattn_attention_desc *d)
{
    /* of query_walk.glsl, or of three tiles in listed_queries.glsl */
    const uint32_t listed = d->mask == DMATTN_MASK_SELECTED ? 12 * dmattn_tile_queries(t) : 0;
    if (t->form != FORM_PORTABLE)
        return matrix_shared_memory(t, d, t->keys, t->rows) + 16 * t->keys + 2 * 8 * t->rows + 3 * listed;
    const uint32_t keys = products_shared_memory(t, t->keys, t->rows, dmattn_max(d->head_dim, d->value_dim))
                          + kept_bytes(t, 5) + 12 * t->keys + 8 * t->rows + listed;
    const uint32_t bias = products_shared_memory(t, t->rows, t->keys, 4 * t->key_lanes) + 4 * t->keys + 8 * t->rows + 4;
    return dmattn_max(keys, bias);
}

/* ---- choice ---------------------------------------------------------------------------------------------------- */

#define MAX_PORTABLE 24 /* portable candidates */

/* On Intel, up to 64 dimensions: four rows and three keys in a lane, by ANV's estimate (docs/notes/compilers.md). */
static bool narrow_query_tile(const capabilities *caps, const dmattn_attention_desc *d, attention_tile *t)
{
    *t = (attention_tile){.level = DMATTN_LEVEL_PORTABLE,
                          .workgroup = 256,
                          .rows = 64,
                          .keys = 48,
                          .band = BAND,
                          .key_lanes = 16,
                          .depth = 32,
                          .value_keys = 48,
                          .by_unit = dmattn_tile_by_unit(caps),
                          .splits = 1,
                          .subgroup_size = dmattn_capabilities_subgroup_size(caps)};
    t->heads_per_tile = dmattn_tile_heads_per_tile(d, t->rows);
    return dmattn_capabilities_is_intel(caps) && dmattn_max(d->head_dim, d->value_dim) <= 64
           && dmattn_tile_fits(t, caps, d) && dmattn_backward_query_shared_memory(t, d) <= caps->shared_memory
           && dmattn_backward_query_registers(caps, t, d) <= dmattn_capabilities_registers(caps);
}

static uint32_t portable_query_candidates(const capabilities *caps, const dmattn_attention_desc *d,
                                          attention_tile *tiles, uint32_t max, char *why, size_t size)
{
    /* The sums of a row are its elements of dq. */
    dmattn_attention_desc of_dq = *d;
    of_dq.value_dim = d->head_dim;
    attention_tile found[MAX_PORTABLE];
    const uint32_t all =
        dmattn_tile_portable_candidates(caps, &of_dq, dmattn_backward_query_registers, found, MAX_PORTABLE, why, size);
    uint32_t count = max > 0 && narrow_query_tile(caps, d, &tiles[0]);
    for (uint32_t i = 0; i < all && count < max; i++)
        if (dmattn_backward_query_shared_memory(&found[i], d) <= caps->shared_memory) {
            tiles[count] = found[i];
            tiles[count++].splits = 1;
        }
    if (all && !count)
        snprintf(why, size, "no tile of queries fits %u bytes of shared memory", caps->shared_memory);
    return count;
}

/* Heads share a tile of queries as in forward, unless each head has its own dbias. */
static uint32_t key_heads_per_tile(const dmattn_attention_backward_desc *b, uint32_t rows)
{
    return dmattn_backward_sums_group(b) ? dmattn_tile_heads_per_tile(&b->attention, rows) : 1;
}

/* Portable tiles of keys that fit. Those that need more registers than there are come last, those that need the fewest
 * first. */
typedef struct key_tiles {
    attention_tile tile[MAX_PORTABLE];
    uint32_t excess[MAX_PORTABLE], count;
} key_tiles;

/* Whether the first `max` tiles have enough registers. Then no other one comes before them. */
static bool has_first_tiles(const key_tiles *found, uint32_t max)
{
    return max == 0 || (found->count >= max && found->excess[max - 1] == 0);
}

static void add_key_tile(const capabilities *caps, const dmattn_attention_backward_desc *b, attention_tile t,
                         uint32_t max_dim, key_tiles *to)
{
    const dmattn_attention_desc *d = &b->attention;
    const uint32_t subgroup = dmattn_capabilities_subgroup_size(caps), most = dmattn_capabilities_registers(caps);
    const uint32_t widest = dmattn_max(d->head_dim, d->value_dim);
    t.level = DMATTN_LEVEL_PORTABLE;
    t.subgroup_size = subgroup;
    t.by_unit = dmattn_tile_by_unit(caps);
    t.splits = 1;
    t.band = BAND;
    t.two_passes |= widest > BAND;
    t.heads_per_tile = key_heads_per_tile(b, t.rows);
    if (dmattn_tile_columns(&t, widest) > max_dim || t.workgroup > caps->max_invocations || t.key_lanes > subgroup
        || t.workgroup % subgroup || dmattn_backward_key_shared_memory(&t, d) > caps->shared_memory
        || (d->mask == DMATTN_MASK_SELECTED && t.keys > KEY_LISTS_MAX_KEYS))
        return;
    const uint32_t need = dmattn_backward_key_registers(caps, &t, d), over = need > most ? need - most : 0;
    uint32_t at = to->count++;
    for (; at > 0 && to->excess[at - 1] > over; at--) {
        to->tile[at] = to->tile[at - 1];
        to->excess[at] = to->excess[at - 1];
    }
    to->tile[at] = t;
    to->excess[at] = over;
}

static uint32_t portable_key_candidates(const capabilities *caps, const dmattn_attention_backward_desc *b,
                                        attention_tile *tiles, uint32_t max, char *why, size_t size)
{
    /* The best one first. `rows` are rows of queries. dk and dv of the keys are in registers: keys * (head_dim +
     * value_dim) / workgroup registers per invocation. */
    static const struct candidate {
        uint32_t max_dim;
        attention_tile tile; /* without the subgroup size */
    } candidates[] = {
        /* 128 registers for dk and dv of 128 dimensions */
        {128, {.workgroup = 128, .rows = 32, .keys = 64, .key_lanes = 8, .depth = 32, .value_keys = 16}},
        /* the same for 256 dimensions: twice as many lanes per key */
        {256, {.workgroup = 128, .rows = 32, .keys = 32, .key_lanes = 16, .depth = 32, .value_keys = 8}},
        /* 16 KiB of shared memory, or a subgroup of 8 */
        {256, {.workgroup = 64, .rows = 32, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8}},
        /* 192 registers and 128: two keys, or one, in a lane; the best ones by ANV's estimate (docs/notes/compilers.md)
         */
        {64, {.workgroup = 256, .rows = 64, .keys = 32, .key_lanes = 16, .depth = 32, .value_keys = 32}},
        {128, {.workgroup = 256, .rows = 32, .keys = 64, .key_lanes = 8, .depth = 16, .value_keys = 16}},
        {128, {.workgroup = 256, .rows = 32, .keys = 32, .key_lanes = 16, .depth = 32, .value_keys = 16}},
        {256, {.workgroup = 256, .rows = 64, .keys = 16, .key_lanes = 16, .depth = 32, .value_keys = 16}},
        {256, {.workgroup = 256, .rows = 64, .keys = 16, .key_lanes = 16, .depth = 32, .value_keys = 8}},
        /* the same for subgroups of 8 */
        {128, {.workgroup = 256, .rows = 32, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 16}},
        {128, {.workgroup = 256, .rows = 16, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 16}},
        {256, {.workgroup = 256, .rows = 64, .keys = 16, .key_lanes = 16, .depth = 16, .value_keys = 8}},
        {256,
         {.workgroup = 256, .rows = 32, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8, .two_passes = true}},
        {256,
         {.workgroup = 256, .rows = 16, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8, .two_passes = true}},
        {256, {.workgroup = 256, .rows = 8, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8}},
        {256,
         {.workgroup = 256, .rows = 8, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8, .two_passes = true}},
        /* 16 KiB in subgroups of 128 */
        {256, {.workgroup = 128, .rows = 32, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8}},
        /* subgroups of 4 */
        {256, {.workgroup = 64, .rows = 32, .keys = 32, .key_lanes = 4, .depth = 16, .value_keys = 8}},
        /* few registers, 128 invocations */
        {256, {.workgroup = 128, .rows = 16, .keys = 16, .key_lanes = 8, .depth = 16, .value_keys = 8}},
    };
    /* Of more than 128 dimensions, on Intel: what is the same for a workgroup is in shared memory, so a pass for one
     * sum has registers for more pairs. The last one is for subgroups of 8. */
    static const attention_tile of_intel[] = {
        {.workgroup = 256, .rows = 64, .keys = 32, .key_lanes = 16, .depth = 32, .value_keys = 16, .two_passes = true},
        {.workgroup = 256, .rows = 32, .keys = 32, .key_lanes = 16, .depth = 32, .value_keys = 16, .two_passes = true},
        {.workgroup = 256, .rows = 64, .keys = 32, .key_lanes = 8, .depth = 16, .value_keys = 8, .two_passes = true},
    };
    const dmattn_attention_desc *d = &b->attention;
    key_tiles found;
    found.count = 0;
    _Static_assert((sizeof candidates / sizeof *candidates) + (sizeof of_intel / sizeof *of_intel) <= MAX_PORTABLE,
                   "too many candidates");
    if (dmattn_capabilities_is_intel(caps) && dmattn_max(d->head_dim, d->value_dim) > 128)
        for (size_t i = 0; i < sizeof of_intel / sizeof *of_intel; i++)
            add_key_tile(caps, b, of_intel[i], BAND, &found);
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates && !has_first_tiles(&found, max); i++)
        add_key_tile(caps, b, candidates[i].tile, candidates[i].max_dim, &found);
    const uint32_t count = found.count < max ? found.count : max;
    for (uint32_t i = 0; i < count; i++)
        tiles[i] = found.tile[i];
    if (count)
        return count;
    snprintf(
        why, size,
        "no tile of keys for head_dim %u and value_dim %u fits a device of subgroup size %u, %u invocations and %u "
        "bytes of shared memory",
        d->head_dim, d->value_dim, dmattn_capabilities_subgroup_size(caps), caps->max_invocations, caps->shared_memory);
    return 0;
}

/* ---- by matrices ----------------------------------------------------------------------------------------------- */

/* Candidates for tiles of backward_*_matrix.comp. A subgroup has `blocks` times M rows (of queries, or keys). `columns`
 * is for matrices with N = 16; other matrices have the same number of blocks. */
typedef struct matrix_candidate {
    uint32_t max_dim; /* maximum head_dim and value_dim */
    uint32_t subgroups, blocks, columns;
    uint32_t shared[2]; /* elements of a row of q and dout, or of k and v, in shared memory instead of registers */
    uint32_t tile_buffers;
} matrix_candidate;

typedef struct candidates {
    const matrix_candidate *list;
    size_t count;
} candidates;
#define TABLE(name)                      \
    {                                    \
        name, sizeof name / sizeof *name \
    }

/* The best one first. For NVIDIA's layout, with 255 registers per invocation. */
static const matrix_candidate query_fragments[] = {
    {64, 4, 2, 32, {0, 0}, 2},  {128, 8, 1, 48, {0, 0}, 1},    {128, 8, 1, 32, {0, 0}, 1},
    {128, 4, 1, 32, {0, 0}, 1}, {256, 4, 1, 16, {64, 128}, 1}, {256, 2, 1, 16, {192, 192}, 1},
};
static const matrix_candidate key_fragments[] = {
    {64, 4, 1, 64, {0, 0}, 1},    {128, 8, 1, 16, {0, 0}, 1},     {128, 4, 1, 16, {0, 0}, 1},
    {256, 4, 1, 16, {192, 0}, 1}, {256, 2, 1, 16, {192, 192}, 1},
};

/* For an unknown layout, on any device. The 256 registers of RDNA3 do not hold whole rows beside the sums, because its
 * operands need twice as many registers as they have elements. The last candidates are for less shared memory and for
 * subgroups of 64. */
static const matrix_candidate query_others[] = {
    {64, 4, 1, 16, {48, 48}, 1}, {128, 4, 1, 16, {112, 112}, 1}, {128, 2, 1, 16, {112, 112}, 1},
    {128, 4, 1, 64, {0, 0}, 1},  {256, 2, 1, 16, {0, 0}, 1},     {256, 1, 1, 16, {0, 0}, 1},
    {256, 2, 1, 32, {0, 0}, 1},
};
static const matrix_candidate key_others[] = {
    {64, 4, 1, 16, {48, 48}, 1}, {128, 4, 1, 16, {112, 112}, 1}, {128, 2, 1, 16, {112, 112}, 1},
    {128, 4, 1, 64, {0, 0}, 1},  {256, 2, 1, 16, {0, 0}, 1},     {256, 1, 1, 16, {0, 0}, 1},
    {256, 2, 1, 32, {0, 0}, 1},
};

/* Xe3, with up to 256 registers: all blocks but one of each row are in shared memory. By ANV's estimate for a pair, 64
 * dimensions take 101 cycles for dq and 183 for dk and dv, instead of 178 and 354 at the level portable; 128 dimensions
 * take 203, and 414 in two passes, instead of 500 and 800 (docs/notes/experiments.md). With more subgroups, dq of 128
 * dimensions spills a value. */
static const matrix_candidate query_xe3[] = {
    {64, 8, 1, 16, {48, 48}, 1}, {96, 8, 1, 16, {80, 80}, 1}, {128, 6, 1, 16, {112, 112}, 1}};
static const matrix_candidate key_xe3[] = {{64, 8, 1, 16, {48, 48}, 1}, {128, 8, 1, 16, {112, 112}, 1}};

static uint32_t held_blocks(uint32_t dim, uint32_t shared, uint32_t k)
{
    const uint32_t blocks = dmattn_ceil_div(dim, k), away = shared / k;
    return away < blocks ? blocks - away : 1;
}

/* Makes the tile of a candidate. `keys_are_rows`: for the kernel of keys. */
static attention_tile matrix_tile(attention_tile t, const matrix_candidate *c, const dmattn_attention_desc *d,
                                  bool keys_are_rows)
{
    const uint32_t rows = c->subgroups * c->blocks * t.matrix.m, columns = c->columns * t.matrix.n / 16;
    t.workgroup = c->subgroups * t.subgroup_size;
    t.rows = keys_are_rows ? columns : rows;
    t.keys = keys_are_rows ? rows : columns;
    t.query_blocks = held_blocks(d->head_dim, c->shared[0], t.matrix.k);
    t.dout_blocks = held_blocks(d->value_dim, c->shared[1], t.matrix.k);
    t.tile_buffers = c->tile_buffers;
    t.two_passes = keys_are_rows && dmattn_max(d->head_dim, d->value_dim) > 128;
    t.splits = 1;
    return t;
}

/* The entries of lists of selected keys have a bit for each query, or each key, of a tile. */
static bool bits_fit(const attention_tile *t, const dmattn_attention_desc *d, bool keys_are_rows)
{
    return d->mask != DMATTN_MASK_SELECTED
           || (keys_are_rows ? t->keys <= KEY_LISTS_MAX_KEYS : dmattn_tile_queries(t) <= SELECTED_MAX_QUERIES);
}

static bool matrix_fits(const attention_tile *t, const capabilities *caps, const matrix_candidate *c,
                        const dmattn_attention_desc *d, bool keys_are_rows)
{
    const uint32_t rows = keys_are_rows ? t->keys : t->rows, columns = keys_are_rows ? t->rows : t->keys;
    return dmattn_max(d->head_dim, d->value_dim) <= c->max_dim
           && t->workgroup <= caps->max_invocations
           /* each invocation loads at most one key of a list, or lse and D of one row */
           && columns <= t->workgroup && bits_fit(t, d, keys_are_rows)
           && dmattn_tile_matrix_fits(t, caps, rows, columns)
           && (keys_are_rows ? dmattn_backward_key_shared_memory(t, d) : dmattn_backward_query_shared_memory(t, d))
                  <= caps->shared_memory;
}

/* Spilled sums cost more than matrices gain, and some compilers need many seconds for such a kernel, so there is none.
 * With few registers, nearly all such tiles spill. */
static bool has_registers(const attention_tile *t, const capabilities *caps, const dmattn_attention_desc *d,
                          bool keys_are_rows)
{
    const uint32_t most = dmattn_capabilities_matrix_registers(caps);
    return t->form != FORM_SHARED
           || (most > FEW_REGISTERS && dmattn_backward_matrix_registers(caps, t, d, keys_are_rows) <= most);
}

static uint32_t matrix_candidates(const capabilities *caps, const dmattn_attention_backward_desc *b, dmattn_level level,
                                  bool of_keys, attention_tile *tiles, uint32_t max, char *why, size_t size)
{
    static const candidates tables[][2] = {[FORM_SHARED] = {TABLE(query_others), TABLE(key_others)},
                                           [FORM_REDUCED] = {TABLE(query_others), TABLE(key_others)},
                                           [FORM_FRAGMENTS] = {TABLE(query_fragments), TABLE(key_fragments)}};
    static const candidates of_xe3[] = {TABLE(query_xe3), TABLE(key_xe3)};
    const bool xe3 = dmattn_capabilities_is_xe3(caps);
    const dmattn_attention_desc *d = &b->attention;
    attention_tile begun;
    uint32_t count = 0;
    if (!dmattn_tile_begin_matrix(caps, d, level, &begun, why, size))
        return 0;
    for (int i = 0; i < LEVEL_FORMS; i++) {
        begun.form = dmattn_level_forms(level)[i];
        const candidates *table = xe3 && begun.form == FORM_SHARED ? &of_xe3[of_keys] : &tables[begun.form][of_keys];
        for (size_t c = 0; c < table->count && count < max; c++) {
            attention_tile t = matrix_tile(begun, &table->list[c], d, of_keys);
            t.heads_per_tile = of_keys ? key_heads_per_tile(b, t.rows) : dmattn_tile_heads_per_tile(d, t.rows);
            if (xe3 && of_keys && !has_registers(&t, caps, d, of_keys))
                t.two_passes = true;
            if (matrix_fits(&t, caps, &table->list[c], d, of_keys) && has_registers(&t, caps, d, of_keys))
                tiles[count++] = t;
        }
    }
    /* This is needed also if there are some, because those of the other kernel may have other forms. */
    snprintf(why, size,
             "no tiles for gradients of head_dim %u and value_dim %u fit %ux%ux%u matrices in subgroups of %u, the "
             "registers and %u bytes of shared memory",
             d->head_dim, d->value_dim, begun.matrix.m, begun.matrix.n, begun.matrix.k, begun.subgroup_size,
             caps->shared_memory);
    return count;
}

uint32_t dmattn_backward_candidates(const capabilities *caps, const dmattn_attention_backward_desc *b,
                                    dmattn_level level, bool of_keys, attention_tile *tiles, uint32_t max, char *why,
                                    size_t size)
{
    if (!dmattn_capabilities_can(caps, level, why, size))
        return 0;
    if (level != DMATTN_LEVEL_PORTABLE)
        return matrix_candidates(caps, b, level, of_keys, tiles, max, why, size);
    return of_keys ? portable_key_candidates(caps, b, tiles, max, why, size)
                   : portable_query_candidates(caps, &b->attention, tiles, max, why, size);
}

/* Both kernels of gradients have the same form, the best one in which both have a tile. */
bool dmattn_backward_tiles_choose(const capabilities *caps, const dmattn_attention_backward_desc *b, dmattn_level level,
                                  backward_tiles *tiles, char *why, size_t size)
{
    attention_tile query[BACKWARD_CANDIDATES], key[BACKWARD_CANDIDATES];
    if (!dmattn_capabilities_can(caps, level, why, size)
        || !portable_key_candidates(caps, b, &tiles->bias, 1, why, size))
        return false;
    const uint32_t queries = dmattn_backward_candidates(caps, b, level, false, query, BACKWARD_CANDIDATES, why, size);
    const uint32_t keys =
        queries ? dmattn_backward_candidates(caps, b, level, true, key, BACKWARD_CANDIDATES, why, size) : 0;
    for (uint32_t q = 0; q < queries; q++)
        for (uint32_t k = 0; k < keys; k++)
            if (query[q].form == key[k].form) {
                tiles->query = query[q];
                tiles->key = key[k];
                return true;
            }
    return false;
}

/* ---- the smallest ---------------------------------------------------------------------------------------------- */

static bool least_portable(const capabilities *caps, const dmattn_attention_backward_desc *b, backward_tiles *tiles)
{
    const uint32_t subgroup = dmattn_capabilities_subgroup_size(caps), lanes = subgroup < 8 ? subgroup : 8;
    attention_tile t = {.level = DMATTN_LEVEL_PORTABLE,
                        .workgroup = 64,
                        .rows = 64 / lanes,
                        .keys = 64 / lanes,
                        .band = BAND,
                        .key_lanes = lanes,
                        .depth = 8,
                        .value_keys = 8,
                        .splits = 1,
                        .subgroup_size = subgroup};
    t.heads_per_tile = dmattn_tile_heads_per_tile(&b->attention, t.rows);
    tiles->query = t;
    t.heads_per_tile = key_heads_per_tile(b, t.rows);
    tiles->key = tiles->bias = t;
    return t.workgroup % t.subgroup_size == 0;
}

bool dmattn_backward_tiles_least(const capabilities *caps, const dmattn_attention_backward_desc *b, dmattn_level level,
                                 backward_tiles *tiles)
{
    const matrix_candidate least = {256, 2, 1, 16, {0, 0}, 1};
    const dmattn_attention_desc *d = &b->attention;
    attention_tile begun;
    char why[200];
    if (!least_portable(caps, b, tiles))
        return false;
    if (level == DMATTN_LEVEL_PORTABLE)
        return true;
    if (!dmattn_tile_begin_matrix(caps, d, level, &begun, why, sizeof why))
        return false;
    begun.form = dmattn_level_forms(level)[LEVEL_FORMS - 1];
    tiles->query = matrix_tile(begun, &least, d, false);
    tiles->query.heads_per_tile = dmattn_tile_heads_per_tile(d, tiles->query.rows);
    tiles->key = matrix_tile(begun, &least, d, true);
    tiles->key.heads_per_tile = key_heads_per_tile(b, tiles->key.rows);
    return matrix_fits(&tiles->query, caps, &least, d, false) && matrix_fits(&tiles->key, caps, &least, d, true);
}
