/* SPDX-License-Identifier: MIT
 * How the tile and the level are chosen. No device is needed. */
#include "attention/stage.h"
#include "context.h"
#include "support/capabilities_fixture.h"
#include "support/sentences.h"
#include "support/tile_64.h"

#include <criterion/criterion.h>
#include <string.h>

/* ---- tiles --------------------------------------------------------------------------------------------------- */

/* The functions below return the text of the first condition that does not hold, or NULL. They do not assert, because
 * millions of tiles are checked. */
#define TAKEN_FOR_GRANTED(condition) \
    do {                             \
        if (!(condition))            \
            return #condition;       \
    } while (0)

/* What all kernels assume, also mask_tiles.comp, which has the same constants. */
static const char *broken(const attention_tile *t)
{
    TAKEN_FOR_GRANTED(t->rows && t->keys && t->workgroup && t->subgroup_size);
    TAKEN_FOR_GRANTED(t->workgroup % t->subgroup_size == 0); /* full subgroups */
    TAKEN_FOR_GRANTED(t->keys <= t->workgroup);              /* each invocation loads one key of a list */
    TAKEN_FOR_GRANTED(t->keys % 4 == 0);                     /* words of the mask */
    TAKEN_FOR_GRANTED(t->heads_per_tile && t->heads_per_tile <= t->rows);
    TAKEN_FOR_GRANTED(dmattn_tile_list_queries(t) % dmattn_tile_queries(t) == 0); /* a list is for whole tiles */
    TAKEN_FOR_GRANTED(dmattn_tile_list_queries(t) >= 16);
    TAKEN_FOR_GRANTED(t->splits);                                      /* at least one split */
    TAKEN_FOR_GRANTED(t->band && t->band % 8 == 0 && t->band <= BAND); /* loads of 8 */
    TAKEN_FOR_GRANTED(t->band * MOST_BANDS >= DMATTN_MAX_VALUE_DIM);
    return NULL;
}

static bool is_power_of_2(uint32_t x)
{
    return x && !(x & (x - 1));
}

/* The columns of the widest band. */
static uint32_t columns_of(const attention_tile *t, const dmattn_attention_desc *d)
{
    return t->band < d->value_dim ? t->band : d->value_dim;
}

/* What attention.comp assumes. Its shared memory is computed again here, as the shader declares it. */
static const char *broken_portable(const attention_tile *t, const dmattn_attention_desc *d)
{
    TAKEN_FOR_GRANTED(is_power_of_2(t->key_lanes)); /* xor shuffles */
    TAKEN_FOR_GRANTED(t->key_lanes % 4 == 0);       /* a vec4 of probabilities */
    TAKEN_FOR_GRANTED(t->key_lanes <= t->subgroup_size);
    TAKEN_FOR_GRANTED(t->subgroup_size % t->key_lanes == 0); /* a row is within a subgroup */
    TAKEN_FOR_GRANTED(t->workgroup % t->key_lanes == 0);
    TAKEN_FOR_GRANTED(t->rows % (t->workgroup / t->key_lanes) == 0); /* all lanes have the same number of rows */
    TAKEN_FOR_GRANTED(t->keys % t->key_lanes == 0);                  /* and of keys */
    TAKEN_FOR_GRANTED(t->depth && t->depth % 8 == 0);                /* loads of 8 */
    TAKEN_FOR_GRANTED(t->value_keys && t->value_keys % 4 == 0);      /* 4 probabilities */
    TAKEN_FOR_GRANTED(t->keys % t->value_keys == 0);
    const uint32_t band = columns_of(t, d);
    const uint32_t columns = (band / 4 + t->key_lanes - 1) / t->key_lanes;
    const uint32_t qk = (t->rows + t->keys) * (t->depth / 4 + 1), v = t->value_keys * columns * t->key_lanes;
    const uint32_t staged = qk > v ? qk : v, probabilities = t->rows * (t->keys / 4 + 1);
    TAKEN_FOR_GRANTED(columns * t->key_lanes >= band / 4);
    TAKEN_FOR_GRANTED(dmattn_tile_shared_memory(t, d) == 16 * (staged + probabilities) + 4 * t->keys);
    return NULL;
}

