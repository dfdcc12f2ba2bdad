/* SPDX-License-Identifier: MIT */
#include "hostile.h"

#include "problem.h"
#include "reference/element.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- contents ---------------------------------------------------------------------------------------------------- */

enum { ALL_ONES, TOP_BIT, LARGEST, FALLING, NEAR, MIXED, RANDOM };
const char *const hostile_kind_names[HOSTILE_KINDS] = {"0xffffffff", "0x80000000", "0x7fffffff", "falling",
                                                       "near",       "mixed",      "random"};

static uint32_t hostile_word(int kind, uint32_t i, uint64_t *state)
{
    static const uint32_t mixed[] = {0, 1, 31, 32, 0xffff, 0x10000, 0x3fffffff, 0x40000000, 0x7ffffffe, 0xfffffffe};
    const uint32_t random = (uint32_t)random_bits(state);
    switch (kind) {
    case ALL_ONES: return 0xffffffff;
    case TOP_BIT: return 0x80000000;
    case LARGEST: return 0x7fffffff;
    case FALLING: return 3 * KEYS - i % (4 * KEYS);
    case NEAR: return random % (2 * KEYS) - KEYS / 4;
    case MIXED: return mixed[random % (sizeof mixed / sizeof *mixed)];
    default: return random;
    }
}

void hostile_put(const arena *a, tensor_id tensor, int kind, uint64_t first, uint64_t end)
{
    unsigned char *data = arena_input(a, tensor);
    uint64_t state = 1 + (uint64_t)kind + 100 * (uint64_t)tensor;
    for (uint64_t i = first; i < end && data; i += 4) {
        const uint32_t word = hostile_word(kind, (uint32_t)(i / 4), &state);
        memcpy(data + i, &word, 4);
    }
}

static void put_numbers(const arena *a, tensor_id tensor, dmattn_type type, double offset)
{
    uint64_t state = 1 + (uint64_t)tensor;
    for (uint64_t i = 0; i < a->bytes[tensor] / dmattn_type_size(type); i++)
        element_store(type, arena_input(a, tensor), i, offset + random_uniform(&state) - 0.5);
}

void hostile_fill_numbers(const arena *a)
{
    const tensor_id rows[] = {TENSOR_Q, TENSOR_K, TENSOR_V, TENSOR_OUT, TENSOR_DOUT, TENSOR_PAGES};
    const tensor_id floats[] = {TENSOR_BIAS, TENSOR_DT_WEIGHT, TENSOR_A, TENSOR_DT_BIAS, TENSOR_IMPORTANCE};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        put_numbers(a, rows[i], DMATTN_TYPE_F16, 0);
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        put_numbers(a, floats[i], DMATTN_TYPE_F32, 0);
    put_numbers(a, TENSOR_LSE, DMATTN_TYPE_F32, 5);
}

void hostile_put_words(const arena *a, tensor_id tensor, const int32_t *words, size_t count)
{
    if (arena_input(a, tensor))
        memcpy(arena_input(a, tensor), words, count * sizeof *words);
}

/* Intervals: 9 queries from query j / 3 on see key j. Dense mask: two thirds of the pairs are visible.
 * Selected keys: every seventh one. */
