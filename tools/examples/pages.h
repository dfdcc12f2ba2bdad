/* SPDX-License-Identifier: MIT
 * Which pages of the pool are free, and how many sequences own each of the others. A host's bookkeeping: no Vulkan. */
#ifndef EXAMPLE_PAGES_H
#define EXAMPLE_PAGES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pages {
    uint32_t count, free_count, most_used;
    int32_t *free; /* numbers of the free pages, a stack */
    uint32_t *owners;
} pages;

void pages_create(pages *p, uint32_t count);
void pages_destroy(pages *p);

/* A free page, which then has one owner. There must be one. */
int32_t pages_take(pages *p);

/* One owner more, or one less. A page without owners is free. */
void pages_share(pages *p, int32_t page);
void pages_give_back(pages *p, int32_t page);

#endif
