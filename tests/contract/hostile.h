/* SPDX-License-Identifier: MIT
 * Buffers with arbitrary contents: for any numbers of keys, queries, pages or lengths in buffers, kernels read and
 * write only within their tensors. Each operator runs with three batch items. First all items are valid. Then items 0
 * and 2 hold words of one kind after another; nothing but results is written, and item 1 has the same bits as
 * before. */
#ifndef DMATTN_TESTS_CONTRACT_HOSTILE_H
#define DMATTN_TESTS_CONTRACT_HOSTILE_H

#include "support/arena.h"
#include "support/harness.h"

#define ITEMS    3
#define QUERIES  40
#define KEYS     100
#define HEADS    4
#define KV_HEADS 2
#define DIM      16
#define SIZES                                                                                                        \
    .type = DMATTN_TYPE_F16, .batch = ITEMS, .queries = QUERIES, .keys = KEYS, .heads = HEADS, .kv_heads = KV_HEADS, \
    .head_dim = DIM

/* A test of the harness that is one of the cases which DMATTN_TEST_SHARE divides. */
#define HOSTILE_TEST(test)                          \
    static void hostile_##test##_of_share(void);    \
    DEVICE_TEST(hostile, test)                      \
    {                                               \
        if (harness_takes("hostile, " #test, true)) \
            hostile_##test##_of_share();            \
    }                                               \
    static void hostile_##test##_of_share(void)

#define HOSTILE_KINDS 7 /* kinds of hostile words */
extern const char *const hostile_kind_names[HOSTILE_KINDS];

/* Fills a part of a tensor, a multiple of 4 bytes, with words of a kind. */
void hostile_put(const arena *a, tensor_id tensor, int kind, uint64_t first, uint64_t end);

void hostile_put_words(const arena *a, tensor_id tensor, const int32_t *words, size_t count);

/* Fills all inputs that hold numbers with finite numbers. */
void hostile_fill_numbers(const arena *a);

/* Fills all inputs: finite numbers, and valid masks, lists and offsets. */
void hostile_fill_valid(arena *a);

void hostile_declare_results(arena *a, const tensor_id *results, size_t count);
#define RESULTS(a, ...)                                            \
    hostile_declare_results((a), (const tensor_id[]){__VA_ARGS__}, \
                            sizeof((const tensor_id[]){__VA_ARGS__}) / sizeof(tensor_id))

/* Returns item 1 of the results, to free(). It must differ from the buffer's previous contents. */
unsigned char *hostile_copy_item(const arena *a);
void hostile_expect_item(const arena *a, const unsigned char *want, const char *what);

/* Expects finite numbers of type f16, if the tensor is a result. */
void hostile_expect_finite(const arena *a, tensor_id tensor, const char *what);

/* Runs with valid contents, and then with each kind of words in items 0 and 2 of `tensors`. The workspace belongs to no
 * item; it has different words in each run. Destroys the arena. */
void hostile_run_kinds(arena *a, uint32_t reuse, const char *name, const tensor_id *tensors, size_t count);
#define RUN_KINDS(a, reuse, name, ...)                                        \
    hostile_run_kinds((a), (reuse), (name), (const tensor_id[]){__VA_ARGS__}, \
                      sizeof((const tensor_id[]){__VA_ARGS__}) / sizeof(tensor_id))

/* Runs a statement for each level of the device, `level`. */
#define EACH_LEVEL(offers)                                                                   \
    for (dmattn_level level = DMATTN_LEVEL_PORTABLE; level <= DMATTN_LEVEL_MATRIX2; level++) \
        if (level == DMATTN_LEVEL_PORTABLE || offers(level))

#endif