/* What attention_matrix.comp and lib/matrix.glsl assume, with their names. Units are 16 bytes. */
static const char *broken_matrix(const attention_tile *t, const dmattn_attention_desc *d)
{
    const uint32_t m = t->matrix.m, n = t->matrix.n, k = t->matrix.k;
    TAKEN_FOR_GRANTED(m && n && k);
    TAKEN_FOR_GRANTED(n % 8 == 0 && k % 8 == 0); /* blocks of 16-bit elements begin at whole units */
    const uint32_t subgroups = t->workgroup / t->subgroup_size, row_blocks = t->rows / (subgroups * m);
    TAKEN_FOR_GRANTED(row_blocks && t->rows == subgroups * row_blocks * m);
    TAKEN_FOR_GRANTED(t->keys % n == 0); /* whole blocks of scores */
    TAKEN_FOR_GRANTED(t->keys % k == 0); /* whole blocks of probabilities */
    TAKEN_FOR_GRANTED(m * n % t->subgroup_size == 0);
    const uint32_t head_blocks = (d->head_dim + k - 1) / k, value_blocks = (columns_of(t, d) + n - 1) / n;
    TAKEN_FOR_GRANTED(t->query_blocks >= 1 && t->query_blocks <= head_blocks);

    const uint32_t values = t->keys * (head_blocks * k / 8 + 1);
    const uint32_t tiles = values
                           + (t->sums_shared ? value_blocks * n * (t->keys / 8 + 1) /* columns of v */
                                             : t->keys * (value_blocks * n / 8 + 1));
    const uint32_t block = m * (k / 8 > n / 4 ? k / 8 + 1 : n / 4 + 1);
    const uint32_t staged = tiles > subgroups * block ? tiles : subgroups * block, slice = staged / subgroups;
    TAKEN_FOR_GRANTED(slice / m >= 1 + k / 8); /* load_q(): at least one block at a time, and one unused unit */
    TAKEN_FOR_GRANTED(slice / m >= 1 + n / 4); /* store_o(): the same */
    const uint32_t shared_blocks = head_blocks - t->query_blocks;
    const uint32_t queries = shared_blocks ? t->rows * (shared_blocks * k / 8 + 1) : 1;
    const uint32_t elements = m * n / t->subgroup_size; /* of a block of sums in a lane */
    const uint32_t sums = t->sums_shared ? value_blocks * ((elements + 3) / 4) * t->workgroup : 1;
    const uint32_t scores = t->form == FORM_SHARED ? subgroups * m * (t->keys / 4 + 1) + sums : 0;
    const uint32_t sets = t->form == FORM_SHARED ? 2 : 3; /* tiles of keys that have slots at a time */
    const uint32_t slots =
        d->mask ? sets * t->keys : 1; /* a key, and begin and end of its visible range, or two words of members */
    TAKEN_FOR_GRANTED(dmattn_tile_shared_memory(t, d)
                      == 16 * (staged + queries + scores) + 4 * slots + 8 * slots + 4 * sets * t->keys);
    return NULL;
}

/* What attention/softmax_shared.glsl and attention/softmax_registers.glsl assume. */
static const char *broken_softmax(const attention_tile *t, const capabilities *caps)
{
    const uint32_t m = t->matrix.m, row_lanes = t->subgroup_size / m;
    switch (t->form) {
    case FORM_SHARED:
        TAKEN_FOR_GRANTED(t->level == DMATTN_LEVEL_MATRIX);
        TAKEN_FOR_GRANTED(t->rows == t->workgroup / t->subgroup_size * m); /* one block of rows */
        TAKEN_FOR_GRANTED(is_power_of_2(row_lanes) && t->subgroup_size == row_lanes * m);
        TAKEN_FOR_GRANTED(t->keys / row_lanes % 8 == 0
                          && t->keys % row_lanes == 0); /* a lane's probabilities fill whole units */
        TAKEN_FOR_GRANTED(t->matrix.n <= t->keys);      /* the factors of rows are stored in place of scores */
        break;
    case FORM_REDUCED:
        TAKEN_FOR_GRANTED(t->level == DMATTN_LEVEL_MATRIX2);
        TAKEN_FOR_GRANTED(t->matrix.n == t->matrix.k); /* accumulators become operands */
        break;
    default:
        TAKEN_FOR_GRANTED(t->form == FORM_FRAGMENTS && t->level != DMATTN_LEVEL_PORTABLE);
        TAKEN_FOR_GRANTED(caps->fragment_layout == LAYOUT_QUAD_ROWS && t->subgroup_size == 32);
        TAKEN_FOR_GRANTED(m == 16 && t->matrix.n == 16 && t->matrix.k == 16);
    }
    return NULL;
}

/* What is wrong with a tile on a device; NULL if nothing is wrong. */
static const char *wrong_with(const attention_tile *t, const capabilities *caps, const dmattn_attention_desc *d,
                              dmattn_level level)
{
    TAKEN_FOR_GRANTED(t->level == level);
    TAKEN_FOR_GRANTED(dmattn_tile_fits(t, caps, d));
    TAKEN_FOR_GRANTED(t->workgroup <= caps->max_invocations);
    TAKEN_FOR_GRANTED(dmattn_tile_shared_memory(t, d) <= caps->shared_memory);
    TAKEN_FOR_GRANTED(t->subgroup_size == dmattn_capabilities_subgroup_size(caps));
    const char *wrong = broken(t);
    if (!wrong)
        wrong = t->form == FORM_PORTABLE ? broken_portable(t, d) : broken_matrix(t, d);
    return wrong || t->form == FORM_PORTABLE ? wrong : broken_softmax(t, caps);
}

