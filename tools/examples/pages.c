/* SPDX-License-Identifier: MIT */
#include "pages.h"

#include "vulkan/die.h"

#include <stdlib.h>

void pages_create(pages *p, uint32_t count)
{
    *p = (pages){.count = count,
                 .free_count = count,
                 .free = calloc(count, sizeof *p->free),
                 .owners = calloc(count, sizeof *p->owners)};
    if (count && (!p->free || !p->owners))
        die("no host memory");
    for (uint32_t i = 0; i < count; i++) /* page 0 is the first one that is taken */
        p->free[i] = (int32_t)(count - 1 - i);
}

void pages_destroy(pages *p)
{
    free(p->free);
    free(p->owners);
}

int32_t pages_take(pages *p)
{
    if (!p->free_count)
        die("no page is free");
    const int32_t page = p->free[--p->free_count];
    const uint32_t used = p->count - p->free_count;
    p->owners[page] = 1;
    p->most_used = used > p->most_used ? used : p->most_used;
    return page;
}

void pages_share(pages *p, int32_t page)
{
    p->owners[page]++;
}

void pages_give_back(pages *p, int32_t page)
{
    if (!p->owners[page])
        die("page %d has no owner", (int)page);
    if (!--p->owners[page])
        p->free[p->free_count++] = page;
}
