/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: decoding with a cache of keys and values. Part of dmattn/dmattn.h; the rules and the names of sizes (B, H,
 * Hk, D, Dv) in that header apply here. T is the maximum number of new tokens per sequence in one step.
 */
#ifndef DMATTN_DECODE_H
#define DMATTN_DECODE_H

#include "attention.h"
#include "mask.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Kind of cache for decoding.
 *
 * A step of decoding adds up to 16 new tokens of each sequence to a cache of keys and values, and computes attention of
 * their queries to the cache. The result is that of dynamic mask attention over the whole sequence, without any
 * approximation. A step is one dispatch, or two with selected keys. With BOUNDED, dmattn_decode_chunk_record() does the
 * same with any number of new tokens of one sequence, in several dispatches.
 *
 * Each sequence has a state, which holds its tokens so far. Sequences are independent of each other. The device buffers
 * `counts` and `keep` control them, so that steps can be recorded before their contents are known: a sequence can pause
 * (count 0), start again (keep 0), or take back tokens of a rejected draft (keep less than its number of tokens).
 *
 * Formats: attention.k_format and attention.v_format say how the cache stores rows; k and v of new tokens and of
 * prompts have `type`. The step that adds a token stores its rows in these formats (dmattn_format). All queries see the
 * stored rows, also the queries of that step: the result is that of attention over the whole sequence as the cache
 * holds it. The importance of a new token is computed from its v before v is stored. Stored numbers are multiplied as
 * they are, and scales in f32, but MATRIX multiplies numbers of Q8_0 and Q4_0 by their d in f16: results beyond 65504
 * are infinite there. Rows of E4M3 that the app writes itself must not have NaN.
 *
 * Algorithm: an evicted key never returns (mask.h), so a bounded cache can reuse its slot. Workgroups split the keys,
 * and their partial results are combined by their softmax in a fixed order (Dao et al. 2023, "Flash-Decoding"): results
 * are the same bits from run to run. With PAGED, the workgroups of a step share the keys of all sequences, as many as a
 * sequence has new tokens and keys for: a step with one long sequence and many short ones does not wait for the long
 * one. So how the keys of a sequence are split depends on the lengths of the others, and with it the rounding of its
 * result. NaN and infinity: the table of dmattn_attention_desc. v of a token must be finite if a query sees it.
 *
 * Trees of drafts: a mask says which new tokens the query of a new token sees: its ancestors. With PAGED, positions and
 * all else are as without the mask. With BOUNDED, the query of token t sees the tokens of the cache, those of the new
 * tokens 0 to t - 1 that its row of the mask allows, and itself, as if these were the whole sequence: hidden tokens
 * evict no key and do not count for positions. So the result is that of each branch alone, without any approximation.
 * In both caches, a step with a mask adds all its tokens one after another, as any step. If the accepted tokens are the
 * first ones of the step, `keep` of the next step keeps them. Otherwise it takes all back, and the next step or a
 * filling adds the accepted ones again. So with BOUNDED, `rollback` should be at least T.
 *
 * Levels: PORTABLE, and MATRIX for f16 and bf16. If the fragment layout of the device is known (NVIDIA), MATRIX
 * supports both caches with D and Dv up to 128; if k and v are stored in other formats, both must be of 8 or 4 bits,
 * and D and Dv multiples of 16. On other devices, and up to 256, it supports the bounded cache of `type`, and
 * LEVEL_BEST selects it for few sequences or for many rows per sequence. Masks of BOUNDED are only PORTABLE. There is
 * no MATRIX2 kernel; it would not be faster. */