static void expect_nothing(const char *wrong, const capabilities *caps, const dmattn_attention_desc *d,
                           dmattn_level level)
{
    const matrix_shape *x = &caps->matrix[d->type];
    if (wrong)
        cr_expect(false,
                  "%s %s d%u/%u, %u queries, subgroups of %u (%u to %u), %u invocations, %u bytes, matrices %ux%ux%u: "
                  "%s",
                  dmattn_level_string(level), dmattn_type_string(d->type), d->head_dim, d->value_dim, d->queries,
                  caps->subgroup_size, caps->min_subgroup_size, caps->max_subgroup_size, caps->max_invocations,
                  caps->shared_memory, x->m, x->n, x->k, wrong);
}

/* Expects that the chosen tile and all candidates of the search fit the device and are valid. */
static void expect_good_tiles(const capabilities *caps, const dmattn_attention_desc *d, dmattn_level level,
                              bool must_exist)
{
    attention_tile tiles[16];
    char why[224] = "";
    const uint32_t count = dmattn_tile_candidates(caps, d, level, tiles, 16, why, sizeof why);
    const char *wrong = NULL;
    if (!count)
        wrong = must_exist ? why : why[0] ? NULL : "no reason is given";
    for (uint32_t i = 0; !wrong && i < count; i++)
        wrong = wrong_with(&tiles[i], caps, d, level);
    expect_nothing(wrong, caps, d, level);
}

static const uint32_t shared_sizes[] = {16384, 32768, 49152, 65536, 102400, 233472};
static const uint32_t invocations[] = {128, 256, 512, 1024};
#define COUNT(array) (sizeof array / sizeof *array)

static void set_device(capabilities *caps, uint32_t subgroup, int control, uint32_t shared, uint32_t max_invocations)
{
    caps->subgroup_size = subgroup;
    caps->min_subgroup_size = control == 0 ? subgroup : control == 1 ? 4 : 32;
    caps->max_subgroup_size = control == 0 ? subgroup : control == 1 ? 128 : 64;
    caps->shared_memory = shared;
    caps->max_invocations = max_invocations;
}

Test(tile, every_device)
{
    static const uint32_t queries[] = {1, 15, 16, 17, 64, 100000};
    capabilities caps = usual_capabilities();
    for (uint32_t subgroup = 4; subgroup <= 128; subgroup *= 2)
        for (int control = 0; control < 3; control++) /* subgroup sizes: fixed; any from 4 to 128; from 32 to 64 */
            for (size_t s = 0; s < COUNT(shared_sizes); s++)
                for (size_t i = 0; i < COUNT(invocations); i++) {
                    set_device(&caps, subgroup, control, shared_sizes[s], invocations[i]);
                    for (uint32_t value_dim = 8; value_dim <= 512; value_dim += value_dim < 264 ? 8 : 62 * 4)
                        for (size_t q = 0; q < COUNT(queries); q++) {
                            const dmattn_attention_desc d = {.queries = queries[q],
                                                             .keys = 100,
                                                             .heads = 6,
                                                             .kv_heads = q % 2 ? 6 : 2,
                                                             .head_dim = 64,
                                                             .value_dim = value_dim};
                            expect_good_tiles(&caps, &d, DMATTN_LEVEL_PORTABLE, true);
                        }
                }
}

static const matrix_shape shapes[] = {{8, 8, 8}, {16, 16, 16}, {16, 8, 16}, {8, 16, 16}, {8, 8, 16}, {16, 16, 8}};

/* Each head_dim with some value_dim, and each value_dim with some head_dim. */
static void each_dim(const capabilities *caps, dmattn_level level, bool must_exist)
{
    static const uint32_t others[] = {8, 72, 128, 136, 256, 512, 576};
    for (int type = DMATTN_TYPE_F16; type <= DMATTN_TYPE_BF16; type++)
        for (uint32_t dim = 8; dim <= 512; dim += dim < 264 ? 8 : 62 * 4)
            for (int variant = 0; variant < 15; variant++) {
                const uint32_t other = variant ? others[(variant - 1) / 2] : dim;
                const bool swapped = variant % 2;
                if (!swapped && other > DMATTN_MAX_VALUE_DIM)
                    continue;
                const dmattn_attention_desc d = {.type = (dmattn_type)type,
                                                 .queries = 1000,
                                                 .keys = 1000,
                                                 .heads = 210,
                                                 .kv_heads = 210
                                                             / (variant == 0  ? 1
                                                                : variant % 3 ? 3
                                                                              : 70),
                                                 .head_dim = swapped ? other : dim,
                                                 .value_dim = swapped ? dim : other,
                                                 /* slots of intervals need shared memory */
                                                 .mask = variant % 4 >= 2 ? DMATTN_MASK_NONE
                                                         : type % 2 == 0  ? DMATTN_MASK_INTERVALS
                                                                          : DMATTN_MASK_SELECTED,
                                                 .selected_count = 100,
                                                 .selected_block = 1,
                                                 .mask_shape = {.batch = 1, .heads = 1, .queries = 1},
                                                 .level = level};
                const bool reduced = level == DMATTN_LEVEL_MATRIX2 && caps->fragment_layout == LAYOUT_UNKNOWN;
                expect_good_tiles(caps, &d, level, must_exist && !(reduced && d.head_dim > BAND));
            }
}

