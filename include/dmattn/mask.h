/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: dynamic masks. Part of dmattn/dmattn.h; the rules and the names of sizes (B, Sq, Sk, Hk, Dv) in that header
 * apply here.
 */
#ifndef DMATTN_MASK_H
#define DMATTN_MASK_H

#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A dynamic mask is made in three stages. Each stage reads the results of the stage before. The app may instead
 * provide these results itself, or keep them, for example for other layers or for decoding. These tensors are
 * contiguous.
 *
 *     importance  f32 [B, Hk, Sk], computed from v; also the bias of the attention
 *     intervals   int32 begin and end, each [B, Hk, Sk]: query t sees key j iff begin[j] <= t < end[j];
 *                 begin = end = 0 if no query sees it
 *     tile lists  for each tile of queries, the keys that at least one query of the tile sees
 *
 * Source: trainable dynamic mask sparse attention, arXiv 2508.02124. Each key is visible to one interval of queries, so
 * that the mask needs O(Sk) memory. This follows from the definition. Importance and, among equal keys, tie_break put
 * the keys in an order in which no two are equal. A key is one of the `window` most important keys of a prefix iff
 * fewer than `window` keys of the prefix come before it in this order. Their number never decreases while the prefix
 * grows, so a key that is evicted never returns. A merge sort leaves a wavelet tree behind, and a search in that tree
 * finds the query at which the key is evicted (shaders/mask/tree.glsl). */
