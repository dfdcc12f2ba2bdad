/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: dynamic mask attention and its gradients. Part of dmattn/dmattn.h; the rules and the names of sizes (B, Sq,
 * Sk, H, Hk, D, Dv) in that header apply here.
 */
#ifndef DMATTN_DMA_H
#define DMATTN_DMA_H

#include "attention.h"
#include "mask.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- dynamic mask attention ---------------------------------------------------------------------------------- */

/** Descriptor of dynamic mask attention (arXiv 2508.02124): one plan makes the mask and computes attention with that
 * mask, with the importance as the bias. mask.h describes the mask, attention.h the attention.
 *
 * If k and v are in pages and the importance is given, it is also in the pages: f32 [Hk, P] after the other parts of a
 * page. `counts` is not supported. Instead, each item is one document, so that items can have different numbers of new
 * tokens and of tokens: `selection.documents` = 1, query_offsets {0, new tokens} and key_offsets {0, all tokens}. */
typedef struct dmattn_dma_desc {
    dmattn_attention_desc attention; /**< `causal`, `mask`, `bias`, `slopes`, `counts`, `lists` and `list_capacity` must
                                        not be set */
    dmattn_importance importance;    /**< how the importance is computed from v; if v has a format, from v as
                                        attention reads it */
    bool importance_given;           /**< args.importance is an input; `importance` is ignored */
    dmattn_selection selection;      /**< which keys a query sees; contains `causal` */
    uint32_t list_capacity;          /**< see dmattn_mask_desc */
} dmattn_dma_desc;

/** Plans dynamic mask attention; see dmattn_mask_plan() and dmattn_attention_plan(). */
DMATTN_API dmattn_status dmattn_dma_plan(dmattn_context *context, const dmattn_dma_desc *desc, dmattn_plan **plan);

/** Answers in microseconds what dmattn_dma_plan() would do; see dmattn_support. `support` may be NULL. The context is
 * only read: any number of threads may check at once. INVALID: also if `context` is NULL. */
DMATTN_API dmattn_status dmattn_dma_check(const dmattn_context *context, const dmattn_dma_desc *desc,
                                          dmattn_support *support);

/** Whether two descriptors are equal; see dmattn_attention_desc_equal(). */
DMATTN_API bool dmattn_dma_desc_equal(const dmattn_dma_desc *a, const dmattn_dma_desc *b);
/** A hash of a descriptor; see dmattn_attention_desc_hash(). */
DMATTN_API uint64_t dmattn_dma_desc_hash(const dmattn_dma_desc *desc);

/** Buffers of one run of dynamic mask attention. `importance`, `begin` and `end` are optional outputs: those without a
 * buffer are kept in the workspace. A backward run needs all three. */
typedef struct dmattn_dma_args {
    dmattn_buffer q;             /**< [B, Sq, H, D] */
    dmattn_buffer k;             /**< [B, Sk, Hk, D] */
    dmattn_buffer v;             /**< [B, Sk, Hk, Dv] */
    dmattn_buffer out;           /**< output: [B, Sq, H, Dv] */
    dmattn_buffer lse;           /**< output: f32 [B, H, Sq], contiguous, if desc.attention.lse */
    dmattn_buffer sink;          /**< f32 [H], if desc.attention.sink */
    dmattn_buffer dt_weight;     /**< as in dmattn_mask_args, unless desc.importance_given */
    dmattn_buffer a;             /**< as in dmattn_mask_args, unless desc.importance_given */
    dmattn_buffer dt_bias;       /**< as in dmattn_mask_args, unless desc.importance_given */
    dmattn_buffer key_valid;     /**< as in dmattn_mask_args */
    dmattn_buffer query_offsets; /**< as in dmattn_mask_args */
    dmattn_buffer key_offsets;   /**< as in dmattn_mask_args */
    dmattn_buffer importance;    /**< f32 [B, Hk, Sk]: an input if desc.importance_given, else an optional output. With
                                    pages it is always an optional output */
    dmattn_buffer begin;         /**< optional output: int32 [B, Hk, Sk] */
    dmattn_buffer end;           /**< optional output: int32 [B, Hk, Sk] */
    dmattn_buffer k_scales;      /**< as in dmattn_attention_args */
    dmattn_buffer v_scales;      /**< as in dmattn_attention_args */
    dmattn_buffer pages;         /**< as in dmattn_attention_args */
    dmattn_buffer table;         /**< as in dmattn_attention_args */
    dmattn_buffer workspace;     /**< info.workspace_size bytes; no other run may use them until this run is complete */
    uint32_t queries; /**< Sq of this run, at most desc.attention.queries, if desc.attention.lengths; 0: that */
    uint32_t keys;    /**< Sk of this run, at most desc.attention.keys, if desc.attention.lengths; 0: that */
    bool reuse_mask; /**< the buffers and the workspace still hold the mask (importance, intervals, lists) of an earlier
                        run of this plan: do not make it again */
} dmattn_dma_args;

