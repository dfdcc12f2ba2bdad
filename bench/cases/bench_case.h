/* SPDX-License-Identifier: MIT
 * A case that vkbench runs. */
#ifndef DMATTN_BENCH_CASE_H
#define DMATTN_BENCH_CASE_H

#include "problem.h"

/* What is timed. Bits that combine: forward, and backward (all gradients; the forward run before it is not timed unless
 * its bit is set). Alone: a decoding step, computing a dynamic mask (importance, intervals and lists), merging two
 * results, attention of a chunk of a prompt to the pages that decoding filled, or selecting keys. */
typedef enum bench_pass {
    PASS_FORWARD = 1,
    PASS_BACKWARD = 2,
    PASS_BOTH = 3,
    PASS_DECODE = 4,
    PASS_MASK = 8,
    PASS_MERGE = 16,
    PASS_PREFILL = 32,
    PASS_SELECT = 64
} bench_pass;

/* A mask, by its name: "none", "causal", "additive" (causal as f16 0 and -infinity), "dense:0.1", "interval:512",
 * "sliding:512", "causal+dense:0.1", "topw:1024", "tokens:2048" and "blocks:64:16" (lists of keys, or of blocks of 64
 * keys, at or before the query; neighbours share nine tenths), "tokens:2048:random". In decoding: "none" (all keys,
 * contiguous in memory), "topw:1024" and "sliding:128" (a bounded cache), "paged" and "paged:0.1" (a paged cache),
 * "paged:plain" (one without importance), and the lists (the same cache). */
typedef struct mask_choice {
    dmattn_mask mask;
    bool causal;
    bool dynamic;    /* dynamic mask attention: the W most important keys up to each query's own */
    bool paged;      /* decoding with a paged cache */
    bool plain;      /* the paged cache has no importance */
    bool sliding;    /* intervals of W queries, the same for all heads */
    bool random;     /* lists: neighbouring queries share nothing */
    uint32_t block;  /* lists: keys of a block */
    double fraction; /* of a dense mask's tiles that are on; of a paged cache's keys above the threshold, 0: all */
    uint32_t window; /* W: keys of a dynamic mask; the length of a list; or an interval mask shows a key to 1 to 2 W
                        queries. 0: the smaller of 1024 and keys / 8 */
} mask_choice;

typedef struct bench_case {
    const char *model;          /* borrowed; NULL: none */
    dmattn_attention_desc desc; /* with a dynamic mask: the attention of `dma` */
    dmattn_dma_desc dma;        /* with a dynamic mask, except in decoding */
    dmattn_decode_desc decode;  /* decoding with a cache; desc then describes attention to all keys of the cache, or to
                                   its pages */
    mask_choice mask;           /* with its window filled in */
    uint32_t other_keys;        /* decoding, chunks: keys of all sequences but the first; 0: all have desc.keys */
    uint32_t other_queries;     /* chunks: the same of queries */
    bool packed;                /* chunks: the queries of all sequences follow each other (desc.total_queries) */
    bench_pass pass;
} bench_case;

#endif
