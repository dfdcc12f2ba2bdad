/* SPDX-License-Identifier: MIT
 * The tensors of all operators by one list of names, so that checks and addresses need but one table. */
#ifndef DMATTN_TENSOR_H
#define DMATTN_TENSOR_H

#include <dmattn/dmattn.h>

typedef enum tensor_id {
    TENSOR_Q,
    TENSOR_K,
    TENSOR_V,
    TENSOR_OUT,
    TENSOR_LSE,
    TENSOR_MASK,
    TENSOR_BEGIN,
    TENSOR_END,
    TENSOR_BIAS,
    TENSOR_DT_WEIGHT,
    TENSOR_A,
    TENSOR_DT_BIAS,
    TENSOR_KEY_VALID,
    TENSOR_QUERY_OFFSETS,
    TENSOR_KEY_OFFSETS,
    TENSOR_IMPORTANCE,
    TENSOR_LISTS,
    /* backward: the gradient of out, and those of the others */
    TENSOR_DOUT,
    TENSOR_DQ,
    TENSOR_DK,
    TENSOR_DV,
    TENSOR_DBIAS,
    TENSOR_DIMPORTANCE,
    TENSOR_DDT_WEIGHT,
    TENSOR_DA,
    TENSOR_DDT_BIAS,
    /* decoding */
    TENSOR_COUNTS,
    TENSOR_KEEP,
    TENSOR_STATE,
    TENSOR_PAGES,
    TENSOR_TABLE,
    TENSOR_COUNT
} tensor_id;

/* "q", "out", … */
const char *dmattn_tensor_name(tensor_id tensor);

/* Bytes of one element of a type: 4 or 2. */
uint32_t dmattn_type_size(dmattn_type type);

/* "f32", "f16", "bf16" */
const char *dmattn_type_string(dmattn_type type);

#endif