typedef enum dmattn_cache {
    /** Holds only the keys that can still be visible: window + sinks + recent keys (without TOPW_CAUSAL: sliding +
     * sinks), plus room for new tokens and for tokens that can be taken back. The size does not depend on the length of
     * the sequence. */
    DMATTN_CACHE_BOUNDED = 0,
    /** Holds all keys, in pages of a pool that the app manages: for selections that may make any key visible, and for
     * dense masks. Only keys that a query sees are read. */
    DMATTN_CACHE_PAGED = 1,
    DMATTN_CACHE_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_cache;

/** Maximum number of new tokens per sequence in one step. */
#define DMATTN_DECODE_MAX_TOKENS 16

/** Descriptor of decoding. */
typedef struct dmattn_decode_desc {
    /** Sizes and options of the attention. batch: number of sequences, B. queries: T, 1 to 16. keys: 0 or T, because k
     * and v contain only the new tokens, as elements of `type`; `k_format` and `v_format` are the formats of the cache.
     * With Q8_0 and Q4_0, dimensions are multiples of 32. mask: NONE or DENSE, or with PAGED SELECTED. With PAGED, it
     * is over the keys 0 to max_keys - 1 of each sequence; with BOUNDED, over the T new tokens, with one head
     * (dmattn_cache). `causal`, `lists`, `list_capacity`, `lengths`, `counts`, `total_queries`, `total_keys`,
     * `selected_queries` and attention.page_size must not be set: pages of the cache are described below. `bias`, over
     * all keys, and `slopes` need PAGED and no_importance. With PAGED and `sink`, importance_given or no_importance
     * must be set.
     *
     * SELECTED (sparse decoding): a query sees the keys of its list that it would see without the mask, and the step
     * reads no others. Numbers are positions of tokens in their sequence, or with selected_block position /
     * selected_block; the n-th new token has the number of tokens before the step plus n - 1. So a query sees a new
     * token, itself included, only if its list has the token's number. mask_shape.heads is 1 or Hk. A first dispatch
     * makes the union of the lists of a sequence's queries. A bounded cache has no such mask: it keeps only keys of its
     * own selection, so it may not have those of a list. */
    dmattn_attention_desc attention;
    dmattn_importance importance; /**< how the importance is computed from v */
    bool importance_given;        /**< args.importance is an input; `importance` is ignored */
    bool no_importance;           /**< no importance and no bias; select must be ALL */
    /** Which keys a query sees. `causal` must be set, `documents` and `key_valid` must not. BOUNDED: TOPW_CAUSAL, or
     * ALL or THRESHOLD with `sliding`. PAGED: ALL or THRESHOLD. */
    dmattn_selection selection;
    dmattn_cache cache; /**< kind of cache */
    uint32_t rollback;  /**< BOUNDED: number of tokens that can be taken back, counted from the greatest length of the
                           sequence, 0 to 16; also tokens of a prompt. PAGED: ignored, any number can be taken back */
    uint32_t page_size; /**< PAGED: tokens per page: 1, 2, 4, 8 or a multiple of 16 up to 256 */
    uint32_t pages;     /**< PAGED: number of pages in the pool */
    uint32_t max_keys;  /**< PAGED: maximum number of tokens of a sequence */
    uint32_t chunk_tokens; /**< BOUNDED, without a mask: the most new tokens of dmattn_decode_chunk_record(), with the
                              slots of the cache below 2^30; 0: the plan has no chunks. It does not change the
                              layout of the cache. PAGED: must be 0, because plans of attention and of dynamic mask
                              attention read the pages */
} dmattn_decode_desc;

/** Checks `desc` and compiles pipelines, including those that fill and copy states. INVALID, UNSUPPORTED: as
 * dmattn_attention_plan(). */
DMATTN_API dmattn_status dmattn_decode_plan(dmattn_context *context, const dmattn_decode_desc *desc,
                                            dmattn_plan **plan);

/** Answers in microseconds what dmattn_decode_plan() would do; see dmattn_support. `support` may be NULL. The context
 * is only read: any number of threads may check at once. INVALID: also if `context` is NULL. */
DMATTN_API dmattn_status dmattn_decode_check(const dmattn_context *context, const dmattn_decode_desc *desc,
                                             dmattn_support *support);

/** Whether two descriptors are equal; see dmattn_attention_desc_equal(). */
DMATTN_API bool dmattn_decode_desc_equal(const dmattn_decode_desc *a, const dmattn_decode_desc *b);
/** A hash of a descriptor; see dmattn_attention_desc_hash(). */
DMATTN_API uint64_t dmattn_decode_desc_hash(const dmattn_decode_desc *desc);

/** Memory layout of a cache. Sizes and offsets are in bytes unless stated otherwise. The state of sequence b starts at
 * b * sequence_size. A state of zeros is a sequence without tokens. Each state starts with twelve uint32 for each kv
 * head; the first is the number of tokens. With BOUNDED, arrays of slots follow, [Hk, slots] each: slot_words, keys,
 * values, and f32 scales of keys and of values if their formats have scales.
 *
 * PAGED: page n of the pool starts at n * page_size. With P = desc.page_size, a page has arrays [Hk, P]: rows of keys,
 * rows of values, f32 scales of keys and of values if their formats have scales, and the f32 importance unless
 * desc.no_importance. Each array begins at a multiple of 16 bytes. Gaps are not written. */
typedef struct dmattn_cache_layout {
    uint64_t state_size;    /**< size of the states of all sequences */
    uint64_t sequence_size; /**< size of the state of one sequence, a multiple of 16 */
    uint32_t slots;         /**< BOUNDED: number of slots per kv head */
    uint64_t slot_words;    /**< BOUNDED: offset of the slot words in a state, four words per slot: uint32 position + 1
                               of its token, or 0 if empty; f32 importance; int32 position of the token that evicted it
                               from the `window` most important keys (its own position if it never was one of them
                               or if a filling evicted it for good, INT32_MAX if it still is); 0 */
    uint64_t keys;          /**< offset of the keys in a state or a page, rows of D elements in their format */
    uint64_t values;        /**< offset of the values in a state or a page, rows of Dv elements in their format */
    uint64_t key_scales;    /**< offset of the scales of the keys in a state or a page, if their format has scales */
    uint64_t value_scales;  /**< likewise of the values */
    uint64_t importance;    /**< PAGED: offset of the importance in a page, unless desc.no_importance */
    uint64_t page_size;     /**< PAGED: size of a page, a multiple of 16 */
    uint64_t pages_size;    /**< PAGED: size of the pool */
    uint32_t table_pages;   /**< PAGED: length of a row of the block table, in pages */
} dmattn_cache_layout;

/** Writes the layout of the cache of `plan` to *layout. INVALID: `layout` is NULL, or `plan` is not a plan of decoding;
 * *layout is zeroed then. */
DMATTN_API dmattn_status dmattn_decode_get_layout(const dmattn_plan *plan, dmattn_cache_layout *layout);

/** Entries of a row of the block table. */
typedef struct dmattn_page_range {
    uint32_t first; /**< the first entry */
    uint32_t end;   /**< one past the last entry */
} dmattn_page_range;

/** PAGED: the pages that a step or a filling writes if it keeps `keep` tokens of a sequence and adds `tokens`.
 * Only these pages must be the sequence's own. All other pages may be in any number of rows of the block table, for
 * example those of a common prefix. If `keep` is not a multiple of desc->page_size, page `first` holds kept tokens: if
 * it is not the sequence's own, the app copies it to such a page before. Of `desc`, only page_size and
 * max_keys count. The range is empty if `desc` is NULL or has no pages. */
DMATTN_API dmattn_page_range dmattn_decode_written_pages(const dmattn_decode_desc *desc, uint32_t keep,
                                                         uint32_t tokens);

/** Buffers of one step of decoding. */
typedef struct dmattn_decode_args {
    dmattn_buffer q;          /**< [B, T, H, D]; a sequence with n < T new tokens uses the first n rows */
    dmattn_buffer k;          /**< [B, T, Hk, D] of the new tokens, rows as in q */
    dmattn_buffer v;          /**< [B, T, Hk, Dv] of the new tokens, rows as in q */
    dmattn_buffer out;        /**< output: [B, T, H, Dv], rows as in q; other rows are not written */
    dmattn_buffer lse;        /**< output: f32 [B, H, T], contiguous, if desc.attention.lse */
    dmattn_buffer dt_weight;  /**< as in dmattn_mask_args, at a multiple of 16 bytes */
    dmattn_buffer a;          /**< as in dmattn_mask_args */
    dmattn_buffer dt_bias;    /**< as in dmattn_mask_args */
    dmattn_buffer importance; /**< f32 [B, Hk, T] of the new tokens, if desc.importance_given */
    dmattn_buffer counts;     /**< optional: int32 [B], number of new tokens of each sequence, 0 to T; other values
                               count as T; no buffer: T */
    dmattn_buffer keep;  /**< optional: int32 [B], number of tokens of each sequence to keep before the new tokens are
                            added. Negative values and values above the sequence's length keep all tokens; 0 starts a
                            new sequence. BOUNDED: if more tokens are taken back than desc.rollback, then out and lse of
                            the sequence are NaN until it starts again */
    dmattn_buffer state; /**< layout.state_size bytes, at a multiple of 16; zeros before the first step; updated */
    dmattn_buffer pages; /**< PAGED: the pool, layout.pages_size bytes, at a multiple of 16; updated */
    dmattn_buffer table; /**< PAGED: the block table, int32 [B, layout.table_pages]. Entry i is the page of tokens
                            i * desc.page_size and following; entries for the new tokens must be set, later ones may
                            hold anything. A number that is no page of the pool counts as the last page. Tokens beyond
                            max_keys are dropped */
    dmattn_buffer mask;  /**< uint8 of shape mask_shape with max_keys keys, BOUNDED: with T keys, if DMATTN_MASK_DENSE.
                            A byte that is not 0 lets the query see the key */
    dmattn_buffer selected; /**< int32 of shape mask_shape with selected_count numbers, if DMATTN_MASK_SELECTED; -1 and
                               other numbers that are no key or block stand for nothing */
    dmattn_buffer sink;     /**< f32 [H], if desc.attention.sink */
    dmattn_buffer bias; /**< desc.attention.bias_type of shape bias_shape with max_keys keys, if desc.attention.bias */
    dmattn_buffer slopes;    /**< f32 [H], if desc.attention.slopes */
    dmattn_buffer workspace; /**< info.workspace_size bytes; no other run may use them until this step is complete */
} dmattn_decode_args;

/** Records one step; see dmattn_attention_record(). Two steps on the same state need a barrier between them, like any
 * run that reads what another run wrote. Rows of `out` and `lse` without a new token are not written. */
DMATTN_API dmattn_status dmattn_decode_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                              const dmattn_decode_args *args);

