/* SPDX-License-Identifier: MIT
 * One list of the tensors of all operators, so that checks and addresses need only one table. */
#ifndef DMATTN_TENSOR_H
#define DMATTN_TENSOR_H

#include <dmattn/dmattn.h>

/* X(ID, name). The tensors of masks and of options of scores. The reference also has them. */
#define SCORE_TENSORS(X)  \
    X(MASK, mask)         \
    X(BEGIN, begin)       \
    X(END, end)           \
    X(SELECTED, selected) \
    X(BIAS, bias)         \
    X(SINK, sink)         \
    X(SLOPES, slopes)

/* The tensors of attention, which its gradients also have. The names are members of both args structs. */
#define ATTENTION_TENSORS(X) \
    X(Q, q)                  \
    X(K, k)                  \
    X(V, v)                  \
    X(OUT, out)              \
    X(LSE, lse)              \
    SCORE_TENSORS(X)

/* All tensors: of attention, dynamic masks, tile lists and formats; of backward, the gradient of out and the other
 * gradients; of decoding; of a merge; of a selector; of block lists. */
#define TENSORS(X)                  \
    ATTENTION_TENSORS(X)            \
    X(DT_WEIGHT, dt_weight)         \
    X(A, a)                         \
    X(DT_BIAS, dt_bias)             \
    X(KEY_VALID, key_valid)         \
    X(QUERY_OFFSETS, query_offsets) \
    X(KEY_OFFSETS, key_offsets)     \
    X(IMPORTANCE, importance)       \
    X(LISTS, lists)                 \
    X(K_SCALES, k_scales)           \
    X(V_SCALES, v_scales)           \
    X(PAGES, pages)                 \
    X(TABLE, table)                 \
    X(COUNTS, counts)               \
    X(DOUT, dout)                   \
    X(DLSE, dlse)                   \
    X(DQ, dq)                       \
    X(DK, dk)                       \
    X(DV, dv)                       \
    X(DBIAS, dbias)                 \
    X(DIMPORTANCE, dimportance)     \
    X(DDT_WEIGHT, ddt_weight)       \
    X(DA, da)                       \
    X(DDT_BIAS, ddt_bias)           \
    X(DSINK, dsink)                 \
    X(KEEP, keep)                   \
    X(STATE, state)                 \
    X(OUT_A, out_a)                 \
    X(LSE_A, lse_a)                 \
    X(OUT_B, out_b)                 \
    X(LSE_B, lse_b)                 \
    X(WEIGHTS, weights)             \
    X(INDPTR, indptr)               \
    X(INDICES, indices)             \
    X(BITS, bits)                   \
    X(MAP, map)

#define TENSOR_ID(id, name) TENSOR_##id,
typedef enum tensor_id { TENSORS(TENSOR_ID) TENSOR_COUNT } tensor_id;
#undef TENSOR_ID

/* "q", "out", … */
const char *dmattn_tensor_name(tensor_id tensor);

/* Bytes of one element of a type: 4 or 2. */
uint32_t dmattn_type_size(dmattn_type type);

/* "f32", "f16", "bf16" */
const char *dmattn_type_string(dmattn_type type);

#endif
