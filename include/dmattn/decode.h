/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: decoding. Part of dmattn/dmattn.h, whose rules hold here.
 */
#ifndef DMATTN_DECODE_H
#define DMATTN_DECODE_H

#include "attention.h"
#include "mask.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A step of decoding: up to 16 new tokens of each of several sequences join a cache of keys and values, and their
 * queries attend to it, as dynamic mask attention over the whole sequences does: nothing is approximated. One dispatch
 * a step.
 *
 * A sequence has a state, of tokens that were so far; sequences are independent of each other. What happens to them is
 * up to `counts` and `keep`, device buffers, so that steps can be recorded ahead: a sequence pauses (count 0), starts
 * anew (keep 0), or takes tokens back that were a draft (keep less than it has).
 *
 * Source: that an evicted key never returns follows from the definition of the mask (mask.h). The keys are shared out
 * among workgroups, whose results are joined by their softmax (Dao et al. 2023, "Flash-Decoding"), in order: the same
 * bits from run to run. k and v of a token must be finite if some query sees it.
 *
 * Levels: PORTABLE; MATRIX for a 16-bit type. On a device whose layout of matrices is known, as NVIDIA's, it is for
 * both caches, with D and Dv up to 128; on others for a bounded cache, and the best choice takes it for few sequences,
 * or many rows of each. MATRIX2 would add nothing. */
typedef enum dmattn_cache {
    /** A key that has fallen out of the w most important ones never comes back, so its place can be taken. The state
     * holds window + sinks + recent keys (without TOPW_CAUSAL, sliding + sinks), and as many as may be new or taken
     * back, however long the sequence is. */
    DMATTN_CACHE_BOUNDED = 0,
    /** All keys, in pages of a pool that the app hands out: for selections that may show any key, and dense masks. Only
     * keys that some query sees are read. */
    DMATTN_CACHE_PAGED = 1,
    DMATTN_CACHE_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_cache;

/** New tokens of a sequence in one step, at most. */
#define DMATTN_DECODE_MAX_TOKENS 16

/** Decoding: how much may come in a step, and what is kept. */
typedef struct dmattn_decode_desc {
    /** batch: sequences. queries: new tokens of a sequence in a step, at most (T, 1 to 16). keys: 0 or T, as k and v
     * are those of the new tokens. Without causal, which is the selection's, bias and lists. mask: NONE, or, if paged,
     * DENSE: of the keys 0 to max_keys - 1 of each sequence. */
    dmattn_attention_desc attention;
    dmattn_importance importance; /**< how it comes of v */
    bool importance_given;        /**< it is an input, in args.importance */
    bool no_importance;           /**< there is none, and no bias; then select must be ALL */
    /** causal. BOUNDED: TOPW_CAUSAL, or any other but TOPW_SHARED with sliding. PAGED: ALL or THRESHOLD. No documents
     * and no key_valid: a sequence is a document. */
    dmattn_selection selection;
    dmattn_cache cache; /**< what is kept of the sequences */
    uint32_t rollback; /**< BOUNDED: tokens of a sequence that can be taken back, counted from the most it has had, 0 to
                          16 */
    uint32_t page_size; /**< PAGED: tokens to a page, a multiple of 16 from 16 to 256 */
    uint32_t pages;     /**< PAGED: in the pool */
    uint32_t max_keys;  /**< PAGED: of a sequence, at most */
} dmattn_decode_desc;

/** Checks the descriptor and builds pipelines, those for filling and copying states, too. */
DMATTN_API dmattn_status dmattn_decode_plan(dmattn_context *context, const dmattn_decode_desc *desc,
                                            dmattn_plan **plan);

/** Where things are in a cache, in bytes. The state of sequence b lies at b * sequence_size, and all zeros are one
 * without tokens. It begins with twelve uint32 for each kv head, the first of which is the number of tokens. BOUNDED,
 * the slots follow, of which these tell where slot 0 of kv head 0 is; that of kv head h is h * slots elements, or rows,
 * behind. */
typedef struct dmattn_cache_layout {
    uint64_t state_size;    /**< of all sequences */
    uint64_t sequence_size; /**< a multiple of 16 */
    uint32_t slots;         /**< BOUNDED: of a kv head */
    uint64_t slot_words;    /**< four words a slot: uint32 position + 1 of its token, 0: empty; f32 importance; int32
                               position of the token that made it fall out of the w most important ones, its own if it
                               never was one, INT32_MAX: it is one; 0 */
    uint64_t keys;          /**< rows of D elements of `type` */
    uint64_t values;        /**< rows of Dv */
    /** PAGED. Page n of the pool lies at n * page_size. It holds k [Hk, page_size, D], then v [Hk, page_size, Dv],
     * then, with importance, that, f32 [Hk, page_size]. */
    uint64_t page_size;
    uint64_t pages_size;  /**< of the pool */
    uint32_t table_pages; /**< of a row of the block table */
} dmattn_cache_layout;

/** Tells where things are. INVALID: not a plan of decoding; then *layout is all zero. */
DMATTN_API dmattn_status dmattn_decode_get_layout(const dmattn_plan *plan, dmattn_cache_layout *layout);

/** The buffers of one step. */
typedef struct dmattn_decode_args {
    dmattn_buffer q;          /**< [B, T, H, D]: of a sequence with fewer new tokens the first ones */
    dmattn_buffer k;          /**< [B, T, Hk, D], as q */
    dmattn_buffer v;          /**< [B, T, Hk, Dv], as q */
    dmattn_buffer out;        /**< [B, T, H, Dv], as q, written */
    dmattn_buffer lse;        /**< f32 [B, H, T] contiguous, written, if desc.attention.lse */
    dmattn_buffer dt_weight;  /**< as in dmattn_mask_args, at a multiple of 16 bytes */
    dmattn_buffer a;          /**< as in dmattn_mask_args */
    dmattn_buffer dt_bias;    /**< as in dmattn_mask_args */
    dmattn_buffer importance; /**< f32 [B, Hk, T], if desc.importance_given */
    dmattn_buffer counts;     /**< optional: int32 [B], new tokens of each sequence, 0 to T; without it, T */
    dmattn_buffer keep;  /**< optional: int32 [B]; if it is from 0 to less than a sequence has, that many of its tokens
                            are kept before the new ones come. 0 starts anew. BOUNDED, where more are taken back than
                            desc.rollback allows, or than came after a prompt, out and lse of the sequence are NaN until
                            it starts anew or gets a prompt */
    dmattn_buffer state; /**< layout.state_size bytes, at a multiple of 16, zeros at first */
    dmattn_buffer pages; /**< PAGED: layout.pages_size bytes, at a multiple of 16 */
    dmattn_buffer table; /**< PAGED: the block table, int32 [B, layout.table_pages]: page of the pool for each page_size
                            tokens of a sequence, those of the new tokens included. What is behind them may be anything.
                            Tokens beyond max_keys are dropped */
    dmattn_buffer mask;  /**< uint8 of shape {B,1} x {H,Hk,1} x {T,1} x max_keys, if DMATTN_MASK_DENSE */
    dmattn_buffer workspace; /**< info.workspace_size bytes, this step's alone until it is complete */
} dmattn_decode_args;

/** As dmattn_attention_record(). Steps that follow each other on the same state need a barrier between them, as any run
 * that reads what another has written; rows of out and lse of tokens that are not there are not written. */
DMATTN_API dmattn_status dmattn_decode_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                              const dmattn_decode_args *args);

