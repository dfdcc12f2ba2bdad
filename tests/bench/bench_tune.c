/* SPDX-License-Identifier: MIT
 * The tiles that vkbench --tune times, and their rows. No device is needed. */
#include "app/tune_tiles.h"
#include "support/capabilities_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define MAX_TILES    2048

static tuned_problem problem_of(bench_pass pass, dmattn_type type, uint32_t dim)
{
    const bool paged = pass == PASS_DECODE;
    sweep s = {.queries = {1, {paged ? 1 : 300}},
               .keys = {1, {300}},
               .heads = {1, {4}},
               .kv_heads = {1, {2}},
               .head_dim = {1, {dim}},
               .type_count = 1,
               .type = {type},
               .mask_count = 1,
               .mask = {{.paged = paged}},
               .pass = pass};
    bench_case c;
    tuned_problem p;
    sweep_set_defaults(&s, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU);
    sweep_case(&s, 0, &c);
    cr_assert_eq(tuned_problem_of(&c, &(messenger){0}, &p), DMATTN_SUCCESS);
    return p;
}

/* Devices: an unknown layout and 16 x 16 x 16, a known one, and matrices with N = 8. */
static capabilities device(int i)
{
    capabilities caps = matrix_capabilities();
    caps.fragment_layout = i == 1 ? LAYOUT_QUAD_ROWS : LAYOUT_UNKNOWN;
    if (i == 2) {
        caps.matrix[DMATTN_TYPE_F16] = (matrix_shape){8, 8, 8};
        caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = 8;
    }
    return caps;
}

static bool same_tile(const attention_tile *a, const attention_tile *b)
{
    return a->form == b->form && a->workgroup == b->workgroup && a->rows == b->rows && a->keys == b->keys
           && a->key_lanes == b->key_lanes && a->depth == b->depth && a->band == b->band
           && a->query_blocks == b->query_blocks && a->dout_blocks == b->dout_blocks
           && a->tile_buffers == b->tile_buffers && a->guarded == b->guarded;
}

/* Whether plans choose the tile. */
static bool is_choice(const tuned_tile *t, const tuned_problem *p, const capabilities *caps, dmattn_level level)
{
    attention_tile forward;
    backward_tiles both;
    decode_tile step;
    char why[200];
    switch (t->kernel) {
    case TUNED_FORWARD:
        return dmattn_tile_choose(caps, &p->backward.attention, level, &forward, why, sizeof why)
               && same_tile(&forward, &t->forward);
    case TUNED_DECODE:
        return dmattn_decode_tile_choose(caps, &p->decode, level, &step, why, sizeof why) && step.form == t->decode.form
               && step.workgroup == t->decode.workgroup && step.block_keys == t->decode.block_keys;
    default:
        return dmattn_backward_tiles_choose(caps, &p->backward, level, &both, why, sizeof why)
               && same_tile(&both.query, &t->tiles.query) && same_tile(&both.key, &t->tiles.key);
    }
}

/* Each kernel has a tile at each level of the device, exactly one of them is marked, and it is the choice of plans. No
 * tile comes twice. */
Test(tune, tiles)
{
    static tuned_tile tiles[MAX_TILES];
    static char rows[MAX_TILES][TILE_TABLE + TILE_ROW];
    static const bench_pass passes[] = {PASS_FORWARD, PASS_BACKWARD, PASS_BOTH, PASS_DECODE};
    for (int i = 0; i < 3 * (int)COUNT(passes) * 2; i++) {
        const capabilities caps = device(i % 3);
        const bench_pass pass = passes[i / 3 % COUNT(passes)];
        const dmattn_level level = i / 3 / COUNT(passes) ? DMATTN_LEVEL_MATRIX : DMATTN_LEVEL_PORTABLE;
        const tuned_problem p = problem_of(pass, DMATTN_TYPE_F16, 64);
        const uint32_t count = tuned_tiles(&caps, &p, level, tiles, MAX_TILES);
        uint32_t marked[4] = {0};
        for (uint32_t t = 0; t < count; t++) {
            char table[TILE_TABLE], row[TILE_ROW];
            tuned_tile_table(&tiles[t], table);
            tuned_tile_row(&tiles[t], &p, row);
            snprintf(rows[t], sizeof rows[t], "%s %s", table, row);
            for (uint32_t before = 0; before < t; before++)
                cr_expect(strcmp(rows[t], rows[before]) != 0);
            cr_expect_eq(tuned_tile_level(&tiles[t]), level);
            cr_expect(strstr(table, dmattn_level_string(level)), "%s", table);
            cr_expect(*tuned_tile_columns(&tiles[t]) && tuned_tile_flops(&tiles[t], &p) > 0);
            if (tiles[t].chosen)
                cr_expect(is_choice(&tiles[t], &p, &caps, level), "%s", rows[t]);
            marked[tiles[t].kernel] += tiles[t].chosen;
        }
        const bool decodes = level == DMATTN_LEVEL_PORTABLE || i % 3 == 1; /* pages need a known layout */
        cr_expect_eq(marked[TUNED_FORWARD], (pass & PASS_FORWARD) != 0, "device %d, pass %d", i % 3, (int)pass);
        cr_expect_eq(marked[TUNED_QUERIES], (pass & PASS_BACKWARD) != 0, "device %d, pass %d", i % 3, (int)pass);
        cr_expect_eq(marked[TUNED_KEYS], (pass & PASS_BACKWARD) != 0, "device %d, pass %d", i % 3, (int)pass);
        cr_expect_eq(marked[TUNED_DECODE], pass == PASS_DECODE && decodes, "device %d", i % 3);
        cr_expect_leq(tuned_tiles(&caps, &p, level, tiles, 1), 1);
    }
}

