/* SPDX-License-Identifier: MIT
 * How the work of a step of decoding is divided, on any device. */
#include "decode/stage.h"
#include "decode_descs.h"
#include "descriptors/format.h"
#include "support/capabilities_fixture.h"

#include <criterion/criterion.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_power_of_2(uint32_t x)
{
    return x && !(x & (x - 1));
}

/* The functions below return the text of the first condition that does not hold, or NULL. They do not assert, because
 * nearly a million tiles are checked. */
#define TAKEN_FOR_GRANTED(condition) \
    do {                             \
        if (!(condition))            \
            return #condition;       \
    } while (0)

/* What decode.comp assumes at all levels. `subgroup`: the device's subgroup size for it. */
static const char *broken(const decode_tile *t, const dmattn_decode_desc *d, uint32_t subgroup)
{
    const dmattn_attention_desc *a = &d->attention;
    TAKEN_FOR_GRANTED(t->subgroup_size == subgroup);
    TAKEN_FOR_GRANTED(t->workgroup && t->workgroup % t->subgroup_size == 0); /* full subgroups */
    TAKEN_FOR_GRANTED(t->workgroup >= a->queries);                           /* an invocation for each new token */
    TAKEN_FOR_GRANTED(t->workgroup % COPY_LANES == 0);                       /* cache_copy.comp */
    TAKEN_FOR_GRANTED(t->block_keys);
    const uint32_t rows = a->queries * (a->heads / a->kv_heads);
    TAKEN_FOR_GRANTED(t->row_blocks >= 1 && t->row_blocks <= DECODE_MAX_ROW_BLOCKS); /* counters in the header */
    TAKEN_FOR_GRANTED((t->row_blocks - 1) * t->block_rows < rows);                   /* no row block is empty */
    TAKEN_FOR_GRANTED(t->splits >= 1 && t->splits <= 256);
    return NULL;
}

/* What decode_attend.glsl assumes. */
static const char *portable_broken(const decode_tile *t, const dmattn_decode_desc *d, uint32_t subgroup)
{
    const dmattn_attention_desc *a = &d->attention;
    const char *what = broken(t, d, subgroup);
    if (what)
        return what;
    TAKEN_FOR_GRANTED(t->workgroup <= 128);
    TAKEN_FOR_GRANTED(t->workgroup >= a->value_dim / 8); /* an invocation for each unit of a value */
    TAKEN_FOR_GRANTED(is_power_of_2(t->key_lanes));      /* xor shuffles */
    TAKEN_FOR_GRANTED(t->key_lanes <= t->subgroup_size); /* within a subgroup */
    TAKEN_FOR_GRANTED(t->workgroup % t->key_lanes == 0); /* whole groups */
    TAKEN_FOR_GRANTED(is_power_of_2(t->block_rows));     /* sum_of_row() */
    TAKEN_FOR_GRANTED(t->block_rows <= 8);               /* sum_of_row() has three steps */
    TAKEN_FOR_GRANTED(t->block_rows <= t->key_lanes);    /* a lane for each row */
    const uint64_t keys = dmattn_decode_most_keys(d), others = (uint64_t)a->batch * a->kv_heads * t->row_blocks;
    TAKEN_FOR_GRANTED(t->splits == 1 || t->splits * UINT64_C(16) <= keys); /* no split is tiny */
    TAKEN_FOR_GRANTED(t->splits == 1 || others < 256);                     /* no splits if there is enough work */
    TAKEN_FOR_GRANTED(keys < 100000 || t->splits * others >= 128);         /* the device is filled if possible */
    const uint32_t lane_units = (a->head_dim / 8 + t->key_lanes - 1) / t->key_lanes;
    TAKEN_FOR_GRANTED(t->block_rows == 1 || 8 * lane_units * t->block_rows <= 64); /* registers for q */

    /* the shared arrays of decode.glsl, decode_attend.glsl, scan.glsl, decode_tokens.glsl, decode_combine.glsl, */
    const uint32_t sum_rows = t->block_rows < 2 ? 1 : 2;
    const uint32_t common = 4 * 2 * t->block_keys + 4 * t->block_rows * t->block_keys + 3 * 4 * t->block_rows
                            + 16 * sum_rows * 2 * t->workgroup + 4 * t->workgroup / 4 + 4 * a->queries + 4;
    const uint32_t of_bounded = 2 * 4 * a->queries + 16 * t->workgroup / 4, of_paged = 4 * t->block_keys;
    const uint32_t shared = dmattn_decode_tile_shared_memory(t, d);
    TAKEN_FOR_GRANTED(shared >= common + (d->cache == DMATTN_CACHE_PAGED ? of_paged : of_bounded));
    TAKEN_FOR_GRANTED(shared <= 16384); /* Vulkan guarantees this much */
    return NULL;
}

