/* SPDX-License-Identifier: MIT
 * Host allocation callbacks that count calls and can make one call fail. */
#ifndef DMATTN_TESTS_ALLOCATOR_H
#define DMATTN_TESTS_ALLOCATOR_H

#include <vulkan/vulkan_core.h>

#include <stdint.h>

typedef struct allocator {
    VkAllocationCallbacks callbacks;
    int64_t live;     /* allocations that were not freed */
    uint64_t calls;   /* allocations and reallocations */
    uint64_t fail_at; /* the call, counted from 1, that fails; 0: none */
} allocator;

/* *a must not move while the callbacks are used. */
void allocator_init(allocator *a);

#endif
