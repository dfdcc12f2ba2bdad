/* SPDX-License-Identifier: MIT
 * The reference's selection among equal keys, against the plainest top-w: all sequences of a few importances. The tests
 * on devices compare with the reference. */
#include "reference/mask.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define KEYS   6
#define VALUES 4

/* Takes the greatest value `window` times. The first one of equal values is found, or the last one. */
static void take_greatest(const float *importance, uint32_t keys, uint32_t window, bool earlier, bool taken[KEYS])
{
    memset(taken, 0, KEYS * sizeof *taken);
    for (uint32_t i = 0; i < window && i < keys; i++) {
        uint32_t best = KEYS;
        for (uint32_t j = 0; j < keys; j++)
            if (!taken[j]
                && (best == KEYS || importance[j] > importance[best]
                    || (importance[j] == importance[best] && !earlier)))
                best = j;
        taken[best] = true;
    }
}

static void check(const dmattn_selection *s, const float *importance)
{
    const dmattn_mask_desc d = {.batch = 1, .queries = KEYS, .keys = KEYS, .kv_heads = 1, .selection = *s};
    const bool causal = s->select == DMATTN_SELECT_TOPW_CAUSAL, earlier = s->tie_break == DMATTN_TIE_BREAK_EARLIER;
    int32_t begin[KEYS], end[KEYS];
    cr_assert_eq(reference_intervals(&d, &(mask_inputs){0}, importance, begin, end), DMATTN_SUCCESS,
                 "a key is visible to more than one interval of queries");
    for (int32_t t = 0; t < KEYS; t++) {
        bool want[KEYS];
        take_greatest(importance, causal ? (uint32_t)t + 1 : KEYS, s->window, earlier, want);
        for (int32_t j = 0; j < KEYS; j++)
            cr_assert_eq(begin[j] <= t && t < end[j], want[j], "select %d, window %u, earlier %d: query %d, key %d",
                         (int)s->select, s->window, earlier, t, j);
    }
}

Test(tie_break, all_sequences)
{
    static const float values[VALUES] = {-INFINITY, -0.0f, 0, 1};
    for (int sequence = 0; sequence < 1 << 2 * KEYS; sequence++) {
        float importance[KEYS];
        for (int j = 0; j < KEYS; j++)
            importance[j] = values[sequence >> 2 * j & (VALUES - 1)];
        for (uint32_t window = 1; window <= KEYS; window++)
            for (int i = 0; i < 4; i++) {
                dmattn_selection s = {.select = i % 2 ? DMATTN_SELECT_TOPW_CAUSAL : DMATTN_SELECT_TOPW_SHARED,
                                      .window = window,
                                      .causal = i % 2,
                                      .tie_break = i / 2 ? DMATTN_TIE_BREAK_EARLIER : DMATTN_TIE_BREAK_LATER};
                check(&s, importance);
            }
    }
}

/* If all keys are equal, the later ones are a sliding window, and the earlier ones are sinks. */
Test(tie_break, all_equal)
{
    const float importance[KEYS] = {0};
    int32_t begin[KEYS], end[KEYS];
    dmattn_mask_desc d = {.batch = 1, .queries = KEYS, .keys = KEYS, .kv_heads = 1};
    d.selection = (dmattn_selection){.select = DMATTN_SELECT_TOPW_CAUSAL, .window = 2, .causal = true};
    cr_assert_eq(reference_intervals(&d, &(mask_inputs){0}, importance, begin, end), DMATTN_SUCCESS);
    for (int32_t j = 0; j < KEYS; j++)
        cr_expect(begin[j] == j && end[j] == (j + 2 < KEYS ? j + 2 : KEYS));
    d.selection.tie_break = DMATTN_TIE_BREAK_EARLIER;
    cr_assert_eq(reference_intervals(&d, &(mask_inputs){0}, importance, begin, end), DMATTN_SUCCESS);
    for (int32_t j = 0; j < KEYS; j++)
        cr_expect(j < 2 ? begin[j] == j && end[j] == KEYS : begin[j] == 0 && end[j] == 0);
}
