/* SPDX-License-Identifier: MIT
 * All operators, for tools and tests: plans with given tiles, and the offset of each tensor in an args struct. */
#ifndef DMATTN_OPERATORS_H
#define DMATTN_OPERATORS_H

#include "../backward/backward.h"
#include "../decode/stage.h"
#include "../plan.h"
#include "../selector/stage.h"

extern const operator_type dmattn_attention_operator, dmattn_attention_backward_operator, dmattn_mask_operator,
    dmattn_dma_operator, dmattn_dma_backward_operator, dmattn_decode_operator, dmattn_merge_operator,
    dmattn_selector_operator, dmattn_block_lists_operator;

/* The tiles of a step and, with chunks, of their attention. NULL selects the default tile. */
typedef struct decode_tiles {
    const decode_tile *step;
    const attention_tile *chunk;
} decode_tiles;

/* dmattn_attention_plan() and so on with tiles that fit; NULL selects the default tiles. */
dmattn_status dmattn_attention_plan_tile(dmattn_context *ctx, const dmattn_attention_desc *desc,
                                         const attention_tile *tile, dmattn_plan **plan);
dmattn_status dmattn_dma_plan_tile(dmattn_context *ctx, const dmattn_dma_desc *desc, const attention_tile *tile,
                                   dmattn_plan **plan);
dmattn_status dmattn_attention_backward_plan_tiles(dmattn_context *ctx, const dmattn_attention_backward_desc *desc,
                                                   const backward_tiles *tiles, dmattn_plan **plan);
dmattn_status dmattn_dma_backward_plan_tiles(dmattn_context *ctx, const dmattn_dma_backward_desc *desc,
                                             const backward_tiles *tiles, dmattn_plan **plan);
dmattn_status dmattn_decode_plan_tiles(dmattn_context *ctx, const dmattn_decode_desc *desc, const decode_tiles *tiles,
                                       dmattn_plan **plan);
dmattn_status dmattn_selector_plan_tile(dmattn_context *ctx, const dmattn_selector_desc *desc,
                                        const selector_tile *tile, dmattn_plan **plan);

#endif