/* A row gives its tile by the formulas of the tables: `columns` is for matrices with N = 16, and the rest of a row of q
 * is in registers. */
Test(tune, rows_of_matrices)
{
    static tuned_tile tiles[MAX_TILES];
    for (int i = 0; i < 3; i++) {
        const capabilities caps = device(i);
        const tuned_problem p = problem_of(PASS_BOTH, DMATTN_TYPE_F16, 64);
        const uint32_t count = tuned_tiles(&caps, &p, DMATTN_LEVEL_MATRIX, tiles, MAX_TILES);
        for (uint32_t n = 0; n < count; n++) {
            const tuned_tile *t = &tiles[n];
            const attention_tile *x = t->kernel == TUNED_FORWARD   ? &t->forward
                                      : t->kernel == TUNED_QUERIES ? &t->tiles.query
                                                                   : &t->tiles.key;
            const matrix_shape *m = &x->matrix;
            uint32_t dim, subgroups, blocks, columns, shared, other, buffers;
            char row[TILE_ROW], guarded[8];
            tuned_tile_row(t, &p, row);
            if (t->kernel == TUNED_FORWARD) {
                cr_assert_eq(sscanf(row, "{MANY, MANY, %u, %u, %u, %u, %u, %7[a-z], ANY_KEYS, 0},", &dim, &subgroups,
                                    &blocks, &columns, &shared, guarded),
                             6, "%s", row);
                cr_expect_eq(!strcmp(guarded, "true"), x->guarded);
            } else {
                cr_assert_eq(sscanf(row, "{%u, %u, %u, %u, {%u, %u}, %u},", &dim, &subgroups, &blocks, &columns,
                                    &shared, &other, &buffers),
                             7, "%s", row);
                cr_expect_eq(x->dout_blocks, 64 / m->k - other / m->k, "%s", row);
                cr_expect_eq(x->tile_buffers, buffers, "%s", row);
            }
            const uint32_t rows = subgroups * blocks * m->m, of_columns = columns * m->n / 16;
            cr_expect_eq(dim, 64);
            cr_expect_eq(x->workgroup, subgroups * x->subgroup_size, "%s", row);
            cr_expect_eq(x->rows, t->kernel == TUNED_KEYS ? of_columns : rows, "%s", row);
            cr_expect_eq(x->keys, t->kernel == TUNED_KEYS ? rows : of_columns, "%s", row);
            cr_expect_eq(x->query_blocks, 64 / m->k - shared / m->k, "%s", row);
        }
        cr_expect_gt(count, 2);
    }
}

/* All numbers of portable tiles are named. */
Test(tune, rows_of_portable_tiles)
{
    static tuned_tile tiles[MAX_TILES];
    const capabilities caps = usual_capabilities();
    const tuned_problem p = problem_of(PASS_BOTH, DMATTN_TYPE_F32, 64),
                        step = problem_of(PASS_DECODE, DMATTN_TYPE_F32, 64);
    const uint32_t count = tuned_tiles(&caps, &p, DMATTN_LEVEL_PORTABLE, tiles, MAX_TILES);
    char row[TILE_ROW];
    for (uint32_t n = 0; n < count; n++) {
        const attention_tile *x = tiles[n].kernel == TUNED_FORWARD   ? &tiles[n].forward
                                  : tiles[n].kernel == TUNED_QUERIES ? &tiles[n].tiles.query
                                                                     : &tiles[n].tiles.key;
        uint32_t dim, of[6];
        tuned_tile_row(&tiles[n], &p, row);
        cr_assert_eq(
            sscanf(row + (tiles[n].kernel == TUNED_KEYS ? 0 : strlen("{MANY,")),
                   tiles[n].kernel == TUNED_KEYS
                       ? "{%u, {.workgroup=%u, .rows=%u, .keys=%u, .key_lanes=%u, .depth=%u, .value_keys=%u}},"
                       : " %u, {.workgroup=%u, .rows=%u, .keys=%u, .key_lanes=%u, .depth=%u, .value_keys=%u}},",
                   &dim, &of[0], &of[1], &of[2], &of[3], &of[4], &of[5]),
            7, "%s", row);
        cr_expect(dim == 64 && of[0] == x->workgroup && of[1] == x->rows && of[2] == x->keys && of[3] == x->key_lanes
                      && of[4] == x->depth && of[5] == x->value_keys,
                  "%s", row);
    }
    cr_expect_gt(count, 6);
    cr_assert_eq(tuned_tiles(&caps, &step, DMATTN_LEVEL_PORTABLE, tiles, MAX_TILES), 1);
    tuned_tile_row(&tiles[0], &step, row);
    cr_expect(strstr(row, "workgroup ") && strstr(row, "key_lanes ") && strstr(row, "splits "), "%s", row);
}