/* What decode_attend_matrix.glsl assumes. Its shared arrays are computed again here. Rows have units of 16 bytes, and
 * one unused unit. */
static const char *shared_broken(const decode_tile *t, const dmattn_attention_desc *a, uint32_t common, uint32_t shared)
{
    const matrix_shape *x = &t->matrix;
    const uint32_t key = (a->head_dim + x->k - 1) / x->k * x->k / 8 + 1;
    const uint32_t value = (a->value_dim + x->n - 1) / x->n * x->n / 8 + 1;
    TAKEN_FOR_GRANTED(t->block_keys % x->n == 0 && t->block_keys % x->k == 0);
    TAKEN_FOR_GRANTED(x->m * (2 * value - 1)
                      <= t->block_keys * value); /* the output is stored in place of the values */
    const uint32_t rows_of_q = x->m * key, keys = t->block_keys * key, values = t->block_keys * value;
    const uint32_t scores = x->m * (t->block_keys / 4 + 1), factors = x->m * (x->n / 4 + 1);
    TAKEN_FOR_GRANTED(shared >= common + 16 * (rows_of_q + keys + values + scores + factors) + 2 * 4 * x->m);
    return NULL;
}

/* What fragments/attend_rows.glsl assumes. */
static const char *fragments_broken(const decode_tile *t, const dmattn_attention_desc *a, uint32_t common,
                                    uint32_t shared)
{
    const matrix_shape *x = &t->matrix;
    TAKEN_FOR_GRANTED(t->subgroup_size == 32 && x->m == 16 && x->n == 16 && x->k == 16);
    TAKEN_FOR_GRANTED(t->operands == a->type);                    /* nothing is converted */
    TAKEN_FOR_GRANTED(a->head_dim <= 128 && a->value_dim <= 128); /* registers */
    const uint32_t all_rows = a->queries * (a->heads / a->kv_heads), rows = all_rows < 16 ? all_rows : 16;
    const uint32_t subgroups = t->workgroup / 32, sums = rows * (a->value_dim / 4 + 1), numbers = 16 * 5;
    TAKEN_FOR_GRANTED(shared >= common + subgroups * (16 * (sums > numbers ? sums : numbers) + 8 * rows));
    return NULL;
}

/* What both matrix forms assume. */
static const char *matrix_broken(const decode_tile *t, const dmattn_decode_desc *d, const capabilities *caps)
{
    const dmattn_attention_desc *a = &d->attention;
    const matrix_shape *x = &t->matrix;
    const char *what = broken(t, d, caps->subgroup_size);
    if (what)
        return what;
    TAKEN_FOR_GRANTED(t->workgroup <= caps->max_invocations);
    TAKEN_FOR_GRANTED(x->m && t->block_rows == x->m);       /* a matrix of rows */
    TAKEN_FOR_GRANTED(x->m * x->n % t->subgroup_size == 0); /* each invocation has the same number of elements */
    /* split_size() of decode.glsl */
    const bool paged_cache = d->cache == DMATTN_CACHE_PAGED, by_fragments = t->form == FORM_FRAGMENTS;
    const uint64_t keys = paged_cache ? d->max_keys : dmattn_cache_slots(d) + a->queries;
    const uint64_t others = (uint64_t)a->batch * a->kv_heads * t->row_blocks, unit = by_fragments ? 16 : t->block_keys;
    const uint64_t part = ((keys + t->splits - 1) / t->splits + unit - 1) / unit * unit;
    const uint64_t least = by_fragments ? t->workgroup / 2 : t->block_keys;
    TAKEN_FOR_GRANTED((t->splits - 1) * part < keys);               /* no split is empty */
    TAKEN_FOR_GRANTED(t->splits == 1 || t->splits * others <= 132); /* all workgroups run at the same time */
    const uint64_t all_rows = a->queries * (a->heads / a->kv_heads);
    const uint64_t rows = all_rows < t->block_rows ? all_rows : t->block_rows;
    const uint64_t more = part > unit ? (keys + part - unit - 1) / (part - unit) : UINT32_MAX;
    TAKEN_FOR_GRANTED(part <= least          /* more splits would not have enough work each, */
                      || more * others > 132 /* or would not run at the same time, */
                      || (by_fragments       /* or would take longer to combine than they save */
                          && more * more * (t->workgroup / 32) * rows > 16 * keys));
    TAKEN_FOR_GRANTED(!by_fragments || !paged_cache /* an invocation lists at least 1 and at most 8 keys of a block */
                      || (t->block_keys % t->workgroup == 0 && t->block_keys <= 8 * t->workgroup
                          && (t->block_keys == t->workgroup || t->block_keys < 2 * (part + 16))));

    const uint32_t shared = dmattn_decode_tile_shared_memory(t, d);
    const uint32_t common =
        (paged_cache ? 3 : 2) * 4 * t->block_keys + (4 + 16) * t->workgroup / 4 + 3 * 4 * a->queries + 4;
    TAKEN_FOR_GRANTED(shared <= caps->shared_memory);
    return t->form == FORM_FRAGMENTS ? fragments_broken(t, a, common, shared) : shared_broken(t, a, common, shared);
}

