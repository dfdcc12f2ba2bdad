/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: attention and its gradients. Part of dmattn/dmattn.h; the rules and the names of sizes (B, Sq, Sk, H, Hk, D,
 * Dv) in that header apply here.
 */
#ifndef DMATTN_ATTENTION_H
#define DMATTN_ATTENTION_H

#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- attention, forward -------------------------------------------------------------------------------------- */

/** Which keys a query may see, in addition to `causal`. */
typedef enum dmattn_mask {
    DMATTN_MASK_NONE = 0,      /**< all keys */
    DMATTN_MASK_DENSE = 1,     /**< uint8 tensor of shape `mask_shape`; nonzero: the query may see the key */
    DMATTN_MASK_INTERVALS = 2, /**< int32 tensors `begin` and `end` of shape `mask_shape` with queries = 1: query t may
                                  see key j iff begin[j] <= t < end[j] */
    DMATTN_MASK_ADDITIVE = 3, /**< the bias is a mask, too: an element of -infinity or NaN hides the pair. `bias` counts
                                 as true, and bias_shape as the shape of the mask */
    DMATTN_MASK_SELECTED = 4, /**< int32 lists `selected` of shape `mask_shape`, with selected_count numbers in place of
                                 the keys: query t may see the keys in its list */
    DMATTN_MASK_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_mask;

/** Descriptor of attention. Query head h reads key and value head h / (H / Hk). For query t and key j:
 *
 *     S[t,j] = scale * (q_t . k_j)
 *     S      = soft_cap * tanh(S / soft_cap), if soft_cap is not 0
 *     S      = S + bias, if there is a bias; with `slopes` S + slopes[h] * bias
 *     P      = softmax of S over the visible keys;   out = P v;   lse = ln(sum of exp(S) over the visible keys)
 *
 * A query that sees no key has out = 0 and lse = -infinity. Sums and the softmax are computed in f32 at every level.
 * Results are the same bits from run to run.
 *
 * With DMATTN_MASK_ADDITIVE, tiles of pairs that are all hidden are skipped, and nothing is added where a tile holds
 * only zeros. What an additive mask costs beyond what it stands for, such as `causal`, is mostly that all of it is read
 * once for each head of the mask; reuse_mask_tiles spares that. A bias without this mask is read for all pairs.
 *
 * With DMATTN_MASK_SELECTED, a selector of the app chooses the keys of each query: a lightning indexer, the best blocks
 * of pooled scores, or any other. A list has selected_count numbers of keys, in any order. With selected_block, it has
 * numbers of blocks of that many keys instead: key j is in block j / selected_block. A number that occurs twice counts
 * once. A number that is no key or block, such as -1, stands for nothing, so lists may have different lengths. A query
 * sees the keys of its list that `causal` does not hide. A first kernel makes, for each tile of queries, the sorted
 * union of their lists, and for each key the queries that see it. The workspace holds these lists: up to 12 bytes,
 * mostly 8, for each number in the lists of a tile's queries. Neighbouring queries should share most of their keys,
 * because a tile reads the keys of its union. If they share few, set `selected_queries`.
 *
 * With `slopes` and no bias, S = S - slopes[h] * |p - j|, where p = t + Sk - Sq is the position of the query (ALiBi,
 * Press et al. 2021, arXiv 2108.12409). With a bias, each query head has its own multiple of it. A bias or a distance
 * of 0 adds 0, whatever the slope.
 *
 * Activations are often f32, and k and v in a cache 16 bits. Then `q_f32` and `out_f32` spare conversions. Gradients
 * need one type for all.
 *
 * `k_format` and `v_format` say how k and v are stored, if not as elements of `type`. A first kernel converts them to
 * `type` in the workspace, rounded to nearest even, and attention reads the result. So a plan needs as much workspace
 * as k and v have in `type`, and a run with few queries spends most of its time on the conversion. Decoding reads
 * formats directly. With INT8 and E4M3, the scales are args.k_scales and args.v_scales. With Q8_0 and Q4_0, dimensions
 * and strides are multiples of 32. Gradients have no formats.
 *
 * With `page_size`, k and v are in pages of a pool, args.pages, as in the paged cache of decoding. Page n starts at
 * n * page_bytes. With P = page_size, it holds k [Hk, P, D], v [Hk, P, Dv], then, if they have such formats, k_scales
 * f32 [Hk, P] and v_scales f32 [Hk, P]; each part starts at a multiple of 16 bytes. The block table, args.table, is
 * int32 [B, ceil(keys / P)]: entry i of an item is the page of its keys i * P and following. With `lengths`, `keys`
 * here is that of the descriptor. A number that is no page of the pool counts as the last page. Items may share pages.
 * k_strides and v_strides are ignored. The first kernel reads k and v through the table. Gradients have no pages.
 *
 * With `counts`, each batch item has its own numbers of queries and keys, which only the device knows, up to Sq and Sk:
 * prompts, chunks of prompts and single tokens in one call. They replace Sq and Sk in the position of a query. Numbers
 * outside of 0 to Sq or Sk count as the nearest one. Keys from the item's number on do not exist, and their k and v may
 * hold anything. Queries from the item's number on see no key, and their lists of selected keys may hold anything. Work
 * that items do not have is skipped. Intervals and gradients cannot have `counts`.
 *
 * With `total_queries` and `counts`, q, out and lse are packed: the queries of each item begin where those of the item
 * before end. q is [total_queries, H, D], out is [total_queries, H, Dv] and lse is [H, total_queries]. Their batch
 * strides are ignored. Tiles cover only queries that exist. The keys of an item that has much more work than others are
 * divided among several workgroups. The device finds all this in args.counts. With `total_keys`, k and v are packed in
 * the same way: [total_keys, Hk, D] and [total_keys, Hk, Dv]. With pages, k and v stay in their pages, and `total_keys`
 * only says how many keys of all items together the workspace has memory for; 0: B * Sk. Masks and biases are not
 * packed: they have the shapes that they have without totals. If the items have more queries or keys than these totals,
 * the ones at the end do not exist. Rows of out and lse that belong to no item are not written. Packed items cannot
 * have `lengths` or selected keys.
 *
 * With `sink`, each query head has a learned score of its own, which belongs to no key. It takes part in the sum that
 * divides all probabilities, but has no value, so that probabilities add up to less than 1 (OpenAI 2025, gpt-oss):
 *
 *     lse = ln(exp(sink[h]) + sum of exp(S) over the visible keys);   P = exp(S - lse);   out = P v
 *
 * lse includes the sink. A query that sees no key has out = 0 and lse = sink[h]. The scale and the soft cap do not
 * change a sink. (The sinks of dmattn_selection are something else: keys that are always visible.)
 *
 * Algorithm: online softmax over tiles of keys (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022, arXiv
 * 2205.14135). For a dense mask, a first kernel makes a bitmap of the tiles that contain a visible pair, and the other
 * tiles are skipped. For intervals, only the keys in a tile's list are read ("tile lists" in mask.h).
 *
 * NaN and infinity: every level, decoding and the CPU reference give the same answer. "Hidden" means hidden by
 * `causal`, an interval or a mask (also an additive one); "its keys" are those that are not hidden from a query.
 *
 *     what                                          answer
 *     scale, soft_cap beyond 2^-64 to 2^64, NaN     INVALID; 0 means the default, and scale may be negative
 *     bias, importance or sink of NaN               counts as -infinity
 *     bias, importance or sink of +infinity         counts as FLT_MAX; an importance of +infinity ranks above FLT_MAX
 *     bias or importance of -infinity               the pair has a score of -infinity
 *     slope times bias; NaN or infinity in slopes    as a bias, after the product in f32
 *     sink of -infinity                             out and lse are those without a sink, and dsink is 0
 *     computed importance beyond f32                is FLT_MAX, and its gradient goes no further
 *     NaN or infinity in q, k; products beyond f32  the score is infinite or NaN, as f32 arithmetic makes it
 *     score of -infinity                            the pair has a probability of 0
 *     only scores of -infinity                      out and lse are as if the query saw no key
 *     score of NaN or +infinity                     out and lse of the query are NaN
 *     NaN or infinity in v                          the same element of out is not finite for queries that see the key
 *     lse of NaN; sum of out * dout not finite;     dq of the query, dk, dv and dbias of its keys, and dsink of its
 *       dlse not finite                             head are NaN
 *     lse of -infinity                              the query has no part in gradients
 *
 * No query is changed by q and dout of other queries, nor by k of keys that are hidden from it. v is different: 0 times
 * NaN is NaN, and a query adds 0 times v of hidden keys that other queries of its tile see. So v must be finite, except
 * for keys that no query sees because of `causal`, their interval, `selected`, or a mask without a query dimension. v
 * of these keys, k of hidden pairs, q and dout of queries from which all keys are hidden, and the gaps between rows may
 * hold anything. With a sink, such dout must be finite, or dsink of its head is NaN. */
typedef struct dmattn_attention_desc {
    dmattn_type type;              /**< element type of q, k, v and out */
    bool q_f32;                    /**< q is f32, whatever `type` is. Matrix levels round q to `type` */
    bool out_f32;                  /**< out is f32, whatever `type` is */
    dmattn_format k_format;        /**< how k is stored; 0: as elements of `type` */
    dmattn_format v_format;        /**< how v is stored; k and v may have different formats */
    uint32_t batch;                /**< B; required */
    uint32_t queries;              /**< Sq; required */
    uint32_t keys;                 /**< Sk; required */
    uint32_t heads;                /**< H; required */
    uint32_t kv_heads;             /**< Hk, a divisor of H; 0: H */
    uint32_t head_dim;             /**< D, a multiple of 8 from 8 to DMATTN_MAX_HEAD_DIM; required */
    uint32_t value_dim;            /**< Dv, a multiple of 8 from 8 to DMATTN_MAX_VALUE_DIM; 0: D */
    float scale;                   /**< factor of the scores, magnitude from 2^-64 to 2^64; 0: 1 / sqrt(D) */
    float soft_cap;                /**< limit of the scores, from 2^-64 to 2^64; 0: no cap */
    bool causal;                   /**< query t has position t + Sk - Sq and sees no key after that position */
    bool lse;                      /**< also write lse, which the backward pass needs */
    dmattn_strides q_strides;      /**< q   [B, Sq, H,  D]  */
    dmattn_strides k_strides;      /**< k   [B, Sk, Hk, D], in elements of k, whatever its format */
    dmattn_strides v_strides;      /**< v   [B, Sk, Hk, Dv]; v may be a part of k, with its strides */
    dmattn_strides out_strides;    /**< out [B, Sq, H,  Dv]; elements must not overlap */
    uint32_t page_size;            /**< tokens of a page, 1 to 256; 0: k and v are not in pages */
    uint32_t pages;                /**< number of pages in the pool; required with page_size */
    uint64_t page_bytes;           /**< from a page to the next, a multiple of 16, such as page_size of
                                      dmattn_cache_layout; 0: the bytes of k, v and their scales */
    dmattn_mask mask;              /**< kind of mask */
    dmattn_score_shape mask_shape; /**< shape of the dense mask, of `begin` and of `end`, or of `selected` */
    uint32_t selected_count;       /**< DMATTN_MASK_SELECTED: numbers of a list, up to 2^20; required then */
    uint32_t selected_block;       /**< DMATTN_MASK_SELECTED: keys of a block, a power of 2 up to 4096; 0: 1 */
    uint32_t selected_queries;     /**< DMATTN_MASK_SELECTED: how many neighbouring queries share most of their keys.
                                      Tiles of forward have at most so many queries, or as few as its kernels have. 1:
                                      lists have little in common; 0: not known */
    bool bias;                     /**< add args.bias to the scores */
    dmattn_type bias_type;         /**< element type of the bias */
    dmattn_score_shape bias_shape; /**< shape of the bias; queries = 1 with interval masks */
    bool sink;                     /**< each query head has a score args.sink, which belongs to no key */
    bool slopes;                   /**< the bias, or without one minus the distance, is multiplied by args.slopes */
    bool lists;             /**< interval masks only: args.lists holds tile lists that a mask plan made from the same
                               `begin` and `end`; false: this plan makes them in the workspace */
    uint32_t list_capacity; /**< interval masks without `lists` only: see dmattn_mask_desc; 0: default */
    bool counts;  /**< items have their own numbers of queries and keys, args.counts. Masks: all but INTERVALS */
    bool lengths; /**< `queries` and `keys` are the largest of all runs, and args.queries and args.keys are
                     those of a run. Forward attention without `lists`. Strides that are 0 follow from the
                     lengths of the run; others are the same in every run. A mask or bias with a query
                     dimension has that of the run */
    uint32_t total_queries; /**< with `counts`: the most queries of all items together; q, out and lse are packed. 0:
                               they are not */
    uint32_t total_keys;    /**< with `total_queries`: the most keys of all items together; k and v are packed. 0: they
                               are not. With pages: of the workspace; 0: batch * keys */
    dmattn_level level;     /**< use exactly this level; 0: the highest possible */
    dmattn_level max_level; /**< use no higher level than this; 0: no limit */
} dmattn_attention_desc;

/** Checks `desc`, chooses a kernel and its tile, and compiles pipelines. Destroy the plan with dmattn_plan_destroy().
 * INVALID: `desc` violates its documentation. UNSUPPORTED: a dimension is above its maximum, the shape exceeds a limit
 * of the device, or the requested level is not available. */
DMATTN_API dmattn_status dmattn_attention_plan(dmattn_context *context, const dmattn_attention_desc *desc,
                                               dmattn_plan **plan);

/** Answers in microseconds what dmattn_attention_plan() would do; see dmattn_support. `support` may be NULL. The
 * context is only read: any number of threads may check at once. INVALID: also if `context` is NULL. */
DMATTN_API dmattn_status dmattn_attention_check(const dmattn_context *context, const dmattn_attention_desc *desc,
                                                dmattn_support *support);

/** Whether two descriptors are equal: all members are, floats by their bits. Padding bytes do not count. A member that
 * is 0 differs from one that has its default value. Neither pointer may be NULL. */
DMATTN_API bool dmattn_attention_desc_equal(const dmattn_attention_desc *a, const dmattn_attention_desc *b);
/** A hash of a descriptor, for tables of plans: equal descriptors have equal hashes. It depends on every member, and
 * may differ between versions and between machines. */
DMATTN_API uint64_t dmattn_attention_desc_hash(const dmattn_attention_desc *desc);

/** Buffers of one run of attention. Sizes are checked unless they are VK_WHOLE_SIZE. */
typedef struct dmattn_attention_args {
    dmattn_buffer q;        /**< [B, Sq, H, D], or [total_queries, H, D] */
    dmattn_buffer k;        /**< [B, Sk, Hk, D], or [total_keys, Hk, D] */
    dmattn_buffer v;        /**< [B, Sk, Hk, Dv], or [total_keys, Hk, Dv] */
    dmattn_buffer out;      /**< output: [B, Sq, H, Dv], or [total_queries, H, Dv] */
    dmattn_buffer lse;      /**< output: f32 [B, H, Sq] or [H, total_queries], contiguous, if desc.lse */
    dmattn_buffer mask;     /**< uint8 of shape mask_shape, if DMATTN_MASK_DENSE */
    dmattn_buffer begin;    /**< int32 of shape mask_shape, if DMATTN_MASK_INTERVALS */
    dmattn_buffer end;      /**< int32 of shape mask_shape, if DMATTN_MASK_INTERVALS */
    dmattn_buffer selected; /**< int32 of shape mask_shape, if DMATTN_MASK_SELECTED */
    dmattn_buffer bias;     /**< bias_type of shape bias_shape, if desc.bias */
    dmattn_buffer sink;     /**< f32 [H], if desc.sink */
    dmattn_buffer slopes;   /**< f32 [H], if desc.slopes */
    dmattn_buffer lists;    /**< tile lists, at a multiple of 64 bytes, if desc.lists */
    dmattn_buffer k_scales; /**< f32 [B, Sk, Hk] or [total_keys, Hk], contiguous, if desc.k_format is INT8 or E4M3 */
    dmattn_buffer v_scales; /**< the same for v */
    dmattn_buffer pages;  /**< the pool, at a multiple of 16 bytes, if desc.page_size; then k, v, k_scales and v_scales
                             are ignored */
    dmattn_buffer counts; /**< int32 [B, 2], at a multiple of 8 bytes, if desc.counts: numbers of queries and keys of
                             each item */
    dmattn_buffer table;  /**< the block table, if desc.page_size */
    dmattn_buffer workspace; /**< info.workspace_size bytes; no other run may use them until this run is complete */
    uint32_t queries;        /**< Sq of this run, at most desc.queries, if desc.lengths; 0: desc.queries */
    uint32_t keys;           /**< Sk of this run, at most desc.keys, if desc.lengths; 0: desc.keys */
    bool reuse_mask_tiles; /**< the workspace still holds the bitmap or the lists that an earlier run of this plan made
                              from the same mask, for example in the previous layer: do not make them again. With
                              desc.total_queries, that run must have had the same contents of `counts`, too: how the
                              work is divided is also in the workspace */
} dmattn_attention_args;

/** Records one run into `commands`, which must be in the recording state, outside a render pass, of a queue family with
 * compute. Allocates nothing and takes no lock. It changes only the compute pipeline and the push constants of
 * `commands`: bound descriptor sets stay bound. Buffers that the plan does not use are ignored. INVALID: a buffer is
 * missing, too small or misaligned, or a length is above that of the descriptor; nothing is recorded then. */
DMATTN_API dmattn_status dmattn_attention_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                 const dmattn_attention_args *args);

