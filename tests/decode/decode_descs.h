/* SPDX-License-Identifier: MIT
 * Descriptors of decoding, which tests change and use. */
#ifndef DMATTN_TESTS_DECODE_DESCS_H
#define DMATTN_TESTS_DECODE_DESCS_H

#include "decode/desc.h"
#include "support/sentences.h"

#include <criterion/criterion.h>

#define ATTENTION .batch = 3, .queries = 4, .heads = 6, .kv_heads = 2, .head_dim = 16, .value_dim = 24
#define TOPW      .select = DMATTN_SELECT_TOPW_CAUSAL, .causal = true

static const dmattn_decode_desc bounded = {.attention = {ATTENTION}, .selection = {TOPW, .window = 50}, .rollback = 5};
static const dmattn_decode_desc paged = {.attention = {ATTENTION},
                                         .selection = {.causal = true},
                                         .cache = DMATTN_CACHE_PAGED,
                                         .page_size = 32,
                                         .pages = 7,
                                         .max_keys = 100};

static inline dmattn_decode_desc resolved(dmattn_decode_desc desc)
{
    dmattn_decode_desc d;
    sentences s = {0};
    cr_assert_eq(dmattn_decode_desc_resolve(&desc, &d, &(messenger){sentences_keep, &s}), DMATTN_SUCCESS, "%s", s.text);
    cr_assert_eq(s.count, 0);
    return d;
}

#endif