/* The subgroup size is fixed, or any from 4 to 128. */
static capabilities capabilities_of(uint32_t subgroup, bool any)
{
    capabilities caps = usual_capabilities();
    caps.subgroup_size = subgroup;
    caps.min_subgroup_size = any ? 4 : subgroup;
    caps.max_subgroup_size = any ? 128 : subgroup;
    caps.subgroup_size_control = any;
    caps.shared_memory = 16384;
    caps.max_invocations = 128;
    return caps;
}

static void try_tiles(const capabilities *caps, uint32_t subgroup, dmattn_decode_desc desc)
{
    dmattn_attention_desc *a = &desc.attention;
    desc.importance_given = true;
    for (uint32_t dim = 8; dim <= 576; dim += 8)
        for (uint32_t group = 1; group <= 16; group++)
            for (uint32_t tokens = 1; tokens <= 16; tokens++) {
                a->queries = a->keys = tokens;
                a->heads = group * a->kv_heads;
                a->head_dim = dim;
                a->value_dim = dim <= 256 ? 264 - dim : 776 - dim;
                decode_tile t;
                char why[200];
                cr_assert(dmattn_decode_tile_choose(caps, &desc, DMATTN_LEVEL_PORTABLE, &t, why, sizeof why), "%s",
                          why);
                const char *what = portable_broken(&t, &desc, subgroup);
                cr_assert_null(what, "subgroups of %u, d%u, %u heads to a group, %u tokens: %s", subgroup, dim, group,
                               tokens, what);
            }
}

Test(decode_tile, every_device)
{
    static const uint32_t batches[] = {1, 3, 40, 1000}, heads[] = {1, 2, 8}, keys[] = {1, 100, 1000, 1000000};
    for (uint32_t subgroup = 4; subgroup <= 128; subgroup *= 2)
        for (int any = 0; any < 2; any++) {
            const capabilities caps = capabilities_of(subgroup, any);
            for (size_t i = 0; i < COUNT(keys); i++)
                for (int cache = 0; cache < 2; cache++) {
                    dmattn_decode_desc d = cache ? paged : bounded;
                    d.attention.batch = batches[(i + subgroup / 4) % COUNT(batches)];
                    d.attention.kv_heads = heads[(i + subgroup / 8) % COUNT(heads)];
                    *(cache ? &d.max_keys : &d.selection.window) = keys[i];
                    try_tiles(&caps, any ? 32 : subgroup, d);
                }
        }
}

static decode_tile chosen(dmattn_decode_desc desc)
{
    const capabilities caps = usual_capabilities();
    decode_tile t;
    char why[200];
    cr_assert(dmattn_decode_tile_choose(&caps, &desc, DMATTN_LEVEL_PORTABLE, &t, why, sizeof why), "%s", why);
    return t;
}

Test(decode_tile, parts)
{
    dmattn_decode_desc d = resolved(paged);
    d.attention.batch = d.attention.kv_heads = d.attention.heads = d.attention.queries = 1;
    d.max_keys = 1;
    cr_expect_eq(chosen(d).splits, 1);
    d.max_keys = (1u << 30) - 1;
    cr_expect_eq(chosen(d).splits, 256);
    d.attention.batch = (1u << 30) - 1;
    cr_expect_eq(chosen(d).splits, 1);
    d.attention.kv_heads = d.attention.heads = (1u << 30) - 1;
    cr_expect_eq(chosen(d).splits, 1);
    /* with more keys, not fewer splits; with more sequences, not more splits */
    d.attention.kv_heads = d.attention.heads = 2;
    uint32_t before = 1;
    for (d.attention.batch = 4, d.max_keys = 1; d.max_keys < 1u << 16; d.max_keys += 1 + d.max_keys / 16) {
        const uint32_t splits = chosen(d).splits;
        cr_expect_geq(splits, before, "%u keys", d.max_keys);
        before = splits;
    }
    for (d.attention.batch = 1, before = UINT32_MAX; d.attention.batch < 400; d.attention.batch++) {
        const uint32_t splits = chosen(d).splits;
        cr_expect_leq(splits, before, "%u sequences", d.attention.batch);
        before = splits;
    }
}

