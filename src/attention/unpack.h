/* SPDX-License-Identifier: MIT
 * Keys and values in a format of their own, as a stage of a plan: they become elements of the attention's type in the
 * workspace, which the stages after this one read instead of the app's. */
#ifndef DMATTN_ATTENTION_UNPACK_H
#define DMATTN_ATTENTION_UNPACK_H

#include "../kernel.h"
#include "../recorder.h"
#include "desc.h"

#include "../../shaders/attention/unpack.h"

typedef struct unpack_params {
    UNPACK_PARAMS
    uint32_t padding;
} unpack_params;
CHECK_PUSH_CONSTANTS(unpack_params);

#define CONSTANT_ID(id, name, default_value) UNPACK_##name = (id),
enum unpack_constant_id { UNPACK_CONSTANTS(CONSTANT_ID) UNPACK_CONSTANT_COUNT };
#undef CONSTANT_ID

/* ---- without a device ------------------------------------------------------------------------------------------ */

/* The attention that is computed with the results of this stage: k and v have its type, and are contiguous where they
 * had a format. `desc` is resolved, also below. */
dmattn_attention_desc dmattn_unpack_attention(const dmattn_attention_desc *desc);

/* The alignment of TENSOR_K or TENSOR_V, or of the scales of one; 0 if it has no format. */
uint64_t dmattn_unpack_alignment(const dmattn_attention_desc *desc, tensor_id tensor);

/* Bits DERIVED_K and DERIVED_V of k and v that have a format. */
uint32_t dmattn_unpack_bits(const dmattn_attention_desc *desc);

/* Bytes of the result for TENSOR_K or TENSOR_V; 0 if it has no format. */
uint64_t dmattn_unpack_bytes(const dmattn_attention_desc *desc, tensor_id tensor);

/* ---- the stage ------------------------------------------------------------------------------------------------- */

#define UNPACKED_TENSORS 2 /* k and v */

typedef struct unpack_stage {
    dmattn_attention_desc desc;            /* with the formats */
    VkPipeline pipeline[UNPACKED_TENSORS]; /* NULL if the tensor has no format */
    grid grid[UNPACKED_TENSORS];           /* x is 0 if it has none */
    uint64_t at[UNPACKED_TENSORS];         /* offset of the result in the workspace */
} unpack_stage;

/* `given_strides`: with lengths, bits DERIVED_K and DERIVED_V of strides that the app gives. */
dmattn_status dmattn_unpack_stage_plan(unpack_stage *stage, pipeline_set *set, const dmattn_attention_desc *desc,
                                       uint32_t given_strides);

/* Makes the stage one for a shorter run. */
void dmattn_unpack_stage_shorten(unpack_stage *stage, const dmattn_attention_desc *run);

/* Also makes the addresses of k and v in the recorder those of the results. */
void dmattn_unpack_stage_record(const unpack_stage *stage, recorder *r);

#endif
