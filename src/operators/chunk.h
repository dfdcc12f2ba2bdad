/* SPDX-License-Identifier: MIT
 * A chunk of new tokens of one sequence with a bounded cache, as a part of a plan of decoding: the keys that the cache
 * holds and the new ones side by side, then a mask and attention with it. */
#ifndef DMATTN_OPERATORS_CHUNK_H
#define DMATTN_OPERATORS_CHUNK_H

#include "../attention/stage.h"
#include "../decode/stage.h"
#include "mask_stages.h"

typedef struct chunk_stages {
    dmattn_attention_desc given; /* of attention, with the largest lengths */
    importance_stage importance; /* without a pipeline, the importance is given or does not exist */
    dmattn_mask_desc of_importance;
    mask_stages mask;
    attention_stage attention;
    bool v_is_aligned;                            /* rows of v begin at multiples of 16 bytes if the buffer does */
    uint64_t importance_at, results_at, lists_at; /* offsets in the workspace */
    uint64_t lists_bytes;
} chunk_stages;

/* Attention of a chunk of the most tokens to a full cache and to itself. The descriptor must be resolved. */
dmattn_attention_desc dmattn_chunk_attention(const dmattn_decode_desc *desc);

/* Plans the stages, if the stage of decoding has chunks. `tile`: of attention; NULL selects the default tile. Sizes of
 * the plan's tensors must be set afterwards. */
dmattn_status dmattn_chunk_plan(chunk_stages *stages, dmattn_plan *plan, const decode_stage *decode,
                                const attention_tile *tile);

/* Resolves the buffers of a chunk and records it. `r` has begun. */
dmattn_status dmattn_chunk_record(const chunk_stages *stages, const dmattn_plan *plan, const decode_stage *decode,
                                  recorder *r, const dmattn_decode_chunk_args *args);

#endif
