/* SPDX-License-Identifier: MIT
 * Work that threads share. */
#ifndef DMATTN_BENCH_THREADS_H
#define DMATTN_BENCH_THREADS_H

#include <stddef.h>
#include <stdint.h>

#define MOST_THREADS 16

/* The number of processors; 1 if threads are not supported. */
uint32_t processor_count(void);

/* Calls work(item) for each of `count` items of `size` bytes, each in a thread of its own if there can be one, and
 * waits for all. count: up to MOST_THREADS. */
void run_in_threads(void *(*work)(void *item), void *items, size_t size, uint32_t count);

#endif
