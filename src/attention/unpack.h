/* SPDX-License-Identifier: MIT
 * Keys and values in a format of their own, or in pages, as a stage of a plan: they become contiguous elements of the
 * attention's type in the workspace, which the stages after this one read instead of the app's. */
#ifndef DMATTN_ATTENTION_UNPACK_H
#define DMATTN_ATTENTION_UNPACK_H

#include "../kernel.h"
#include "../recorder.h"
#include "desc.h"

#include "../../shaders/attention/unpack.h"

typedef struct unpack_params {
    UNPACK_PARAMS
    UNPACK_PACKED_PARAMS
} unpack_params;
CHECK_PUSH_CONSTANTS(unpack_params);

#define CONSTANT_ID(id, name, default_value) UNPACK_##name = (id),
enum unpack_constant_id { UNPACK_CONSTANTS(CONSTANT_ID) UNPACK_CONSTANT_COUNT };
#undef CONSTANT_ID

/* ---- without a device ------------------------------------------------------------------------------------------ */

/* The attention that is computed with the results of this stage: k and v have its type, and are contiguous where they
 * were unpacked. `desc` is resolved, also below. */
dmattn_attention_desc dmattn_unpack_attention(const dmattn_attention_desc *desc);

/* The alignment of TENSOR_K, TENSOR_V and what else this stage reads; 0 if it does not read `tensor`. */
uint64_t dmattn_unpack_alignment(const dmattn_attention_desc *desc, tensor_id tensor);

/* Bits DERIVED_K and DERIVED_V of k and v if they are unpacked. */
uint32_t dmattn_unpack_bits(const dmattn_attention_desc *desc);

/* Bytes of the result for TENSOR_K or TENSOR_V; 0 if it is not unpacked. */
uint64_t dmattn_unpack_bytes(const dmattn_attention_desc *desc, tensor_id tensor);

/* ---- the stage ------------------------------------------------------------------------------------------------- */

/* What may be unpacked. The importance is only in pages, and becomes f32 [B, Hk, Sk]. */
enum { UNPACK_KEYS, UNPACK_VALUES, UNPACK_IMPORTANCE, UNPACKED_TENSORS };

typedef struct unpack_stage {
    dmattn_attention_desc desc; /* as the app gives it */
    uint32_t table_pages;       /* the length of a row of the block table */
    VkPipeline pipeline[UNPACKED_TENSORS];
    grid grid[UNPACKED_TENSORS]; /* x is 0 if the tensor is not unpacked */
    uint64_t at[2];              /* offsets of k and v in the workspace */
    uint64_t items_at;           /* packed keys in pages: the offset of what schedule_items.comp wrote */
} unpack_stage;

/* `given_strides`: with lengths, bits DERIVED_K and DERIVED_V of strides that the app gives. `importance`: it is
 * unpacked, too. */
dmattn_status dmattn_unpack_stage_plan(unpack_stage *stage, pipeline_set *set, const dmattn_attention_desc *desc,
                                       uint32_t given_strides, bool importance);

/* Makes the stage one for a shorter run. */
void dmattn_unpack_stage_shorten(unpack_stage *stage, const dmattn_attention_desc *run);

/* Also makes the addresses of k and v in the recorder those of the results. The address of the importance is that of
 * its result. */
void dmattn_unpack_stage_record(const unpack_stage *stage, recorder *r);

#endif