/* The number of rows is right for any number of query heads per kv head. */
Test(decode_tile, as_many_rows_as_there_can_be)
{
    dmattn_decode_desc desc = paged;
    desc.attention.batch = 1;
    desc.attention.queries = 16;
    desc.attention.kv_heads = 1;
    desc.attention.heads = (1u << 20) - 1;
    const decode_tile t = chosen(resolved(desc));
    cr_expect_eq(t.row_blocks, DECODE_MAX_ROW_BLOCKS);
    cr_expect(t.block_rows == 4 && t.splits >= 1);
}

/* ---- by matrices ----------------------------------------------------------------------------------------------- */

/* On a device with these matrices, at a requested level: tiles that are found are valid, and common cases find a
 * tile. */
static void try_matrices(matrix_shape shape, uint32_t subgroup, uint32_t shared_memory, bool known)
{
    static const uint32_t dims[] = {8, 24, 64, 128, 136, 256, 320}, batches[] = {1, 5, 100},
                          windows[] = {1, 100, 1000, 1000000};
    capabilities caps = matrix_capabilities();
    caps.matrix[DMATTN_TYPE_F16] = caps.matrix[DMATTN_TYPE_BF16] = shape;
    caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = subgroup;
    caps.shared_memory = shared_memory;
    caps.fragment_layout = known ? LAYOUT_QUAD_ROWS : LAYOUT_UNKNOWN;
    unsigned fitting = 0, fragments = 0, paged_fragments = 0;
    for (size_t i = 0; i < COUNT(dims) * COUNT(dims) * COUNT(batches) * COUNT(windows); i++)
        for (uint32_t variant = 0; variant < 8; variant++) {
            const uint32_t tokens = 1 + variant / 2 * 5;
            const bool pages = variant % 2;
            dmattn_decode_desc d = pages ? paged : bounded;
            d.attention.type = i % 2 ? DMATTN_TYPE_BF16 : DMATTN_TYPE_F16;
            d.attention.level = DMATTN_LEVEL_MATRIX;
            d.attention.head_dim = dims[i % COUNT(dims)];
            d.attention.value_dim = dims[i / COUNT(dims) % COUNT(dims)];
            d.attention.batch = batches[i / COUNT(dims) / COUNT(dims) % COUNT(batches)];
            d.attention.queries = tokens;
            *(pages ? &d.max_keys : &d.selection.window) = windows[i / COUNT(dims) / COUNT(dims) / COUNT(batches)];
            d = resolved(d);
            decode_tile t;
            char why[200];
            if (!dmattn_decode_tile_choose(&caps, &d, DMATTN_LEVEL_MATRIX, &t, why, sizeof why)) {
                cr_assert(strstr(why, pages ? "for pages" : "no tile for"), "%s", why);
                if (pages)
                    continue;
                const bool wide = d.attention.head_dim > 128 || d.attention.value_dim > 128;
                const bool wider = d.attention.head_dim > 256 || d.attention.value_dim > 256;
                cr_assert(wider || shared_memory < 32768 || (wide && shared_memory < 65536), "%ux%ux%u, d%u/%u: %s",
                          shape.m, shape.n, shape.k, d.attention.head_dim, d.attention.value_dim, why);
                continue;
            }
            fitting++;
            fragments += t.form == FORM_FRAGMENTS;
            paged_fragments += t.form == FORM_FRAGMENTS && pages;
            decode_tile tiles[16];
            const uint32_t count =
                dmattn_decode_tile_candidates(&caps, &d, DMATTN_LEVEL_MATRIX, tiles, COUNT(tiles), why, sizeof why);
            cr_assert(count && count < COUNT(tiles) && tiles[0].form == t.form && tiles[0].workgroup == t.workgroup
                      && tiles[0].block_keys == t.block_keys);
            for (uint32_t c = 0; c < count; c++) {
                const char *what = matrix_broken(&tiles[c], &d, &caps);
                cr_assert_null(what, "%ux%ux%u in subgroups of %u, d%u/%u, %u tokens: %s", shape.m, shape.n, shape.k,
                               subgroup, d.attention.head_dim, d.attention.value_dim, tokens, what);
            }
        }
    cr_expect(fitting, "%ux%ux%u in subgroups of %u: no case has a tile", shape.m, shape.n, shape.k, subgroup);
    const bool can = known && subgroup == 32 && shape.m == 16 && shape.n == 16 && shape.k == 16;
    cr_expect_eq(fragments > 0, can, "%ux%ux%u in subgroups of %u: %u by fragments", shape.m, shape.n, shape.k,
                 subgroup, fragments);
    cr_expect_eq(paged_fragments > 0, can, "%u bytes of shared memory: %u", shared_memory, paged_fragments);
}

