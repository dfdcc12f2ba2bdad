/* SPDX-License-Identifier: MIT
 * The descriptor of decoding: defaults, checks, sizes and the cache's layout. Pure functions, no device. */
#ifndef DMATTN_DECODE_DESC_H
#define DMATTN_DECODE_DESC_H

#include "../message.h"
#include "../tensor.h"

/* Checks `desc` and writes it to *resolved with every default filled in. */
dmattn_status dmattn_decode_desc_resolve(const dmattn_decode_desc *desc, dmattn_decode_desc *resolved,
                                         const messenger *messenger);

/* From here on `desc` is a resolved one. */

/* Slots of a kv head in a bounded cache. */
uint64_t dmattn_cache_slots(const dmattn_decode_desc *desc);

dmattn_cache_layout dmattn_decode_layout(const dmattn_decode_desc *desc);

/* Bytes of an input, a result or the cache; 0 where there is none. */
uint64_t dmattn_decode_tensor_bytes(const dmattn_decode_desc *desc, tensor_id tensor);

/* Keys that a query sees, at most. */
uint64_t dmattn_decode_most_keys(const dmattn_decode_desc *desc);

#endif