/** Records one run of dynamic mask attention; see dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_dma_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                           const dmattn_dma_args *args);

/* ---- dynamic mask attention, backward ------------------------------------------------------------------------ */

/** Descriptor of the gradients of dynamic mask attention. q, k and v have the gradients of attention. In addition, with
 * g[h,j] = the gradient of the importance of key j (which is the gradient of the bias) and z as in dmattn_activation:
 *
 *     e  = g * importance (EXP_SOFTPLUS) or g (SOFTPLUS)
 *     dz = e * a * sigmoid(z);   da[h] = sum of e * ln(1 + exp(z));   ddt_bias[h] = sum of dz
 *     ddt_weight[h,i] = sum of dz[h,j] * v[j,i];   dv[j,i] += sum over h of dz[h,j] * dt_weight[h,i]
 *
 * Sums without a range are over batch items and keys. The selection passes no gradient. The gradients of the parameters
 * are f32, contiguous, in the shapes of the parameters. */
typedef struct dmattn_dma_backward_desc {
    dmattn_dma_desc dma; /**< descriptor of the forward run */
    uint32_t gradients;  /**< bits of dmattn_gradient to compute; 0: all that this descriptor has. dimportance is then
                            included only if dma.importance_given */
    bool dlse;           /**< lse has a gradient, args.dlse */
    dmattn_strides dout_strides; /**< as in dmattn_attention_backward_desc */
    dmattn_strides dq_strides;   /**< as in dmattn_attention_backward_desc */
    dmattn_strides dk_strides;   /**< as in dmattn_attention_backward_desc */
    dmattn_strides dv_strides;   /**< as in dmattn_attention_backward_desc */
} dmattn_dma_backward_desc;

/** Plans the gradients of dynamic mask attention; see dmattn_attention_backward_plan(). */
DMATTN_API dmattn_status dmattn_dma_backward_plan(dmattn_context *context, const dmattn_dma_backward_desc *desc,
                                                  dmattn_plan **plan);

/** Answers in microseconds what dmattn_dma_backward_plan() would do; see dmattn_support. `support` may be NULL. The
 * context is only read: any number of threads may check at once. INVALID: also if `context` is NULL. */
DMATTN_API dmattn_status dmattn_dma_backward_check(const dmattn_context *context, const dmattn_dma_backward_desc *desc,
                                                   dmattn_support *support);

/** Whether two descriptors are equal; see dmattn_attention_desc_equal(). */
DMATTN_API bool dmattn_dma_backward_desc_equal(const dmattn_dma_backward_desc *a, const dmattn_dma_backward_desc *b);
/** A hash of a descriptor; see dmattn_attention_desc_hash(). */
DMATTN_API uint64_t dmattn_dma_backward_desc_hash(const dmattn_dma_backward_desc *desc);

/** Buffers of one run of the gradients of dynamic mask attention. Gradients that the plan does not compute need no
 * buffer. */
typedef struct dmattn_dma_backward_args {
    dmattn_buffer q;           /**< [B, Sq, H, D] */
    dmattn_buffer k;           /**< [B, Sk, Hk, D] */
    dmattn_buffer v;           /**< [B, Sk, Hk, Dv] */
    dmattn_buffer out;         /**< [B, Sq, H, Dv], result of the forward run */
    dmattn_buffer dout;        /**< [B, Sq, H, Dv], the gradient of out */
    dmattn_buffer lse;         /**< f32 [B, H, Sq], contiguous, result of the forward run */
    dmattn_buffer sink;        /**< as in dmattn_dma_args */
    dmattn_buffer dlse;        /**< f32 [B, H, Sq], contiguous, the gradient of lse, if desc.dlse */
    dmattn_buffer dt_weight;   /**< as in dmattn_dma_args */
    dmattn_buffer a;           /**< as in dmattn_dma_args */
    dmattn_buffer dt_bias;     /**< as in dmattn_dma_args */
    dmattn_buffer importance;  /**< f32 [B, Hk, Sk], input or result of the forward run */
    dmattn_buffer begin;       /**< int32 [B, Hk, Sk], result of the forward run */
    dmattn_buffer end;         /**< int32 [B, Hk, Sk], result of the forward run */
    dmattn_buffer dq;          /**< output: [B, Sq, H, D] */
    dmattn_buffer dk;          /**< output: [B, Sk, Hk, D] */
    dmattn_buffer dv;          /**< output: [B, Sk, Hk, Dv] */
    dmattn_buffer dimportance; /**< output: f32 [B, Hk, Sk] */
    dmattn_buffer ddt_weight;  /**< output: f32 [Hk, Hk * Dv] */
    dmattn_buffer da;          /**< output: f32 [Hk] */
    dmattn_buffer ddt_bias;    /**< output: f32 [Hk], if importance.dt_bias */
    dmattn_buffer dsink;       /**< output: f32 [H], if attention.sink */
    dmattn_buffer workspace;   /**< info.workspace_size bytes; no other run may use them until this run is complete */
} dmattn_dma_backward_args;

/** Records one run of the gradients; see dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_dma_backward_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                    const dmattn_dma_backward_args *args);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_DMA_H */
