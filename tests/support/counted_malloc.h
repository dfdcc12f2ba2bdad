/* SPDX-License-Identifier: MIT
 * Counts the allocations of the program and its static libraries, including dmattn, but not those of shared libraries
 * such as drivers, and can make one of them fail. dmattn_count_malloc() in CMakeLists.txt has the linker replace
 * malloc(). */
#ifndef DMATTN_TESTS_COUNTED_MALLOC_H
#define DMATTN_TESTS_COUNTED_MALLOC_H

#include <stdatomic.h>

extern atomic_ullong counted_calls;   /* of malloc(), calloc() and realloc() */
extern atomic_llong counted_live;     /* allocations that were not freed */
extern atomic_ullong counted_fail_at; /* the call, counted from 1 in counted_calls, that fails; 0: none */

/* Resets the counter and makes call `fail_at` fail. */
void counted_begin(unsigned long long fail_at);

#endif
