/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: dynamic masks. Part of dmattn/dmattn.h, whose rules hold here.
 */
#ifndef DMATTN_MASK_H
#define DMATTN_MASK_H

#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A dynamic mask is made in three stages, each from the products of the one before, which the app may also make itself
 * or keep, say for other layers or for decoding. All are contiguous.
 *
 *     importance  f32 [B, Hk, Sk], from v; also the bias of the attention
 *     intervals   int32 begin, end [B, Hk, Sk]: query t sees key j iff begin[j] <= t < end[j]; 0, 0 if none does
 *     tile lists  for each tile of queries the keys that some query of it sees
 *
 * Source: trainable dynamic mask sparse attention, arXiv 2508.02124. That every key is seen by one interval of queries,
 * by which the mask takes O(N) memory, follows from its definition: a key that has fallen out of the w most important
 * ones of a growing prefix never comes back. Which query it falls out at is answered by a wavelet tree that a merge
 * sort leaves behind (shaders/mask/tree.glsl). */
typedef enum dmattn_mask_stage {
    DMATTN_STAGE_IMPORTANCE = 1,       /**< how much each key counts */
    DMATTN_STAGE_INTERVALS = 2,        /**< the queries that see it */
    DMATTN_STAGE_LISTS = 4,            /**< the keys that each tile of queries sees */
    DMATTN_STAGE_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_mask_stage;

/** importance[h,j] of kv head h and key j, with z = dt_bias[h] + the sum over all kv heads g and dims i of
 * v[j,g,i] dt_weight[h, g Dv + i]. What would be NaN is -infinity. */
typedef enum dmattn_activation {
    DMATTN_ACTIVATION_EXP_SOFTPLUS = 0,     /**< exp(a[h] * ln(1 + e^z)) */
    DMATTN_ACTIVATION_SOFTPLUS = 1,         /**< a[h] * ln(1 + e^z) */
    DMATTN_ACTIVATION_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_activation;

/** How the importance comes of the values. */
typedef struct dmattn_importance {
    dmattn_activation activation; /**< of z */
    dmattn_type parameter_type;   /**< of dt_weight, a and dt_bias */
    bool dt_bias;                 /**< there is a dt_bias; otherwise it is 0 */
} dmattn_importance;

/** Which keys are kept. Of equally important keys the later one wins; an importance of NaN counts as -infinity. */
typedef enum dmattn_select {
    DMATTN_SELECT_ALL = 0,              /**< all */
    DMATTN_SELECT_TOPW_CAUSAL = 1,      /**< the `window` most important of those at or before each query's position */
    DMATTN_SELECT_TOPW_SHARED = 2,      /**< the `window` most important of all, the same for every query */
    DMATTN_SELECT_THRESHOLD = 3,        /**< those whose importance is above `threshold` */
    DMATTN_SELECT_MAX_ENUM = 0x7fffffff /**< not one of them: makes the type 32 bits wide */
} dmattn_select;

/** Which keys a query sees. The query at position p (query t stands at t + Sk - Sq) sees key j, if it is valid,
 * iff
 *
 *     (not causal or j <= p) and (j is kept or a sink or recent) and (sliding is 0 or j is a sink or p - sliding < j),
 *
 * sinks being the keys j < sinks, and recent ones those with p - recent < j <= p. Sinks and recent keys count among the
 * `window` if they are kept, and are seen besides if they are not.
 *
 * Documents: several sequences, packed one behind the other. Query t and key j are of document d where
 * query_offsets[d] <= t < query_offsets[d+1], key_offsets likewise; all of the above holds within a document as if
 * there were no others, and no query sees another's keys. Offsets ascend; documents may be empty; what lies outside of
 * all of them sees nothing and is not seen. */
typedef struct dmattn_selection {
    dmattn_select select; /**< which keys are kept */
    uint32_t window;      /**< w; at least 1 with TOPW_CAUSAL and TOPW_SHARED */
    float threshold;      /**< with THRESHOLD */
    uint32_t sinks;       /**< how many first keys are seen in any case */
    uint32_t recent;      /**< how many latest ones are */
    uint32_t sliding;     /**< how far back a query sees, sinks aside; 0: to the beginning */
    bool causal;          /**< no query sees a key behind its position */
    bool key_valid;       /**< there is a uint8 tensor [B, Sk], 0: the key is padding, never seen and not counted */
    uint32_t documents;   /**< there are int32 query_offsets and key_offsets [B, documents + 1]; 0: one document, all */
} dmattn_selection;

/** A dynamic mask: which stages of it, and how. The buffer of tile lists begins with a header of four uint32 for each
 * batch item, kv head and tile of `list_queries` queries, in this order, and holds the words of the lists behind them:
 *
 *     header[0]  where the list's words are: 64 * header[0] bytes from the beginning of the buffer
 *     header[1]  the number of slots
 *     header[2]  how many of them, at the beginning, are full: all queries of the tile see their keys
 *     header[3]  0: a slot is a word, which is a key. 5: a word is a block of 32 slots, the keys 32 * word and on
 *
 * Slots that are full ascend, and so do those that are not. A key that no query of the tile sees may be among the
 * latter. Blocks stand where a tile has more keys than `list_capacity`. */
typedef struct dmattn_mask_desc {
    uint32_t stages;   /**< bits of dmattn_mask_stage, neighbours; 0: all. What they need and do not make is an input */
    uint32_t batch;    /**< B, required */
    uint32_t queries;  /**< Sq, required but for importance alone */
    uint32_t keys;     /**< Sk, required */
    uint32_t kv_heads; /**< Hk, required */
    /* importance */
    dmattn_type type;             /**< of v */
    uint32_t value_dim;           /**< Dv, a multiple of 8, 8 to 256 */
    dmattn_strides v_strides;     /**< v [B, Sk, Hk, Dv] */
    dmattn_importance importance; /**< how it comes of v */
    /* intervals */
    dmattn_selection selection; /**< of lists alone, which need nothing of it but causal: it then also applies */
    /* lists */
    uint32_t list_queries;  /**< dmattn_plan_info.list_queries of the attention plan that will read them, required */
    uint32_t list_capacity; /**< keys of a tile that fit in its list; more are listed as blocks of 32, hidden ones among
                               them: as right, but slower. 0: as many as the selection can keep; where it sets no bound,
                               4096. Rounded up to what is needed at least */
} dmattn_mask_desc;

/** Checks the descriptor and builds pipelines. UNSUPPORTED: beyond a limit of the device. For each key and kv head the
 * workspace takes some 22 bytes to select by importance, or, if that is more, what lists of nodes above the tiles take:
 * with 16 queries to a list some 10 + (window + 512) / 64 bytes. */
DMATTN_API dmattn_status dmattn_mask_plan(dmattn_context *context, const dmattn_mask_desc *desc, dmattn_plan **plan);

/** The buffers of one run. What its stages make is written, what they need besides is read. */
typedef struct dmattn_mask_args {
    dmattn_buffer v;             /**< [B, Sk, Hk, Dv] */
    dmattn_buffer dt_weight;     /**< parameter_type [Hk, Hk * Dv] */
    dmattn_buffer a;             /**< parameter_type [Hk] */
    dmattn_buffer dt_bias;       /**< parameter_type [Hk], if desc.importance.dt_bias */
    dmattn_buffer key_valid;     /**< uint8 [B, Sk], if desc.selection.key_valid */
    dmattn_buffer query_offsets; /**< int32 [B, documents + 1], if desc.selection.documents */
    dmattn_buffer key_offsets;   /**< int32 [B, documents + 1], if desc.selection.documents */
    dmattn_buffer importance;    /**< f32 [B, Hk, Sk], made, or given */
    dmattn_buffer begin;         /**< int32 [B, Hk, Sk], made, or given */
    dmattn_buffer end;           /**< int32 [B, Hk, Sk], made, or given */
    dmattn_buffer lists;         /**< info.lists_size bytes */
    dmattn_buffer workspace;     /**< info.workspace_size bytes, this run's alone until it is complete */
    uint32_t reuse; /**< bits of dmattn_mask_stage whose products are still there: do not make them again */
} dmattn_mask_args;

/** As dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_mask_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                            const dmattn_mask_args *args);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_MASK_H */