/** Buffers for filling the cache with a prompt or with a chunk of it: k, v and importance of the new tokens, as
 * dmattn_dma_record() has them. Filling computes no attention. With BOUNDED, dmattn_decode_chunk_record() does both.
 *
 * The cache holds the same keys as if the new tokens had come in steps: a prompt may come at once or in chunks of any
 * size, between steps and after a fork. Only the order of slots may differ. As after steps, tokens can be taken back:
 * PAGED, any number; BOUNDED, up to desc.rollback, counted from the greatest length. */
typedef struct dmattn_decode_fill_args {
    uint32_t sequence;          /**< index of the sequence to fill, 0 to B - 1 */
    uint32_t first;             /**< number of tokens of the sequence to keep; the new ones follow them. As `keep` of
                                   dmattn_decode_args: 0 starts a new sequence, and if the sequence has fewer tokens,
                                   all are kept. 0 needs no valid state */
    uint32_t keys;              /**< number of new tokens, at least 1 */
    dmattn_buffer k;            /**< [keys, Hk, D] */
    dmattn_buffer v;            /**< [keys, Hk, Dv] */
    dmattn_strides k_strides;   /**< strides of k; `batch` is ignored; all zero: contiguous */
    dmattn_strides v_strides;   /**< strides of v; `batch` is ignored; all zero: contiguous */
    dmattn_buffer importance;   /**< f32 [Hk, keys], unless desc.no_importance */
    uint32_t importance_stride; /**< elements from a kv head of the importance to the next one; 0: keys. For example,
                                   the importance of a chunk may be the end of that of all tokens so far */
    dmattn_buffer state;        /**< as in dmattn_decode_args */
    dmattn_buffer pages;        /**< as in dmattn_decode_args */
    dmattn_buffer table;        /**< as in dmattn_decode_args */
} dmattn_decode_fill_args;