Test(tile, every_matrix_device)
{
    for (uint32_t subgroup = 8; subgroup <= 64; subgroup *= 2)
        for (int control = 0; control < 3; control++)
            for (size_t s = 0; s < COUNT(shared_sizes); s++)
                for (size_t i = 0; i < COUNT(invocations); i++)
                    for (size_t x = 0; x < COUNT(shapes); x++)
                        for (int known = 0; known < 2; known++) {
                            capabilities caps = matrix_capabilities();
                            set_device(&caps, subgroup, control, shared_sizes[s], invocations[i]);
                            caps.matrix[DMATTN_TYPE_F16] = caps.matrix[DMATTN_TYPE_BF16] = shapes[x];
                            caps.fragment_layout = known ? LAYOUT_QUAD_ROWS : LAYOUT_UNKNOWN;
                            each_dim(&caps, DMATTN_LEVEL_MATRIX, false);
                            each_dim(&caps, DMATTN_LEVEL_MATRIX2, false);
                        }
}

/* The candidates of the search are valid, too. */
Test(tile, searched)
{
    static attention_tile tiles[8192];
    static const uint32_t dims[] = {64, 136, 576}, subgroups[] = {8, 32};
    static const dmattn_level levels[] = {DMATTN_LEVEL_MATRIX, DMATTN_LEVEL_MATRIX2};
    capabilities caps = matrix_capabilities();
    for (size_t i = 0; i < COUNT(dims) * COUNT(subgroups) * COUNT(shapes) * COUNT(levels) * 2; i++) {
        const dmattn_level level = levels[i % 2];
        size_t at = i / 2;
        caps.fragment_layout = at % 2 ? LAYOUT_QUAD_ROWS : LAYOUT_UNKNOWN;
        at /= 2;
        caps.matrix[DMATTN_TYPE_F16] = shapes[at % COUNT(shapes)];
        at /= COUNT(shapes);
        set_device(&caps, subgroups[at % COUNT(subgroups)], 0, 102400, 1024);
        at /= COUNT(subgroups);
        const dmattn_attention_desc d = {.type = DMATTN_TYPE_F16,
                                         .batch = 1,
                                         .queries = 100,
                                         .keys = 1000,
                                         .heads = 6,
                                         .kv_heads = 2,
                                         .head_dim = dims[at],
                                         .value_dim = dims[at] < 512 ? dims[at] : 512};
        const uint32_t count = dmattn_tile_search(&caps, &d, level, tiles, COUNT(tiles));
        const char *wrong = count == COUNT(tiles) ? "there are more candidates" : NULL;
        for (uint32_t t = 0; !wrong && t < count; t++)
            wrong = wrong_with(&tiles[t], &caps, &d, level);
        expect_nothing(wrong, &caps, &d, level);
    }
}

/* On existing devices, every case must find a tile. */
Test(tile, matrices_for_every_dim)
{
    capabilities caps = matrix_capabilities(); /* 16 x 16 x 16, subgroups of 32, 48 KiB */
    for (int known = 0; known < 2; known++) {
        caps.fragment_layout = known ? LAYOUT_QUAD_ROWS : LAYOUT_UNKNOWN;
        each_dim(&caps, DMATTN_LEVEL_MATRIX, true);
        each_dim(&caps, DMATTN_LEVEL_MATRIX2, true);
    }
    caps = matrix_capabilities(); /* lavapipe */
    set_device(&caps, 8, 0, 32768, 1024);
    caps.matrix[DMATTN_TYPE_F16] = caps.matrix[DMATTN_TYPE_BF16] = (matrix_shape){8, 8, 8};
    each_dim(&caps, DMATTN_LEVEL_MATRIX, true);
    each_dim(&caps, DMATTN_LEVEL_MATRIX2, true);
}