/* ---- attention, backward ------------------------------------------------------------------------------------- */

/** Gradients, as bits of a mask. */
typedef enum dmattn_gradient {
    DMATTN_GRADIENT_Q = 1,                /**< dq */
    DMATTN_GRADIENT_K = 2,                /**< dk */
    DMATTN_GRADIENT_V = 4,                /**< dv */
    DMATTN_GRADIENT_BIAS = 8,             /**< dbias; attention only */
    DMATTN_GRADIENT_IMPORTANCE = 16,      /**< dimportance; dynamic mask attention only, like those below */
    DMATTN_GRADIENT_DT_WEIGHT = 32,       /**< ddt_weight */
    DMATTN_GRADIENT_A = 64,               /**< da */
    DMATTN_GRADIENT_DT_BIAS = 128,        /**< ddt_bias */
    DMATTN_GRADIENT_SINK = 256,           /**< dsink; attention and dynamic mask attention */
    DMATTN_GRADIENT_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_gradient;

/** Descriptor of the gradients of attention. They are the gradients of sum(out * dout), or with `dlse` of
 * sum(out * dout) + sum(lse * dlse), computed from `out` and `lse` of a forward run:
 *
 *     P  = exp(S - lse);   dP = dout v^T;   delta[t] = sum of out[t] * dout[t] over Dv, minus dlse[t]
 *     dS = P * (dP - delta);   dv = P^T dout;   dbias = dS, summed over the dimensions that the bias broadcasts
 *     dsink[h] = sum of -delta * exp(sink[h] - lse) over batch items and queries
 *     dS = dS * (1 - tanh(S / soft_cap)^2), with S before the cap, if soft_cap is not 0
 *     dq = scale * dS k;   dk = scale * dS^T q
 *
 * A query that sees no key and a key that no query sees have gradients of 0. The kernels use no atomic additions:
 * results are the same bits from run to run.
 *
 * Algorithm: the scores are computed again tile by tile (Dao et al. 2022, arXiv 2205.14135): once by tiles of queries,
 * which make dq, and once by tiles of keys, which make dk, dv and dbias. With intervals, tiles of queries use the same
 * lists as forward. Keys are grouped into tiles in the order of a Hilbert curve over (begin, end), so that the keys of
 * a tile are visible to nearly the same queries.
 *
 * With selected keys, each tile of keys has a list of the queries that see some of them, made from the lists of tiles
 * of queries. A bias with a query dimension has no gradient: `gradients` must name the others, or the descriptor is
 * INVALID.
 *
 * NaN and infinity: the table of dmattn_attention_desc. In addition k must be finite wherever v must be. Limit: if
 * scores exceed about 2^24 and several keys share the largest score, lse (an f32) cannot represent their number, and
 * the gradients are too large by that number. */
typedef struct dmattn_attention_backward_desc {
    dmattn_attention_desc attention; /**< of the forward run; `lse` counts as true */
    uint32_t gradients; /**< bits of dmattn_gradient to compute; 0: all that this descriptor has. With slopes, the bias
                             has no gradient */
    bool dlse;          /**< lse has a gradient, args.dlse */
    dmattn_strides dout_strides; /**< dout [B, Sq, H,  Dv] */
    dmattn_strides dq_strides;   /**< dq   [B, Sq, H,  D ]; elements must not overlap, also below */
    dmattn_strides dk_strides;   /**< dk   [B, Sk, Hk, D ] */
    dmattn_strides dv_strides;   /**< dv   [B, Sk, Hk, Dv] */
} dmattn_attention_backward_desc;

/** Plans the gradients of attention; see dmattn_attention_plan(). At every level, a portable kernel makes the gradient
 * of a bias with a query dimension. With all gradients, info.flops is 6 * D + 4 * Dv for each pair that `causal` leaves
 * visible, which is 5/2 of forward if D = Dv: 4 * (D + Dv) for the gradients and 2 * D for the scores. */
DMATTN_API dmattn_status dmattn_attention_backward_plan(dmattn_context *context,
                                                        const dmattn_attention_backward_desc *desc, dmattn_plan **plan);

/** Answers in microseconds what dmattn_attention_backward_plan() would do; see dmattn_support. `support` may be NULL.
 * The context is only read: any number of threads may check at once. INVALID: also if `context` is NULL. */
DMATTN_API dmattn_status dmattn_attention_backward_check(const dmattn_context *context,
                                                         const dmattn_attention_backward_desc *desc,
                                                         dmattn_support *support);

/** Whether two descriptors are equal; see dmattn_attention_desc_equal(). */
DMATTN_API bool dmattn_attention_backward_desc_equal(const dmattn_attention_backward_desc *a,
                                                     const dmattn_attention_backward_desc *b);
/** A hash of a descriptor; see dmattn_attention_desc_hash(). */
DMATTN_API uint64_t dmattn_attention_backward_desc_hash(const dmattn_attention_backward_desc *desc);

/** Buffers of one run of the gradients of attention. Gradients that the plan does not compute need no buffer. */
typedef struct dmattn_attention_backward_args {
    dmattn_buffer q;         /**< [B, Sq, H, D] */
    dmattn_buffer k;         /**< [B, Sk, Hk, D] */
    dmattn_buffer v;         /**< [B, Sk, Hk, Dv] */
    dmattn_buffer out;       /**< [B, Sq, H, Dv], result of the forward run */
    dmattn_buffer dout;      /**< [B, Sq, H, Dv], the gradient of out */
    dmattn_buffer lse;       /**< f32 [B, H, Sq], contiguous, result of the forward run */
    dmattn_buffer mask;      /**< as in dmattn_attention_args */
    dmattn_buffer begin;     /**< as in dmattn_attention_args */
    dmattn_buffer end;       /**< as in dmattn_attention_args */
    dmattn_buffer selected;  /**< as in dmattn_attention_args */
    dmattn_buffer bias;      /**< as in dmattn_attention_args */
    dmattn_buffer sink;      /**< as in dmattn_attention_args */
    dmattn_buffer slopes;    /**< as in dmattn_attention_args */
    dmattn_buffer dlse;      /**< f32 [B, H, Sq], contiguous, the gradient of lse, if desc.dlse */
    dmattn_buffer lists;     /**< if desc.attention.lists: tile lists made for the info.list_queries of this plan */
    dmattn_buffer dq;        /**< output: [B, Sq, H, D] */
    dmattn_buffer dk;        /**< output: [B, Sk, Hk, D] */
    dmattn_buffer dv;        /**< output: [B, Sk, Hk, Dv] */
    dmattn_buffer dbias;     /**< output: f32, contiguous, with the extents of bias_shape */
    dmattn_buffer dsink;     /**< output: f32 [H] */
    dmattn_buffer workspace; /**< info.workspace_size bytes; no other run may use them until this run is complete */
} dmattn_attention_backward_args;

/** Records one run of the gradients; see dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_attention_backward_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                          const dmattn_attention_backward_args *args);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_ATTENTION_H */
