// SPDX-License-Identifier: MIT
// VMA's implementation, the only C++ here.
#define VMA_IMPLEMENTATION
#include <vk_mem_alloc.h>