static void expect_no_tile(const capabilities *caps, const dmattn_attention_desc *d, dmattn_level level,
                           const char *part)
{
    attention_tile tile;
    char why[224] = "";
    cr_expect_not(dmattn_tile_choose(caps, d, level, &tile, why, sizeof why),
                  "a tile was found although '%s' was expected", part);
    cr_expect(strstr(why, part), "no '%s' in: %s", part, why);
}

static attention_tile chosen(const capabilities *caps, const dmattn_attention_desc *d, dmattn_level level)
{
    attention_tile tile = {0};
    char why[224] = "";
    cr_assert(dmattn_tile_choose(caps, d, level, &tile, why, sizeof why), "%s", why);
    return tile;
}

/* Which matrices a tile uses, and when it uses none. */
static const char *kernel_name(const attention_tile *t)
{
    static char name[KERNEL_NAME];
    dmattn_tile_kernel(t, "attention", name);
    return name;
}

Test(tile, forms)
{
    static const dmattn_level levels[] = {DMATTN_LEVEL_MATRIX, DMATTN_LEVEL_MATRIX2};
    dmattn_attention_desc d = {.type = DMATTN_TYPE_F16,
                               .queries = 100,
                               .keys = 100,
                               .heads = 4,
                               .kv_heads = 4,
                               .head_dim = 64,
                               .value_dim = 64};
    for (size_t i = 0; i < COUNT(levels); i++) {
        const dmattn_level level = levels[i];
        capabilities caps = matrix_capabilities();
        attention_tile t = chosen(&caps, &d, level);
        cr_expect_eq(t.form, level == DMATTN_LEVEL_MATRIX ? FORM_SHARED : FORM_REDUCED);
        cr_expect_str_eq(kernel_name(&t),
                         level == DMATTN_LEVEL_MATRIX ? "attention_shared_f16" : "attention_reduced_f16");
        caps.fragment_layout = LAYOUT_QUAD_ROWS;
        t = chosen(&caps, &d, level);
        cr_expect_eq(t.form, FORM_FRAGMENTS);
        cr_expect_str_eq(kernel_name(&t), "attention_fragments_f16");

        /* each type has its own matrices */
        caps.matrix[DMATTN_TYPE_BF16] = (matrix_shape){16, 16, 16};
        caps.matrix[DMATTN_TYPE_F16] = (matrix_shape){8, 8, 8};
        d.type = DMATTN_TYPE_BF16;
        t = chosen(&caps, &d, level);
        cr_expect(t.operands == DMATTN_TYPE_BF16 && t.matrix.m == 16);
        cr_expect_str_eq(kernel_name(&t), "attention_fragments_bf16");
        d.type = DMATTN_TYPE_F16;
        t = chosen(&caps, &d, level);
        cr_expect(t.operands == DMATTN_TYPE_F16 && t.matrix.m == 8);
        /* bf16 uses matrices of f16 only on request */
        caps = matrix_capabilities();
        d.type = DMATTN_TYPE_BF16;
        caps.matrix[DMATTN_TYPE_BF16] = (matrix_shape){0};
        expect_no_tile(&caps, &d, level, "bf16");
        d.level = level;
        t = chosen(&caps, &d, level);
        cr_expect(t.operands == DMATTN_TYPE_F16 && t.matrix.m == 16);
        d.level = 0;
        /* f16 does not use matrices of bf16, and f32 uses none */
        caps.matrix[DMATTN_TYPE_BF16] = caps.matrix[DMATTN_TYPE_F16];
        caps.matrix[DMATTN_TYPE_F16] = (matrix_shape){0};
        d.type = DMATTN_TYPE_F16;
        expect_no_tile(&caps, &d, level, "no matrices of f16");
        caps = matrix_capabilities();
        d.type = DMATTN_TYPE_F32;
        expect_no_tile(&caps, &d, level, "f32");
        d.type = DMATTN_TYPE_F16;
        /* the device has no matrices */
        caps.cooperative_matrix = false;
        expect_no_tile(&caps, &d, level, "VK_KHR_cooperative_matrix");
    }
    capabilities caps = matrix_capabilities();
    caps.matrix[DMATTN_TYPE_F16] = (matrix_shape){16, 8, 16}; /* accumulators cannot become operands */
    expect_no_tile(&caps, &d, DMATTN_LEVEL_MATRIX2, "16x8x16");
    cr_expect_eq(chosen(&caps, &d, DMATTN_LEVEL_MATRIX).form, FORM_SHARED);
}

