/* SPDX-License-Identifier: MIT
 * The attention descriptor: defaults, checks and sizes. Pure functions, no device. */
#ifndef DMATTN_ATTENTION_DESC_H
#define DMATTN_ATTENTION_DESC_H

#include "../message.h"
#include "../tensor.h"

/* Checks `desc` and writes it to *resolved with every default filled in: kv_heads, value_dim, scale, all strides, the
 * extents of mask and bias. Members that do not apply, such as mask_shape without a mask, become 0, and so do formats
 * that are those of the type. */
dmattn_status dmattn_attention_desc_resolve(const dmattn_attention_desc *desc, dmattn_attention_desc *resolved,
                                            const messenger *messenger);

/* From here on, `desc` must be resolved. */

/* The rows of q and out, or of k and v, before their heads. If they are packed, there is one item with all rows. */
typedef struct row_shape {
    uint32_t batch, rows;
} row_shape;
row_shape dmattn_query_rows(const dmattn_attention_desc *desc);
row_shape dmattn_key_rows(const dmattn_attention_desc *desc);

/* Bytes from a tensor's first element to the end of its last one; 0 if the descriptor has no such tensor. 0 for lists,
 * whose size is not known here. */
uint64_t dmattn_attention_tensor_bytes(const dmattn_attention_desc *desc, tensor_id tensor);

/* The descriptor of one run of a plan with `lengths`: `given` is the app's descriptor, which need not be resolved, and
 * the result is. 0: the length of `given`. INVALID if a plan has no such run. */
dmattn_status dmattn_attention_desc_shorten(const dmattn_attention_desc *given, uint32_t queries, uint32_t keys,
                                            dmattn_attention_desc *run, const messenger *messenger);

/* The attention of a band alone: up to `columns` columns of v and out from column `first` on. Only the first band
 * writes lse. */
dmattn_attention_desc dmattn_attention_band(const dmattn_attention_desc *desc, uint32_t first, uint32_t columns);

/* The type of q, k, v or out. With formats, k and v have it when they are unpacked. */
dmattn_type dmattn_attention_type(const dmattn_attention_desc *desc, tensor_id tensor);

/* Checks a format. If it is that of `type`, it becomes DMATTN_FORMAT_TYPE. `tensor`: "k" or "v"; `s`: its strides,
 * which are resolved. */
dmattn_status dmattn_attention_format_resolve(const messenger *m, const char *tensor, dmattn_format *format,
                                              dmattn_type type, uint32_t dim, const dmattn_strides *s);

/* The format of k or v, which is never DMATTN_FORMAT_TYPE. */
dmattn_format dmattn_attention_format(const dmattn_attention_desc *desc, tensor_id tensor);

/* The number of elements of a row of the mask: keys, or the numbers of a list. */
uint32_t dmattn_mask_row(const dmattn_attention_desc *desc);

/* Whether the mask is reduced to a bitmap of tiles. */
bool dmattn_attention_has_bitmap(const dmattn_attention_desc *desc);

/* Whether there are two dispatches: for the rows of tiles where an additive mask only hides, and for those where it
 * adds (shaders/attention/additive_rows.glsl). */
bool dmattn_attention_tells_rows(const dmattn_attention_desc *desc);

/* Whether the kernels walk over tile lists. */
bool dmattn_attention_has_lists(const dmattn_attention_desc *desc);

/* The maximum number of keys that `queries` queries see together. */
uint32_t dmattn_attention_seen_keys(const dmattn_attention_desc *desc, uint32_t queries);

/* The number of pairs of a query and a key that `causal` does not hide, for one head of one batch item; with selected
 * keys, at most as many as the lists can have. */
double dmattn_attention_pairs(const dmattn_attention_desc *desc);

/* The head of a score shape that a query head reads. */
uint32_t dmattn_score_head(const dmattn_score_shape *shape, uint32_t head, uint32_t heads, uint32_t kv_heads);

/* The name of the first member of `desc` that is set but not available in decoding; NULL if there is none. */
const char *dmattn_attention_not_decoded(const dmattn_attention_desc *desc);

#endif
