/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: selectors, which choose the keys or blocks of keys of each query. Part of dmattn/dmattn.h; the rules and the
 * names of sizes (B, Sq, Sk, H, Hk, D) in that header apply here.
 */
#ifndef DMATTN_SELECTOR_H
#define DMATTN_SELECTOR_H

#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Descriptor of a selector: from a score of each query and key, the lists of the K best keys of each query. They are
 * lists as DMATTN_MASK_SELECTED takes them.
 *
 * q and k are small tensors made for this purpose, or those of attention. A query has L lists (`list_heads`). List l
 * belongs to G = H / L query heads, from h = l * G on, and all of them read k of the same head:
 *
 *     score(t,l,j) = sum over the heads h of list l of   w[t,h] * f(q[t,h] . k[j, h / (H / Hk)])
 *
 * w is 1 without `weights`. With `relu`, f(x) is max(x, 0), else x. With `block`, k is the mean of each block of
 * `block` keys, rounded to `type`, and j is a block. The last block of an item may have fewer keys. The list has the
 * `count` numbers j with the largest scores, in ascending order, and -1 at its end if there are fewer. Of equal scores,
 * the lower number is better. 0 and -0 are equal. A score of NaN counts as -infinity, which is still a score.
 *
 *     what the field has                      H, Hk, L               members
 *     DeepSeek's lightning indexer            index heads, 1, 1      relu, weights, causal
 *     MoBA: the blocks of each query head     H, Hk, H               block, recent = 1, causal
 *     the blocks of each group of heads,      H, Hk, Hk              block, first = 1, recent = 2, causal
 *       with the two recent ones of NSA
 *
 * NSA (arXiv 2502.11089) compresses keys by a learned function, sums probabilities instead of products over a group,
 * and always takes the first block and the two latest ones. MoBA (arXiv 2502.13189) takes means, and always the block
 * of the query itself, whose mean has keys after the query. So with blocks and `causal`, `recent` is at least 1.
 *
 * A query sees number j if a key of j exists and, with `causal`, is not after the query. Query t has position
 * p = t + Sk - Sq, and number p / block is its own. Those numbers below `first`, and the `recent` ones up to its own,
 * that the query sees are always in its list, and count towards `count`.
 *
 * With `counts`, each batch item has its own numbers of queries and keys, which only the device knows; see
 * dmattn_attention_desc. Lists of queries that do not exist are full of -1.
 *
 * With `page_size`, k is in pages of a pool, args.pages: rows of an indexer, in a pool of their own or behind the other
 * parts of a page, or k of a paged cache of decoding that holds elements of `type`. With P = page_size, page n starts
 * at n * page_bytes and holds k [Hk, P, D]. If args.pages begins at an offset, rows begin at this offset in each page.
 * The block table, args.table, is that of attention, int32 [B, ceil(keys / P)]. With `lengths`, `keys` here is that of
 * the descriptor. A number that is no page of the pool counts as the last page. k_strides are ignored. Rows are read
 * through the table, without a copy.
 *
 * Products and sums are computed in f32. NaN or infinity in q, w and k: the score is what f32 arithmetic makes of it. A
 * product of NaN or -infinity makes a score NaN if there is `relu`. q and w of one query and k of one key change no
 * scores of others, except that keys of a block share their mean. Keys that no query sees may hold anything.
 *
 * Algorithm: scores of some queries at a time are written to the workspace, by products of matrices at the level
 * MATRIX. A second kernel finds the `count`-th largest of a row by its digits (radix select, as in Alabi et al. 2012,
 * doi 10.1145/2133803.2345676) and lists the numbers that are not below it. Meanwhile, the scores of the next queries
 * are computed. The indexer is from DeepSeek-V3.2 (arXiv 2512.02556). Results are the same bits from run to run;
 * another level may choose another of two numbers whose scores are equal up to rounding. */
