/* SPDX-License-Identifier: MIT */
#include "allocator.h"

#include <stdlib.h>
#include <string.h>

/* Before each block. */
typedef struct header {
    void *start; /* the result of malloc() */
    size_t size;
} header;

static void *VKAPI_PTR allocate(void *user, size_t size, size_t alignment, VkSystemAllocationScope scope)
{
    (void)scope;
    allocator *a = user;
    if (++a->calls == a->fail_at || !size)
        return NULL;
    char *start = malloc(sizeof(header) + alignment + size);
    if (!start)
        return NULL;
    uintptr_t block = (uintptr_t)start + sizeof(header);
    block += -block % alignment;
    ((header *)block)[-1] = (header){start, size};
    a->live++;
    return (void *)block;
}

static void VKAPI_PTR release(void *user, void *block)
{
    if (!block)
        return;
    ((allocator *)user)->live--;
    free(((header *)block)[-1].start);
}

static void *VKAPI_PTR reallocate(void *user, void *original, size_t size, size_t alignment,
                                  VkSystemAllocationScope scope)
{
    if (!original)
        return allocate(user, size, alignment, scope);
    if (!size) {
        release(user, original);
        return NULL;
    }
    void *block = allocate(user, size, alignment, scope);
    if (block) {
        size_t old = ((header *)original)[-1].size;
        memcpy(block, original, old < size ? old : size);
        release(user, original);
    }
    return block;
}

void allocator_init(allocator *a)
{
    *a = (allocator){
        .callbacks = {.pUserData = a, .pfnAllocation = allocate, .pfnReallocation = reallocate, .pfnFree = release}};
}