typedef enum dmattn_mask_stage {
    DMATTN_STAGE_IMPORTANCE = 1,       /**< the importance of each key */
    DMATTN_STAGE_INTERVALS = 2,        /**< the queries that see each key */
    DMATTN_STAGE_LISTS = 4,            /**< the tile lists */
    DMATTN_STAGE_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_mask_stage;

/** Function that gives importance[h,j] of kv head h and key j from
 *
 *     z[h,j] = dt_bias[h] + the sum over all kv heads g and dimensions i of v[j,g,i] * dt_weight[h, g * Dv + i]
 *
 * An importance that would be NaN is -infinity, and one beyond f32 is FLT_MAX. */
typedef enum dmattn_activation {
    DMATTN_ACTIVATION_EXP_SOFTPLUS = 0,     /**< exp(a[h] * ln(1 + exp(z))) */
    DMATTN_ACTIVATION_SOFTPLUS = 1,         /**< a[h] * ln(1 + exp(z)) */
    DMATTN_ACTIVATION_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_activation;

/** How the importance is computed from v. */
typedef struct dmattn_importance {
    dmattn_activation activation; /**< the function of z */
    dmattn_type parameter_type;   /**< element type of dt_weight, a and dt_bias */
    bool dt_bias;                 /**< args.dt_bias is read; false: dt_bias is 0 */
} dmattn_importance;

/** Selection: which keys are kept. `tie_break` ranks keys of equal importance. A given importance of NaN counts as
 * -infinity (the table of dmattn_attention_desc says more). */
typedef enum dmattn_select {
    DMATTN_SELECT_ALL = 0,              /**< all keys */
    DMATTN_SELECT_TOPW_CAUSAL = 1,      /**< for each query, the `window` most important keys at or before its position;
                                           `causal` must be set */
    DMATTN_SELECT_TOPW_SHARED = 2,      /**< the `window` most important of all keys, the same for every query */
    DMATTN_SELECT_THRESHOLD = 3,        /**< keys with an importance greater than `threshold` */
    DMATTN_SELECT_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_select;

/** Which of two keys of equal importance is more important. -0 and 0 are equal. */
typedef enum dmattn_tie_break {
    DMATTN_TIE_BREAK_LATER = 0,   /**< the later one: if all keys are equal, the selection is a sliding window */
    DMATTN_TIE_BREAK_EARLIER = 1, /**< the earlier one, like torch.topk of PyTorch on CUDA */
    DMATTN_TIE_BREAK_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_tie_break;

/** Which keys a query sees. Query t has position p = t + Sk - Sq. It sees key j iff the key is valid and
 *
 *     (not causal or j <= p) and (j is kept, a sink or recent) and (sliding == 0 or j is a sink or p - sliding < j)
 *
 * Key j is a sink if j < sinks, and recent if p - recent < j <= p. Sinks and recent keys are visible in any case; those
 * that the selection also keeps count towards its `window`.
 *
 * Documents are several sequences, packed one after another into one batch item. Query t belongs to document d if
 * query_offsets[d] <= t < query_offsets[d+1], and key j if key_offsets[d] <= j < key_offsets[d+1]. The rules above
 * apply within each document as if it were alone (positions and numbers of keys, too), and no query sees a key of
 * another document. Offsets must not decrease; a document may be empty. Queries outside all documents see no key, and
 * keys outside all documents are not visible. */
typedef struct dmattn_selection {
    dmattn_select select; /**< rule by which keys are kept */
    uint32_t window;      /**< number of kept keys, w; TOPW_CAUSAL and TOPW_SHARED: at least 1; others: must be 0 */
    dmattn_tie_break tie_break; /**< which of equal keys ranks higher; TOPW_CAUSAL and TOPW_SHARED; others: must be 0 */
    float threshold;            /**< THRESHOLD: not NaN; others: must be 0 */
    uint32_t sinks;             /**< number of first keys that are always visible; ALL without `sliding`: must be 0 */
    uint32_t recent;            /**< number of latest keys that are always visible; ALL without `sliding`: must be 0 */
    uint32_t sliding;           /**< width of a sliding window in keys, sinks excepted; 0: no limit */
    bool causal;                /**< a query sees no key after its position */
    bool key_valid;     /**< args.key_valid is read; a key whose byte is 0 is padding: not visible and not counted */
    uint32_t documents; /**< number of documents per batch item, below 2^30, by args.query_offsets and args.key_offsets;
                           0: no offsets, the whole item is one document */
} dmattn_selection;

/** Descriptor of a dynamic mask: which stages a plan makes, and with which options.
 *
 * Format of the buffer of tile lists: first one header of four uint32 for each batch item, kv head and tile of
 * `list_queries` queries, contiguous in this order; then the uint32 words of the lists.
 *
 *     header[0]  offset of the list's first word, in units of 64 bytes from the start of the buffer
 *     header[1]  number of slots; each slot is one key
 *     header[2]  number of full slots, which come first: all queries of the tile see their keys
 *     header[3]  0: each word is the key of one slot. 5: each word w is a block of 32 slots, for keys 32 * w to
 *                32 * w + 31
 *
 * Keys ascend among the full slots, and again among the other slots. The other slots may contain keys that no query of
 * the tile sees. A list uses blocks if its tile has more keys than `list_capacity`.
 *
 * Attention reads no word behind the end of the buffer, whatever the headers say, unless its size is VK_WHOLE_SIZE. */
typedef struct dmattn_mask_desc {
    uint32_t stages;   /**< bits of dmattn_mask_stage, of consecutive stages; 0: all. Results of other stages that they
                          read are inputs */
    uint32_t batch;    /**< B; required */
    uint32_t queries;  /**< Sq; required, except for the stage IMPORTANCE alone */
    uint32_t keys;     /**< Sk; required */
    uint32_t kv_heads; /**< Hk; required */
    /* stage IMPORTANCE */
    dmattn_type type;             /**< element type of v */
    uint32_t value_dim;           /**< Dv, a multiple of 8 from 8 to DMATTN_MAX_VALUE_DIM; required */
    dmattn_strides v_strides;     /**< v [B, Sk, Hk, Dv] */
    dmattn_importance importance; /**< how the importance is computed from v */
    /* stage INTERVALS */
    dmattn_selection selection; /**< which keys a query sees. The stage LISTS alone uses only `causal`, in addition to
                                   the given intervals */
    /* stage LISTS */
    uint32_t
        list_queries; /**< dmattn_plan_info.list_queries of the attention plan that will read the lists; required */
    uint32_t list_capacity; /**< keys per list. A tile with more keys gets a list of blocks of 32 keys, which also
                               contain hidden keys: results are the same, but slower. 0: the most keys that the
                               selection can keep, or 4096 if it has no bound. Rounded up to the least possible value */
} dmattn_mask_desc;

/** Checks `desc` and compiles pipelines. UNSUPPORTED: the shape exceeds a limit of the device.
 * Workspace for each key and kv head, in bytes: the larger of about 22 (selection by importance) and, for lists, the
 * memory of the intermediate lists: about 10 + (window + 512) / 64 at 16 queries per list. */
DMATTN_API dmattn_status dmattn_mask_plan(dmattn_context *context, const dmattn_mask_desc *desc, dmattn_plan **plan);

/** Answers in microseconds what dmattn_mask_plan() would do; see dmattn_support. `support` may be NULL. The context is
 * only read: any number of threads may check at once. INVALID: also if `context` is NULL. */
DMATTN_API dmattn_status dmattn_mask_check(const dmattn_context *context, const dmattn_mask_desc *desc,
                                           dmattn_support *support);

/** Whether two descriptors are equal; see dmattn_attention_desc_equal(). */
DMATTN_API bool dmattn_mask_desc_equal(const dmattn_mask_desc *a, const dmattn_mask_desc *b);
/** A hash of a descriptor; see dmattn_attention_desc_hash(). */
DMATTN_API uint64_t dmattn_mask_desc_hash(const dmattn_mask_desc *desc);

/** Buffers of one run of a mask plan. Results of the plan's stages are outputs; other tensors that they read are
 * inputs. */
typedef struct dmattn_mask_args {
    dmattn_buffer v;             /**< [B, Sk, Hk, Dv] */
    dmattn_buffer dt_weight;     /**< parameter_type [Hk, Hk * Dv] */
    dmattn_buffer a;             /**< parameter_type [Hk] */
    dmattn_buffer dt_bias;       /**< parameter_type [Hk], if desc.importance.dt_bias */
    dmattn_buffer key_valid;     /**< uint8 [B, Sk], if desc.selection.key_valid */
    dmattn_buffer query_offsets; /**< int32 [B, documents + 1], if desc.selection.documents */
    dmattn_buffer key_offsets;   /**< int32 [B, documents + 1], if desc.selection.documents */
    dmattn_buffer importance;    /**< f32 [B, Hk, Sk], output of IMPORTANCE, else an input */
    dmattn_buffer begin;         /**< int32 [B, Hk, Sk], output of INTERVALS, else an input */
    dmattn_buffer end;           /**< int32 [B, Hk, Sk], output of INTERVALS, else an input */
    dmattn_buffer lists;         /**< output of LISTS: info.lists_size bytes, at a multiple of 64 bytes */
    dmattn_buffer workspace;     /**< info.workspace_size bytes; no other run may use them until this run is complete */
    uint32_t reuse; /**< bits of dmattn_mask_stage: stages whose results the buffers already hold: do not run them
                       again. If intervals that the app gives let a tile see more keys than `selection` can keep, its
                       list lacks keys */
} dmattn_mask_args;

/** Records one run of a mask plan; see dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_mask_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                            const dmattn_mask_args *args);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_MASK_H */
