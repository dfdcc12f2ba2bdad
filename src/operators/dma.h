/* SPDX-License-Identifier: MIT
 * The descriptor of dynamic mask attention as descriptors of its operators. Pure functions, no device. */
#ifndef DMATTN_OPERATORS_DMA_H
#define DMATTN_OPERATORS_DMA_H

#include "../message.h"
#include "../tensor.h"

typedef struct dma_descs {
    dmattn_attention_desc attention; /* resolved: interval masks, the importance as bias, tile lists from the mask */
    dmattn_mask_desc mask;           /* checked; resolved when a tile is chosen */
} dma_descs;

dmattn_status dmattn_dma_desc_resolve(const dmattn_dma_desc *desc, dma_descs *descs, const messenger *messenger);

/* Bytes of an input or result; 0 if it does not exist. 0 for lists, which are in the workspace. */
uint64_t dmattn_dma_tensor_bytes(const dma_descs *descs, tensor_id tensor);

/* Backward: the descriptors of attention and of the importance, for the requested gradients. */
typedef struct dma_backward_descs {
    dmattn_attention_backward_desc attention; /* resolved; the importance is its bias */
    dmattn_mask_desc mask;                    /* only strides and sizes are resolved */
    uint32_t gradients;                       /* all requested gradients */
    uint32_t of_importance;                   /* those to which the gradient of the importance contributes */
} dma_backward_descs;

dmattn_status dmattn_dma_backward_desc_resolve(const dmattn_dma_backward_desc *desc, dma_backward_descs *descs,
                                               const messenger *messenger);
uint64_t dmattn_dma_backward_tensor_bytes(const dma_backward_descs *descs, tensor_id tensor);

#endif
