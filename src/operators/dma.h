/* SPDX-License-Identifier: MIT
 * The descriptor of dynamic mask attention, taken apart. Pure functions, no device. */
#ifndef DMATTN_OPERATORS_DMA_H
#define DMATTN_OPERATORS_DMA_H

#include "../message.h"
#include "../tensor.h"

typedef struct dma_parts {
    dmattn_attention_desc attention; /* resolved: interval masks, the importance as bias, lists from elsewhere */
    dmattn_mask_desc mask;           /* checked, but not resolved as long as no tile is chosen */
} dma_parts;

dmattn_status dmattn_dma_desc_resolve(const dmattn_dma_desc *desc, dma_parts *parts, const messenger *messenger);

/* Bytes of an input or result; 0 where there is none, and of lists, which lie in the workspace. */
uint64_t dmattn_dma_tensor_bytes(const dma_parts *parts, tensor_id tensor);

/* Backward: the descriptors of attention and of the importance, for the gradients that are wanted. */
typedef struct dma_backward_parts {
    dmattn_attention_backward_desc attention; /* resolved; the importance is its bias */
    dmattn_mask_desc mask;                    /* not resolved but for strides and sizes */
    uint32_t gradients;                       /* all that are wanted, */
    uint32_t of_importance;                   /* and those to which the importance passes its own on */
} dma_backward_parts;

dmattn_status dmattn_dma_backward_desc_resolve(const dmattn_dma_backward_desc *desc, dma_backward_parts *parts,
                                               const messenger *messenger);
uint64_t dmattn_dma_backward_tensor_bytes(const dma_backward_parts *parts, tensor_id tensor);

#endif