Test(decode_tile, every_matrix)
{
    static const matrix_shape shapes[] = {{16, 16, 16}, {8, 8, 8}, {8, 8, 16}, {8, 16, 16}, {16, 8, 16}, {16, 8, 8}};
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (uint32_t subgroup = 8; subgroup <= 64; subgroup *= 2)
            for (uint32_t shared_memory = 16384; shared_memory <= 65536; shared_memory *= 2)
                for (int known = 0; known < 2; known++)
                    try_matrices(shapes[i], subgroup, shared_memory, known);
}

static void expect_refused(dmattn_decode_desc desc, dmattn_level level, const char *part)
{
    const capabilities caps = matrix_capabilities();
    const dmattn_decode_desc d = resolved(desc);
    decode_tile t;
    char why[200];
    cr_expect_not(dmattn_decode_tile_choose(&caps, &d, level, &t, why, sizeof why));
    cr_expect(strstr(why, part), "no '%s' in: %s", part, why);
}

/* Formats of 8 and 4 bits have fragments of f16 if rows have whole pieces. */
Test(decode_tile, formats)
{
    static const struct {
        dmattn_type type;
        dmattn_format k, v;
        uint32_t dim;
        bool fits;
    } cases[] = {
        {DMATTN_TYPE_F16, DMATTN_FORMAT_INT8, DMATTN_FORMAT_E4M3, 16, true},
        {DMATTN_TYPE_BF16, DMATTN_FORMAT_Q8_0, DMATTN_FORMAT_Q4_0, 128, true},
        {DMATTN_TYPE_BF16, DMATTN_FORMAT_E4M3, DMATTN_FORMAT_Q8_0, 64, true},
        {DMATTN_TYPE_BF16, DMATTN_FORMAT_INT8, DMATTN_FORMAT_INT8, 112, true},
        {DMATTN_TYPE_F16, DMATTN_FORMAT_INT8, DMATTN_FORMAT_INT8, 24, false}, /* half a piece */
        {DMATTN_TYPE_F16, DMATTN_FORMAT_INT8, DMATTN_FORMAT_INT8, 144, false},
        {DMATTN_TYPE_F16, DMATTN_FORMAT_INT8, DMATTN_FORMAT_TYPE, 64, false},
        {DMATTN_TYPE_F16, DMATTN_FORMAT_F32, DMATTN_FORMAT_INT8, 64, false},
        {DMATTN_TYPE_F32, DMATTN_FORMAT_INT8, DMATTN_FORMAT_INT8, 64, false},
    };
    capabilities square = matrix_capabilities(), known;
    square.fragment_layout = LAYOUT_QUAD_ROWS;
    known = square;
    known.narrow_matrices = true;
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        dmattn_decode_desc d = i % 2 ? paged : bounded;
        decode_tile t;
        char why[200], name[KERNEL_NAME];
        d.attention.type = cases[i / 2].type;
        d.attention.k_format = cases[i / 2].k;
        d.attention.v_format = cases[i / 2].v;
        d.attention.head_dim = d.attention.value_dim = cases[i / 2].dim;
        const dmattn_decode_desc r = resolved(d);
        const bool fits = dmattn_decode_tile_choose(&known, &r, DMATTN_LEVEL_MATRIX, &t, why, sizeof why);
        cr_expect_eq(fits, cases[i / 2].fits, "case %zu: %s", i, fits ? "fits" : why);
        if (!fits)
            continue;
        cr_expect_eq(t.form, FORM_FRAGMENTS);
        dmattn_decode_tile_kernel(&t, &r, name);
        const bool blocks = dmattn_format_block(cases[i / 2].k) > 1 || dmattn_format_block(cases[i / 2].v) > 1;
        cr_expect_str_eq(name, i % 2 == 0 ? "decode_bounded_formats_fragments_f16"
                               : blocks   ? "decode_paged_blocks_fragments_f16"
                                          : "decode_paged_formats_fragments_f16");
        cr_expect_leq(dmattn_decode_tile_shared_memory(&t, &r), known.shared_memory);
        cr_expect(t.block_rows == 8 && t.matrix.m == 16 && t.matrix.n == 8 && t.matrix.k == 16);
        cr_expect_not(dmattn_decode_tile_choose(&square, &r, DMATTN_LEVEL_MATRIX, &t, why, sizeof why),
                      "without matrices of 16x8x16");
        expect_refused(d, DMATTN_LEVEL_MATRIX, "for formats, matrices need a known fragment layout");
    }
}

