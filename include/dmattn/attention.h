/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: attention and its gradients. Part of dmattn/dmattn.h, whose rules hold here.
 */
#ifndef DMATTN_ATTENTION_H
#define DMATTN_ATTENTION_H

#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- attention, forward -------------------------------------------------------------------------------------- */

/** Besides `causal`, which keys a query may see. */
typedef enum dmattn_mask {
    DMATTN_MASK_NONE = 0,      /**< all */
    DMATTN_MASK_DENSE = 1,     /**< uint8 tensor of shape `mask_shape`; a byte other than 0: may be seen */
    DMATTN_MASK_INTERVALS = 2, /**< int32 tensors `begin` and `end` of shape `mask_shape` with queries = 1: query t sees
                                  key j iff begin[j] <= t < end[j] */
    DMATTN_MASK_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_mask;

/** Attention: the operator and its shapes. For query t, key j, and query head h, which reads key and value head
 * h / (H / Hk):
 *
 *     S[t,j] = scale * (q_t . k_j), then cap * tanh(S / cap) if soft_cap, then + bias
 *     P      = softmax of S over the visible j;   out = P v;   lse = ln(sum of exp S)
 *
 * A query that sees no key gives out = 0 and lse = -infinity. Sums and the softmax are f32 at every level.
 * Algorithm: online softmax over key tiles (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022,
 * arXiv 2205.14135). With a dense mask, tiles are skipped that a bitmap, made once for each mask, reports empty. With
 * intervals, keys are gathered by lists ("tile lists" in mask.h), so that hidden ones are hardly looked at.
 *
 * Values: a hidden pair counts with a probability of 0, and 0 times NaN is NaN. So v must be finite, but for keys that
 * no query sees by `causal` and their interval, or by a dense mask without a query dimension: theirs may hold anything,
 * as may k of hidden pairs and gaps between rows. A bias of -infinity hides the key from the query; one that is NaN
 * counts as -infinity. */
typedef struct dmattn_attention_desc {
    dmattn_type type;              /**< of q, k, v and out */
    uint32_t batch;                /**< B, required */
    uint32_t queries;              /**< Sq, required */
    uint32_t keys;                 /**< Sk, required */
    uint32_t heads;                /**< H, required */
    uint32_t kv_heads;             /**< Hk, a divisor of H; 0: H */
    uint32_t head_dim;             /**< D, a multiple of 8, 8 to 256 */
    uint32_t value_dim;            /**< Dv, likewise; 0: D */
    float scale;                   /**< 0: 1 / sqrt(D) */
    float soft_cap;                /**< 0: off */
    bool causal;                   /**< query t stands at position t + Sk - Sq and sees the keys at and before it */
    bool lse;                      /**< write lse, too */
    dmattn_strides q_strides;      /**< q   [B, Sq, H,  D]  */
    dmattn_strides k_strides;      /**< k   [B, Sk, Hk, D]  */
    dmattn_strides v_strides;      /**< v   [B, Sk, Hk, Dv] */
    dmattn_strides out_strides;    /**< out [B, Sq, H,  Dv], no two elements in one place */
    dmattn_mask mask;              /**< what may be seen */
    dmattn_score_shape mask_shape; /**< of the dense mask, or of begin and of end alike */
    bool bias;                     /**< there is a bias */
    dmattn_type bias_type;         /**< its elements' */
    dmattn_score_shape bias_shape; /**< with interval masks, queries = 1 */
    bool lists;             /**< with interval masks: args.lists holds tile lists, made of the same begin and end by a
                               mask plan; otherwise they are made in the workspace */
    uint32_t list_capacity; /**< with interval masks and without lists: see dmattn_mask_desc */
    dmattn_level level;     /**< this level and no other; 0: the best */
    dmattn_level max_level; /**< no level above this one; 0: any */
} dmattn_attention_desc;

/** Checks the descriptor, chooses a kernel and its tile, builds pipelines. UNSUPPORTED: beyond a limit of the device.
 */
DMATTN_API dmattn_status dmattn_attention_plan(dmattn_context *context, const dmattn_attention_desc *desc,
                                               dmattn_plan **plan);

/** The buffers of one run. */
typedef struct dmattn_attention_args {
    dmattn_buffer q;         /**< [B, Sq, H, D] */
    dmattn_buffer k;         /**< [B, Sk, Hk, D] */
    dmattn_buffer v;         /**< [B, Sk, Hk, Dv] */
    dmattn_buffer out;       /**< [B, Sq, H, Dv], written */
    dmattn_buffer lse;       /**< f32 [B, H, Sq] contiguous, written, if desc.lse */
    dmattn_buffer mask;      /**< uint8, if DMATTN_MASK_DENSE */
    dmattn_buffer begin;     /**< int32, if DMATTN_MASK_INTERVALS */
    dmattn_buffer end;       /**< int32, if DMATTN_MASK_INTERVALS */
    dmattn_buffer bias;      /**< bias_type, if desc.bias */
    dmattn_buffer lists;     /**< if desc.lists */
    dmattn_buffer workspace; /**< info.workspace_size bytes, this run's alone until it is complete */
    bool reuse_mask_tiles;   /**< the workspace still holds the bitmap or lists of this mask from an earlier run of this
                                plan, as when many layers share a mask: do not make them again */
} dmattn_attention_args;

/** Records one run into `commands`, which must be recording, outside a render pass, on a queue with compute. Allocates
 * nothing and takes no lock. Changes the compute pipeline and push constants of `commands`, and no other state: bound
 * descriptor sets stay bound. Unused buffers are ignored. INVALID: a buffer is missing, too small or misaligned; then
 * nothing is recorded. */
DMATTN_API dmattn_status dmattn_attention_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                 const dmattn_attention_args *args);