typedef struct dmattn_selector_desc {
    dmattn_type type;         /**< element type of q and k */
    uint32_t batch;           /**< B; required */
    uint32_t queries;         /**< Sq; required */
    uint32_t keys;            /**< Sk; required */
    uint32_t heads;           /**< H: heads of q; required */
    uint32_t kv_heads;        /**< Hk: heads of k, a divisor of H; 0: H */
    uint32_t list_heads;      /**< L: lists of a query, a divisor of H and a multiple of Hk; 0: Hk */
    uint32_t head_dim;        /**< D, a multiple of 8 from 8 to DMATTN_MAX_HEAD_DIM; required */
    bool relu;                /**< negative products count as 0 */
    bool weights;             /**< each query head has a weight, args.weights */
    uint32_t block;           /**< keys of a block, a power of 2 up to 4096; 0: 1, the numbers are those of keys */
    uint32_t count;           /**< K: numbers of a list, up to 2^20; required */
    uint32_t first;           /**< how many first numbers are always in the list */
    uint32_t recent;          /**< how many numbers up to the query's own are; first + recent is at most count */
    bool causal;              /**< a query sees no key after its position */
    bool counts;              /**< items have their own numbers of queries and keys, args.counts */
    bool lengths;             /**< `queries` and `keys` are the largest of all runs, and args.queries and args.keys are
                                 those of a run, as in dmattn_attention_desc */
    dmattn_strides q_strides; /**< q [B, Sq, H,  D] */
    dmattn_strides k_strides; /**< k [B, Sk, Hk, D] */
    uint32_t page_size;       /**< tokens of a page, 1 to 256; 0: k is not in pages */
    uint32_t pages;           /**< number of pages in the pool; required with page_size */
    uint64_t page_bytes;      /**< from a page to the next, a multiple of 16; 0: the bytes of k of a page */
    dmattn_level level;       /**< use exactly this level, PORTABLE or MATRIX; 0: the highest possible */
    dmattn_level max_level;   /**< use no higher level than this; 0: no limit */
} dmattn_selector_desc;

/** Plans a selector; see dmattn_attention_plan(). The workspace holds scores, 4 bytes each: those of all queries if
 * they need up to 128 MiB. Otherwise it holds those of two times as many queries as fit in 128 MiB, or of two times 32
 * queries if these need more. With `block`, it also holds the means. UNSUPPORTED: also if this is above 256 GiB, or if
 * the queries would need more than 2^16 rounds. */
DMATTN_API dmattn_status dmattn_selector_plan(dmattn_context *context, const dmattn_selector_desc *desc,
                                              dmattn_plan **plan);

/** Answers in microseconds what dmattn_selector_plan() would do; see dmattn_attention_check(). */
DMATTN_API dmattn_status dmattn_selector_check(const dmattn_context *context, const dmattn_selector_desc *desc,
                                               dmattn_support *support);

/** Whether two descriptors are equal; see dmattn_attention_desc_equal(). */
DMATTN_API bool dmattn_selector_desc_equal(const dmattn_selector_desc *a, const dmattn_selector_desc *b);
/** A hash of a descriptor; see dmattn_attention_desc_hash(). */
DMATTN_API uint64_t dmattn_selector_desc_hash(const dmattn_selector_desc *desc);

/** Buffers of one run of a selector. */
typedef struct dmattn_selector_args {
    dmattn_buffer q;        /**< [B, Sq, H, D] */
    dmattn_buffer k;        /**< [B, Sk, Hk, D] */
    dmattn_buffer weights;  /**< f32 [B, Sq, H], contiguous, if desc.weights */
    dmattn_buffer counts;   /**< int32 [B, 2], at a multiple of 8 bytes, if desc.counts: numbers of queries and keys */
    dmattn_buffer pages;    /**< the pool, at a multiple of 16 bytes, if desc.page_size; then k is ignored */
    dmattn_buffer table;    /**< the block table, int32 [B, ceil(desc.keys / desc.page_size)], if desc.page_size */
    dmattn_buffer selected; /**< output: int32 [B, L, Sq, K], contiguous. In attention, the mask_shape of these lists is
                               {.batch = B, .heads = L, .queries = Sq}, and selected_block is desc.block */
    dmattn_buffer workspace; /**< info.workspace_size bytes; no other run may use them until this run is complete */
    uint32_t queries;        /**< Sq of this run, at most desc.queries, if desc.lengths; 0: desc.queries */
    uint32_t keys;           /**< Sk of this run, at most desc.keys, if desc.lengths; 0: desc.keys */
} dmattn_selector_args;

/** Records one run of a selector; see dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_selector_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                const dmattn_selector_args *args);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_SELECTOR_H */