/* A step with selected keys has kernels of its own. Its splits are for the keys of the lists. */
Test(decode_tile, selected)
{
    capabilities known = matrix_capabilities();
    known.fragment_layout = LAYOUT_QUAD_ROWS;
    known.narrow_matrices = true;
    for (int formats = 0; formats < 2; formats++)
        for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX; level++) {
            static const char *const names[2][2] = {
                {"decode_selected", "decode_selected_fragments_bf16"},
                {"decode_selected_formats", "decode_selected_formats_fragments_f16"}};
            dmattn_decode_desc desc = paged;
            decode_tile t;
            char why[200], name[KERNEL_NAME];
            desc.attention.type = DMATTN_TYPE_BF16;
            desc.attention.k_format = desc.attention.v_format = formats ? DMATTN_FORMAT_INT8 : DMATTN_FORMAT_TYPE;
            desc.attention.head_dim = desc.attention.value_dim = 64;
            desc.attention.queries = 1;
            desc.attention.mask = DMATTN_MASK_SELECTED;
            desc.attention.selected_count = 256;
            desc.max_keys = 131072;
            const dmattn_decode_desc d = resolved(desc);
            cr_expect(dmattn_decode_tile_choose(&known, &d, level, &t, why, sizeof why), "%s", why);
            dmattn_decode_tile_kernel(&t, &d, name);
            cr_expect_str_eq(name, names[formats][level > DMATTN_LEVEL_PORTABLE]);
            cr_expect_eq(t.shares, 0);
            cr_expect_leq(t.splits, 6, "%u", t.splits); /* of 44 keys or more */
        }
}

/* Common shapes have fragments with 48 KiB of shared memory, as NVIDIA's driver offers. */
Test(decode_tile, formats_of_many_rows)
{
    static const dmattn_format formats[] = {DMATTN_FORMAT_INT8, DMATTN_FORMAT_Q8_0};
    capabilities known = matrix_capabilities();
    known.fragment_layout = LAYOUT_QUAD_ROWS;
    known.narrow_matrices = true;
    known.shared_memory = 48 * 1024;
    for (uint32_t i = 0; i < 2 * 2 * 3 * 3; i++) {
        dmattn_decode_desc d = i % 2 ? paged : bounded;
        decode_tile t;
        char why[200];
        d.attention.type = DMATTN_TYPE_BF16;
        d.attention.k_format = d.attention.v_format = formats[i / 2 % 2];
        d.attention.head_dim = d.attention.value_dim = 128;
        d.attention.queries = 1u << i / 4 % 3 * 2;
        d.attention.batch = 1u << i / 12 * 3;
        d.attention.heads = 16;
        d.attention.kv_heads = 4;
        if (i % 2)
            d.max_keys = 32768;
        const dmattn_decode_desc r = resolved(d);
        cr_expect(dmattn_decode_tile_choose(&known, &r, DMATTN_LEVEL_MATRIX, &t, why, sizeof why), "case %u: %s", i,
                  why);
        cr_expect_leq(dmattn_decode_tile_shared_memory(&t, &r), known.shared_memory, "case %u", i);
    }
}

/* Of a device that has the kernel for formats by matrices. */
static capabilities formats_capabilities(uint32_t shared_memory)
{
    capabilities known = matrix_capabilities();
    known.fragment_layout = LAYOUT_QUAD_ROWS;
    known.narrow_matrices = true;
    known.shared_memory = shared_memory;
    return known;
}

/* With formats, two workgroups of 128 if they fit the memory of a multiprocessor together, and else one of 256; for
 * bounded caches, two only if there are many workgroups. Lists of subgroups have 192 keys, or 128 if a split then needs
 * less padding. */
Test(decode_tile, workgroups_of_formats)
{
    static const struct {
        const dmattn_decode_desc *desc;
        uint32_t batch, heads, kv_heads, queries, shared_memory, workgroup, block_keys;
    } rows[] = {
        {&paged, 64, 16, 4, 1, 48 << 10, 128, 768},   {&paged, 1, 32, 8, 1, 48 << 10, 128, 512}, /* 33 splits */
        {&paged, 513, 32, 8, 1, 48 << 10, 256, 1536}, {&paged, 64, 8, 8, 1, 48 << 10, 128, 768},
        {&paged, 64, 64, 8, 1, 48 << 10, 256, 768},   {&paged, 64, 16, 4, 2, 48 << 10, 256, 768},
        {&paged, 64, 40, 8, 1, 48 << 10, 128, 640},   {&paged, 64, 48, 8, 1, 48 << 10, 128, 512},
        {&paged, 64, 56, 8, 1, 48 << 10, 128, 384},   {&paged, 64, 64, 8, 1, 100 << 10, 128, 768},
        {&paged, 1, 40, 8, 1, 48 << 10, 256, 1536},   {&bounded, 64, 32, 8, 1, 48 << 10, 128, 16},
        {&bounded, 1, 32, 8, 1, 48 << 10, 256, 16},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const capabilities known = formats_capabilities(rows[i].shared_memory);
        dmattn_decode_desc d = *rows[i].desc;
        if (d.cache == DMATTN_CACHE_PAGED)
            d.max_keys = 32768;
        d.attention.type = DMATTN_TYPE_BF16;
        d.attention.k_format = d.attention.v_format = DMATTN_FORMAT_INT8;
        d.attention.head_dim = d.attention.value_dim = 128;
        d.attention.batch = rows[i].batch;
        d.attention.queries = rows[i].queries;
        d.attention.heads = rows[i].heads;
        d.attention.kv_heads = rows[i].kv_heads;
        const dmattn_decode_desc r = resolved(d);
        decode_tile t;
        char why[200];
        cr_assert(dmattn_decode_tile_choose(&known, &r, DMATTN_LEVEL_MATRIX, &t, why, sizeof why), "%s", why);
        cr_expect(t.workgroup == rows[i].workgroup && t.block_keys == rows[i].block_keys,
                  "row %zu: %u invocations, %u keys", i, t.workgroup, t.block_keys);
        if (r.cache == DMATTN_CACHE_PAGED) /* lists of subgroups have whole steps */
            cr_expect_eq(t.block_keys % (t.workgroup / t.subgroup_size * 32), 0);
        cr_expect_leq(t.workgroup == 128 ? 2 * dmattn_decode_tile_shared_memory(&t, &r) : 0, known.shared_memory);
    }
}