/* ---- attention, backward ------------------------------------------------------------------------------------- */

/** Gradients, as bits. */
typedef enum dmattn_gradient {
    DMATTN_GRADIENT_Q = 1,                /**< dq */
    DMATTN_GRADIENT_K = 2,                /**< dk */
    DMATTN_GRADIENT_V = 4,                /**< dv */
    DMATTN_GRADIENT_BIAS = 8,             /**< dbias, of attention alone */
    DMATTN_GRADIENT_IMPORTANCE = 16,      /**< dimportance; this and the next of dynamic mask attention alone */
    DMATTN_GRADIENT_DT_WEIGHT = 32,       /**< ddt_weight */
    DMATTN_GRADIENT_A = 64,               /**< da */
    DMATTN_GRADIENT_DT_BIAS = 128,        /**< ddt_bias */
    DMATTN_GRADIENT_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_gradient;

/** Attention, backward: which gradients, and where. They are those of sum(out * dout), from out and lse of a forward
 * run:
 *
 *     P  = exp(S - lse);  dP = dout v^T;  D[t] = sum of out[t] * dout[t];  dS = P * (dP - D)
 *     dv = P^T dout;  dbias = dS, summed over what the bias broadcasts
 *     dq = scale * dS k;  dk = scale * dS^T q, after dS is multiplied by 1 - tanh^2 if there is a soft cap
 *
 * Those of a query that sees no key are 0, and so are those of a key that no query sees. No atomics: results are the
 * same from run to run.
 * Algorithm: scores are computed again tile by tile (Dao et al. 2022, arXiv 2205.14135), once for tiles of queries, of
 * which each makes its dq, and once for tiles of keys, of which each makes its dk, dv and dbias. With intervals, tiles
 * of queries read the same lists as forward, and tiles of keys are of keys that live at about the same time, in the
 * order of a Hilbert curve over (begin, end), so that the queries that see any of them are hardly more than those that
 * see each.
 *
 * Values: as forward, and k, q and dout must be finite where v must be. Where scores are so large, above some 2^24,
 * that lse, an f32, has no digits left for the number of keys that share them, the gradients are as many times too
 * large. */
typedef struct dmattn_attention_backward_desc {
    dmattn_attention_desc attention; /**< as it was run forward; its lse and out_strides are those of inputs here */
    uint32_t gradients;              /**< those to compute; 0: all that there are */
    dmattn_strides dout_strides;     /**< dout [B, Sq, H,  Dv] */
    dmattn_strides dq_strides;       /**< dq   [B, Sq, H,  D ], no two elements in one place, as for those below */
    dmattn_strides dk_strides;       /**< dk   [B, Sk, Hk, D ] */
    dmattn_strides dv_strides;       /**< dv   [B, Sk, Hk, Dv] */
} dmattn_attention_backward_desc;

/** As dmattn_attention_plan(), levels likewise; the gradient of a bias with a query dimension is made by a portable
 * kernel at all of them. info.flops are 5/2 of forward's, all gradients being computed: 4 * (D + Dv) of the least work,
 * and 2 * D for the scores. */
DMATTN_API dmattn_status dmattn_attention_backward_plan(dmattn_context *context,
                                                        const dmattn_attention_backward_desc *desc, dmattn_plan **plan);

/** The buffers of one run; of gradients, those that are computed. */
typedef struct dmattn_attention_backward_args {
    dmattn_buffer q;         /**< [B, Sq, H, D] */
    dmattn_buffer k;         /**< [B, Sk, Hk, D] */
    dmattn_buffer v;         /**< [B, Sk, Hk, Dv] */
    dmattn_buffer out;       /**< [B, Sq, H, Dv], as forward has written it */
    dmattn_buffer dout;      /**< [B, Sq, H, Dv], the gradient of out */
    dmattn_buffer lse;       /**< f32 [B, H, Sq] contiguous, as forward has written it */
    dmattn_buffer mask;      /**< as in dmattn_attention_args */
    dmattn_buffer begin;     /**< as in dmattn_attention_args */
    dmattn_buffer end;       /**< as in dmattn_attention_args */
    dmattn_buffer bias;      /**< as in dmattn_attention_args */
    dmattn_buffer lists;     /**< if desc.attention.lists, made for this plan's info.list_queries */
    dmattn_buffer dq;        /**< [B, Sq, H, D], written */
    dmattn_buffer dk;        /**< [B, Sk, Hk, D], written */
    dmattn_buffer dv;        /**< [B, Sk, Hk, Dv], written */
    dmattn_buffer dbias;     /**< f32, contiguous, of the extents of bias_shape: summed over what they broadcast */
    dmattn_buffer workspace; /**< info.workspace_size bytes, this run's alone until it is complete */
} dmattn_attention_backward_args;

/** As dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_attention_backward_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                          const dmattn_attention_backward_args *args);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_ATTENTION_H */
