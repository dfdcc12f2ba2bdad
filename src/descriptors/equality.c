/* SPDX-License-Identifier: MIT
 * Equality and hashes of descriptors: of their members, one by one, because padding bytes have no defined value. */
#include <dmattn/dmattn.h>

#include <stddef.h>
#include <string.h>

/* A member of a struct. A list of them ends with one of size 0. */
typedef struct member {
    size_t offset, size;
    const struct member *members; /* of its type, if that is a struct with padding; else NULL */
} member;

#define MEMBER(type, name)                                    \
    {                                                         \
        offsetof(type, name), sizeof(((type *)0)->name), NULL \
    }
#define STRUCT(type, name, members)                              \
    {                                                            \
        offsetof(type, name), sizeof(((type *)0)->name), members \
    }
#define END        \
    {              \
        0, 0, NULL \
    }

_Static_assert(sizeof(dmattn_strides) == 3 * sizeof(uint64_t), "strides have no padding");

static const member score_shape[] = {
    MEMBER(dmattn_score_shape, batch),
    MEMBER(dmattn_score_shape, heads),
    MEMBER(dmattn_score_shape, queries),
    MEMBER(dmattn_score_shape, batch_stride),
    MEMBER(dmattn_score_shape, head_stride),
    MEMBER(dmattn_score_shape, query_stride),
    END,
};

static const member importance[] = {
    MEMBER(dmattn_importance, activation),
    MEMBER(dmattn_importance, parameter_type),
    MEMBER(dmattn_importance, dt_bias),
    END,
};

static const member selection[] = {
    MEMBER(dmattn_selection, select),
    MEMBER(dmattn_selection, tie_break),
    MEMBER(dmattn_selection, window),
    MEMBER(dmattn_selection, threshold),
    MEMBER(dmattn_selection, sinks),
    MEMBER(dmattn_selection, recent),
    MEMBER(dmattn_selection, sliding),
    MEMBER(dmattn_selection, causal),
    MEMBER(dmattn_selection, key_valid),
    MEMBER(dmattn_selection, documents),
    END,
};

static const member attention[] = {
    MEMBER(dmattn_attention_desc, type),
    MEMBER(dmattn_attention_desc, q_f32),
    MEMBER(dmattn_attention_desc, out_f32),
    MEMBER(dmattn_attention_desc, k_format),
    MEMBER(dmattn_attention_desc, v_format),
    MEMBER(dmattn_attention_desc, batch),
    MEMBER(dmattn_attention_desc, queries),
    MEMBER(dmattn_attention_desc, keys),
    MEMBER(dmattn_attention_desc, heads),
    MEMBER(dmattn_attention_desc, kv_heads),
    MEMBER(dmattn_attention_desc, head_dim),
    MEMBER(dmattn_attention_desc, value_dim),
    MEMBER(dmattn_attention_desc, scale),
    MEMBER(dmattn_attention_desc, soft_cap),
    MEMBER(dmattn_attention_desc, causal),
    MEMBER(dmattn_attention_desc, lse),
    MEMBER(dmattn_attention_desc, q_strides),
    MEMBER(dmattn_attention_desc, k_strides),
    MEMBER(dmattn_attention_desc, v_strides),
    MEMBER(dmattn_attention_desc, out_strides),
    MEMBER(dmattn_attention_desc, page_size),
    MEMBER(dmattn_attention_desc, pages),
    MEMBER(dmattn_attention_desc, page_bytes),
    MEMBER(dmattn_attention_desc, mask),
    STRUCT(dmattn_attention_desc, mask_shape, score_shape),
    MEMBER(dmattn_attention_desc, selected_count),
    MEMBER(dmattn_attention_desc, selected_block),
    MEMBER(dmattn_attention_desc, selected_queries),
    MEMBER(dmattn_attention_desc, bias),
    MEMBER(dmattn_attention_desc, bias_type),
    STRUCT(dmattn_attention_desc, bias_shape, score_shape),
    MEMBER(dmattn_attention_desc, sink),
    MEMBER(dmattn_attention_desc, slopes),
    MEMBER(dmattn_attention_desc, lists),
    MEMBER(dmattn_attention_desc, list_capacity),
    MEMBER(dmattn_attention_desc, counts),
    MEMBER(dmattn_attention_desc, lengths),
    MEMBER(dmattn_attention_desc, total_queries),
    MEMBER(dmattn_attention_desc, total_keys),
    MEMBER(dmattn_attention_desc, level),
    MEMBER(dmattn_attention_desc, max_level),
    END,
};

static const member attention_backward[] = {
    STRUCT(dmattn_attention_backward_desc, attention, attention),
    MEMBER(dmattn_attention_backward_desc, gradients),
    MEMBER(dmattn_attention_backward_desc, dlse),
    MEMBER(dmattn_attention_backward_desc, dout_strides),
    MEMBER(dmattn_attention_backward_desc, dq_strides),
    MEMBER(dmattn_attention_backward_desc, dk_strides),
    MEMBER(dmattn_attention_backward_desc, dv_strides),
    END,
};

static const member mask[] = {
    MEMBER(dmattn_mask_desc, stages),
    MEMBER(dmattn_mask_desc, batch),
    MEMBER(dmattn_mask_desc, queries),
    MEMBER(dmattn_mask_desc, keys),
    MEMBER(dmattn_mask_desc, kv_heads),
    MEMBER(dmattn_mask_desc, type),
    MEMBER(dmattn_mask_desc, value_dim),
    MEMBER(dmattn_mask_desc, v_strides),
    STRUCT(dmattn_mask_desc, importance, importance),
    STRUCT(dmattn_mask_desc, selection, selection),
    MEMBER(dmattn_mask_desc, list_queries),
    MEMBER(dmattn_mask_desc, list_capacity),
    END,
};

