// SPDX-License-Identifier: MIT
// The implementation of VMA, the only C++ of this app.
#define VMA_IMPLEMENTATION
#include <vk_mem_alloc.h>