/** Records commands that fill the cache of a sequence; see dmattn_attention_record(). INVALID: also if `sequence` is
 * out of range, PAGED and `first` plus `keys` is greater than max_keys, `first` plus `keys` is not below 2^30, or
 * `importance_stride` is neither 0 nor from `keys` to 2^30 - 1. */
DMATTN_API dmattn_status dmattn_decode_fill_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                   const dmattn_decode_fill_args *args);

/** Buffers of a chunk: n new tokens of one sequence with a bounded cache, where n is the member `keys`. Strides of q,
 * k, v and out are those of desc.attention; `batch` is ignored. */
typedef struct dmattn_decode_chunk_args {
    uint32_t sequence;       /**< as in dmattn_decode_fill_args */
    uint32_t first;          /**< as in dmattn_decode_fill_args: the number of tokens of the sequence to keep, 0 for the
                                first chunk of a prompt. A run reads at most so many keys of the cache */
    uint32_t keys;           /**< number of new tokens, 1 to desc.chunk_tokens */
    dmattn_buffer q;         /**< [n, H, D] */
    dmattn_buffer k;         /**< [n, Hk, D] of the new tokens */
    dmattn_buffer v;         /**< [n, Hk, Dv] of the new tokens */
    dmattn_buffer out;       /**< output: [n, H, Dv] */
    dmattn_buffer lse;       /**< output: f32 [H, n], contiguous, if desc.attention.lse */
    dmattn_buffer dt_weight; /**< as in dmattn_decode_args */
    dmattn_buffer a;         /**< as in dmattn_decode_args */
    dmattn_buffer dt_bias;   /**< as in dmattn_decode_args */
    dmattn_buffer importance; /**< f32 [Hk, n] of the new tokens, if desc.importance_given */
    dmattn_buffer sink;       /**< f32 [H], if desc.attention.sink */
    dmattn_buffer state;      /**< as in dmattn_decode_args */
    dmattn_buffer workspace;  /**< info.workspace_size bytes; no other run may use them until this run is complete */
} dmattn_decode_chunk_args;

