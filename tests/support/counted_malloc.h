/* SPDX-License-Identifier: MIT
 * Counts what is allocated by the program and the static libraries in it, this library among them, but not by shared
 * ones such as drivers; and lets one of these allocations fail. The linker puts it in place: dmattn_count_malloc() in
 * CMakeLists.txt. */
#ifndef DMATTN_TESTS_COUNTED_MALLOC_H
#define DMATTN_TESTS_COUNTED_MALLOC_H

#include <stdatomic.h>

extern atomic_ullong counted_calls;   /* of malloc(), calloc() and realloc() */
extern atomic_llong counted_live;     /* allocations that were not freed */
extern atomic_ullong counted_fail_at; /* the call, counted from 1 in counted_calls, that fails; 0: none */

/* Counts from 0 again and lets call `fail_at` fail. */
void counted_begin(unsigned long long fail_at);

#endif