/** A prompt, for which attention has been run: its k, v and importance as they went into it or came out, of all its
 * tokens, in however many runs. */
typedef struct dmattn_decode_fill_args {
    uint32_t sequence;        /**< to fill; whatever its state was */
    uint32_t keys;            /**< tokens of the prompt (Sk), 1 or more */
    dmattn_buffer k;          /**< [Sk, Hk, D] */
    dmattn_buffer v;          /**< [Sk, Hk, Dv] */
    dmattn_strides k_strides; /**< of batch nothing is used; all zero: contiguous */
    dmattn_strides v_strides; /**< of batch nothing is used; all zero: contiguous */
    dmattn_buffer importance; /**< f32 [Hk, Sk] contiguous, unless desc.no_importance */
    dmattn_buffer state;      /**< as in dmattn_decode_args */
    dmattn_buffer pages;      /**< as in dmattn_decode_args */
    dmattn_buffer table;      /**< as in dmattn_decode_args */
} dmattn_decode_fill_args;

/** Puts a prompt into a sequence's cache. INVALID: as ever, and more keys than max_keys. */
DMATTN_API dmattn_status dmattn_decode_fill_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                   const dmattn_decode_fill_args *args);

/** Makes sequence `to` what sequence `from` is: a beam, or a prefix that several share. PAGED, the block table is the
 * app's to copy: a page that both go on writing must be two. */
DMATTN_API dmattn_status dmattn_decode_fork_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                   const dmattn_buffer *state, uint32_t from, uint32_t to);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_DECODE_H */