/** Records a chunk: attention of any number of new tokens to a bounded cache and to each other, which then join the
 * cache. It is what steps of single tokens do, in the same order: each query sees the keys that it would see in the
 * whole sequence. So the prompt may come in chunks of any size, between steps and after a fork, and k and v of earlier
 * tokens are only in the cache. Only the rounding differs: here, stored rows become elements of `type` before they are
 * multiplied. If more tokens are taken back than desc.rollback, out and lse are NaN. A run is several dispatches; see
 * dmattn_attention_record(). With desc.attention.level 0, steps and chunks each have the highest level that they
 * can have: info.level is that of steps, and info.kernel names both.
 *
 * Algorithm: an evicted key never returns (mask.h), so the most important keys of a longer sequence are among those of
 * the cache and the new ones. They are copied side by side, in the order of their positions, and dynamic mask attention
 * does the rest.
 *
 * INVALID: also if the plan has no chunks, `sequence` is out of range, `keys` is 0 or more than desc.chunk_tokens, or
 * `first` plus `keys` is not below 2^30. */
DMATTN_API dmattn_status dmattn_decode_chunk_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                    const dmattn_decode_chunk_args *args);

/** Records commands that copy the state of sequence `from` to sequence `to`, for example for beam search or for a
 * common prefix. `state` is args.state of the steps. PAGED: the app copies the row of the block table, and gives
 * a sequence pages of its own before it writes them (dmattn_decode_written_pages()). INVALID: also if `from` or `to` is
 * out of range, or if they are equal. */
DMATTN_API dmattn_status dmattn_decode_fork_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                   const dmattn_buffer *state, uint32_t from, uint32_t to);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_DECODE_H */
