/* SPDX-License-Identifier: MIT
 * Equality and hashes of descriptors: every byte of every member counts, and no byte of padding. The compiler knows
 * which bytes are padding, so a new member cannot be missed. */
#include <dmattn/dmattn.h>

#include <criterion/criterion.h>

#include <string.h>

#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define KNOWS_PADDING
#endif
#endif

#ifdef KNOWS_PADDING

typedef union any_desc {
    dmattn_attention_desc attention;
    dmattn_attention_backward_desc attention_backward;
    dmattn_mask_desc mask;
    dmattn_dma_desc dma;
    dmattn_dma_backward_desc dma_backward;
    dmattn_decode_desc decode;
    dmattn_merge_desc merge;
    dmattn_selector_desc selector;
    dmattn_block_lists_desc block_lists;
    unsigned char byte[sizeof(dmattn_dma_backward_desc)];
} any_desc;

typedef struct kind {
    const char *name;
    size_t size;
    void (*clear_padding)(any_desc *desc);
    bool (*equal)(const any_desc *a, const any_desc *b);
    uint64_t (*hash)(const any_desc *desc);
} kind;

#define KIND_FUNCTIONS(name)                                       \
    static void clear_##name(any_desc *desc)                       \
    {                                                              \
        __builtin_clear_padding(&desc->name);                      \
    }                                                              \
    static bool equal_##name(const any_desc *a, const any_desc *b) \
    {                                                              \
        return dmattn_##name##_desc_equal(&a->name, &b->name);     \
    }                                                              \
    static uint64_t hash_##name(const any_desc *desc)              \
    {                                                              \
        return dmattn_##name##_desc_hash(&desc->name);             \
    }
#define KIND(name)                                                                   \
    {                                                                                \
#name, sizeof(dmattn_##name##_desc), clear_##name, equal_##name, hash_##name \
    }
KIND_FUNCTIONS(attention)
KIND_FUNCTIONS(attention_backward)
KIND_FUNCTIONS(mask)
KIND_FUNCTIONS(dma)
KIND_FUNCTIONS(dma_backward)
KIND_FUNCTIONS(decode)
KIND_FUNCTIONS(merge)
KIND_FUNCTIONS(selector)
KIND_FUNCTIONS(block_lists)
static const kind kinds[] = {KIND(attention), KIND(attention_backward), KIND(mask),
                             KIND(dma),       KIND(dma_backward),       KIND(decode),
                             KIND(merge),     KIND(selector),           KIND(block_lists)};

Test(equality, every_member_and_no_padding)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const kind *k = &kinds[i];
        any_desc all, zero, one;
        unsigned padding = 0;
        memset(&all, 0xff, sizeof all);
        memset(&zero, 0, sizeof zero);
        k->clear_padding(&all);
        for (size_t at = 0; at < k->size; at++) {
            const bool counts = all.byte[at];
            memset(&one, 0, sizeof one);
            one.byte[at] = 1; /* also valid in a bool */
            cr_expect_eq(k->equal(&zero, &one), !counts, "%s: byte %zu", k->name, at);
            cr_expect_eq(k->equal(&one, &zero), !counts, "%s: byte %zu", k->name, at);
            cr_expect_eq(k->hash(&zero) == k->hash(&one), !counts, "%s: byte %zu", k->name, at);
            padding += !counts;
        }
        cr_expect(k->equal(&zero, &zero));
        cr_expect_gt(padding, 0, "%s has no padding, so this tests nothing of it", k->name);
    }
}

/* Hashes of descriptors that differ in the values of two members, as a table of plans has them. */
Test(equality, hashes_differ)
{
    static uint64_t hashes[64 * 64];
    size_t count = 0;
    for (uint32_t queries = 1; queries <= 64; queries++)
        for (uint32_t keys = 1; keys <= 64; keys++) {
            const dmattn_attention_desc desc = {.queries = queries, .keys = keys};
            const uint64_t hash = dmattn_attention_desc_hash(&desc);
            for (size_t i = 0; i < count; i++)
                cr_assert_neq(hashes[i], hash);
            hashes[count++] = hash;
        }
}

#else

Test(equality, every_member_and_no_padding)
{
    cr_skip_test("the compiler does not tell which bytes are padding");
}

#endif