/* Lists without new tokens have a loop of their own where each workgroup has 1280 keys or more, but not with e4m3. */
Test(decode_tile, loops_of_formats)
{
    static const struct {
        uint32_t batch, max_keys;
        dmattn_format k, v;
        bool two_loops;
    } rows[] = {
        {64, 32768, DMATTN_FORMAT_INT8, DMATTN_FORMAT_INT8, true},
        {64, 32768, DMATTN_FORMAT_E4M3, DMATTN_FORMAT_INT8, false},
        {64, 32768, DMATTN_FORMAT_INT8, DMATTN_FORMAT_E4M3, false},
        {64, 32768, DMATTN_FORMAT_Q8_0, DMATTN_FORMAT_Q8_0, true},
        {60, 500, DMATTN_FORMAT_INT8, DMATTN_FORMAT_INT8, false},  /* 33 shares of 909 keys */
        {60, 703, DMATTN_FORMAT_INT8, DMATTN_FORMAT_INT8, false},  /* 1278 keys */
        {60, 704, DMATTN_FORMAT_Q4_0, DMATTN_FORMAT_Q4_0, true},   /* 1280 keys */
        {1, 32768, DMATTN_FORMAT_INT8, DMATTN_FORMAT_INT8, false}, /* 33 splits of 993 keys */
        {1, 131072, DMATTN_FORMAT_INT8, DMATTN_FORMAT_INT8, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const capabilities known = formats_capabilities(48 << 10);
        dmattn_decode_desc d = paged;
        d.max_keys = rows[i].max_keys;
        d.attention.type = DMATTN_TYPE_BF16;
        d.attention.k_format = rows[i].k;
        d.attention.v_format = rows[i].v;
        d.attention.head_dim = d.attention.value_dim = 128;
        d.attention.batch = rows[i].batch;
        d.attention.queries = 1;
        d.attention.heads = 32;
        d.attention.kv_heads = 8;
        const dmattn_decode_desc r = resolved(d);
        decode_tile t;
        char why[200];
        cr_assert(dmattn_decode_tile_choose(&known, &r, DMATTN_LEVEL_MATRIX, &t, why, sizeof why), "%s", why);
        cr_expect(t.form == FORM_FRAGMENTS && t.two_loops == rows[i].two_loops, "row %zu: %d", i, t.two_loops);
        uint32_t constants[DECODE_CONSTANT_COUNT];
        dmattn_decode_constants(&r, &t, true, constants);
        cr_expect_eq(constants[DECODE_TWO_LOOPS], rows[i].two_loops, "row %zu", i);
    }
}

/* A mask of new tokens of a bounded cache has portable kernels of its own, and needs shared memory. */
Test(decode_tile, trees)
{
    for (int formats = 0; formats < 2; formats++) {
        capabilities known = matrix_capabilities();
        known.fragment_layout = LAYOUT_QUAD_ROWS;
        known.narrow_matrices = true;
        dmattn_decode_desc d = bounded;
        decode_tile t, plain;
        char why[200], name[KERNEL_NAME];
        d.attention.type = DMATTN_TYPE_F16;
        d.attention.k_format = formats ? DMATTN_FORMAT_INT8 : DMATTN_FORMAT_TYPE;
        const dmattn_decode_desc without = resolved(d);
        d.attention.mask = DMATTN_MASK_DENSE;
        const dmattn_decode_desc with = resolved(d);
        expect_refused(d, DMATTN_LEVEL_MATRIX, "has only a portable kernel");
        cr_assert(dmattn_decode_tile_choose(&known, &with, DMATTN_LEVEL_PORTABLE, &t, why, sizeof why), "%s", why);
        cr_assert(dmattn_decode_tile_choose(&known, &without, DMATTN_LEVEL_PORTABLE, &plain, why, sizeof why), "%s",
                  why);
        dmattn_decode_tile_kernel(&t, &with, name);
        cr_expect_str_eq(name, formats ? "decode_bounded_formats_tree" : "decode_bounded_tree");
        cr_expect_eq(dmattn_decode_tile_shared_memory(&t, &with),
                     dmattn_decode_tile_shared_memory(&plain, &without) + 24 * with.attention.queries + 8);
    }
}

/* The level that is chosen if none is requested. */
Test(decode_tile, levels)
{
    const capabilities caps = matrix_capabilities();
    dmattn_decode_desc d = bounded;
    decode_tile t;
    char why[200];
    d.attention.type = DMATTN_TYPE_F16;
    expect_refused(bounded, DMATTN_LEVEL_MATRIX, "16 bits");
    expect_refused(d, DMATTN_LEVEL_MATRIX2, "matrix is enough");
    dmattn_decode_desc pages = paged;
    pages.attention.type = DMATTN_TYPE_F16;
    expect_refused(pages, DMATTN_LEVEL_MATRIX, "matrices need a known fragment layout");
    d.attention.batch = 1000; /* 4 tokens with 3 heads are enough rows */
    cr_expect(dmattn_decode_tile_choose(&caps, &d, DMATTN_LEVEL_MATRIX, &t, why, sizeof why));
    d.attention.queries = 1; /* 3 rows are not enough */
    expect_refused(d, DMATTN_LEVEL_MATRIX, "many sequences of few rows");
    d.attention.level = DMATTN_LEVEL_MATRIX; /* but a plan may request the level */
    const dmattn_decode_desc asked = resolved(d);
    cr_expect(dmattn_decode_tile_choose(&caps, &asked, DMATTN_LEVEL_MATRIX, &t, why, sizeof why), "%s", why);
    d.attention.level = 0;
    capabilities known = caps; /* with a known layout, matrices are faster with any number of rows */
    known.fragment_layout = LAYOUT_QUAD_ROWS;
    known.narrow_matrices = true;
    const dmattn_decode_desc many = resolved(d);
    cr_expect(dmattn_decode_tile_choose(&known, &many, DMATTN_LEVEL_MATRIX, &t, why, sizeof why), "%s", why);
    cr_expect_eq(t.form, FORM_FRAGMENTS);
    d.attention.batch = 1;
    const dmattn_decode_desc few = resolved(d);
    cr_expect(dmattn_decode_tile_choose(&caps, &few, DMATTN_LEVEL_MATRIX, &t, why, sizeof why), "%s", why);
}

/* Rows of whole units of 16 bytes have numbers of 32 bits in the pool; rows of blocks have none. */
Test(decode_tile, largest_pool)
{
    capabilities caps = matrix_capabilities();
    caps.fragment_layout = LAYOUT_QUAD_ROWS;
    caps.narrow_matrices = true;
    dmattn_decode_desc d = paged;
    decode_tile t;
    char why[200];
    d.attention.type = DMATTN_TYPE_F16;
    d.attention.k_format = d.attention.v_format = DMATTN_FORMAT_INT8;
    d.attention.head_dim = d.attention.value_dim = 64;
    const dmattn_decode_desc small = resolved(d);
    const uint64_t most = 16 * (UINT64_C(1) << 32) - 1; /* bytes */
    d.pages = (uint32_t)(most / dmattn_decode_layout(&small).page_size);
    const dmattn_decode_desc largest = resolved(d);
    cr_expect(dmattn_decode_tile_choose(&caps, &largest, DMATTN_LEVEL_MATRIX, &t, why, sizeof why), "%s", why);
    d.pages++;
    const dmattn_decode_desc larger = resolved(d);
    cr_expect_not(dmattn_decode_tile_choose(&caps, &larger, DMATTN_LEVEL_MATRIX, &t, why, sizeof why));
    cr_expect(strstr(why, "pool"), "%s", why);
    d.attention.head_dim = 144;
    const dmattn_decode_desc wide = resolved(d);
    cr_expect_not(dmattn_decode_tile_choose(&caps, &wide, DMATTN_LEVEL_MATRIX, &t, why, sizeof why));
    cr_expect_not(strstr(why, "pool"), "another reason is first: %s", why);
    d.attention.head_dim = 64;
    d.attention.k_format = DMATTN_FORMAT_Q8_0;
    const dmattn_decode_desc blocks = resolved(d);
    cr_expect(dmattn_decode_tile_choose(&caps, &blocks, DMATTN_LEVEL_MATRIX, &t, why, sizeof why), "%s", why);
}
