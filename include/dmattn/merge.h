/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: merging two results of attention. Part of dmattn/dmattn.h; the rules and the names of sizes (B, Sq, H, Dv) in
 * that header apply here.
 */
#ifndef DMATTN_MERGE_H
#define DMATTN_MERGE_H

#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Descriptor of a merge: from the results of attention of the same queries to two sets of keys that have no key in
 * common, the result of attention to all these keys. For a query and a head:
 *
 *     out = (exp(lse_a) out_a + exp(lse_b) out_b) / (exp(lse_a) + exp(lse_b));   lse = ln(exp(lse_a) + exp(lse_b))
 *
 * It is computed without overflow: exponents are relative to the larger lse. If one lse is -infinity, because that set
 * has no visible key, or is so much smaller that its exp is 0, then the result is that of the other set, whatever the
 * first one's out holds. If both are -infinity, out = 0 and lse = -infinity. If one is NaN or +infinity, out and lse of
 * the query are NaN. Everything is computed in f32. Results are the same bits from run to run. */
typedef struct dmattn_merge_desc {
    dmattn_type type;           /**< element type of out_a, out_b and out */
    uint32_t batch;             /**< B; required */
    uint32_t queries;           /**< Sq; required */
    uint32_t heads;             /**< H; required */
    uint32_t value_dim;         /**< Dv, a multiple of 8 from 8 to DMATTN_MAX_VALUE_DIM; required */
    bool lse;                   /**< also write lse, for the next merge or the backward pass */
    dmattn_strides a_strides;   /**< out_a [B, Sq, H, Dv] */
    dmattn_strides b_strides;   /**< out_b [B, Sq, H, Dv] */
    dmattn_strides out_strides; /**< out   [B, Sq, H, Dv]; elements must not overlap */
} dmattn_merge_desc;

/** Plans a merge; see dmattn_attention_plan(). It has one kernel, of the level PORTABLE, and needs no workspace. */
DMATTN_API dmattn_status dmattn_merge_plan(dmattn_context *context, const dmattn_merge_desc *desc, dmattn_plan **plan);

/** Answers in microseconds what dmattn_merge_plan() would do; see dmattn_attention_check(). */
DMATTN_API dmattn_status dmattn_merge_check(const dmattn_context *context, const dmattn_merge_desc *desc,
                                            dmattn_support *support);

/** Whether two descriptors are equal; see dmattn_attention_desc_equal(). */
DMATTN_API bool dmattn_merge_desc_equal(const dmattn_merge_desc *a, const dmattn_merge_desc *b);
/** A hash of a descriptor; see dmattn_attention_desc_hash(). */
DMATTN_API uint64_t dmattn_merge_desc_hash(const dmattn_merge_desc *desc);

/** Buffers of one run of a merge. A merge may be in place: out may be out_a or out_b, with the same offset and strides,
 * and lse may be the lse_a or lse_b beside it. Otherwise, results overlap nothing. */
typedef struct dmattn_merge_args {
    dmattn_buffer out_a;     /**< [B, Sq, H, Dv] */
    dmattn_buffer lse_a;     /**< f32 [B, H, Sq], contiguous */
    dmattn_buffer out_b;     /**< [B, Sq, H, Dv] */
    dmattn_buffer lse_b;     /**< f32 [B, H, Sq], contiguous */
    dmattn_buffer out;       /**< output: [B, Sq, H, Dv] */
    dmattn_buffer lse;       /**< output: f32 [B, H, Sq], contiguous, if desc.lse */
    dmattn_buffer workspace; /**< info.workspace_size bytes, which are 0: no buffer is needed */
} dmattn_merge_args;

/** Records one merge; see dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_merge_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                             const dmattn_merge_args *args);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_MERGE_H */
