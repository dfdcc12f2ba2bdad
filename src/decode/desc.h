/* SPDX-License-Identifier: MIT
 * The descriptor of decoding: defaults, checks, sizes and the cache's layout. Pure functions, no device. */
#ifndef DMATTN_DECODE_DESC_H
#define DMATTN_DECODE_DESC_H

#include "../message.h"
#include "../tensor.h"

/* Checks `desc` and writes it to *resolved with every default filled in. */
dmattn_status dmattn_decode_desc_resolve(const dmattn_decode_desc *desc, dmattn_decode_desc *resolved,
                                         const messenger *messenger);

/* From here on, `desc` must be resolved. */

/* The number of slots of a kv head in a bounded cache. */
uint64_t dmattn_cache_slots(const dmattn_decode_desc *desc);

dmattn_cache_layout dmattn_decode_layout(const dmattn_decode_desc *desc);

/* The keys of a dense mask or of a bias: with pages all keys of a sequence, otherwise the new tokens of a step. */
uint32_t dmattn_decode_masked_keys(const dmattn_decode_desc *desc);

/* Whether new tokens have a mask in a bounded cache, such as a tree of drafts. */
bool dmattn_decode_has_tree(const dmattn_decode_desc *desc);

/* Whether the cache holds anything else than elements of `type`. Its formats are dmattn_attention_format(). */
bool dmattn_decode_has_formats(const dmattn_decode_desc *desc);

/* Bytes of a key and value of a kv head in the cache, with their scales. */
double dmattn_decode_row_bytes(const dmattn_decode_desc *desc);

/* Bytes of an input, a result or the cache; 0 if it does not exist. */
uint64_t dmattn_decode_tensor_bytes(const dmattn_decode_desc *desc, tensor_id tensor);

/* Of a paged cache: the maximum number of keys that `queries` queries of a sequence see by the mask. */
uint64_t dmattn_decode_selected_keys(const dmattn_decode_desc *desc, uint32_t queries);

/* The maximum number of keys that a query sees. */
uint64_t dmattn_decode_most_keys(const dmattn_decode_desc *desc);

#endif
