/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: dynamic mask attention and its gradients. Part of dmattn/dmattn.h, whose rules hold here.
 */
#ifndef DMATTN_DMA_H
#define DMATTN_DMA_H

#include "attention.h"
#include "mask.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- dynamic mask attention ---------------------------------------------------------------------------------- */

/** Dynamic mask attention: the mask, and attention with it and with the importance as its bias, in one plan. */
typedef struct dmattn_dma_desc {
    dmattn_attention_desc attention; /**< without causal, which is the selection's, mask, bias and lists */
    dmattn_importance importance;    /**< how it comes of v */
    bool importance_given;           /**< it is an input, in args.importance */
    dmattn_selection selection;      /**< which keys are seen, and causal */
    uint32_t list_capacity;          /**< see dmattn_mask_desc */
} dmattn_dma_desc;

/** As dmattn_mask_plan() and dmattn_attention_plan(). */
DMATTN_API dmattn_status dmattn_dma_plan(dmattn_context *context, const dmattn_dma_desc *desc, dmattn_plan **plan);

/** The buffers of one run. Importance, begin and end are optional outputs: what is left out is made in the workspace.
 */
typedef struct dmattn_dma_args {
    dmattn_buffer q;             /**< [B, Sq, H, D] */
    dmattn_buffer k;             /**< [B, Sk, Hk, D] */
    dmattn_buffer v;             /**< [B, Sk, Hk, Dv] */
    dmattn_buffer out;           /**< [B, Sq, H, Dv], written */
    dmattn_buffer lse;           /**< f32 [B, H, Sq] contiguous, written, if desc.attention.lse */
    dmattn_buffer dt_weight;     /**< as in dmattn_mask_args, unless desc.importance_given */
    dmattn_buffer a;             /**< as in dmattn_mask_args, unless desc.importance_given */
    dmattn_buffer dt_bias;       /**< as in dmattn_mask_args, unless desc.importance_given */
    dmattn_buffer key_valid;     /**< as in dmattn_mask_args */
    dmattn_buffer query_offsets; /**< as in dmattn_mask_args */
    dmattn_buffer key_offsets;   /**< as in dmattn_mask_args */
    dmattn_buffer importance;    /**< f32 [B, Hk, Sk]; an input if desc.importance_given */
    dmattn_buffer begin;         /**< int32 [B, Hk, Sk] */
    dmattn_buffer end;           /**< int32 [B, Hk, Sk] */
    dmattn_buffer workspace;     /**< info.workspace_size bytes, this run's alone until it is complete */
    bool reuse_mask; /**< the mask's products are still there from an earlier run of this plan with the same buffers: do
                        not make them again */
} dmattn_dma_args;

/** As dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_dma_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                           const dmattn_dma_args *args);

/* ---- dynamic mask attention, backward ------------------------------------------------------------------------ */

/** Dynamic mask attention, backward: which gradients, and where. With g = the gradient of a key's importance, which is
 * that of its bias, and z as in dmattn_activation:
 *
 *     dz = g * importance * a * sigmoid(z) (EXP_SOFTPLUS), or g * a * sigmoid(z)
 *     da[h] = sum over batch and keys of g * importance * ln(1 + e^z), or of g * ln(1 + e^z);  ddt_bias[h] = sum of dz
 *     ddt_weight[h,i] = sum of dz[h,j] * v[j,i];  dv[j,i] += sum over h of dz[h,j] * dt_weight[h,i]
 *
 * The selection passes no gradient. The parameters' gradients are f32, contiguous, in the shapes of the parameters. */
typedef struct dmattn_dma_backward_desc {
    dmattn_dma_desc dma; /**< as it was run forward */
    uint32_t gradients;  /**< those to compute; 0: all that there are, but that of an importance that is not given */
    dmattn_strides dout_strides; /**< as in dmattn_attention_backward_desc */
    dmattn_strides dq_strides;   /**< as in dmattn_attention_backward_desc */
    dmattn_strides dk_strides;   /**< as in dmattn_attention_backward_desc */
    dmattn_strides dv_strides;   /**< as in dmattn_attention_backward_desc */
} dmattn_dma_backward_desc;

/** As dmattn_attention_backward_plan(). */
DMATTN_API dmattn_status dmattn_dma_backward_plan(dmattn_context *context, const dmattn_dma_backward_desc *desc,
                                                  dmattn_plan **plan);

/** The buffers of one run; of gradients, those that are computed. */
typedef struct dmattn_dma_backward_args {
    dmattn_buffer q;           /**< [B, Sq, H, D] */
    dmattn_buffer k;           /**< [B, Sk, Hk, D] */
    dmattn_buffer v;           /**< [B, Sk, Hk, Dv] */
    dmattn_buffer out;         /**< [B, Sq, H, Dv], as forward has written it */
    dmattn_buffer dout;        /**< [B, Sq, H, Dv], the gradient of out */
    dmattn_buffer lse;         /**< f32 [B, H, Sq] contiguous, as forward has written it */
    dmattn_buffer dt_weight;   /**< as in dmattn_dma_args */
    dmattn_buffer a;           /**< as in dmattn_dma_args */
    dmattn_buffer dt_bias;     /**< as in dmattn_dma_args */
    dmattn_buffer importance;  /**< f32 [B, Hk, Sk], of the forward run */
    dmattn_buffer begin;       /**< int32 [B, Hk, Sk], of the forward run */
    dmattn_buffer end;         /**< int32 [B, Hk, Sk], of the forward run */
    dmattn_buffer dq;          /**< [B, Sq, H, D], written */
    dmattn_buffer dk;          /**< [B, Sk, Hk, D], written */
    dmattn_buffer dv;          /**< [B, Sk, Hk, Dv], written */
    dmattn_buffer dimportance; /**< f32 [B, Hk, Sk], written */
    dmattn_buffer ddt_weight;  /**< f32 [Hk, Hk * Dv], written */
    dmattn_buffer da;          /**< f32 [Hk], written */
    dmattn_buffer ddt_bias;    /**< f32 [Hk], written */
    dmattn_buffer workspace;   /**< info.workspace_size bytes, this run's alone until it is complete */
} dmattn_dma_backward_args;

/** As dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_dma_backward_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                    const dmattn_dma_backward_args *args);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_DMA_H */
