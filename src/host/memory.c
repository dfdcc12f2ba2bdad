/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <stdlib.h>
#include <string.h>

void *dmattn_host_allocate(const VkAllocationCallbacks *allocator, size_t size)
{
    if (!allocator)
        return calloc(1, size);
    void *memory =
        allocator->pfnAllocation(allocator->pUserData, size, _Alignof(max_align_t), VK_SYSTEM_ALLOCATION_SCOPE_OBJECT);
    if (memory)
        memset(memory, 0, size);
    return memory;
}

void dmattn_host_free(const VkAllocationCallbacks *allocator, void *memory)
{
    if (!memory)
        return;
    if (allocator)
        allocator->pfnFree(allocator->pUserData, memory);
    else
        free(memory);
}