Test(tile, what_does_not_fit)
{
    const attention_tile tile = tile_64;
    dmattn_attention_desc d = {.queries = 1, .keys = 1, .heads = 1, .kv_heads = 1, .head_dim = 128, .value_dim = 128};
    capabilities caps = usual_capabilities();
    cr_expect(dmattn_tile_fits(&tile, &caps, &d));
    caps.max_invocations = 64;
    cr_expect_not(dmattn_tile_fits(&tile, &caps, &d));
    caps = usual_capabilities();
    caps.shared_memory = dmattn_tile_shared_memory(&tile, &d);
    cr_expect(dmattn_tile_fits(&tile, &caps, &d));
    caps.shared_memory--;
    cr_expect_not(dmattn_tile_fits(&tile, &caps, &d));
    caps = usual_capabilities();
    attention_tile wide = tile;
    wide.subgroup_size = 4; /* fewer than the lanes of a row */
    cr_expect_not(dmattn_tile_fits(&wide, &caps, &d));
    wide.subgroup_size = 96; /* the last subgroup would not be full */
    cr_expect_not(dmattn_tile_fits(&wide, &caps, &d));
    wide = tile;
    wide.keys = 256; /* more keys than invocations to load them */
    caps.shared_memory = 1u << 20;
    cr_expect_not(dmattn_tile_fits(&wide, &caps, &d));

    caps.max_invocations = 8;
    expect_no_tile(&caps, &d, DMATTN_LEVEL_PORTABLE, "8 invocations");
}

Test(tile, which_matrices_do_not_fit)
{
    const dmattn_attention_desc d = {.type = DMATTN_TYPE_F16, .head_dim = 64, .value_dim = 64};
    const attention_tile shared = {.level = DMATTN_LEVEL_MATRIX,
                                   .form = FORM_SHARED,
                                   .workgroup = 128,
                                   .rows = 64,
                                   .keys = 32,
                                   .heads_per_tile = 1,
                                   .subgroup_size = 32,
                                   .matrix = {16, 16, 16},
                                   .query_blocks = 4};
    capabilities caps = matrix_capabilities();
    attention_tile t = shared;
    cr_expect(dmattn_tile_fits(&t, &caps, &d));
    t.rows = 128; /* two blocks per subgroup */
    cr_expect_not(dmattn_tile_fits(&t, &caps, &d));
    t = shared;
    t.keys = 24; /* one matrix and a half */
    cr_expect_not(dmattn_tile_fits(&t, &caps, &d));
    t = shared;
    t.matrix = (matrix_shape){8, 8, 16};
    t.rows = 32; /* 4 lanes per row, 8 keys per lane */
    cr_expect(dmattn_tile_fits(&t, &caps, &d));
    t.keys = 16; /* 4 keys per lane: half a unit */
    cr_expect_not(dmattn_tile_fits(&t, &caps, &d));
    t = shared;
    t.matrix.m = 64; /* more rows than lanes */
    t.rows = 256;
    cr_expect_not(dmattn_tile_fits(&t, &caps, &d));
    t = shared;
    t.matrix = (matrix_shape){0};
    cr_expect_not(dmattn_tile_fits(&t, &caps, &d));

    t = shared;
    t.level = DMATTN_LEVEL_MATRIX2;
    t.form = FORM_REDUCED;
    cr_expect(dmattn_tile_fits(&t, &caps, &d));
    t.matrix = (matrix_shape){16, 8, 16};
    cr_expect_not(dmattn_tile_fits(&t, &caps, &d));
    t = shared;
    t.form = FORM_FRAGMENTS;
    cr_expect_not(dmattn_tile_fits(&t, &caps, &d));
    caps.fragment_layout = LAYOUT_QUAD_ROWS;
    cr_expect(dmattn_tile_fits(&t, &caps, &d));
    t.matrix.m = 8;
    cr_expect_not(dmattn_tile_fits(&t, &caps, &d));
}

