/* SPDX-License-Identifier: MIT */
#include "counted_malloc.h"

#include <stdbool.h>
#include <stddef.h>

/* The linker's names: __wrap_f() is what others call as f(), and __real_f() is f() itself. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

atomic_ullong counted_calls, counted_fail_at;
atomic_llong counted_live;

void counted_begin(unsigned long long fail_at)
{
    counted_calls = 0;
    counted_fail_at = fail_at;
}

static bool fails(void)
{
    return atomic_fetch_add_explicit(&counted_calls, 1, memory_order_relaxed) + 1 == counted_fail_at;
}

static void *count(void *block)
{
    if (block)
        atomic_fetch_add_explicit(&counted_live, 1, memory_order_relaxed);
    return block;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : count(__real_malloc(size));
}

void *__wrap_calloc(size_t number, size_t size)
{
    return fails() ? NULL : count(__real_calloc(number, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    return block ? __real_realloc(block, size) : count(__real_realloc(NULL, size));
}

void __wrap_free(void *block)
{
    if (block)
        atomic_fetch_sub_explicit(&counted_live, 1, memory_order_relaxed);
    __real_free(block);
}
