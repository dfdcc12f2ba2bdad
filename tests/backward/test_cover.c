/* SPDX-License-Identifier: MIT
 * The few cases that run by default: together they have every option of the tables. */
#include "attention/attention_cases.h"
#include "mask/dma_cases.h"
#include "support/cover.h"

#include <criterion/criterion.h>

Test(cover, of_a_small_table)
{
    static const unsigned char values[][3] = {{0, 0, 0}, {0, 0, 1}, {1, 1, 0}, {0, 1, 0}, {0, 0, 0}, {1, 0, 1}};
    enum { COUNT = sizeof values / sizeof *values };
    cover_traits cases[COUNT] = {{.paired = 0}};
    bool chosen[COUNT] = {false};
    for (size_t i = 0; i < COUNT; i++) {
        cases[i].paired = 2;
        for (int j = 0; j < 3; j++)
            cover_add(&cases[i], values[i][j]);
        cover_add_kernel(&cases[i], i == 4 ? 0 : i); /* case 4 uses the same kernels as case 0 */
    }
    cr_expect_gt(cover_missing(cases, COUNT, chosen), 0);
    cover_choose(cases, COUNT, chosen);
    cr_expect_eq(cover_missing(cases, COUNT, chosen), 0);
    /* each of the four pairs, and a case whose third value is 1 */
    cr_expect(chosen[2] && chosen[3] && chosen[5] && (chosen[0] || chosen[1]));
    cr_expect_eq(chosen[0], chosen[4]);
}

/* Checks each option separately, without the code that chose the cases. */
static void expect_attention(dmattn_level level, bool gradients)
{
    static attention_choice choice[ATTENTION_MOST_CASES];
    const size_t count = attention_choose(level, gradients, choice);
    bool type_and_mask[4][5] = {{false}}, type_and_bias[4][4] = {{false}}, mask_and_causal[5][2] = {{false}};
    bool data[DATA_LARGE_VALUES + 1] = {false}, soft_cap = false, scale = false, odd = false, capacity = false;
    bool is_data[DATA_LARGE_VALUES + 1] = {false};
    uint32_t widest = 0;
    size_t few = 0;
    for (size_t i = 0; i < count; i++) {
        const dmattn_attention_desc *d = &choice[i].c->desc;
        is_data[choice[i].c->data] = true;
        if (!choice[i].chosen)
            continue;
        few++;
        type_and_mask[choice[i].type][d->mask] = true;
        type_and_bias[choice[i].type][d->bias] = true;
        mask_and_causal[d->mask][d->causal] = true;
        data[choice[i].c->data] = true;
        soft_cap |= d->soft_cap > 0;
        scale |= d->scale < 0;
        odd |= d->k_strides.sequence % 2;
        capacity |= d->list_capacity > 0;
        widest = d->head_dim > widest ? d->head_dim : widest;
    }
    cr_expect(few < count / 3, "%zu of %zu cases are too many", few, count);
    const int first = level == DMATTN_LEVEL_PORTABLE ? DMATTN_TYPE_F32 : DMATTN_TYPE_F16;
    for (int mask = DMATTN_MASK_NONE; mask <= DMATTN_MASK_INTERVALS; mask++) {
        for (int type = first; type <= DMATTN_TYPE_BF16; type++)
            cr_expect(type_and_mask[type][mask], "%s with mask %d", dmattn_type_string((dmattn_type)type), mask);
        cr_expect(mask_and_causal[mask][false] && mask_and_causal[mask][true], "mask %d", mask);
    }
    for (int type = first; type <= DMATTN_TYPE_BF16 && !gradients; type++)
        cr_expect(type_and_bias[type][true] && type_and_bias[type][false], "%s", dmattn_type_string((dmattn_type)type));
    for (int i = 0; i <= DATA_LARGE_VALUES; i++)
        cr_expect(data[i] || !is_data[i], "data %d", i);
    cr_expect(soft_cap && scale && odd && capacity && widest > 128);
}

Test(cover, of_attention)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX2; level++)
        for (int gradients = 0; gradients < 2; gradients++)
            expect_attention(level, gradients);
}

static void expect_dma(dmattn_level level, bool gradients)
{
    const dma_case *cases[DMA_MOST_CASES];
    bool chosen[DMA_MOST_CASES], type_and_select[4][4] = {{false}}, is[4][4] = {{false}}, types[4] = {false};
    bool selects[4] = {false}, is_select[4] = {false};
    bool given = false, softplus = false, bias = false, valid = false, documents = false, sliding = false;
    const size_t count = dma_choose(level, gradients, cases, chosen);
    for (size_t i = 0; i < count; i++) {
        const dmattn_dma_desc *d = &cases[i]->desc;
        is[d->attention.type][d->selection.select] = is_select[d->selection.select] = true;
        if (!chosen[i])
            continue;
        type_and_select[d->attention.type][d->selection.select] = true;
        types[d->attention.type] = selects[d->selection.select] = true;
        given |= d->importance_given;
        softplus |= d->importance.activation == DMATTN_ACTIVATION_SOFTPLUS;
        bias |= d->importance.dt_bias;
        valid |= d->selection.key_valid;
        documents |= d->selection.documents > 0;
        sliding |= d->selection.sliding > 0;
    }
    for (int type = 0; type < 4 && level == DMATTN_LEVEL_PORTABLE && !gradients; type++)
        for (int select = 0; select < 4; select++)
            cr_expect_eq(type_and_select[type][select], is[type][select], "type %d, selection %d", type, select);
    for (int select = 0; select < 4; select++)
        cr_expect_eq(selects[select], is_select[select], "selection %d", select);
    cr_expect(types[DMATTN_TYPE_F16] && types[DMATTN_TYPE_BF16]);
    cr_expect(types[DMATTN_TYPE_F32] || level > DMATTN_LEVEL_PORTABLE);
    cr_expect(given && softplus && bias);
    cr_expect(gradients || (valid && documents && sliding));
}

Test(cover, of_dynamic_masks)
{
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX2; level++)
        for (int gradients = 0; gradients < 2; gradients++)
            expect_dma(level, gradients);
}
