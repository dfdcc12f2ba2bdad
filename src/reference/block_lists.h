/* SPDX-License-Identifier: MIT
 * Lists of selected keys from block-sparse forms: the definition. */
#ifndef DMATTN_REFERENCE_BLOCK_LISTS_H
#define DMATTN_REFERENCE_BLOCK_LISTS_H

#include <dmattn/dmattn.h>

typedef struct reference_block_inputs {
    const int32_t *indptr, *indices;
    const uint8_t *bits, *map;
} reference_block_inputs;

/* Writes desc->count numbers to `list`, that of a query of a plane (batch item and head). `desc` is resolved. */
void reference_block_list(const dmattn_block_lists_desc *desc, const reference_block_inputs *in, uint64_t plane,
                          uint32_t query, int32_t *list);

#endif
