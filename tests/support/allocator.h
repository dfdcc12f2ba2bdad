/* SPDX-License-Identifier: MIT
 * Host allocation callbacks that count, and fail when they are told to. */
#ifndef DMATTN_TESTS_ALLOCATOR_H
#define DMATTN_TESTS_ALLOCATOR_H

#include <vulkan/vulkan_core.h>

#include <stdint.h>

typedef struct allocator {
    VkAllocationCallbacks callbacks;
    int64_t live;     /* allocations that were not freed */
    uint64_t calls;   /* allocations and reallocations asked for */
    uint64_t fail_at; /* the call, counted from 1, that fails; 0: none */
} allocator;

/* Must stay where it is as long as the callbacks are used. */
void allocator_init(allocator *a);

#endif