/* Heads of a group share tiles unless their masks differ. Few rows get a small tile. */
Test(tile, packs)
{
    const capabilities caps = usual_capabilities();
    const struct {
        uint32_t queries, heads, kv_heads, mask_heads, heads_per_tile, rows, queries_of_tile;
    } rows[] = {
        {1000, 8, 8, 1, 1, 64, 64}, {1000, 8, 2, 2, 4, 64, 16},   {1000, 8, 2, 8, 1, 64, 64},
        {1000, 6, 2, 1, 3, 64, 21}, {1000, 200, 1, 1, 64, 64, 1}, {1000, 4, 4, 4, 1, 64, 64},
        {4, 8, 2, 2, 4, 16, 4},     {5, 8, 2, 2, 4, 64, 16},      {1, 40, 1, 1, 40, 64, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const dmattn_attention_desc d = {.queries = rows[i].queries,
                                         .keys = 100,
                                         .heads = rows[i].heads,
                                         .kv_heads = rows[i].kv_heads,
                                         .head_dim = 64,
                                         .value_dim = 64,
                                         .mask = DMATTN_MASK_INTERVALS,
                                         .mask_shape = {.batch = 1, .heads = rows[i].mask_heads, .queries = 1}};
        const attention_tile tile = chosen(&caps, &d, DMATTN_LEVEL_PORTABLE);
        cr_expect_eq(tile.heads_per_tile, rows[i].heads_per_tile, "row %zu: heads_per_tile %u", i, tile.heads_per_tile);
        cr_expect_eq(tile.rows, rows[i].rows, "row %zu: %u rows", i, tile.rows);
        cr_expect_eq(dmattn_tile_queries(&tile), rows[i].queries_of_tile, "row %zu", i);
        const grid g = dmattn_attention_grid(
            &(dmattn_attention_desc){.batch = 1, .queries = d.queries, .heads = d.heads, .kv_heads = d.kv_heads},
            &tile);
        cr_expect_geq((uint64_t)g.x * dmattn_tile_queries(&tile), d.queries);
        cr_expect_geq((uint64_t)g.y * tile.heads_per_tile, d.heads);
    }
}

/* Lists that few queries share: as few queries as there are tiles for. */
/* How many workgroups share the keys of one query. */
Test(tile, splits)
{
    const attention_tile fragments = {
        .form = FORM_FRAGMENTS, .workgroup = 64, .rows = 32, .keys = 64, .heads_per_tile = 4};
    attention_tile portable = fragments;
    portable.form = FORM_PORTABLE;
    portable.rows = 16;
    dmattn_attention_desc d = {.type = DMATTN_TYPE_F16,
                               .batch = 1,
                               .queries = 1,
                               .keys = 16384,
                               .heads = 32,
                               .kv_heads = 8,
                               .head_dim = 64,
                               .value_dim = 64};
    cr_expect_eq(dmattn_tile_splits(&d, &fragments), 32, "256 workgroups");
    d.queries = 9;
    cr_expect_eq(dmattn_tile_splits(&d, &fragments), 8,
                 "more than 32 rows of a kv head: 128 workgroups, two per split");
    d.queries = 1;
    cr_expect_eq(dmattn_tile_splits(&d, &portable), 32);
    d.keys = 1024;
    cr_expect_eq(dmattn_tile_splits(&d, &fragments), 4, "four tiles each");
    d.keys = 16384;
    d.heads = 8;
    d.kv_heads = 2;
    cr_expect_eq(dmattn_tile_splits(&d, &fragments), 64, "not more");
    d.batch = 128;
    cr_expect_eq(dmattn_tile_splits(&d, &fragments), 1);
    d.batch = 1;
    d.heads = 32;
    d.kv_heads = 8;
    d.value_dim = 320;
    cr_expect_eq(dmattn_tile_splits(&d, &fragments), 16, "wide values");
    cr_expect_eq(dmattn_tile_splits(&d, &portable), 32);
}

Test(tile, selected_queries)
{
    capabilities caps = matrix_capabilities();
    dmattn_attention_desc d = {.type = DMATTN_TYPE_F16,
                               .batch = 1,
                               .queries = 4096,
                               .keys = 4096,
                               .heads = 16,
                               .kv_heads = 4,
                               .head_dim = 128,
                               .value_dim = 128,
                               .mask = DMATTN_MASK_SELECTED,
                               .mask_shape = {.batch = 1, .heads = 4, .queries = 4096},
                               .selected_count = 100,
                               .selected_block = 1};
    caps.fragment_layout = LAYOUT_QUAD_ROWS;
    for (int level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX; level++) {
        d.selected_queries = 0;
        const attention_tile any = chosen(&caps, &d, (dmattn_level)level);
        const uint32_t usual = dmattn_tile_queries(&any);
        d.selected_queries = 8;
        const attention_tile shared_by_8 = chosen(&caps, &d, (dmattn_level)level);
        d.selected_queries = 1;
        const attention_tile few = chosen(&caps, &d, (dmattn_level)level);
        const uint32_t fewest = level == DMATTN_LEVEL_PORTABLE ? 8 : 16;
        cr_expect(dmattn_tile_queries(&shared_by_8) <= fewest && usual > fewest, "%u", usual);
        cr_expect_eq(few.form, any.form, "not another form, which is slower");
        cr_expect_leq(dmattn_tile_queries(&few), dmattn_tile_queries(&shared_by_8));
    }
}

/* ---- choice of a level --------------------------------------------------------------------------------------- */

/* The level that a device with these capabilities would use. No Vulkan call is made before a tile is chosen. */
static dmattn_status choose_level(const capabilities *caps, dmattn_attention_desc d, attention_stage *stage,
                                  sentences *said)
{
    struct dmattn_context ctx = {.caps = *caps, .messenger = {sentences_keep, said}};
    memset(stage, 0, sizeof *stage);
    *said = (sentences){0};
    d.batch = 1;
    d.queries = d.keys = 64;
    d.heads = d.kv_heads = 2;
    d.head_dim = d.value_dim = 64;
    return dmattn_attention_stage_choose(stage, &ctx, &d, NULL);
}

/* A table of kernels in another order, as of an older kernels.c, would lose some. */
Test(level, every_kernel_is_found)
{
    for (size_t i = 0; i < dmattn_kernel_count; i++)
        cr_expect_eq(dmattn_kernel_find(dmattn_kernels[i].name, dmattn_kernels[i].level), &dmattn_kernels[i],
                     "%s at %s", dmattn_kernels[i].name, dmattn_level_string(dmattn_kernels[i].level));
    cr_expect_null(dmattn_kernel_find("attention", DMATTN_LEVEL_MATRIX));
    cr_expect_null(dmattn_kernel_find("zzz", DMATTN_LEVEL_PORTABLE));
    cr_expect_null(dmattn_kernel_find("", DMATTN_LEVEL_PORTABLE));
}

/* If the shader compiler did not know the extensions of a level's kernel, the level is not available, as if the device
 * lacked it. */
Test(level, what_the_build_left_out)
{
    static const char *const kernels[] = {"attention_reduced_f16", "attention_shared_f16"};
    static const dmattn_level levels[] = {DMATTN_LEVEL_MATRIX2, DMATTN_LEVEL_MATRIX};
    const capabilities caps = matrix_capabilities();
    attention_stage stage;
    sentences said;
    dmattn_level best = DMATTN_LEVEL_PORTABLE;
    for (size_t i = COUNT(levels); i-- > 0;) {
        const bool built = dmattn_kernel_find(kernels[i], levels[i]) != NULL;
        best = built ? levels[i] : best;
        const dmattn_attention_desc only = {.type = DMATTN_TYPE_F16, .level = levels[i]};
        const dmattn_attention_desc most = {.type = DMATTN_TYPE_F16, .max_level = levels[i]};
        cr_expect_eq(choose_level(&caps, only, &stage, &said), built ? DMATTN_SUCCESS : DMATTN_ERROR_UNSUPPORTED);
        cr_expect_eq(said.count, !built);
        cr_expect(built || (strstr(said.text, kernels[i]) && strstr(said.text, "shader compiler")), "%s", said.text);
        cr_expect(!built || stage.tile.level == levels[i]);
        cr_expect_eq(choose_level(&caps, most, &stage, &said), DMATTN_SUCCESS);
        cr_expect_eq(stage.tile.level, best);
        cr_expect(built ? !stage.why_not[0] : strstr(stage.why_not, kernels[i]) != NULL, "%s", stage.why_not);
    }
    cr_expect_eq(choose_level(&caps, (dmattn_attention_desc){.type = DMATTN_TYPE_F16}, &stage, &said), DMATTN_SUCCESS);
    cr_expect_eq(stage.tile.level, best);
}

/* The reasons name every level above the chosen one, the highest first. Equal reasons are there once. */
Test(level, why_not)
{
    capabilities caps = matrix_capabilities();
    attention_stage stage;
    sentences said;
    caps.cooperative_matrix2 = false;
    cr_expect_eq(choose_level(&caps, (dmattn_attention_desc){.type = DMATTN_TYPE_F16}, &stage, &said), DMATTN_SUCCESS);
    cr_expect(strstr(stage.why_not, "matrix2: VK_NV_cooperative_matrix2") == stage.why_not, "%s", stage.why_not);
    cr_expect_eq(choose_level(&caps, (dmattn_attention_desc){.type = DMATTN_TYPE_F32}, &stage, &said), DMATTN_SUCCESS);
    cr_expect_eq(stage.tile.level, DMATTN_LEVEL_PORTABLE);
    cr_expect(strstr(stage.why_not, "matrix2: ") == stage.why_not, "%s", stage.why_not);
    cr_expect(strstr(stage.why_not, "; matrix: "), "%s", stage.why_not);
    caps.cooperative_matrix = false;
    cr_expect_eq(choose_level(&caps, (dmattn_attention_desc){.type = DMATTN_TYPE_F16}, &stage, &said), DMATTN_SUCCESS);
    cr_expect(strstr(stage.why_not, "matrix2: VK_KHR_cooperative_matrix") == stage.why_not, "%s", stage.why_not);
    cr_expect(!strstr(stage.why_not, "; "), "%s", stage.why_not);
    caps.max_invocations = 8; /* no tile fits */
    cr_expect_eq(choose_level(&caps, (dmattn_attention_desc){.type = DMATTN_TYPE_F16}, &stage, &said),
                 DMATTN_ERROR_UNSUPPORTED);
    cr_expect_eq(said.count, 1);
    cr_expect(strstr(said.text, "portable: no tile"), "%s", said.text);
}
