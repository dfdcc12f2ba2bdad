/* SPDX-License-Identifier: MIT */
/** @file
 * dmattn: lists of selected keys from block-sparse forms. Part of dmattn/dmattn.h; the rules and the names of sizes (B,
 * Sq, Sk, H, Hk) in that header apply here.
 */
#ifndef DMATTN_BLOCK_LISTS_H
#define DMATTN_BLOCK_LISTS_H

#include "core.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Forms in which blocks of pairs are visible. A block has R = query_block queries and C = block keys; there are
 * M = ceil(Sq / R) rows of N = ceil(Sk / C) blocks. */
typedef enum dmattn_block_form {
    DMATTN_BLOCK_FORM_ROWS = 0,   /**< block-sparse rows (BSR): row m has the blocks indices[i] for
                                     indptr[m] <= i < indptr[m + 1] */
    DMATTN_BLOCK_FORM_MAP = 1,    /**< a byte for each block of a row; nonzero: visible */
    DMATTN_BLOCK_FORM_BITMAP = 2, /**< a bit for each block of a row, from the lowest bit of the row's first byte on. A
                                     row has ceil(N / 8) bytes, as numpy.packbits(map, axis=-1, bitorder="little") makes
                                     them */
    DMATTN_BLOCK_FORM_MAX_ENUM = 0x7fffffff /**< not a value; makes the enum 32 bits wide */
} dmattn_block_form;

/** Descriptor of block lists: from such a form, the list of each query, as DMATTN_MASK_SELECTED takes them. Attention,
 * its gradients and any number of layers then read the lists.
 *
 * A list has the numbers of the blocks of the query's row: with ROWS in their order there, with MAP and BITMAP in
 * ascending order; and -1 at its end. A row with more blocks than `count` keeps the first ones.
 *
 * With `bits`, each block of ROWS has a bit for each of its pairs, and the lists have numbers of keys. Then list
 * element i * C + c is key c of the row's block i, or -1 if the query does not see it. Bit (i * R + r) * C + c is that
 * of query r and key c of the block indices[i]: bits count from the lowest one of the first byte on, as
 * numpy.packbits(mask, bitorder="little") makes them from a mask [indices, R, C].
 *
 * Offsets are clamped to 0 to `indices`, and to the offset before. Blocks that are not from 0 to N - 1, and keys from
 * Sk on, stand for nothing. Results are the same bits from run to run. */
typedef struct dmattn_block_lists_desc {
    dmattn_block_form form; /**< how blocks are given */
    uint32_t batch;         /**< B, or 1 if items share their blocks; 0: 1 */
    uint32_t heads;         /**< H, Hk, or 1 if heads share their blocks; 0: 1 */
    uint32_t queries;       /**< Sq; required */
    uint32_t keys;          /**< Sk; required */
    uint32_t query_block;   /**< R: queries of a block; required */
    uint32_t block;         /**< C: keys of a block, a power of 2 up to 4096; required */
    uint32_t indices;       /**< ROWS: elements of args.indices, below 2^30; others: must be 0 */
    bool bits;              /**< ROWS: args.bits has a bit for each pair; R * C must be a multiple of 32 */
    uint32_t count; /**< numbers of a list, up to 2^20; with `bits` a multiple of C. 0: N, or with `bits` N * C, which
                       must not be above 2^20 */
} dmattn_block_lists_desc;

/** Plans block lists; see dmattn_attention_plan(). It has one kernel, of the level PORTABLE, and needs no workspace. */
DMATTN_API dmattn_status dmattn_block_lists_plan(dmattn_context *context, const dmattn_block_lists_desc *desc,
                                                 dmattn_plan **plan);

/** Answers in microseconds what dmattn_block_lists_plan() would do; see dmattn_attention_check(). */
DMATTN_API dmattn_status dmattn_block_lists_check(const dmattn_context *context, const dmattn_block_lists_desc *desc,
                                                  dmattn_support *support);

/** Whether two descriptors are equal; see dmattn_attention_desc_equal(). */
DMATTN_API bool dmattn_block_lists_desc_equal(const dmattn_block_lists_desc *a, const dmattn_block_lists_desc *b);
/** A hash of a descriptor; see dmattn_attention_desc_hash(). */
DMATTN_API uint64_t dmattn_block_lists_desc_hash(const dmattn_block_lists_desc *desc);

/** Buffers of one run of block lists. `batch` and `heads` are those of the descriptor. */
typedef struct dmattn_block_lists_args {
    dmattn_buffer
        indptr; /**< ROWS: int32 [batch, heads, M + 1], contiguous: offsets in `indices`, also of all planes */
    dmattn_buffer indices; /**< ROWS: int32 [desc.indices], numbers of blocks */
    dmattn_buffer bits;    /**< uint32 [desc.indices, R * C / 32], if desc.bits */
    dmattn_buffer map; /**< MAP: uint8 [batch, heads, M, N], contiguous; BITMAP: uint8 [batch, heads, M, ceil(N / 8)] */
    dmattn_buffer selected;  /**< output: int32 [batch, heads, Sq, count], contiguous. In attention, mask_shape is
                                {.batch,  .heads, .queries = Sq}, selected_count is `count`, and selected_block is C, or
                                1  with  `bits` */
    dmattn_buffer workspace; /**< info.workspace_size bytes, which are 0: no buffer is needed */
} dmattn_block_lists_args;

/** Records one run of block lists; see dmattn_attention_record(). */
DMATTN_API dmattn_status dmattn_block_lists_record(const dmattn_plan *plan, VkCommandBuffer commands,
                                                   const dmattn_block_lists_args *args);

#ifdef __cplusplus
}
#endif
#endif /* DMATTN_BLOCK_LISTS_H */
