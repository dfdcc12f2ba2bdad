/* SPDX-License-Identifier: MIT
 * The descriptor of a selector: defaults, checks and sizes. Pure functions, no device. */
#ifndef DMATTN_SELECTOR_DESC_H
#define DMATTN_SELECTOR_DESC_H

#include "../message.h"
#include "../tensor.h"

/* Checks a descriptor and fills in its defaults. */
dmattn_status dmattn_selector_desc_resolve(const dmattn_selector_desc *desc, dmattn_selector_desc *resolved,
                                           const messenger *messenger);

/* The descriptor of a run of these lengths, resolved; 0: the length of `given`, which is not resolved. */
dmattn_status dmattn_selector_desc_shorten(const dmattn_selector_desc *given, uint32_t queries, uint32_t keys,
                                           dmattn_selector_desc *run, const messenger *messenger);

/* From here on, `desc` is resolved. */

/* Keys or blocks of an item. */
uint32_t dmattn_selector_numbers(const dmattn_selector_desc *desc);

/* Whether rows of q and k begin at multiples of 16 bytes. */
bool dmattn_selector_is_aligned(const dmattn_selector_desc *desc);

/* The length of a row of the block table; 0 without pages. */
uint32_t dmattn_selector_table_pages(const dmattn_selector_desc *desc);

/* Bytes of a tensor; 0 if it does not exist. Its alignment. */
uint64_t dmattn_selector_tensor_bytes(const dmattn_selector_desc *desc, tensor_id tensor);
uint64_t dmattn_selector_alignment(const dmattn_selector_desc *desc, tensor_id tensor);

/* Floating-point operations of the products that `causal` leaves, and the bytes of all tensors. */
double dmattn_selector_flops(const dmattn_selector_desc *desc);
double dmattn_selector_bytes(const dmattn_selector_desc *desc);

#endif