static void put_valid_mask(const arena *a)
{
    int32_t *begin = arena_input(a, TENSOR_BEGIN), *end = arena_input(a, TENSOR_END);
    for (uint64_t i = 0; begin && i < a->bytes[TENSOR_BEGIN] / 4; i++) {
        begin[i] = (int32_t)(i % KEYS) / 3;
        end[i] = begin[i] + 9;
    }
    int32_t *selected = arena_input(a, TENSOR_SELECTED);
    for (uint64_t i = 0; selected && i < a->bytes[TENSOR_SELECTED] / 4; i++)
        selected[i] = (int32_t)(i * 7 % KEYS);
    const tensor_id bytes[] = {TENSOR_MASK, TENSOR_KEY_VALID};
    for (size_t n = 0; n < sizeof bytes / sizeof *bytes; n++)
        for (uint64_t i = 0; i < a->bytes[bytes[n]]; i++)
            ((unsigned char *)arena_input(a, bytes[n]))[i] = i % 3 != 0;
    const int32_t queries[] = {0, 11, 40, 0, 11, 40, 0, 11, 40}, keys[] = {0, 31, 100, 0, 31, 100, 0, 31, 100};
    hostile_put_words(a, TENSOR_QUERY_OFFSETS, queries, 9);
    hostile_put_words(a, TENSOR_KEY_OFFSETS, keys, 9);
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* The results in which each batch item has its own elements. */
static const tensor_id item_results[] = {TENSOR_OUT, TENSOR_LSE,        TENSOR_DQ,          TENSOR_DK,
                                         TENSOR_DV,  TENSOR_DBIAS,      TENSOR_DIMPORTANCE, TENSOR_BEGIN,
                                         TENSOR_END, TENSOR_IMPORTANCE, TENSOR_STATE,       TENSOR_SELECTED};
#define ITEM_RESULTS (sizeof item_results / sizeof *item_results)

void hostile_declare_results(arena *a, const tensor_id *results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        a->result[results[i]] = true;
}

/* Returns item 1 of the results. It must differ from the buffer's previous contents. */
unsigned char *hostile_copy_item(const arena *a)
{
    unsigned char *copy = malloc(a->size);
    memcpy(copy, a->after, a->size);
    for (size_t i = 0; i < ITEM_RESULTS; i++) {
        const uint64_t bytes = a->bytes[item_results[i]] / ITEMS, first = a->at[item_results[i]] + bytes;
        if (bytes && a->result[item_results[i]])
            cr_expect_neq(memcmp(a->after + first, a->before + first, bytes), 0, "%s was not written",
                          dmattn_tensor_name(item_results[i]));
    }
    return copy;
}

void hostile_expect_item(const arena *a, const unsigned char *want, const char *what)
{
    for (size_t i = 0; i < ITEM_RESULTS; i++) {
        const uint64_t bytes = a->bytes[item_results[i]] / ITEMS, first = a->at[item_results[i]] + bytes;
        if (bytes && a->result[item_results[i]])
            cr_expect_eq(memcmp(a->after + first, want + first, bytes), 0, "%s: %s of the valid item differs", what,
                         dmattn_tensor_name(item_results[i]));
    }
}

/* Expects finite numbers of type f16. */
void hostile_expect_finite(const arena *a, tensor_id tensor, const char *what)
{
    for (uint64_t i = 0; a->result[tensor] && i < a->bytes[tensor] / 2; i++)
        cr_assert(isfinite(element_load(DMATTN_TYPE_F16, arena_output(a, tensor), i)), "%s: element %llu of %s", what,
                  (unsigned long long)i, dmattn_tensor_name(tensor));
}

/* Expects numbers of keys, or -1, in lists that are a result. */
static void expect_numbers(const arena *a, const char *what)
{
    const int32_t *list = arena_output(a, TENSOR_SELECTED);
    for (uint64_t i = 0; a->result[TENSOR_SELECTED] && i < a->bytes[TENSOR_SELECTED] / 4; i++)
        cr_assert(list[i] >= -1 && list[i] < KEYS, "%s: a list has the number %d", what, list[i]);
}

/* Runs with valid contents, and then with each kind of words in items 0 and 2 of `tensors`. The workspace belongs to no
 * item; it has different words in each run. */
void hostile_run_kinds(arena *a, uint32_t reuse, const char *name, const tensor_id *tensors, size_t count)
{
    arena_run(a, reuse, name);
    unsigned char *want = hostile_copy_item(a), *valid = malloc(a->size);
    memcpy(valid, a->before, a->size);
    for (int kind = 0; kind < HOSTILE_KINDS; kind++) {
        char what[96];
        snprintf(what, sizeof what, "%s, %s", name, hostile_kind_names[kind]);
        memcpy(a->before, valid, a->size);
        hostile_put(a, TENSOR_COUNT, kind, 0, a->bytes[TENSOR_COUNT]);
        for (size_t i = 0; i < count; i++) {
            const uint64_t item = a->bytes[tensors[i]] / ITEMS;
            hostile_put(a, tensors[i], kind, 0, item);
            hostile_put(a, tensors[i], kind, 2 * item, 3 * item);
        }
        arena_run(a, reuse, what);
        hostile_expect_item(a, want, what);
        const tensor_id finite[] = {TENSOR_OUT, TENSOR_DQ, TENSOR_DK, TENSOR_DV};
        for (size_t i = 0; i < sizeof finite / sizeof *finite && !a->bytes[TENSOR_STATE]; i++)
            hostile_expect_finite(a, finite[i], what);
        expect_numbers(a, what);
    }
    free(want);
    free(valid);
    arena_destroy(a);
}

void hostile_fill_valid(arena *a)
{
    hostile_fill_numbers(a);
    put_valid_mask(a);
}