static const member dma[] = {
    STRUCT(dmattn_dma_desc, attention, attention), STRUCT(dmattn_dma_desc, importance, importance),
    MEMBER(dmattn_dma_desc, importance_given),     STRUCT(dmattn_dma_desc, selection, selection),
    MEMBER(dmattn_dma_desc, list_capacity),        END,
};

static const member dma_backward[] = {
    STRUCT(dmattn_dma_backward_desc, dma, dma),   MEMBER(dmattn_dma_backward_desc, gradients),
    MEMBER(dmattn_dma_backward_desc, dlse),       MEMBER(dmattn_dma_backward_desc, dout_strides),
    MEMBER(dmattn_dma_backward_desc, dq_strides), MEMBER(dmattn_dma_backward_desc, dk_strides),
    MEMBER(dmattn_dma_backward_desc, dv_strides), END,
};

static const member decode[] = {
    STRUCT(dmattn_decode_desc, attention, attention),
    STRUCT(dmattn_decode_desc, importance, importance),
    MEMBER(dmattn_decode_desc, importance_given),
    MEMBER(dmattn_decode_desc, no_importance),
    STRUCT(dmattn_decode_desc, selection, selection),
    MEMBER(dmattn_decode_desc, cache),
    MEMBER(dmattn_decode_desc, rollback),
    MEMBER(dmattn_decode_desc, page_size),
    MEMBER(dmattn_decode_desc, pages),
    MEMBER(dmattn_decode_desc, max_keys),
    MEMBER(dmattn_decode_desc, chunk_tokens),
    END,
};

static const member merge[] = {
    MEMBER(dmattn_merge_desc, type),        MEMBER(dmattn_merge_desc, batch),
    MEMBER(dmattn_merge_desc, queries),     MEMBER(dmattn_merge_desc, heads),
    MEMBER(dmattn_merge_desc, value_dim),   MEMBER(dmattn_merge_desc, lse),
    MEMBER(dmattn_merge_desc, a_strides),   MEMBER(dmattn_merge_desc, b_strides),
    MEMBER(dmattn_merge_desc, out_strides), END,
};

static const member selector[] = {
    MEMBER(dmattn_selector_desc, type),
    MEMBER(dmattn_selector_desc, batch),
    MEMBER(dmattn_selector_desc, queries),
    MEMBER(dmattn_selector_desc, keys),
    MEMBER(dmattn_selector_desc, heads),
    MEMBER(dmattn_selector_desc, kv_heads),
    MEMBER(dmattn_selector_desc, list_heads),
    MEMBER(dmattn_selector_desc, head_dim),
    MEMBER(dmattn_selector_desc, relu),
    MEMBER(dmattn_selector_desc, weights),
    MEMBER(dmattn_selector_desc, block),
    MEMBER(dmattn_selector_desc, count),
    MEMBER(dmattn_selector_desc, first),
    MEMBER(dmattn_selector_desc, recent),
    MEMBER(dmattn_selector_desc, causal),
    MEMBER(dmattn_selector_desc, counts),
    MEMBER(dmattn_selector_desc, lengths),
    MEMBER(dmattn_selector_desc, q_strides),
    MEMBER(dmattn_selector_desc, k_strides),
    MEMBER(dmattn_selector_desc, page_size),
    MEMBER(dmattn_selector_desc, pages),
    MEMBER(dmattn_selector_desc, page_bytes),
    MEMBER(dmattn_selector_desc, level),
    MEMBER(dmattn_selector_desc, max_level),
    END,
};

static const member block_lists[] = {
    MEMBER(dmattn_block_lists_desc, form),
    MEMBER(dmattn_block_lists_desc, batch),
    MEMBER(dmattn_block_lists_desc, heads),
    MEMBER(dmattn_block_lists_desc, queries),
    MEMBER(dmattn_block_lists_desc, keys),
    MEMBER(dmattn_block_lists_desc, query_block),
    MEMBER(dmattn_block_lists_desc, block),
    MEMBER(dmattn_block_lists_desc, indices),
    MEMBER(dmattn_block_lists_desc, bits),
    MEMBER(dmattn_block_lists_desc, count),
    END,
};

static uint64_t add(uint64_t hash, const member *members, const unsigned char *desc)
{
    for (const member *m = members; m->size; m++)
        if (m->members)
            hash = add(hash, m->members, desc + m->offset);
        else
            for (size_t i = 0; i < m->size; i++)
                hash = (hash ^ desc[m->offset + i]) * UINT64_C(1099511628211);
    return hash;
}

static bool equal(const member *members, const unsigned char *a, const unsigned char *b)
{
    for (const member *m = members; m->size; m++)
        if (m->members ? !equal(m->members, a + m->offset, b + m->offset)
                       : memcmp(a + m->offset, b + m->offset, m->size) != 0)
            return false;
    return true;
}

/* Hash: FNV-1a. */
#define FUNCTIONS(name)                                                                           \
    uint64_t dmattn_##name##_desc_hash(const dmattn_##name##_desc *desc)                          \
    {                                                                                             \
        return add(UINT64_C(14695981039346656037), name, (const unsigned char *)desc);            \
    }                                                                                             \
    bool dmattn_##name##_desc_equal(const dmattn_##name##_desc *a, const dmattn_##name##_desc *b) \
    {                                                                                             \
        return equal(name, (const unsigned char *)a, (const unsigned char *)b);                   \
    }
FUNCTIONS(attention)
FUNCTIONS(attention_backward)
FUNCTIONS(mask)
FUNCTIONS(dma)
FUNCTIONS(dma_backward)
FUNCTIONS(decode)
FUNCTIONS(merge)
FUNCTIONS(selector)
FUNCTIONS(block_lists)
